"""Scores passive inference on recorded and generated traffic with known truth, beside two simple methods."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from traceaudit.correlation.inference import Call, Candidate, Request, infer

DATA = Path(__file__).resolve().parent.parent / ".." / "shared" / "data" / "correlation"


@dataclass
class Recording:
    name: str
    requests: list[Request]
    calls: list[Call]
    truth: dict[str, str | None]


def load(directory: Path, name: str) -> Recording:
    with gzip.open(directory / f"{name}.truth.json.gz", "rt") as file:
        truth = json.load(file)
    requests, calls = [], []
    with gzip.open(directory / f"{name}.jsonl.gz", "rt") as file:
        for line in file:
            row = json.loads(line)
            route = f"{row['method']} {row['path']}"
            if row["direction"] == "inbound":
                requests.append(Request(row["id"], route, row["started_ns"], row["ended_ns"]))
            else:
                calls.append(Call(row["id"], f"{row['authority']} {route}", row["started_ns"], row["ended_ns"]))
    return Recording(name, requests, calls, truth)


def score(recording: Recording, answers: dict[str, list[Candidate]], cpu: float) -> str:
    truth = recording.truth
    right = wrong95 = wrong99 = wrong999 = n95 = n99 = n999 = 0
    bad: set[str | None] = set()
    bins = [[0, 0.0, 0.0] for _ in range(20)]
    for call, candidates in answers.items():
        best = candidates[0]
        good = best.inbound_id == truth[call]
        right += good
        if not good:
            bad |= {best.inbound_id, truth[call]}
        p = best.probability
        cell = bins[min(19, int(p * 20))]
        cell[0] += 1
        cell[1] += p
        cell[2] += good
        n95 += p >= 0.95
        wrong95 += p >= 0.95 and not good
        n99 += p >= 0.99
        wrong99 += p >= 0.99 and not good
        n999 += p >= 0.999
        wrong999 += p >= 0.999 and not good
    n = len(answers)
    ece = sum(abs(c[1] - c[2]) for c in bins) / n
    whole = sum(request.id not in bad for request in recording.requests) / len(recording.requests)
    return (
        f"calls {right / n:8.3%} requests {whole:8.3%}  ≥.95 {n95 / n:7.2%} ({wrong95})  ≥.99 {n99 / n:7.2%} ({wrong99})"
        f"  ≥.999 {n999 / n:7.2%} ({wrong999})  ECE {ece:.4f}  {1000 * cpu / len(recording.requests):6.2f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="*")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    for path in sorted(options.data.glob("*/*.jsonl.gz")):
        name = str(path.relative_to(options.data)).removesuffix(".jsonl.gz")
        if options.sets and not any(wanted in name for wanted in options.sets):
            continue
        recording = load(options.data, name)
        before = time.process_time()
        answers = infer(recording.requests, recording.calls)
        print(f"{name:34}", score(recording, answers, time.process_time() - before), flush=True)


if __name__ == "__main__":
    main()
