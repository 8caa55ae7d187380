"""`tracestate`: the grammar of 2026, several lines as one list, and where a list is wrong."""

from __future__ import annotations

import pytest

from traceaudit.formats import Malformed, TraceState, tracestate

FULL = ",".join(f"k{number}=v" for number in range(32))


@pytest.mark.parametrize(
    ("lines", "members"),
    [
        (["foo=1"], [("foo", "1")]),
        (["foo=1,bar=2"], [("foo", "1"), ("bar", "2")]),
        (["foo=1", "bar=2,baz=3"], [("foo", "1"), ("bar", "2"), ("baz", "3")]),
        (["foo@=1", "a@@b=2", "0=3", "a_-*/@9=4"], [("foo@", "1"), ("a@@b", "2"), ("0", "3"), ("a_-*/@9", "4")]),
        ([" foo=1\t,\t bar=2 "], [("foo", "1"), ("bar", "2")]),
        (["foo=  1"], [("foo", "  1")]),
        (["foo=1 2"], [("foo", "1 2")]),
        (["foo=1,foo=1"], [("foo", "1"), ("foo", "1")]),
        ([""], []),
        (["", " ", ",,\t,"], []),
        (["foo=1,,bar=2,"], [("foo", "1"), ("bar", "2")]),
        ([f"{'k' * 256}={'v' * 256}"], [("k" * 256, "v" * 256)]),
        (["foo=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~"], [("foo", "!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~")]),
    ],
)
def test_a_valid_list_has_its_members_in_order(lines: list[str], members: list[tuple[str, str]]) -> None:
    assert tracestate.parse(lines) == TraceState(tuple(members))


def test_thirty_two_members_are_valid_and_empty_ones_beside_them_do_not_count() -> None:
    state = tracestate.parse([FULL, "", ","])
    assert isinstance(state, TraceState)
    assert len(state.members) == 32


def test_no_length_is_too_long() -> None:
    line = ",".join(f"{number:0>256}={'v' * 256}" for number in range(32))
    assert len(line) > 512
    assert isinstance(tracestate.parse([line]), TraceState)


@pytest.mark.parametrize(
    ("lines", "position", "clause"),
    [
        (["FOO=1"], 0, "A key begins with a lower-case letter or a digit."),
        (["@foo=1"], 0, "A key begins with a lower-case letter or a digit."),
        (["foo=1,=2"], 6, "A member's key is missing."),
        (["foo =1"], 3, "A key consists of a-z, 0-9, _, -, *, / and @; ' ' is none."),
        (["foo.bar=1"], 3, "A key consists of a-z, 0-9, _, -, *, / and @; '.' is none."),
        (["foo=1", " fOo=1"], 8, "A key consists of a-z, 0-9, _, -, *, / and @; 'O' is none."),
        ([f"{'k' * 257}=1"], 256, "A key is at most 256 characters long."),
        (["foo=1, bar ,baz=1"], 10, "A member is a key, an equals sign and a value."),
        (["foo="], 4, "A member's value may not be empty."),
        (["foo= \t,bar=1"], 4, "A member's value may not be empty."),
        (["foo=bar=baz"], 7, "A value consists of printable ASCII without comma and equals sign; '=' is none."),
        (["foo=b\tr"], 5, "A value consists of printable ASCII without comma and equals sign; '\\t' is none."),
        (["foo=caf\xe9"], 7, "A value consists of printable ASCII without comma and equals sign; 'é' is none."),
        ([f"foo={'v' * 257}"], 260, "A value is at most 256 characters long."),
        ([FULL, "k32=v"], len(FULL) + 1, "A tracestate has at most 32 members."),
    ],
)
def test_a_malformed_list_is_wrong_at_its_first_wrong_character(lines: list[str], position: int, clause: str) -> None:
    fault = tracestate.parse(lines)
    assert isinstance(fault, Malformed)
    assert (fault.header, fault.value, fault.position, fault.clause) == (
        "tracestate",
        ",".join(lines),
        position,
        clause,
    )


def test_an_empty_list_is_not_rendered() -> None:
    assert tracestate.render(TraceState(())) == []
