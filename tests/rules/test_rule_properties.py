"""Whatever a request brings, nobody is accused who copies it, or who does with it what the W3C asks of him."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tests.formats.format_strategies import Fields, header_lists, traceparents
from tests.rules.calls import OTHER_SPAN, OTHER_TRACE, request
from traceaudit.exchange import Direction, Header
from traceaudit.formats import Context, Format, read, tracestate
from traceaudit.outcomes import judge
from traceaudit.rules import RULES, Call


def broken(carried: list[Header], sent: list[Header], *, participant: bool | None = None) -> dict[str, str]:
    """The rules that a call breaks, and what each says."""
    was, now = read(carried), read(sent)
    call = Call(
        inbound=request(Direction.INBOUND, carried),
        outbound=request(Direction.OUTBOUND, sent),
        carried=was,
        sent=now,
        judgements=judge(was, now, lambda _: None),
        participant=participant,
    )
    return {rule.code: found.message for rule in RULES if (found := rule.check(call))}


def joined(fields: Fields, separator: str) -> Fields:
    """The lines of one name in one, as an intermediary may write them."""
    lines: dict[str, list[str]] = {}
    for name, value in fields:
        lines.setdefault(name.lower(), []).append(value)
    return [(name, separator.join(values)) for name, values in lines.items()]


@given(header_lists(), st.sampled_from([None, False]))
def test_who_copies_all_lines_is_never_accused(carried: Fields, participant: bool | None) -> None:
    sent = [(name.title(), f" {value}\t") for name, value in carried]
    assert broken(carried, sent, participant=participant) == {}


@given(header_lists(), st.sampled_from([",", ", ", " , "]))
@example([("x-b3-flags", "0"), ("x-b3-flags", "0"), ("x-b3-parentspanid", "")], ",")
def test_who_joins_lines_and_copies_them_is_never_accused(carried: Fields, separator: str) -> None:
    assert broken(carried, joined(carried, separator)) == {}


@given(header_lists(), st.sampled_from(["00", "01", "03"]), st.booleans())
def test_a_participant_is_accused_of_nothing_but_what_it_does_not_know(
    carried: Fields, flags: str, own_member: bool
) -> None:
    """It goes on with a valid traceparent, with flags of its own, or starts anew; its member stands on the left."""
    came = read(carried).get(Format.TRACEPARENT)
    if came is None:
        return
    state: list[Header] = []
    if isinstance(came, Context):
        lines = [value for name, value in carried if name.lower() == "tracestate"]
        valid = isinstance(tracestate.parse(lines), tracestate.TraceState) if lines else False
        members = [each.strip(" \t") for each in ",".join(lines).split(",") if each.strip(" \t")] if valid else []
        if own_member:
            members = ["own=1", *members[:31]]
        state = [("tracestate", ",".join(members))] if members else []
    trace_id = came.trace_id if isinstance(came, Context) else OTHER_TRACE
    ids = [(name, value) for name, value in carried if name.lower() == "x-request-id"]
    sent = [("traceparent", f"00-{trace_id}-{OTHER_SPAN}-{flags}"), *state, *ids]
    assert set(broken(carried, sent, participant=True)) <= {"TP003", "TP005", "TP006"}


@given(traceparents(), traceparents())
def test_a_trace_of_its_own_is_always_a_restart(carried: Fields, sent: Fields) -> None:
    if carried[0][1][3:35] != sent[0][1][3:35]:
        assert set(broken(carried, sent)) == {"TP011"}
