"""How the views look, one picture a feature.

After a change that is meant: ``pytest tests/tui --snapshot-update``, and look at every picture.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sample
from driving import press, settle
from textual.pilot import Pilot
from textual.widgets import Input

from traceaudit_tui.app import Inspector
from traceaudit_tui.themes import LIGHT

Compare = Callable[..., bool]


def going(*keys: str, theme: str | None = None) -> Callable[[Pilot[None]], Awaitable[None]]:
    async def go(pilot: Pilot[None]) -> None:
        # Styles that blink or move would make a picture of a moment.
        pilot.app.animation_level = "none"
        if theme:
            pilot.app.theme = theme
        await settle(pilot)
        # A blinking cursor is in a picture or not.
        for line in pilot.app.query(Input):
            line.cursor_blink = False
        await press(pilot, *keys)

    return go


PICTURES = [
    ("matrix_80", (80, 24), ["1"], None),
    ("matrix_140", (140, 36), ["1", "j"], None),
    ("findings_80", (80, 24), ["2"], None),
    ("findings_150_light", (150, 36), ["2", "j"], LIGHT.name),
    ("finding_80", (80, 24), ["2", "enter"], None),
    ("finding_changed_120", (120, 40), ["2", "j", "j", "enter", "right"], None),
    ("finding_ambiguous_110_light", (110, 44), ["2", "j", "j", "j", "enter"], LIGHT.name),
    ("requests_100", (100, 28), ["3", "e"], None),
    ("waterfall_100", (100, 28), ["3", "e", "enter", "j", "j"], None),
    ("exchanges_120", (120, 30), ["4", "G"], None),
    ("filter_wrong_100", (100, 28), ["4", "slash", *"outcome:drop"], None),
    ("filter_right_100", (100, 28), ["4", "slash", *"code:TP011"], None),
    ("filtered_110_light", (110, 28), ["4", "slash", *"code:TP011 or is:uncaused", "enter", "a", "n"], LIGHT.name),
    ("findings_filtered_100", (100, 28), ["2", "slash", *"upstream:inventory", "enter", "m"], None),
    ("copy_100", (100, 28), ["4", "j", "j", "y"], None),
    ("command_line_80", (80, 24), ["4", "colon", *"fil"], None),
    ("uncaused_80", (80, 24), ["5"], None),
    ("coverage_110", (110, 28), ["6", "j"], None),
    ("help_100", (100, 40), ["2", "question_mark"], None),
    ("rule_found_80", (80, 24), ["2", "enter", "r", "slash", *"baggage", "enter"], None),
    ("finding_found_80_light", (80, 24), ["2", "enter", "slash", *"trace", "enter"], LIGHT.name),
]


@pytest.mark.parametrize(("size", "keys", "theme"), [each[1:] for each in PICTURES], ids=[each[0] for each in PICTURES])
def test_picture(
    audit_db: Path, snap_compare: Compare, size: tuple[int, int], keys: list[str], theme: str | None
) -> None:
    assert snap_compare(Inspector(audit_db), terminal_size=size, run_before=going(*keys, theme=theme))


def test_picture_of_an_inconclusive_run(tmp_path: Path, snap_compare: Compare) -> None:
    path = sample.build_quiet(tmp_path / "audit.db", inbound=3, outbound=4)
    assert snap_compare(Inspector(path), terminal_size=(80, 24), run_before=going("2"))


def test_picture_without_colour(audit_db: Path, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(Inspector(audit_db), terminal_size=(100, 24), run_before=going("1", "j"))
