"""Asks the times of a whole recording for the causes of the calls that carry no identifier.

What is proven, by a surviving identifier or by being alone, is given to the inference as known: it learns the service's
habits from it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from traceaudit.audit import Audit, AuditSettings
from traceaudit.capture.replay import in_order, moments
from traceaudit.correlation.inference import Call, Candidate, Request, infer
from traceaudit.exchange import Confidence, Direction, Exchange, Method


def inferred(
    exchanges: Collection[Exchange], settings: AuditSettings, started_ns: int
) -> Mapping[str, Sequence[Candidate]]:
    """By outbound id, the candidates of every call whose cause is in doubt; empty: none is."""
    exchanges = in_order(exchanges)
    known: dict[str, tuple[str | None] | None] = {}
    audit = Audit(settings)
    audit.advance(started_ns)
    for exchange, begins in moments(exchanges):
        if not begins:
            audit.end(exchange)
        elif (verdict := audit.begin(exchange)) is not None:
            chosen = verdict.links[0]
            proven = Confidence.of(chosen.probability) is Confidence.PROVEN and chosen.method is not Method.TIMING
            known[exchange.id] = (chosen.inbound_id,) if proven else None
    if None not in known.values():
        return {}
    requests = [
        Request(each.id, audit.route_of(each), each.started_ns, each.ended_ns)
        for each in exchanges
        if each.direction is Direction.INBOUND
    ]
    calls = [
        Call(each.id, f"{each.authority} {audit.route_of(each)}", each.started_ns, each.ended_ns, known[each.id])
        for each in exchanges
        if each.direction is Direction.OUTBOUND
    ]
    answers = infer(requests, calls)
    return {id_: answer for id_, answer in answers.items() if known[id_] is None}
