"""Calls for the rules' tests: header lists in, through the parsers that the product uses; judgements by hand."""

from __future__ import annotations

from collections.abc import Sequence

from traceaudit.exchange import Direction, Exchange, Header, Outcome
from traceaudit.formats import read
from traceaudit.formats.context import Format
from traceaudit.outcomes import Alteration, Judgement
from traceaudit.rules import Call

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER_TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "00f067aa0ba902b7"
OTHER_SPAN = "b7ad6b7169203331"

TRACEPARENT: Header = ("Traceparent", f"00-{TRACE}-{SPAN}-01")
CONTINUED: Header = ("traceparent", f"00-{TRACE}-{OTHER_SPAN}-01")
NEW_TRACEPARENT: Header = ("traceparent", f"00-{OTHER_TRACE}-{OTHER_SPAN}-01")
BAD_TRACEPARENT: Header = ("traceparent", f"00-{TRACE}-{SPAN}-1")
TRACESTATE: Header = ("tracestate", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
BAD_TRACESTATE: Header = ("tracestate", "congo=a=b")
B3: Header = ("b3", f"{TRACE}-{SPAN}-1")
NEW_B3: Header = ("b3", f"{OTHER_TRACE}-{OTHER_SPAN}-1")
BAD_B3: Header = ("b3", f"{TRACE}-{SPAN[1:]}-1")
B3MULTI: list[Header] = [
    ("X-B3-Traceid", TRACE),
    ("X-B3-Spanid", SPAN),
    ("X-B3-Parentspanid", OTHER_SPAN),
    ("X-B3-Sampled", "1"),
]
REQUEST_ID: Header = ("X-Request-Id", "0b52b7f7-8a2d-4c1b-9c0e-3f2f1b7d6a55")
NEW_REQUEST_ID: Header = ("X-Request-Id", "7c9e6679-7425-40de-944b-e07fc1f90ae7")
NOT_A_UUID: Header = ("X-Request-Id", "web-1/Kx82ls-000017")
BAGGAGE: Header = ("baggage", "tenant=acme")
BAD_BAGGAGE: Header = ("baggage", "vip customer")
UBER: Header = ("uber-trace-id", f"{TRACE}:{SPAN}:0:1")
OTHER_UBER: Header = ("uber-trace-id", f"{'1' * 32}:{SPAN}:0:1")
SW8: Header = ("sw8", "1-VFJBQ0U=-U0VHTUVOVA==-3-U0VSVklDRQ==-SU5TVEFOQ0U=-RU5EUE9JTlQ=-QUREUkVTUw==")

type Judged = Outcome | Judgement | Alteration


def judged(format_: Format, what: Judged) -> Judgement:
    """A judgement from the little that a case says of it."""
    match what:
        case Judgement():
            return what
        case Alteration():
            return Judgement(format_, Outcome.ALTERED, frozenset({what}))
        case _:
            return Judgement(format_, what)


def request(direction: Direction, headers: Sequence[Header]) -> Exchange:
    """An exchange of which only the headers matter."""
    return Exchange(
        id="i1" if direction is Direction.INBOUND else "o1",
        direction=direction,
        started_ns=1,
        method="GET",
        authority="inventory.default.svc:80",
        path="/stock/17",
        request_headers=list(headers),
    )


def call(
    carried: Sequence[Header],
    sent: Sequence[Header],
    judgements: dict[Format, Judged] | None = None,
    *,
    participant: bool | None = None,
) -> Call:
    """One outbound call and the request that caused it."""
    return Call(
        inbound=request(Direction.INBOUND, carried),
        outbound=request(Direction.OUTBOUND, sent),
        carried=read(list(carried)),
        sent=read(list(sent)),
        judgements={format_: judged(format_, what) for format_, what in (judgements or {}).items()},
        participant=participant,
    )
