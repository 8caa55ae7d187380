"""Scores passive inference on recorded and generated traffic with known truth, beside two simple methods."""

from __future__ import annotations

import argparse
import gc
import gzip
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from correlation_generator import SHAPES, generate

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
        f"calls {right / n:8.3%} requests {whole:8.3%}  ≥.95 {n95 / n:7.2%} ({wrong95})"
        f"  ≥.99 {n99 / n:7.2%} ({wrong99})  ≥.999 {n999 / n:7.2%} ({wrong999})"
        f"  ECE {ece:.4f}  {1000 * cpu / len(recording.requests):6.2f} ms"
    )


def generated(shape: str, in_flight: float, seed: int, requests: int) -> Recording:
    traffic = generate(replace(SHAPES[shape], in_flight=in_flight, requests=requests), seed)
    return Recording(f"{shape} x{in_flight:g} #{seed}", traffic.requests, traffic.calls, traffic.truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", help="parts of names of sets; all if none is given")
    parser.add_argument(
        "--data", type=Path, default=DATA, help="directory with SET/SERVICE.jsonl.gz and .truth.json.gz"
    )
    parser.add_argument("--generated", action="store_true", help="generated traffic instead of recordings")
    parser.add_argument("--loads", type=float, nargs="+", default=[1, 5, 15], help="requests in flight")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--requests", type=int, default=600)
    options = parser.parse_args()
    for recording in generated_sets(options) if options.generated else recorded_sets(options):
        report(recording)


def recorded_sets(options: argparse.Namespace) -> Iterator[Recording]:
    for path in sorted(options.data.glob("*/*.jsonl.gz")):
        name = str(path.relative_to(options.data)).removesuffix(".jsonl.gz")
        if not options.sets or any(wanted in name for wanted in options.sets):
            yield load(options.data, name)


def generated_sets(options: argparse.Namespace) -> Iterator[Recording]:
    for shape in SHAPES:
        if not options.sets or shape in options.sets:
            for in_flight in options.loads:
                for seed in options.seeds:
                    yield generated(shape, in_flight, seed, options.requests)


def report(recording: Recording) -> None:
    gc.disable()  # As `analyze` and the process beside live traffic have it.
    before = time.process_time()
    answers = infer(recording.requests, recording.calls)
    cpu = time.process_time() - before
    gc.enable()
    first, second = (simple_score(recording, method(recording)) for method in (first_come_first_served, wap5))
    print(f"{recording.name:32} {score(recording, answers, cpu)}  FCFS {first:6.1%}  WAP5 {second:6.1%}", flush=True)


def simple_score(recording: Recording, owner: dict[str, str | None]) -> float:
    bad = {
        cause
        for call, said in owner.items()
        if said != recording.truth[call]
        for cause in (said, recording.truth[call])
    }
    return sum(request.id not in bad for request in recording.requests) / len(recording.requests)


def first_come_first_served(recording: Recording) -> dict[str, str | None]:
    """Per edge, each call goes to the request in flight that started first and has had fewest calls of the edge."""
    had: defaultdict[tuple[str, str], int] = defaultdict(int)
    owner: dict[str, str | None] = {}
    waiting = sorted(recording.requests, key=lambda request: request.started_ns)
    flight: list[Request] = []
    position = 0
    for call in sorted(recording.calls, key=lambda call: call.started_ns):
        while position < len(waiting) and waiting[position].started_ns <= call.started_ns:
            flight.append(waiting[position])
            position += 1
        flight = [request for request in flight if request.ended_ns is None or request.ended_ns >= call.started_ns]
        best = min(flight, key=lambda request: (had[request.id, call.edge], request.started_ns), default=None)
        owner[call.id] = best.id if best else None
        if best:
            had[best.id, call.edge] += 1
    return owner


def wap5(recording: Recording) -> dict[str, str | None]:
    """After WAP5 (Reynolds et al. 2006): a call is put down to the request in flight that makes its delay likeliest.

    Delays from a request's start are taken for exponential, with one mean per route and edge.
    """
    total: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    pairs: dict[str, list[Request]] = {}
    waiting = sorted(recording.requests, key=lambda request: request.started_ns)
    flight: list[Request] = []
    position = 0
    for call in sorted(recording.calls, key=lambda call: call.started_ns):
        while position < len(waiting) and waiting[position].started_ns <= call.started_ns:
            flight.append(waiting[position])
            position += 1
        flight = [request for request in flight if request.ended_ns is None or request.ended_ns >= call.started_ns]
        pairs[call.id] = flight
        for request in flight:
            total[request.route, call.edge].append((call.started_ns - request.started_ns) / len(flight))
    mean = {key: max(1.0, sum(delays) / len(delays)) for key, delays in total.items()}
    starts = {call.id: (call.started_ns, call.edge) for call in recording.calls}

    def likelihood(request: Request, call: str) -> float:
        start, edge = starts[call]
        typical = mean[request.route, edge]
        return -(start - request.started_ns) / typical - math.log(typical)

    return {
        call: max(flight, key=lambda request: likelihood(request, call)).id if flight else None
        for call, flight in pairs.items()
    }


if __name__ == "__main__":
    main()
