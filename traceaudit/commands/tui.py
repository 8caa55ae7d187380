"""`traceaudit tui`: the inspector."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from traceaudit.commands.options import settings_from
from traceaudit.commands.reading import DATABASE, opened
from traceaudit.commands.status import UsageFailure

_EPILOG = """\b
Examples:
  traceaudit tui
  traceaudit tui audit.db      (also while `traceaudit run` is writing it)
  traceaudit tui audit.db --web"""


@click.command("tui", epilog=_EPILOG)
@DATABASE
@click.option("--web", is_flag=True, help="In a browser, on 127.0.0.1; needs the extra `web`.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, metavar="PORT", help="The port for --web.  [default: any]"
)
@click.option("--in-front", is_flag=True, hidden=True, help="Said by `run --tui`: the run ends with the inspector.")
def command(db: Path, *, web: bool, port: int, in_front: bool) -> None:
    """Browse the audit database DB, by default audit.db, in the terminal; a run that goes on is followed."""
    if web:
        with opened(db):
            pass  # a wrong file is named here, and not in the browser
        sys.exit(_served(db, port))
    # textual-serve runs the inspector without a terminal and says so.
    if not sys.stdout.isatty() and "TEXTUAL_DRIVER" not in os.environ:
        raise UsageFailure("the inspector needs a terminal; `traceaudit report` does not")
    from traceaudit_tui.app import run  # noqa: PLC0415  (Textual takes a second that no other command must pay)

    settings = settings_from()
    read_at = settings.sources.get
    status = run(
        db,
        settings.keys,
        place=read_at("keys", ""),
        columns=settings.columns,
        columns_place=read_at("columns", ""),
        in_front=in_front,
    )
    sys.exit(status)


def _served(db: Path, port: int) -> int:
    try:
        from traceaudit_tui.web import serve  # noqa: PLC0415  (an extra, and no other command must pay for it)
    except ModuleNotFoundError as error:
        raise UsageFailure(f"--web needs {error.name}: pip install 'traceaudit[web]'") from error
    return serve(db, port)
