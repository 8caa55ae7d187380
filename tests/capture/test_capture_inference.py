"""Causes inferred from the times of a whole recording: who is linked where nothing of the request is left."""

from __future__ import annotations

from random import Random

from traceaudit.audit import Audit, AuditSettings
from traceaudit.capture.inference import inferred
from traceaudit.capture.replay import moments
from traceaudit.exchange import Direction, Exchange, Header, Link, Method

MS = 1_000_000
IDLE_MS = 60_000


def headers(number: int) -> list[Header]:
    return [("traceparent", f"00-{number:032x}-{number:016x}-01")]


def traffic(count: int, every_ms: float, *, forwarding: bool = False) -> tuple[list[Exchange], dict[str, str]]:
    """Two routes, each calling an upstream of the other's name too; every call's true cause."""
    random = Random(7)
    exchanges, truth = [], {}
    for number in range(1, count + 1):
        route = random.choice(["/cart", "/checkout"])
        at = IDLE_MS + (number + random.random()) * every_ms
        think = random.uniform(2, 3) if route == "/cart" else random.uniform(12, 14)
        end = at + think + random.uniform(20, 24)
        ns = [int(moment * MS) for moment in (at, at + think, at + think + 18, end)]
        sent = headers(number) if forwarding else []
        exchanges += [
            Exchange(f"i{number}", Direction.INBOUND, ns[0], "GET", "shop", route, headers(number), ended_ns=ns[3]),
            Exchange(f"o{number}", Direction.OUTBOUND, ns[1], "GET", "pricing", "/quote", sent, ended_ns=ns[2]),
        ]
        truth[f"o{number}"] = f"i{number}"
    return exchanges, truth


def links(exchanges: list[Exchange], *, infer: bool) -> tuple[Audit, dict[str, Link]]:
    answers = inferred(exchanges, AuditSettings(), 0) if infer else {}
    audit, chosen = Audit(None, answers), {}
    audit.advance(0)
    for exchange, begins in moments(exchanges):
        if not begins:
            audit.end(exchange)
        elif (verdict := audit.begin(exchange)) is not None:
            chosen[exchange.id] = verdict.links[0]
    audit.settle()
    return audit, chosen


def right(chosen: dict[str, Link], truth: dict[str, str]) -> float:
    return sum(chosen[id_].inbound_id == cause for id_, cause in truth.items()) / len(truth)


def test_times_tell_most_causes_where_presence_tells_few() -> None:
    exchanges, truth = traffic(400, every_ms=12)
    _, present = links(exchanges, infer=False)
    audit, timed = links(exchanges, infer=True)
    assert right(present, truth) < 0.9
    assert right(timed, truth) > 0.97
    sure = {id_: link for id_, link in timed.items() if link.probability >= 0.95}
    assert len(sure) > 0.8 * len(truth)
    assert right(sure, {id_: truth[id_] for id_ in sure}) > 0.99
    proven = [link for link in timed.values() if link.probability >= 0.999 and link.method is Method.TIMING]
    assert len(proven) < 0.01 * len(truth)
    # What was accused before is accused as surely, and of the route that did it.
    edges = {each.edge.inbound_route for each in audit.findings if each.occurrences > 20}
    assert {"GET /cart", "GET /checkout"} <= edges


def test_nothing_is_asked_where_identifiers_survive() -> None:
    exchanges, truth = traffic(50, every_ms=12, forwarding=True)
    assert inferred(exchanges, AuditSettings(), 0) == {}
    _, chosen = links(exchanges, infer=True)
    assert right(chosen, truth) == 1
