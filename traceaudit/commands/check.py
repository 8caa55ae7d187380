"""`traceaudit check`: the verdict for CI, one line a finding."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from traceaudit import rules
from traceaudit.commands.status import BadInputFailure, Status, UsageFailure
from traceaudit.exchange import Severity
from traceaudit.reports import verdict, words
from traceaudit.reports.output import printable
from traceaudit.safe import safe
from traceaudit.store.reader import AuditReader, FindingRow, NotAnAuditError, Run

_EPILOG = """\b
Examples:
  traceaudit check
  traceaudit check audit.db --fail-on warning
  traceaudit check audit.db --select TP --ignore TP005,TP006

\b
Exit status: 0 nothing at or above --fail-on; 1 findings; 2 wrong usage;
3 inconclusive: too little was seen to say that all is well;
4 the file is not an audit database."""

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
_FAIL_ON = click.Choice([*(each.value for each in Severity), verdict.NEVER])

DATABASE = click.argument("db", default="audit.db", type=click.Path(path_type=Path))
"""The argument of every command that reads an audit database."""


def choice_of_findings(fail_on: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that say which findings of which run are looked at, and which of them fail."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option("--ignore", metavar="CODES", multiple=True, help="Rules to leave out, by code or prefix."),
            click.option("--select", metavar="CODES", multiple=True, help="Rules to look at, by code or prefix."),
            click.option(
                "--fail-on",
                type=_FAIL_ON,
                default=fail_on,
                show_default=True,
                help="The least severe finding that ends in status 1.",
            ),
            click.option("--run", "run_id", type=int, metavar="N", help="The run to look at.  [default: the latest]"),
        ):
            function = option(function)
        return function

    return decorate


@click.command("check", epilog=_EPILOG)
@DATABASE
@choice_of_findings(fail_on=Severity.ERROR.value)
@click.option("-q", "--quiet", is_flag=True, help="Print the findings alone, without the closing line.")
def command(
    *, db: Path, run_id: int | None, fail_on: str, select: Sequence[str], ignore: Sequence[str], quiet: bool
) -> None:
    """Give the verdict on the audit database DB, by default audit.db: a line a finding, and an exit status."""
    with opened(db) as reader:
        run = run_of(reader, run_id)
        findings = chosen(reader.findings(run.id), select, ignore) if run else []
    printable(sys.stdout)
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for finding in sorted(findings, key=verdict.counts, reverse=True):
        click.echo(_line(finding, colours=colours))
    if not quiet:
        for sentence in verdict.sentences(run, findings) if run else [NO_RUN]:
            click.echo(sentence)
    sys.exit(verdict.verdict(run, findings, fail_on) if run else Status.INCONCLUSIVE)


def _line(finding: FindingRow, *, colours: bool) -> str:
    """``error TP001 traceparent-dropped  GET /checkout → pricing GET /quote  proven  12×``."""
    word = words.name(finding.severity) if verdict.counts(finding) else "unsure"
    if colours:
        word = click.style(word, fg=_COLOURS.get(word), bold=word == Severity.ERROR)
    times = f"  {finding.occurrences:,}×" if finding.occurrences else ""
    rule = f"{words.name(finding.code)} {words.name(finding.slug)}"
    return f"{word} {rule}  {words.edge_of(finding)}  {words.sureness(finding)}{times}"


# --- what every command that reads a database does --------------------------------------------------------------------

NO_RUN = "inconclusive: no run has been recorded yet"


@contextmanager
def opened(db: Path) -> Iterator[AuditReader]:
    """The database, read by the block; whatever is wrong with the file ends the command with a sentence."""
    try:
        with AuditReader(db) as reader:
            yield reader
    except FileNotFoundError as error:
        raise UsageFailure(f"{error} `traceaudit run` or `traceaudit analyze` makes one.") from error
    except NotAnAuditError as error:
        raise BadInputFailure(str(error)) from error
    except sqlite3.Error as error:
        raise BadInputFailure(f"{safe(str(db))} can no longer be read: {error}.") from error


def run_of(reader: AuditReader, run_id: int | None) -> Run | None:
    """The run that is asked for, the latest by default; ``None``: there is none yet."""
    run = reader.run(run_id)
    if run is None and run_id is not None:
        ids = [each.id for each in reader.runs()]
        there = f"there are runs {ids[0]} to {ids[-1]}" if len(ids) > 1 else f"there is run {ids[0]}" if ids else NO_RUN
        raise UsageFailure(f"no run {run_id} in {reader.path}: {there}")
    return run


def chosen(findings: Sequence[FindingRow], select: Sequence[str], ignore: Sequence[str]) -> list[FindingRow]:
    """The findings of the rules that are selected and not ignored, as ruff reads these options."""
    if not select and not ignore:
        return list(findings)
    try:
        codes = {rule.code for rule in rules.select(_listed(select) or ["ALL"], _listed(ignore))}
    except ValueError as error:
        raise UsageFailure(str(error)) from error
    known = {rule.code for rule in rules.RULES}
    return [each for each in findings if each.code in codes or (not select and each.code not in known)]


def _listed(options: Sequence[str]) -> list[str]:
    return [code for option in options for code in option.split(",") if code.strip()]
