"""`traceaudit export`: the audit database, or a run of it, in another form."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from traceaudit.commands.reading import DATABASE, NO_RUN, opened, run_of, where_option
from traceaudit.commands.status import Status, UsageFailure
from traceaudit.exports import jsonl
from traceaudit.filters import Filter

_EPILOG = """\b
Examples:
  traceaudit export audit.db > run.jsonl
  traceaudit export audit.db --where 'status>=500 or took>1s' > slow.jsonl
  traceaudit export audit.db --run 2 --output run.jsonl"""


@click.command("export", epilog=_EPILOG)
@DATABASE
@click.option("--format", "form", type=click.Choice(["jsonl"]), default="jsonl", show_default=True, help="The form.")
@click.option("--run", "run_id", type=int, metavar="N", help="The run to export.  [default: the latest]")
@where_option("Which exchanges, for example 'upstream:inventory outcome:dropped'")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of the screen.")
def command(
    *,
    db: Path,
    form: str,  # noqa: ARG001  (one form so far)
    run_id: int | None,
    where: Filter | None,
    output: Path | None,
) -> None:
    """Write a run of the audit database DB, by default audit.db, as an exchange log."""
    with opened(db) as reader:
        run = run_of(reader, run_id)
        if run is None:
            click.echo(NO_RUN, err=True)
            sys.exit(Status.INCONCLUSIVE)
        if output is not None and output.exists() and output.samefile(db):
            raise UsageFailure(f"{output} is the audit database itself: name another file with --output")
        try:
            if output is None:
                for line in jsonl.lines(reader, run, where):
                    sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
                return
            with output.open("w", encoding="ascii") as file:
                file.writelines(f"{line}\n" for line in jsonl.lines(reader, run, where))
        except BrokenPipeError:
            # `| head` has seen enough; what Python would still flush at its end goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            raise UsageFailure(f"{output or 'standard output'} cannot be written: {error.strerror}") from error
