"""`traceaudit report`: the findings of a run, for people and machines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from traceaudit.commands.options import settings_from
from traceaudit.commands.reading import DATABASE, NO_RUN, choice_of_findings, chosen, meant, opened, run_of
from traceaudit.commands.status import Status, UsageFailure
from traceaudit.filters import Filter
from traceaudit.reports import verdict
from traceaudit.safe import safe
from traceaudit.store.reader import AuditReader, FindingRow, Run

_EPILOG = """\b
Examples:
  traceaudit report
  traceaudit report audit.db --format matrix
  traceaudit report audit.db --format json | jq '.findings[].code'
  traceaudit report audit.db --where 'code:TP outcome:traceparent=dropped'
  traceaudit report audit.db --run 2 --select TP --output report.txt

\b
Exit status: 0 nothing at or above --fail-on; 1 findings; 2 wrong usage;
3 inconclusive: too little was seen to say that all is well;
4 the file is not an audit database."""


@click.command("report", epilog=_EPILOG)
@DATABASE
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "matrix"]),
    default="text",
    show_default=True,
    help="The form.",
)
@choice_of_findings(fail_on=verdict.NEVER)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file instead of standard output.")
def command(
    *,
    db: Path,
    form: str,
    run_id: int | None,
    where: Filter | None,
    output: Path | None,
    **options: Any,
) -> None:
    """Show what was found in the audit database DB, by default audit.db: for people, or for machines."""
    settings = settings_from(**options)
    with opened(db) as reader:
        run = run_of(reader, run_id)
        if run is None:
            click.echo(NO_RUN, err=True)
            sys.exit(Status.INCONCLUSIVE)
        findings = chosen(meant(reader, run, where), settings)
        if output is not None and output.exists() and output.samefile(db):
            raise UsageFailure(f"{safe(str(output))} is the audit database itself: name another file")
        with _target(output) as stream:
            _write(stream, form, reader, run, findings)
    sys.exit(verdict.verdict(run, findings, settings.fail_on))


@contextmanager
def _target(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    try:
        with output.open("w", encoding="utf-8") as stream:
            yield stream
    except OSError as error:
        raise UsageFailure(f"cannot write {safe(str(output))}: {error.strerror}") from error


def _write(stream: TextIO, form: str, reader: AuditReader, run: Run, findings: Sequence[FindingRow]) -> None:
    if form == "json":
        from traceaudit.reports import machine  # noqa: PLC0415  (needs no rich, and the others do)

        machine.write(stream, reader, run, findings=findings)
        return
    from traceaudit.reports import matrix, text  # noqa: PLC0415  (rich takes longer than `report --help` may)
    from traceaudit.reports.layout import console_on  # noqa: PLC0415

    console = console_on(stream)
    if form == "matrix":
        matrix.write(console, reader, run)
    else:
        text.write(console, reader, run, findings=findings)
