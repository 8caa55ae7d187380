"""What the gate shows of a Go service that drops every header, and what it costs, beside the same without the gate.

    python benchmarks/gate.py [--modes sequence parallel busy polled] [--clients 1 5 13 26] [--requests 3400]

The service makes three calls a request to an upstream of 80 ms, one after another or at once; `busy` burns CPU on both
cores, `polled` also calls one of its endpoints by itself. The truth is in the bodies, which no audit reads, and comes
back in a header of the answers. Per mode and clients at a time: the share of calls whose link is proven by the gate,
how many of those are wrong, how long stimuli were held, the throughput next to `--gate off`, and the CPU of a request.
"""

from __future__ import annotations

import argparse
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

from proxy_overhead import wait_for

from tests.live import UPSTREAM_NAME, environment
from tests.services import LOOPBACK, build, free_port, running

MODES = {
    "sequence": ("-mode", "sequence"),
    "parallel": ("-mode", "parallel"),
    "busy": ("-mode", "sequence", "-work", "5ms"),
    "polled": ("-mode", "sequence", "-poll", "300ms"),
}


@dataclass
class Figures:
    calls: int
    gated: int
    wrong: int
    others_proven: int
    others_wrong: int
    held: str
    seconds: float
    cpu: float


def measured(mode: str, clients: int, requests: int, gate: str) -> Figures:
    """One run of the service under load."""
    with tempfile.TemporaryDirectory() as folder, running("hidden", "-mode", "upstream") as upstream:
        home = Path(folder)
        inbound, port, outbound = free_port(), free_port(), free_port()
        hidden = str(build(["hidden"])["hidden"])
        database = home / "audit.db"
        command = [sys.executable, "-m", "traceaudit", "run", "--db", str(database), "--gate", gate]
        command += ["--inbound", f"{inbound}:{port}", "--outbound", str(outbound)]
        command += ["--route", f"{UPSTREAM_NAME}={LOOPBACK}:{upstream.port}", "--", hidden, *MODES[mode]]
        command += ["-listen", f"{LOOPBACK}:{port}", "-upstream", f"http://{UPSTREAM_NAME}"]
        said = home / "said"
        with said.open("w") as log:
            process = subprocess.Popen(command, cwd=home, env=environment(home), stdout=log, stderr=log)
            try:
                wait_for(inbound, process)
                begun = cpu(process)
                load = [hidden, "-mode", "load", "-upstream", f"http://{LOOPBACK}:{inbound}"]
                load += ["-clients", str(clients), "-requests", str(requests)]
                seconds = float(subprocess.run(load, check=True, capture_output=True, text=True).stdout)
                spent = cpu(process) - begun
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(120)
        return read(database, seconds, spent / requests, said.read_text())


def cpu(process: subprocess.Popen[bytes]) -> float:
    """The CPU seconds of the audit alone; the service is its child."""
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def read(database: Path, seconds: float, spent: float, said: str) -> Figures:
    """What the links of a run say, against the truth."""
    db = sqlite3.connect(database)
    truth = "select value from headers where exchange_id = {} and side = 'response' and lower(name) = 'x-truth'"
    rows = db.execute(
        f"""select method, probability, ({truth.format("inbound_id")}) is ({truth.format("outbound_id")})
            from links where rank = 1"""
    ).fetchall()
    gated = [right for method, _, right in rows if method == "gated"]
    others = [right for method, probability, right in rows if method != "gated" and probability >= 0.999]
    held = re.search(r"half were held at most (.*)", said)
    return Figures(
        len(rows),
        len(gated),
        gated.count(0),
        len(others),
        others.count(0),
        held[1] if held else "-",
        seconds,
        spent,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 5, 13, 26])
    parser.add_argument("--requests", type=int, default=3400)
    arguments = parser.parse_args()
    for mode in arguments.modes:
        for clients in arguments.clients:
            off = measured(mode, clients, arguments.requests, "off")
            on = measured(mode, clients, arguments.requests, "auto")
            print(
                f"{mode:8} {clients:3} at a time: {on.gated / on.calls:6.1%} of {on.calls} calls shown by the gate,"
                f" {on.wrong} wrong; held p50 {on.held.replace('99 % at most', 'p99')};"
                f" throughput {off.seconds / on.seconds:.2f} of gate off;"
                f" CPU a request {on.cpu * 1e3:.2f} ms, {off.cpu * 1e3:.2f} ms off"
                f" (other proven links: {on.others_proven}, {on.others_wrong} wrong; off: {off.others_proven},"
                f" {off.others_wrong} wrong)",
                flush=True,
            )


if __name__ == "__main__":
    main()
