"""What became of each format on a call: the outcome and what a person is told of it, from the headers themselves."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.rules.calls import (
    B3,
    B3MULTI,
    BAD_B3,
    BAD_TRACEPARENT,
    BAGGAGE,
    CONTINUED,
    NEW_B3,
    NEW_REQUEST_ID,
    NEW_TRACEPARENT,
    OTHER_SPAN,
    OTHER_TRACE,
    REQUEST_ID,
    SPAN,
    TRACE,
    TRACEPARENT,
    TRACESTATE,
)
from traceaudit.exchange import Header, Outcome
from traceaudit.formats import Context, Format, read
from traceaudit.outcomes import Alteration, Judgement, judge

HALF = TRACE[16:]
TP, B3S, B3M, RID, BAG = Format.TRACEPARENT, Format.B3, Format.B3MULTI, Format.REQUEST_ID, Format.BAGGAGE


def judged(
    carried: Sequence[Header], sent: Sequence[Header], others: Sequence[Header] = ()
) -> dict[Format, tuple[Outcome, str]]:
    """Outcome and detail of each format, where another request, i7, brought ``others``."""
    return {
        format_: (judgement.outcome, judgement.detail)
        for format_, judgement in judgements(carried, sent, others).items()
    }


def judgements(
    carried: Sequence[Header], sent: Sequence[Header], others: Sequence[Header] = ()
) -> dict[Format, Judgement]:
    ids = {context.trace_id for context in read(others).values() if isinstance(context, Context)}

    def owner_of(context: Context) -> str | None:
        return "i7" if context.trace_id in ids else None

    return judge(read(carried), read(sent), owner_of)


def tracestate(value: str) -> Header:
    return ("tracestate", value)


@pytest.mark.parametrize(
    ("carried", "sent", "format_", "outcome", "detail"),
    [
        ([TRACEPARENT], [TRACEPARENT], TP, "forwarded", ""),
        ([TRACEPARENT], [CONTINUED], TP, "continued", ""),
        ([TRACEPARENT], [], TP, "dropped", ""),
        ([TRACEPARENT, B3], [B3], TP, "dropped", "b3 still carries the trace"),
        ([TRACEPARENT], [NEW_TRACEPARENT], TP, "restarted", ""),
        ([TRACEPARENT], [BAD_TRACEPARENT], TP, "malformed", "The trace-flags field is 2 hex digits long, not 1."),
        ([BAD_TRACEPARENT], [], TP, "absent", "what came in was invalid, and is to be ignored"),
        (
            [BAD_TRACEPARENT],
            [NEW_TRACEPARENT],
            TP,
            "absent",
            "the request brought none that is valid; a new one is right",
        ),
        ([BAD_TRACEPARENT], [CONTINUED], TP, "absent", "what came in was invalid, and was put right"),
        ([], [TRACEPARENT], TP, "absent", "the request brought none that is valid; a new one is right"),
        ([B3], [TRACEPARENT], TP, "continued", "the trace of b3"),
        ([B3], [NEW_TRACEPARENT], TP, "restarted", ""),
        ([TRACEPARENT], [("traceparent", f"00-{TRACE}-{SPAN}-00")], TP, "altered", "sampled 1 → 0"),
        (
            [TRACEPARENT],
            [("traceparent", f"00-{'0' * 16}{HALF}-{OTHER_SPAN}-01")],
            TP,
            "altered",
            "the left half of the trace id made zero",
        ),
        ([TRACEPARENT, TRACESTATE], [CONTINUED], TP, "altered", "tracestate lost"),
        (
            [TRACEPARENT, TRACESTATE],
            [TRACEPARENT, tracestate("congo=t61rcWkgMzE")],
            TP,
            "altered",
            "tracestate changed beside an unchanged traceparent",
        ),
        (
            [TRACEPARENT, tracestate("a=1,b=2,c=3")],
            [CONTINUED, tracestate("c=3,b=2,a=1")],
            TP,
            "altered",
            "tracestate members out of order",
        ),
        ([B3], [B3], B3S, "forwarded", ""),
        ([B3], B3MULTI, B3S, "converted", "b3multi carries the trace"),
        ([B3], B3MULTI, B3M, "continued", "the trace of b3"),
        ([B3], [*B3MULTI[:2], ("x-b3-sampled", "0")], B3M, "altered", "the trace of b3; sampled 1 → 0"),
        ([B3], [("x-b3-traceid", HALF), *B3MULTI[1:]], B3M, "altered", "the trace of b3; trace id 32 → 16 hex digits"),
        ([B3], [("b3", f"{HALF}-{SPAN}-1")], B3S, "altered", "trace id 32 → 16 hex digits"),
        ([B3], [("b3", f"{HALF}-{SPAN}-0")], B3S, "altered", "trace id 32 → 16 hex digits; sampled 1 → 0"),
        ([B3], [("b3", f"{TRACE}-{OTHER_SPAN}")], B3S, "altered", "sampled 1 → undecided"),
        ([("b3", f"{TRACE}-{SPAN}")], [("b3", f"{TRACE}-{SPAN}-0")], B3S, "altered", "sampled undecided → 0"),
        ([("b3", f"{TRACE}-{SPAN}-d")], [B3], B3S, "altered", "sampled d → 1"),
        ([B3], [("b3", "0")], B3S, "dropped", "the ids are gone, only the sampling state is left"),
        ([("b3", "0")], [("b3", "0")], B3S, "forwarded", ""),
        ([("b3", "0")], [("b3", "1")], B3S, "altered", "sampled 0 → 1"),
        ([("b3", "0")], [("x-b3-sampled", "0")], B3S, "converted", "b3multi carries the sampling state"),
        ([("b3", "0")], [], B3S, "dropped", ""),
        ([("b3", "1")], [NEW_B3], B3S, "continued", "a trace begun under the decision that came"),
        ([("b3", "0")], [NEW_B3], B3S, "altered", "sampled 0 → 1"),
        ([BAD_B3], [("x-b3-traceid", OTHER_TRACE), *B3MULTI[1:]], B3M, "absent",
         "the request brought none that is valid; a new one is right"),
        (B3MULTI, [*B3MULTI[:2], B3MULTI[3]], B3M, "altered", "x-b3-parentspanid lost"),
        (B3MULTI, B3MULTI[:3], B3M, "altered", "x-b3-sampled lost"),
        ([*B3MULTI, ("x-b3-flags", "1")], B3MULTI, B3M, "altered", "x-b3-flags lost"),
        ([REQUEST_ID], [REQUEST_ID], RID, "forwarded", ""),
        ([REQUEST_ID], [NEW_REQUEST_ID], RID, "restarted", ""),
        ([], [NEW_REQUEST_ID], RID, "absent", "the request brought none; a new one is right"),
        ([REQUEST_ID, NEW_REQUEST_ID], [REQUEST_ID], RID, "absent", "several came in, and one of them goes on"),
        ([("x-request-id", TRACE), TRACEPARENT], [TRACEPARENT], RID, "dropped", ""),
        ([BAGGAGE], [BAGGAGE], BAG, "forwarded", ""),
        ([BAGGAGE], [("baggage", "tenant=other")], BAG, "continued", ""),
    ],
)  # fmt: skip
def test_an_outcome_and_what_is_told_of_it(
    carried: list[Header], sent: list[Header], format_: Format, outcome: str, detail: str
) -> None:
    assert judged(carried, sent)[format_] == (outcome, detail)


def test_a_context_that_another_request_brought_is_leaked_and_says_whose_it_is() -> None:
    found = judgements([TRACEPARENT, REQUEST_ID], [NEW_TRACEPARENT, NEW_REQUEST_ID], [NEW_TRACEPARENT, NEW_REQUEST_ID])
    assert [each.outcome for each in found.values()] == [Outcome.LEAKED] * 2
    assert {each.owner_id for each in found.values()} == {"i7"}


def test_an_invalid_traceparent_may_be_started_anew_though_other_formats_are_valid() -> None:
    assert judged([BAD_TRACEPARENT, B3], [NEW_TRACEPARENT, B3])[TP][0] is Outcome.ABSENT


def test_a_request_s_own_trace_that_is_put_right_is_not_leaked_from_another_request_of_that_trace() -> None:
    capitals = (TRACEPARENT[0], TRACEPARENT[1].upper())
    assert judged([capitals], [TRACEPARENT], [TRACEPARENT])[TP][0] is Outcome.ABSENT


def test_a_format_on_neither_side_is_not_judged() -> None:
    assert set(judged([TRACEPARENT], [TRACEPARENT])) == {TP}


def test_where_decisions_differ_from_format_to_format_a_participant_may_keep_either() -> None:
    carried = [("traceparent", f"00-{TRACE}-{SPAN}-00"), B3]
    assert judged(carried, [("b3", f"{TRACE}-{OTHER_SPAN}-0")])[B3S][0] is Outcome.CONTINUED
    assert judged(carried, [("b3", f"{TRACE}-{SPAN}-0")])[B3S] == (Outcome.ALTERED, "sampled 1 → 0")


def test_several_alterations_of_one_format_are_all_named() -> None:
    found = judgements(B3MULTI, [("x-b3-traceid", HALF), B3MULTI[1], ("x-b3-sampled", "0")])[B3M]
    assert found.alterations == {Alteration.TRUNCATED, Alteration.PARTLY_DROPPED, Alteration.SAMPLING}
    assert found.detail == "trace id 32 → 16 hex digits; sampled 1 → 0; x-b3-parentspanid lost"


@pytest.mark.parametrize(
    ("was", "now", "allowed"),
    [
        ("a=1,b=2", "own=x,a=1,b=2", True),
        ("a=1,own=x,b=2", "own=y,a=1,b=2", True),
        ("a=1,own=x,b=2", "own=x,a=1,b=2", True),
        ("a=1,own=x,b=2", "a=1,b=2", True),
        ("a=1,a=2", "a=1", True),
        ("a=1,b=2,c=3", "c=3,b=2,a=1", False),
        ("a=1,b=2", "a=1,b=9", False),
        ("a=1,b=2", "a=1,own=x,b=2", False),
    ],
)
def test_what_a_participant_may_make_of_tracestate(was: str, now: str, allowed: bool) -> None:
    found = judgements([TRACEPARENT, tracestate(was)], [CONTINUED, tracestate(now)])[TP]
    assert (Alteration.TRACESTATE_DAMAGED in found.alterations) is not allowed
