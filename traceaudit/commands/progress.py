"""Shows on a terminal how far long work is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONG = 5_000
"""Lines from which on a terminal is shown how far it is: about a second's work."""


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Shows on a terminal how much is done, and of how much where that is known, once there is much."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415  (imports rich)

    from traceaudit.reports.layout import console_on  # noqa: PLC0415  (as above)

    console = console_on(sys.stderr)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=not console.is_interactive)
    task, done = bar.add_task(what, total=total), 0

    def step(more: int) -> None:
        nonlocal done
        done += more
        if done >= LONG:
            bar.start()
        bar.update(task, completed=done)

    try:
        yield step
    finally:
        if bar.live.is_started:
            bar.stop()
