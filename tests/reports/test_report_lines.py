"""Lines that fit, ids that stay whole, and headers that are put beside each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from traceaudit.reports.comparison import State, differing, pairs
from traceaudit.reports.layout import beside, fold, wrap
from traceaudit.reports.words import duration, percent, probability, short_authority
from traceaudit.safe import safe
from traceaudit.store.reader import HeaderRow


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("", 10, [""]),
        ("short", 10, ["short"]),
        ("00-4bf92f35-00f067aa-01", 12, ["00-4bf92f35-", "00f067aa-01"]),
        ("00-4bf92f35-00f067aa-01", 23, ["00-4bf92f35-00f067aa-01"]),
        ("a=1,b=2,c=3", 4, ["a=1,", "b=2,", "c=3"]),
        ("4bf92f3577b3", 5, ["4bf92", "f3577", "b3"]),
        ("追踪追踪", 4, ["追踪", "追踪"]),
    ],
)
def test_values_are_broken_behind_punctuation(text: str, width: int, expected: list[str]) -> None:
    assert plain(fold(Text(text), width)) == expected


@given(st.text().map(safe), st.integers(2, 120))
def test_a_folded_value_is_whole_and_fits(text: str, width: int) -> None:
    lines = plain(fold(Text(text), width))
    assert "".join(lines) == text
    assert max(map(cell_len, lines)) <= width


@given(st.text(min_size=1).map(safe), st.integers(20, 120))
def test_wrapped_words_are_all_there_and_fit(text: str, width: int) -> None:
    lines = plain(wrap(Text(text), width, "> ", "    "))
    assert "".join("".join(line[2:] if not i else line[4:] for i, line in enumerate(lines)).split()) == "".join(
        text.split()
    )
    assert max(map(cell_len, lines)) <= width + (cell_len(text) - cell_len(text.rstrip(" ")))


def test_columns_stand_beside_each_other_without_blanks_at_the_end() -> None:
    columns = [[Text("a")], [Text("bb"), Text("c")], []]
    assert plain(beside(columns, [3, 2, 5])) == ["a    bb", "     c"]


def rows(*headers: tuple[str, str]) -> list[HeaderRow]:
    return [HeaderRow(name, value, redacted=False) for name, value in headers]


def test_headers_are_paired_by_name_and_turn_with_the_values_deciding() -> None:
    carried = rows(("Host", "a"), ("x-request-id", "1"), ("Traceparent", "p"), ("traceparent", "q"), ("b3", "0"))
    sent = rows(("traceparent", "p"), ("TRACEPARENT", "r"), ("x-request-id", "1"), ("baggage", "k=v"), ("Accept", "*"))
    assert [(pair.name, pair.state) for pair in pairs(carried, sent)] == [
        ("Traceparent", State.SAME),
        ("traceparent", State.CHANGED),
        ("b3", State.DROPPED),
        ("x-request-id", State.SAME),
        ("baggage", State.ADDED),
    ]


@pytest.mark.parametrize(
    ("value", "other", "changed"),
    [
        ("00-aa-bb-01", "00-aa-cc-01", ["bb"]),
        ("00-aa-bb-01", "00-aa-bb-00", ["01"]),
        ("00-aa-bb-01", "aa-bb-1", ["00-aa-bb-01"]),
        ("same", "same", []),
        ("", "x", [""]),
    ],
)
def test_of_values_of_the_same_build_the_parts_that_differ_are_marked(
    value: str, other: str, changed: list[str]
) -> None:
    pieces = differing(value, other)
    assert "".join(piece for piece, _ in pieces) == value
    assert [piece for piece, differs in pieces if differs] == changed


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("inventory.default.svc.cluster.local:80", "inventory"),
        ("inventory.default.svc:8080", "inventory:8080"),
        ("api.example.com:443", "api.example.com"),
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("[::1]:80", "[::1]"),
        ("", ""),
    ],
)
def test_authorities_are_said_as_services(authority: str, expected: str) -> None:
    assert short_authority(authority) == expected


@pytest.mark.parametrize(("number", "expected"), [(0.99999, "0.9999"), (1.0, "1"), (0.95, "0.95"), (0.0, "0")])
def test_a_probability_is_never_rounded_up(number: float, expected: str) -> None:
    assert probability(number) == expected


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, "0%"), (0.0001, "1%"), (0.9999, "99%"), (1.0, "100%"), (0.75, "75%")]
)
def test_a_share_is_never_all_of_less_nor_none_of_something(share: float, expected: str) -> None:
    assert percent(share) == expected


@pytest.mark.parametrize(
    ("ms", "expected"), [(48, "48 ms"), (1_200, "1.2 s"), (192_000, "3 m 12 s"), (7_500_000, "2 h 05 m")]
)
def test_durations(ms: int, expected: str) -> None:
    assert duration(ms * 1_000_000) == expected
