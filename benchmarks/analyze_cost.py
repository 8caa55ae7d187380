"""CPU and peak memory of `traceaudit analyze` beside `sqlite-utils insert` of the same lines, identifiers surviving.

python benchmarks/analyze_cost.py [--exchanges 100000]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.executable).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exchanges", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        write(log, arguments.exchanges)
        inserted = run(BIN / "sqlite-utils", "insert", "plain.db", "exchanges", log, "--nl", cwd=folder)
        analyzed = run(BIN / "traceaudit", "analyze", log, "--db", "audit.db", cwd=folder)
    for name, (cpu_s, memory_mib) in (("sqlite-utils insert", inserted), ("traceaudit analyze", analyzed)):
        print(f"{name:20} {cpu_s:6.2f} s CPU  {memory_mib:6.0f} MiB peak, {arguments.exchanges:,} exchanges")
    print(f"ratio                {analyzed[0] / inserted[0]:6.2f}  (wanted: at most 1.5)")


def write(log: Path, exchanges: int) -> None:
    """A log in which every request makes one call and hands its headers on."""
    generator = random.Random(1)
    with log.open("w", encoding="ascii") as file:
        for number in range(exchanges // 2):
            started_ns = 1_772_445_600_000_000_000 + number * 5_000_000
            trace, span = f"{generator.getrandbits(128):032x}", f"{generator.getrandbits(64):016x}"
            headers = [
                ["Host", "shop.test"], ["User-Agent", "Go-http-client/1.1"], ["Accept-Encoding", "gzip"],
                ["traceparent", f"00-{trace}-{span}-01"], ["b3", f"{trace}-{span}-1"], ["x-b3-traceid", trace],
                ["x-b3-spanid", span], ["x-b3-sampled", "1"],
                ["x-request-id", f"{trace[:8]}-0000-4000-8000-{trace[:12]}"],
            ]  # fmt: skip
            common = {
                "method": "GET", "scheme": "http", "http_version": "HTTP/1.1", "status": 200, "error": None,
                "request_headers": headers, "response_headers": [["Content-Type", "application/json"]],
            }  # fmt: skip
            for id_, direction, authority, path, offset_ns in (
                (f"i{number}", "inbound", "shop.test", f"/products/{number}", 0),
                (f"o{number}", "outbound", "inventory", f"/stock/{number}", 1_000_000),
            ):
                times = {"started_ns": started_ns + offset_ns, "response_started_ns": started_ns + offset_ns + 500_000,
                         "ended_ns": started_ns + 4_000_000 - offset_ns}  # fmt: skip
                file.write(json.dumps({"id": id_, "direction": direction, "authority": authority, "path": path,
                                       **times, **common}) + "\n")  # fmt: skip


def run(*command: str | Path, cwd: str) -> tuple[float, float]:
    """User and system seconds, and peak memory in MiB, of a command."""
    process = subprocess.Popen([*map(str, command)], cwd=cwd, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        raise SystemExit(f"{command[0]} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
