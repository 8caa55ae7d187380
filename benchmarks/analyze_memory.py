"""Peak memory of `traceaudit analyze` at few and at many exchanges, their lines in order and shuffled.

python benchmarks/analyze_memory.py [--few 10000] [--many 1000000]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from array import array
from pathlib import Path

import analyze_cost

WANTED_MIB = 50
"""Memory is bounded by what is open, not by what has passed: so much more at a hundred times the exchanges, at most."""


def main() -> int:
    """Print the peaks and the differences; 1 when these are above what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    arguments = parser.parse_args()
    peaks: dict[tuple[str, int], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for exchanges in (arguments.few, arguments.many):
            log, shuffled = Path(folder) / "log.jsonl", Path(folder) / "shuffled.jsonl"
            analyze_cost.write(log, exchanges)
            shuffle(log, shuffled)
            for order, path in (("in order", log), ("shuffled", shuffled)):
                cpu_s, peak_mib = analyze_cost.run(
                    analyze_cost.BIN / "traceaudit", "analyze", path, "--db", "audit.db", cwd=folder
                )
                (Path(folder) / "audit.db").unlink()
                peaks[order, exchanges] = peak_mib
                print(f"{order}  {exchanges:9,} exchanges  {peak_mib:5.0f} MiB peak  {cpu_s:6.1f} s CPU", flush=True)
    more = [peaks[order, arguments.many] - peaks[order, arguments.few] for order in ("in order", "shuffled")]
    print(f"more at {arguments.many:,}: {more[0]:.0f} MiB in order, {more[1]:.0f} MiB shuffled  (wanted: {WANTED_MIB})")
    return int(max(more) > WANTED_MIB)


def shuffle(log: Path, shuffled: Path) -> None:
    """The lines in any order; a million of them need not be in memory for that."""
    places = array("q")
    with log.open("rb") as file, shuffled.open("wb") as into:
        places.append(0)
        for line in file:
            places.append(places[-1] + len(line))
        places.pop()
        random.Random(3).shuffle(places)
        for place in places:
            file.seek(place)
            into.write(file.readline())


if __name__ == "__main__":
    sys.exit(main())
