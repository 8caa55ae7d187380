"""False accusations and drops found on simulated services with known truth, through the whole audit.

    python benchmarks/accusations.py [--requests 1000] [--seeds 5] [--loads 1 5 16]

Each service is run twice: once it hands every header on, so that every accusation is false, and once it drops all, so
that every call that a request caused is to be found. In both, pollers call without headers, on routes of their own and
on those that requests call too. The service is watched idle before and after, and the pollers go on then.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace

from correlation_generator import SHAPES, Shape, Traffic, generate

from traceaudit.audit import Audit, AuditSettings
from traceaudit.capture.replay import moments
from traceaudit.correlation.inference import Call, Decider, Request
from traceaudit.exchange import Confidence, Direction, Exchange, Header
from traceaudit.verdicts import Verdict

IDLE_NS = 30_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--loads", type=float, nargs="+", default=[1, 5, 16])
    parser.add_argument("--uncaused", type=float, default=0.1, help="share of the calls that nothing causes")
    parser.add_argument("--no-infer", dest="infer", action="store_false", help="by presence alone")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    for load in arguments.loads:
        counts: Counter[str] = Counter()
        for name, shape in SHAPES.items():
            for seed in range(arguments.seeds):
                uncaused = max(shape.uncaused, arguments.uncaused)
                shaped = replace(shape, requests=arguments.requests, in_flight=load, uncaused=uncaused)
                counts += measured(shaped, f"{name}-{load}-{seed}", infer=arguments.infer)
        print(f"{load:4g} in flight  {line(counts)}", flush=True)
        total += counts
    print(f"all             {line(total)}")


def line(counts: Counter[str]) -> str:
    found = counts["found"] / max(counts["caused"], 1)
    return (
        f"{counts['calls']:,} calls; handing on: {counts['false proven']} proven, {counts['false probable']} probable"
        f" findings, all false; dropping: {found:.2%} of {counts['caused']:,} drops in findings at 0.95 or more"
    )


def measured(shape: Shape, seed: str, *, infer: bool) -> Counter[str]:
    traffic = generate(shape, sum(seed.encode()))
    counts: Counter[str] = Counter(calls=len(traffic.calls))
    audit, _ = audited(traffic, forwarding=True, infer=infer)
    for finding in audit.findings:
        if finding.confidence is not Confidence.AMBIGUOUS:
            counts[f"false {finding.confidence.value}"] += 1
    _, accused = audited(traffic, forwarding=False, infer=infer)
    for call in traffic.calls:
        caused = traffic.truth[call.id] is not None
        probability = accused.get(call.id, 0.0)
        counts["caused" if caused else "uncaused"] += 1
        if probability >= 0.95:
            counts["found" if caused else "uncaused accused"] += 1
            counts["uncaused proven"] += not caused and probability >= 0.999
    return counts


def audited(traffic: Traffic, *, forwarding: bool, infer: bool) -> tuple[Audit, dict[str, float]]:
    """The audit of a run, and how surely each call is accused of a drop when all is known."""
    headers = {each.id: ids(number) for number, each in enumerate(traffic.requests, 1)}
    exchanges = [
        Exchange(
            each.id, Direction.INBOUND, each.started_ns + IDLE_NS, "GET", "shop", f"/{each.route}", headers[each.id],
            ended_ns=end(each),
        )
        for each in traffic.requests
    ]  # fmt: skip
    for each in [*traffic.calls, *going_on(traffic)]:
        cause = traffic.truth.get(each.id)
        sent = headers[cause] if forwarding and cause is not None else []
        started_ns = each.started_ns + IDLE_NS
        exchanges.append(
            Exchange(each.id, Direction.OUTBOUND, started_ns, "GET", each.edge, "/", sent, ended_ns=end(each))
        )
    audit, decider = Audit(AuditSettings(infer=infer)), Decider()
    audit.advance(0)
    verdicts: dict[str, Verdict] = {}

    def look() -> None:
        while audit.looks:
            look = audit.looks.popleft()
            for revision in audit.revise(look, decider.decide(look.window)):
                verdicts[revision.verdict.outbound_id] = revision.verdict

    for exchange, begins in moments(exchanges):
        if not begins:
            audit.end(exchange)
        elif (verdict := audit.begin(exchange)) is not None:
            verdicts[exchange.id] = verdict
        look()
    audit.finish()
    look()
    accusations = [
        (verdict.edge, each)
        for verdict in verdicts.values()
        for _, each in verdict.accusations
        if verdict.edge is not None and each.rule.code == "TP001"
    ]
    audit.settle(max(each.started_ns for each in exchanges) + 2 * IDLE_NS)
    standing: dict[tuple[str, str], float] = {}
    for each in audit.findings:
        if each.rule.code == "TP001":
            key = (each.edge.outbound_authority, each.edge.outbound_route)
            standing[key] = max(standing.get(key, 0.0), each.probability)
    of_edge = {
        str(each.outbound_id): standing.get((edge.outbound_authority, edge.outbound_route), 0.0)
        for edge, each in accusations
    }
    return audit, of_edge


def going_on(traffic: Traffic) -> list[Call]:
    """The pollers' calls before and after the traffic, at the rate that they have in it."""
    uncaused = [call for call in traffic.calls if traffic.truth[call.id] is None]
    length_ns = max(call.started_ns for call in traffic.calls)
    found = []
    for number, call in enumerate(uncaused):
        times = (
            range(call.started_ns - length_ns, -IDLE_NS, -length_ns),
            range(call.started_ns + length_ns, length_ns + IDLE_NS, length_ns),
        )
        found += [replace(call, id=f"p{number}@{at}", started_ns=at, ended_ns=None) for span in times for at in span]
    return found


def end(each: Request | Call) -> int | None:
    return None if each.ended_ns is None else each.ended_ns + IDLE_NS


def ids(number: int) -> list[Header]:
    trace = f"{number:032x}"
    return [
        ("traceparent", f"00-{trace}-{number:016x}-01"),
        ("b3", f"{trace}-{number:016x}-1"),
        ("x-request-id", f"{number:08x}-0000-4000-8000-000000000000"),
    ]


if __name__ == "__main__":
    main()
