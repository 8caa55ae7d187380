"""Every key of every view: each is answered, and nothing falls over."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import app_of, press, settle, text

from traceaudit_tui.app import Inspector
from traceaudit_tui.widgets.prompt import Prompt

VIEWS = {
    "matrix": ["1"],
    "findings": ["2"],
    "finding": ["2", "enter"],
    "requests": ["3"],
    "waterfall": ["3", "e", "enter", "j"],
    "exchanges": ["4"],
    "call": ["4", "j", "j", "enter"],
    "trace": ["4", "o"],
    "uncaused": ["5"],
    "coverage": ["6"],
    "log": ["L"],
    "columns": ["4", "c"],
    "copy": ["4", "y"],
    "help": ["2", "question_mark"],
    "command": ["2", "dollar_sign"],
    "rule": ["2", "enter", "r"],
}
LEAVE = ("q", "ctrl+q", "ctrl+p", "x")
"""What ends it, opens Textual's own palette, or asks for a file: tested elsewhere."""


@pytest.mark.parametrize("view", VIEWS)
async def test_every_key_of_a_view_is_answered(view: str, audit_db: Path) -> None:
    audit_db.with_name("audit.db.log").write_text("service │ one\nservice │ two\n")
    async with Inspector(audit_db).run_test(size=(110, 36)) as pilot:
        app = app_of(pilot)
        await settle(pilot)
        await press(pilot, *VIEWS[view])
        keys = [key for key, active in app.screen.active_bindings.items() if active.enabled and key not in LEAVE]
        assert len(keys) > 4
        for key in keys:
            before = (len(app.screen_stack), app.current_mode)
            await press(pilot, key)
            assert app.fault == ""
            assert app.is_running
            assert text(pilot).strip()
            asked = any(prompt.display for prompt in app.screen.query(Prompt))
            if asked or (len(app.screen_stack), app.current_mode) != before:
                # Back to where it was: out of prompts and boxes, home, and in again.
                while len(app.screen_stack) > 1 or app.current_mode != "matrix" or asked:
                    asked = False
                    await press(pilot, "escape")
                await press(pilot, *VIEWS[view])
