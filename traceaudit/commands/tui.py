"""`traceaudit tui`: the inspector."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from traceaudit.commands.options import settings_from
from traceaudit.commands.reading import DATABASE
from traceaudit.commands.status import UsageFailure

_EPILOG = """\b
Examples:
  traceaudit tui
  traceaudit tui audit.db      (also while `traceaudit run` is writing it)"""


@click.command("tui", epilog=_EPILOG)
@DATABASE
def command(db: Path) -> None:
    """Browse the audit database DB, by default audit.db, in the terminal; a run that goes on is followed."""
    if not sys.stdout.isatty():
        raise UsageFailure("the inspector needs a terminal; `traceaudit report` does not")
    from traceaudit_tui.app import run  # noqa: PLC0415  (Textual takes a second that no other command must pay)

    sys.exit(run(db, settings_from().keys))
