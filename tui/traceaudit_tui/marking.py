"""Marks and notes: what a key does to them, and what is said when the file cannot be written."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from traceaudit.safe import safe
from traceaudit.store import marks
from traceaudit_tui.rows import Exchange, Finding

if TYPE_CHECKING:
    from traceaudit_tui.app import Inspector
    from traceaudit_tui.screens.base import AuditScreen


def note_on(app: Inspector, subject: Exchange | Finding) -> str | None:
    """The note on something, perhaps empty; None: it is not marked."""
    kept = app.marks.findings if isinstance(subject, Finding) else app.marks.exchanges
    return kept.get(subject.id if isinstance(subject, Finding) else subject.key)


def turn(screen: AuditScreen, subject: Exchange | Finding) -> None:
    """Marks something, or takes its mark away; a note is not lost that easily."""
    before = note_on(screen.inspector, subject)
    if before:
        screen.notify("It has a note: press ; and empty it first.", markup=False)
    elif before is None:
        _write(screen, subject, "")
    else:
        _write(screen, subject, None)


def note(screen: AuditScreen, subject: Exchange | Finding, text: str) -> None:
    """Keeps a note on something, and marks it with that; an empty one takes the mark away."""
    _write(screen, subject, text or None)


def _write(screen: AuditScreen, subject: Exchange | Finding, text: str | None) -> None:
    app = screen.inspector
    kind = "finding" if isinstance(subject, Finding) else "exchange"
    try:
        if text is None:
            marks.unmark(app.audit.path, kind, subject.id)
        else:
            marks.mark(app.audit.path, kind, subject.id, note=text, now_ns=time.time_ns())
    except sqlite3.Error as error:
        screen.notify(f"The database cannot be written: {safe(str(error))}.", severity="error", markup=False)
        return
    app.read_marks()
    screen.marks_changed()
