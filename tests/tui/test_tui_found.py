"""What was folded is found in one piece; help, rules and texts are searched as pages are."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import lines, press, settle, text, toasts
from textual.content import Content
from textual.pilot import Pilot
from textual.widgets import Input, Label, Static

from traceaudit.filters import FIELDS
from traceaudit_tui.app import Inspector
from traceaudit_tui.screens.help import HelpScreen
from traceaudit_tui.screens.rule import RuleScreen
from traceaudit_tui.widgets.found import marked, places, split, whole
from traceaudit_tui.widgets.header_comparison import HeaderComparison
from traceaudit_tui.widgets.lines import folded, wrapped
from traceaudit_tui.widgets.pager import Pager

SIZE = (80, 24)


def found(rows: list[Content], needle: str, width: int) -> list[str]:
    return [
        "|".join(rows[line].plain[a:b] for line, a, b in place) for place in places(rows, needle, whole(rows), width)
    ]


@pytest.mark.parametrize(
    ("needle", "expected"),
    [
        ("abc", ["abc"]),
        ("defghi", ["def|ghi"]),
        ("cdefghijklm", ["cdef|ghijkl|m"]),
        ("AB", []),
        ("xyz", []),
        ("", []),
    ],
)
def test_what_is_folded_is_found_in_one_piece(needle: str, expected: list[str]) -> None:
    assert expected == found(folded([("abcdefghijklm", "")], 6), needle, 6)


@pytest.mark.parametrize(
    ("needle", "expected"),
    [
        ("one two", ["one two"]),
        ("two three", ["two|three"]),
        ("three FOUR", []),
        ("three four", ["three|Four"]),
        ("four five", ["Four five"]),
        ("twothree", []),
    ],
)
def test_what_is_wrapped_is_found_with_its_space(needle: str, expected: list[str]) -> None:
    rows = wrapped([("one two three Four five", "")], 11, indent=2)
    assert [row.plain.rstrip() for row in rows] == ["  one two", "  three", "  Four five"]
    assert expected == found(rows, needle, 11)


def test_each_side_of_two_is_searched_by_itself_and_by_cells() -> None:
    # Left: 日本 is four cells wide; a left end and a right beginning are not one text.
    rows = [Content("= 日本ab │ xyab"), Content("  cd     │ cd")]
    left, right = split(rows, 8, 3)
    assert [rows[line].plain[a:b] for line, a, b in left] == ["= 日本ab", "  cd    "]
    assert places(rows, "abcd", left, 8) == [[(0, 4, 6), (1, 2, 4)]]
    assert places(rows, "abcd", right, 4) == [[(0, 11, 13), (1, 11, 13)]]
    assert places(rows, "bxy", left, 8) == []
    shown = marked(rows, places(rows, "日本", left, 8))
    assert [str(span.start) + ":" + str(span.end) for span in shown[0].spans] == ["2:4"]


async def search(pilot: Pilot[None], what: str) -> None:
    await press(pilot, "slash")
    pilot.app.screen.query_one(Input).value = what
    await settle(pilot)
    await press(pilot, "enter")


async def test_a_value_that_is_folded_on_a_page_is_found_and_marked(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        comparison = pilot.app.screen.query_one(HeaderComparison)
        value = next(pair.carried.value for pair in comparison._pairs if pair.format == "traceparent" and pair.carried)
        assert value not in text(pilot)  # it is folded
        await search(pilot, value)
        assert toasts(pilot) == []
        width = comparison.content_size.width
        (place,) = comparison.places(comparison.lines(width), value, width)
        assert len(place) == 2
        assert value == "".join(comparison.lines(width)[line].plain[a:b] for line, a, b in place)


async def test_help_is_searched(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "question_mark")
        await press(pilot, "n")
        assert toasts(pilot) == ["Nothing is looked for: press / for that."]
        assert "fails no build" not in text(pilot)
        await search(pilot, "fails no build")
        assert "fails no build" in text(pilot)
        page = pilot.app.screen.query_one(Pager)
        assert pilot.app.focused is page
        await search(pilot, "nobody wrote this")
        assert "this is not on the page" in text(pilot)
        await press(pilot, "escape", "g", "n")
        assert page.scroll_y > 0
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, HelpScreen)  # first what was looked for is forgotten
        await press(pilot, "escape")
        assert not isinstance(pilot.app.screen, HelpScreen)


async def test_help_has_the_fields_of_a_filter_where_there_is_one(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(100, 120)) as pilot:
        await settle(pilot)
        for view, filtered in (("1", False), ("2", True), ("4", True), ("6", False)):
            await press(pilot, view, "question_mark")
            shown = text(pilot)
            for field in FIELDS.values():
                assert (field.example in " ".join(shown.split())) == filtered
            await press(pilot, "escape")


async def test_a_rule_s_page_is_searched_in_its_words_tables_and_code(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter", "r")
        page = pilot.app.screen.query_one(Pager)

        def marks() -> list[str]:
            return [
                str(static.content)[span.start : span.end]
                for static in page.query(Static)
                if isinstance(static.content, Content)
                for span in static.content.spans
                if span.style == "bold $background on $text-warning"
            ]

        for needle, shown in (("SkyWalking", "SkyWalking"), ("defaultclient", "DefaultClient"), ("grpc-go", "grpc-go")):
            await search(pilot, needle)
            assert shown in text(pilot)
            assert set(marks()) == {shown}
        before = page.scroll_y
        await press(pilot, "n", "N")
        assert page.scroll_y == before
        await search(pilot, "DefaultClient")
        assert any("DefaultClient" in str(label.content) for label in page.query(Label))
        # A change of styles, which gives code its text anew, takes no mark away.
        for fence in page.query("MarkdownFence"):
            fence.notify_style_update()
        assert set(marks()) == {"DefaultClient"}
        await press(pilot, "escape")
        assert marks() == []
        assert isinstance(pilot.app.screen, RuleScreen)
        await press(pilot, "escape")
        assert not isinstance(pilot.app.screen, RuleScreen)


async def test_nothing_of_a_rule_s_code_is_cut_off(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter", "r")
        page = pilot.app.screen.query_one(Pager)
        seen = "\n".join(lines(pilot))
        while page.scroll_y < page.max_scroll_y:
            await press(pilot, "pagedown")
            seen += "\n".join(lines(pilot))
        code = "\n".join(str(label.content) for label in page.query("MarkdownFence Label").results(Label))
        words = {word for word in code.split() if len(word) <= 60}
        assert {word for word in words if word not in seen} == set()


async def test_a_command_is_searched(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "dollar_sign")
        await search(pilot, "report")
        assert toasts(pilot) == []
        await press(pilot, "escape", "escape")
        assert len(pilot.app.screen_stack) == 1
