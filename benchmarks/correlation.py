"""Scores passive inference on recorded and generated traffic with known truth, beside two simple methods.

    python benchmarks/correlation.py [SET …] [--scraps REQUESTS] [--generated --loads 1 5 15 --seeds 1 2]

Per set: calls whose likeliest cause is right; requests of which every call is right; the share of calls decided at a
probability and how many of these are wrong; the calibration error, and in brackets what chance alone makes of it with
so many calls; CPU a request; requests of which every call is right by who came first, and by WAP5.
"""

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
from random import Random

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
    answers = {call: candidates or [Candidate(None, 0.0)] for call, candidates in answers.items()}
    said = [candidates[0].probability for candidates in answers.values()]
    right = [candidates[0].inbound_id == truth[call] for call, candidates in answers.items()]
    bad = {
        cause
        for (call, candidates), is_right in zip(answers.items(), right, strict=True)
        if not is_right
        for cause in (candidates[0].inbound_id, truth[call])
    }
    whole = sum(request.id not in bad for request in recording.requests) / len(recording.requests)
    decided = [
        f"≥{str(least)[1:]} {len(those) / len(said):7.2%} ({those.count(False)})"
        for least in (0.95, 0.99, 0.999)
        for those in [[is_right for p, is_right in zip(said, right, strict=True) if p >= least]]
    ]
    return (
        f"calls {sum(right) / len(right):8.3%} requests {whole:8.3%}  {'  '.join(decided)}"
        f"  ECE {calibration_error(said, right):.4f} ({error_of_the_calibrated(said):.4f})"
        f"  {1000 * cpu / len(recording.requests):6.2f} ms"
    )


def calibration_error(said: list[float], right: list[bool]) -> float:
    """The expected calibration error (ECE) over twenty bins."""
    bins = [[0.0, 0] for _ in range(20)]
    for p, is_right in zip(said, right, strict=True):
        cell = bins[min(19, int(p * 20))]
        cell[0] += p
        cell[1] += is_right
    return sum(abs(sure - count) for sure, count in bins) / len(said)


def error_of_the_calibrated(said: list[float], times: int = 50) -> float:
    """The mean error that chance alone gives, where what was said is exactly as sure as it is right."""
    random = Random(1)
    return sum(calibration_error(said, [random.random() < p for p in said]) for _ in range(times)) / times


def generated(shape: str, in_flight: float, seed: int, requests: int) -> Recording:
    traffic = generate(replace(SHAPES[shape], in_flight=in_flight, requests=requests), seed)
    return Recording(f"{shape} x{in_flight:g} #{seed}", traffic.requests, traffic.calls, traffic.truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help="parts of names of sets; all if none is given")
    parser.add_argument(
        "--data", type=Path, default=DATA, help="directory with SET/SERVICE.jsonl.gz and .truth.json.gz"
    )
    parser.add_argument("--generated", action="store_true", help="generated traffic instead of recordings")
    parser.add_argument("--loads", type=float, nargs="+", default=[1, 5, 15], help="requests in flight")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--scraps", type=int, help="of each set, ten scraps of so many requests, each a log of its own")
    options = parser.parse_args()
    for recording in generated_sets(options) if options.generated else recorded_sets(options):
        if options.scraps:
            report(f"{recording.name} ·{options.scraps}", scraps(recording, options.scraps))
        else:
            report(recording.name, [recording])


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


def scraps(recording: Recording, size: int, most: int = 10) -> list[Recording]:
    """Parts of a recording with so many requests in a row and their calls, spread evenly; at least one."""
    requests = sorted(recording.requests, key=lambda request: (request.started_ns, request.id))
    count = max(1, min(most, len(requests) // size))
    found = []
    for number in range(count):
        first = number * (len(requests) - size) // max(1, count - 1)
        some = requests[first : first + size]
        ids = {None, *(request.id for request in some)}
        from_ns, until_ns = some[0].started_ns, max(request.ended_ns or 0 for request in some)
        calls = [
            call
            for call in recording.calls
            if (cause := recording.truth[call.id]) in ids
            and (cause is not None or from_ns <= call.started_ns <= until_ns)
        ]
        found.append(Recording(recording.name, some, calls, {call.id: recording.truth[call.id] for call in calls}))
    return found


def report(name: str, recordings: list[Recording]) -> None:
    """One line for all of them."""
    answers: dict[str, list[Candidate]] = {}
    first: dict[str, str | None] = {}
    second: dict[str, str | None] = {}
    cpu = 0.0
    for recording in recordings:
        gc.disable()  # As `analyze` and the process beside live traffic have it.
        before = time.process_time()
        answers |= infer(recording.requests, recording.calls)
        cpu += time.process_time() - before
        gc.enable()
        first |= first_come_first_served(recording)
        second |= wap5(recording)
    together = Recording(
        name,
        [request for recording in recordings for request in recording.requests],
        [call for recording in recordings for call in recording.calls],
        {call: cause for recording in recordings for call, cause in recording.truth.items()},
    )
    simple = [simple_score(together, owner) for owner in (first, second)]
    print(f"{name:36} {score(together, answers, cpu)}  FCFS {simple[0]:6.1%}  WAP5 {simple[1]:6.1%}", flush=True)


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
        pairs[call.id] = list(flight)
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
