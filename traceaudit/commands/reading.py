"""What every command that reads an audit database does: the argument, the options, and the findings that count."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from traceaudit import rules
from traceaudit.commands.options import settings_from
from traceaudit.commands.status import BadInputFailure, UsageFailure
from traceaudit.config import FAIL_ON, Settings
from traceaudit.exemptions import exempted
from traceaudit.filters import Filter, FilterError, parse
from traceaudit.reports.words import plural
from traceaudit.safe import safe
from traceaudit.store.reader import AuditReader, FindingRow, NotAnAuditError, Run

NO_RUN = "inconclusive: no run has been recorded yet"


def _configured(_: click.Context, __: click.Parameter, value: Path | None) -> Path:
    return value or settings_from().db


DATABASE = click.argument("db", required=False, callback=_configured, type=click.Path(path_type=Path))
"""The argument of every command that reads an audit database; without it the configuration's."""


def _filter(_: click.Context, __: click.Parameter, text: str | None) -> Filter | None:
    try:
        return parse(text) if text is not None else None
    except FilterError as error:
        marked = ""
        if text is not None and text.isascii() and text.isprintable():  # each character takes one cell
            marked = f"\n  {text}\n  {' ' * error.start}{'^' * (error.end - error.start)}"
        raise click.BadParameter(f"{safe(str(error))}{marked}") from error


def where_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--where``: the filter language, and what it chooses."""
    return click.option(
        "--where", metavar="FILTER", callback=_filter, help=f"{what}; docs/filters.md has the language."
    )


def choice_of_findings(fail_on: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that say which findings of which run are looked at, and which of them fail."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            where_option("Which findings, for example 'severity>=warning since:5m'"),
            click.option("--ignore", metavar="CODES", multiple=True, help="Rules to leave out, by code or prefix."),
            click.option("--select", metavar="CODES", multiple=True, help="Rules to look at, by code or prefix."),
            click.option(
                "--fail-on",
                type=click.Choice(FAIL_ON),
                help=f"The least severe finding that ends in status 1.  [default: {fail_on}]",
            ),
            click.option("--run", "run_id", type=int, metavar="N", help="The run to look at.  [default: the latest]"),
        ):
            function = option(function)
        return function

    return decorate


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


def meant(reader: AuditReader, run: Run, where: Filter | None) -> list[FindingRow]:
    """The findings that a filter means; how many it leaves out is told of on standard error."""
    findings = reader.findings(run.id, where)
    if where and (others := len(reader.findings(run.id)) - len(findings)):
        click.echo(f"note: --where leaves out {plural(others, 'finding')}", err=True)
    return findings


def chosen(findings: Sequence[FindingRow], settings: Settings) -> list[FindingRow]:
    """The findings of the rules that are selected and not ignored, without those that the configuration exempts.

    What is exempted is told of on standard error, and so are exemptions that have ended.
    """
    codes = {rule.code for rule in rules.select(settings.select, settings.ignore)}
    known = {rule.code for rule in rules.RULES}
    everything = settings.select == Settings().select
    looked_at = [each for each in findings if each.code in codes or (everything and each.code not in known)]
    counting, covered, ended = exempted(looked_at, settings.exemptions, datetime.now(UTC).date())
    for each in dict.fromkeys(exemption for _, exemption in covered):
        click.echo(f"note: exempted: {safe(str(each))}", err=True)
    for each in ended:
        click.echo(f"warning: this exemption ended on {each.until}: {safe(str(each))}", err=True)
    return counting
