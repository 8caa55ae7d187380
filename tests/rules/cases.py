"""What each rule says and does not say: for a call, the codes of *all* rules it breaks, exactly.

A case belongs to the rule it is about. One that expects the rule's code shows it firing; one that does not shows it
silent where a careless check would fire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.rules.calls import (
    B3,
    B3MULTI,
    BAD_B3,
    BAD_BAGGAGE,
    BAD_TRACEPARENT,
    BAD_TRACESTATE,
    BAGGAGE,
    CONTINUED,
    NEW_B3,
    NEW_REQUEST_ID,
    NEW_TRACEPARENT,
    NOT_A_UUID,
    OTHER_UBER,
    REQUEST_ID,
    SPAN,
    SW8,
    TRACE,
    TRACEPARENT,
    TRACESTATE,
    UBER,
    Judged,
)
from traceaudit.exchange import Header, Outcome
from traceaudit.formats.context import Format
from traceaudit.outcomes import Alteration, Judgement

DROPPED, RESTARTED, LEAKED, MALFORMED = Outcome.DROPPED, Outcome.RESTARTED, Outcome.LEAKED, Outcome.MALFORMED
CONTINUES, FORWARDED, CONVERTED, ABSENT = Outcome.CONTINUED, Outcome.FORWARDED, Outcome.CONVERTED, Outcome.ABSENT
TP, B3S, B3M, RID, BAG = Format.TRACEPARENT, Format.B3, Format.B3MULTI, Format.REQUEST_ID, Format.BAGGAGE


@dataclass(frozen=True)
class Case:
    about: str
    name: str
    carried: Sequence[Header]
    sent: Sequence[Header]
    judgements: dict[Format, Judged] = field(default_factory=dict)
    expect: frozenset[str] = frozenset()
    participant: bool | None = None

    def __str__(self) -> str:
        return f"{self.about} {self.name}"


def fires(
    about: str,
    name: str,
    carried: Sequence[Header],
    sent: Sequence[Header],
    judgements: dict[Format, Judged],
    *also: str,
    participant: bool | None = None,
) -> Case:
    return Case(about, name, carried, sent, judgements, frozenset({about, *also}), participant)


def silent(
    about: str,
    name: str,
    carried: Sequence[Header],
    sent: Sequence[Header],
    judgements: dict[Format, Judged],
    *others: str,
    participant: bool | None = None,
) -> Case:
    return Case(about, name, carried, sent, judgements, frozenset(others), participant)


CASES: tuple[Case, ...] = (
    fires("TP001", "traceparent is gone", [TRACEPARENT], [], {TP: DROPPED}),
    silent("TP001", "a new span id continues the trace", [TRACEPARENT], [CONTINUED], {TP: CONTINUES}),
    silent("TP001", "an invalid one may be dropped", [BAD_TRACEPARENT], [], {TP: ABSENT}),
    fires("TP002", "the state is gone", [TRACEPARENT, TRACESTATE], [CONTINUED], {TP: Alteration.TRACESTATE_DROPPED}),
    silent("TP002", "the whole context is gone", [TRACEPARENT, TRACESTATE], [], {TP: DROPPED}, "TP001"),
    fires("TP003", "neither form is left", [B3, *B3MULTI], [], {B3S: DROPPED, B3M: DROPPED}),
    fires("TP003", "the single form is gone", [B3], [], {B3S: DROPPED}),
    fires("TP003", "only a state is left", [B3], [("b3", "0")], {B3S: DROPPED}),
    silent("TP003", "one form became the other", [B3], B3MULTI, {B3S: CONVERTED, B3M: FORWARDED}),
    silent("TP003", "what is left is broken", B3MULTI, [BAD_B3], {B3M: DROPPED, B3S: MALFORMED}, "WC003"),
    fires("TP004", "the id is gone", [REQUEST_ID], [], {RID: DROPPED}),
    silent("TP004", "the id is kept", [REQUEST_ID], [REQUEST_ID], {RID: FORWARDED}),
    fires("TP005", "baggage is gone", [BAGGAGE], [], {BAG: DROPPED}),
    silent("TP005", "baggage goes on", [BAGGAGE], [BAGGAGE], {BAG: FORWARDED}),
    fires("TP006", "a vendor's header is gone", [UBER], [], {Format.UBER: DROPPED}),
    silent("TP006", "it goes on", [UBER], [UBER], {Format.UBER: FORWARDED}),
    fires("TP007", "the parent is lost", B3MULTI, [*B3MULTI[:2], B3MULTI[3]], {B3M: Alteration.PARTLY_DROPPED}),
    fires(
        "TP007",
        "a decision that is merely missing",
        B3MULTI,
        B3MULTI[:3],
        {B3M: Judgement(B3M, Outcome.ALTERED, frozenset({Alteration.PARTLY_DROPPED, Alteration.SAMPLING}))},
    ),
    silent("TP007", "all of them go on", B3MULTI, B3MULTI, {B3M: FORWARDED}),
    fires("TP011", "a new trace", [TRACEPARENT], [NEW_TRACEPARENT], {TP: RESTARTED}),
    fires(
        "TP011",
        "all formats restarted are one violation",
        [TRACEPARENT, B3],
        [NEW_TRACEPARENT, NEW_B3],
        {TP: RESTARTED, B3S: RESTARTED},
    ),
    fires(
        "TP011",
        "restarted to two different traces is still one cause",
        [TRACEPARENT, B3],
        [NEW_TRACEPARENT, ("b3", f"{'1' * 32}-{SPAN}-1")],
        {TP: RESTARTED, B3S: RESTARTED},
    ),
    silent("TP011", "no trace came in", [], [NEW_TRACEPARENT], {TP: RESTARTED}),
    silent("TP011", "an invalid trace came in", [BAD_TRACEPARENT], [NEW_TRACEPARENT], {TP: ABSENT}),
    silent(
        "TP011",
        "another format carries it",
        [TRACEPARENT, B3],
        [NEW_TRACEPARENT, B3],
        {TP: RESTARTED, B3S: FORWARDED},
        "TP016",
    ),
    fires(
        "TP011",
        "SkyWalking's trace goes on, which is another one",
        [TRACEPARENT, SW8],
        [NEW_TRACEPARENT, SW8],
        {TP: RESTARTED, Format.SW8: FORWARDED},
    ),
    fires(
        "TP011",
        "a vendor's other trace goes on",
        [TRACEPARENT, OTHER_UBER],
        [NEW_TRACEPARENT, OTHER_UBER],
        {TP: RESTARTED, Format.UBER: FORWARDED},
    ),
    fires("TP012", "a new request id", [REQUEST_ID], [NEW_REQUEST_ID], {RID: RESTARTED}),
    silent("TP012", "the same request id", [REQUEST_ID], [REQUEST_ID], {RID: FORWARDED}),
    fires(
        "TP013",
        "sampled became unsampled",
        [TRACEPARENT],
        [("traceparent", f"00-{TRACE}-{SPAN}-00")],
        {TP: Alteration.SAMPLING},
    ),
    fires(
        "TP013",
        "both families are one violation",
        [TRACEPARENT, B3],
        [("traceparent", f"00-{TRACE}-{SPAN}-00"), ("b3", f"{TRACE}-{SPAN}-0")],
        {TP: Alteration.SAMPLING, B3S: Alteration.SAMPLING},
    ),
    silent("TP013", "the decision is kept", [TRACEPARENT], [CONTINUED], {TP: CONTINUES}),
    fires("TP014", "half of the id", [B3], [("b3", f"{TRACE[16:]}-{SPAN}-1")], {B3S: Alteration.TRUNCATED}),
    silent(
        "TP014",
        "a short id that came short",
        [("b3", f"{TRACE[16:]}-{SPAN}-1")],
        [("b3", f"{TRACE[16:]}-{SPAN}-1")],
        {B3S: FORWARDED},
    ),
    fires(
        "TP015",
        "members in another order",
        [TRACEPARENT, TRACESTATE],
        [TRACEPARENT, ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")],
        {TP: Alteration.TRACESTATE_DAMAGED},
    ),
    silent(
        "TP015",
        "a member of its own on the left",
        [TRACEPARENT, TRACESTATE],
        [CONTINUED, ("tracestate", f"own=1,{TRACESTATE[1]}")],
        {TP: CONTINUES},
    ),
    fires(
        "TP016",
        "b3 is copied beside a new traceparent",
        [TRACEPARENT, B3],
        [NEW_TRACEPARENT, B3],
        {TP: RESTARTED, B3S: FORWARDED},
    ),
    fires(
        "TP016",
        "the service adds a format with a trace of its own",
        [TRACEPARENT],
        [CONTINUED, NEW_B3],
        {TP: CONTINUES, B3S: RESTARTED},
    ),
    silent(
        "TP016",
        "they disagreed on the request",
        [TRACEPARENT, NEW_B3],
        [TRACEPARENT, NEW_B3],
        {TP: FORWARDED, B3S: FORWARDED},
    ),
    silent(
        "TP016",
        "64 bits and 128 bits of one trace",
        [TRACEPARENT, ("b3", f"{TRACE[16:]}-{SPAN}-1")],
        [TRACEPARENT, ("b3", f"{TRACE[16:]}-{SPAN}-1")],
        {TP: FORWARDED, B3S: FORWARDED},
    ),
    silent(
        "TP016",
        "half of the id is lost in one of them",
        [TRACEPARENT, B3],
        [("traceparent", f"00-{'0' * 16}{TRACE[16:]}-{SPAN}-01"), B3],
        {TP: Alteration.TRUNCATED, B3S: FORWARDED},
        "TP014",
    ),
    silent(
        "TP016", "a leak explains it", [TRACEPARENT, B3], [NEW_TRACEPARENT, B3], {TP: LEAKED, B3S: FORWARDED}, "TP021"
    ),
    silent(
        "TP016",
        "an invalid traceparent is rightly replaced",
        [BAD_TRACEPARENT, B3],
        [NEW_TRACEPARENT, B3],
        {TP: ABSENT, B3S: FORWARDED},
    ),
    fires(
        "TP021",
        "another request's context",
        [TRACEPARENT],
        [NEW_TRACEPARENT],
        {TP: Judgement(TP, LEAKED, owner_id="i7")},
    ),
    fires("TP021", "another request's id", [REQUEST_ID], [NEW_REQUEST_ID], {RID: LEAKED}),
    silent("TP021", "its own context", [TRACEPARENT], [TRACEPARENT], {TP: FORWARDED}),
    silent("TP022", "one call never shows it", [TRACEPARENT], [NEW_TRACEPARENT], {TP: LEAKED}, "TP021"),
    fires("WC001", "written wrong", [TRACEPARENT], [BAD_TRACEPARENT], {TP: MALFORMED}),
    silent("WC001", "copied wrong", [BAD_TRACEPARENT], [BAD_TRACEPARENT], {TP: MALFORMED}, participant=False),
    fires("WC001", "made wrong in another way", [BAD_TRACEPARENT], [("traceparent", "00-x")], {TP: MALFORMED}),
    fires("WC002", "a broken member", [TRACEPARENT, TRACESTATE], [TRACEPARENT, BAD_TRACESTATE], {TP: CONTINUES}),
    silent(
        "WC002",
        "the broken member came in",
        [TRACEPARENT, BAD_TRACESTATE],
        [TRACEPARENT, BAD_TRACESTATE],
        {TP: FORWARDED},
    ),
    silent(
        "WC002",
        "the broken member came in, a valid one is added",
        [TRACEPARENT, BAD_TRACESTATE],
        [CONTINUED, ("tracestate", f"own=1,{BAD_TRACESTATE[1]}")],
        {TP: CONTINUES},
    ),
    fires(
        "WC002",
        "a broken member is added to another",
        [TRACEPARENT, BAD_TRACESTATE],
        [CONTINUED, ("tracestate", f"OWN=1,{BAD_TRACESTATE[1]}")],
        {TP: CONTINUES},
    ),
    silent("WC002", "an empty one is allowed", [TRACEPARENT], [TRACEPARENT, ("tracestate", "")], {TP: FORWARDED}),
    fires("WC003", "an id of 15 digits", [B3], [BAD_B3], {B3S: MALFORMED}),
    fires("WC003", "a trace id without a span id", B3MULTI, B3MULTI[:1], {B3M: MALFORMED}),
    silent("WC003", "copied wrong", [BAD_B3], [BAD_B3], {B3S: MALFORMED}, participant=False),
    fires("WC004", "an id of another shape", [REQUEST_ID], [NOT_A_UUID], {RID: RESTARTED}, "TP012"),
    silent("WC004", "the client's own shape, forwarded", [NOT_A_UUID], [NOT_A_UUID], {RID: FORWARDED}),
    fires("WC005", "added where it was to be set", [TRACEPARENT], [TRACEPARENT, CONTINUED], {TP: MALFORMED}),
    silent(
        "WC005",
        "twice on the request too",
        [TRACEPARENT, CONTINUED],
        [TRACEPARENT, CONTINUED],
        {TP: MALFORMED},
        participant=False,
    ),
    silent(
        "WC005",
        "a state in two lines",
        [TRACEPARENT, ("tracestate", "a=1"), ("tracestate", "b=2")],
        [TRACEPARENT, ("tracestate", "a=1"), ("tracestate", "b=2")],
        {TP: FORWARDED},
    ),
    fires("WC006", "a blind copy", B3MULTI[:2], [*B3MULTI[:2], ("X-B3-Parentspanid", "")], {B3M: MALFORMED}),
    fires("WC006", "an empty traceparent", [TRACEPARENT], [("traceparent", "")], {TP: MALFORMED}),
    silent("WC006", "it came empty", [("b3", "")], [("b3", "")], {B3S: MALFORMED}, participant=False),
    fires("WC007", "a space in a key", [BAGGAGE], [BAD_BAGGAGE], {BAG: MALFORMED}),
    silent("WC007", "copied wrong", [BAD_BAGGAGE], [BAD_BAGGAGE], {BAG: MALFORMED}),
    silent(
        "WC007",
        "a valid member is added to a broken one",
        [BAD_BAGGAGE],
        [("baggage", f"{BAGGAGE[1]},{BAD_BAGGAGE[1]}")],
        {BAG: MALFORMED},
    ),
    fires(
        "WC007",
        "a broken member is added to another",
        [BAD_BAGGAGE],
        [("baggage", f"{BAD_BAGGAGE[1]},a b=1")],
        {BAG: MALFORMED},
    ),
    fires(
        "WC011", "a participant passes it on", [BAD_TRACEPARENT], [BAD_TRACEPARENT], {TP: MALFORMED}, participant=True
    ),
    silent(
        "WC011", "a forwarder passes it on", [BAD_TRACEPARENT], [BAD_TRACEPARENT], {TP: MALFORMED}, participant=False
    ),
    silent("WC011", "not known which it is", [BAD_TRACEPARENT], [BAD_TRACEPARENT], {TP: MALFORMED}),
)
