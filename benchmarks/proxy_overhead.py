"""CPU that the audited proxy takes per exchange, beside a bare mitmdump that streams, both in one run.

    python benchmarks/proxy_overhead.py [--requests 3000] [--concurrency 8] [--rounds 3]

A Go service behind each proxy forwards every request to an upstream through the same proxy, so that a request is two
exchanges. The proxies take turns; what is measured is user and system time of the proxy's process alone.
"""

from __future__ import annotations

import argparse
import http.client
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.services import free_port, running  # noqa: E402

BIN = Path(sys.executable).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=3000, help="requests a round and proxy")
    parser.add_argument("--concurrency", type=int, default=8, help="connections that send them")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    figures: dict[str, list[float]] = {"bare mitmdump": [], "traceaudit proxy": []}
    with running("upstream") as upstream, tempfile.TemporaryDirectory() as folder:
        for round_ in range(arguments.rounds):
            for name, costs in figures.items():
                costs.append(measure(name, upstream.url, arguments, Path(folder) / f"{round_}.db"))
                print(f"round {round_ + 1}  {name:17} {costs[-1]:.3f} ms CPU per exchange", flush=True)
    bare, audited = (statistics.median(costs) for costs in figures.values())
    print(f"median   bare mitmdump     {bare:.3f} ms CPU per exchange")
    print(f"median   traceaudit proxy  {audited:.3f} ms CPU per exchange")
    print(f"ratio    {audited / bare:.2f}  (wanted: at most 0.6)")


def measure(name: str, upstream: str, arguments: argparse.Namespace, database: Path) -> float:
    """Milliseconds of the proxy's CPU per exchange."""
    inbound, outbound = free_port(), free_port()
    proxied = {"HTTP_PROXY": f"http://127.0.0.1:{outbound}", "NO_PROXY": "", "no_proxy": ""}
    # Go sends nothing to a loopback address through a proxy; the name is resolved by the proxy's side.
    port = upstream.rpartition(":")[2]
    with (
        running("nethttp", "-upstream", f"http://upstream.test:{port}", env=proxied) as service,
        started(
            commands(name, (service.port, inbound, outbound), port, database), database.with_suffix(".log")
        ) as process,
    ):
        wait_for(inbound, process)
        drive(inbound, arguments.requests // 10, arguments.concurrency)
        before = cpu(process.pid)
        drive(inbound, arguments.requests, arguments.concurrency)
        return (cpu(process.pid) - before) / (2 * arguments.requests) * 1000


def commands(name: str, ports: tuple[int, int, int], upstream: str, database: Path) -> list[str]:
    service, inbound, outbound = ports
    if name == "bare mitmdump":
        lead = database.with_name("lead.py")
        lead.write_text(
            "def requestheaders(flow):\n"
            "    if flow.request.data.host == 'upstream.test':\n"
            "        flow.request.data.host = '127.0.0.1'\n"
        )
        return [
            str(BIN / "mitmdump"), "-q", "-s", str(lead),
            "--mode", f"reverse:http://127.0.0.1:{service}@127.0.0.1:{inbound}",
            "--mode", f"regular@127.0.0.1:{outbound}",
            "--set", "stream_large_bodies=1", "--set", "connection_strategy=lazy", "--set", "keep_host_header=true",
        ]  # fmt: skip
    return [
        str(BIN / "traceaudit"), "proxy", "--quiet", "--db", str(database),
        "--inbound", f"{inbound}:{service}", "--outbound", str(outbound),
        "--route", f"upstream.test=127.0.0.1:{upstream}",
    ]  # fmt: skip


@contextmanager
def started(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Returns when a request comes through."""
    while process.poll() is None:
        try:
            request(http.client.HTTPConnection("127.0.0.1", port, timeout=10))
        except (OSError, http.client.HTTPException, RuntimeError):
            threading.Event().wait(0.1)
        else:
            return
    raise SystemExit(f"{process.args} ended with status {process.returncode}")


def drive(port: int, requests: int, concurrency: int) -> None:
    """Sends so many requests over so many connections."""
    failures: list[Exception] = []

    def send(share: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            for _ in range(share):
                request(connection)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=send, args=(requests // concurrency,)) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"a request failed: {failures[0]}")


def request(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/forward/17?full=1")
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {body[:200]!r}")


def cpu(pid: int) -> float:
    """Seconds of user and system time that a process has taken."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
