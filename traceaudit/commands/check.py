"""`traceaudit check`: the verdict for CI, one line a finding."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from traceaudit.commands.options import settings_from
from traceaudit.commands.reading import DATABASE, NO_RUN, choice_of_findings, chosen, meant, opened, run_of
from traceaudit.commands.status import BadInputFailure, Status, UsageFailure
from traceaudit.exchange import Severity
from traceaudit.exemptions import BaselineError, edge_of, read_baseline, write_baseline
from traceaudit.filters import Filter
from traceaudit.reports import verdict, words
from traceaudit.reports.output import printable
from traceaudit.reports.words import plural
from traceaudit.safe import safe
from traceaudit.store.reader import FindingRow

_EPILOG = """\b
Examples:
  traceaudit check
  traceaudit check audit.db --fail-on warning
  traceaudit check audit.db --select TP --ignore TP005,TP006
  traceaudit check audit.db --where 'edge:"* -> inventory*" confidence:proven'
  traceaudit check audit.db --write-baseline known.json
  traceaudit check audit.db --baseline known.json      (only what is new fails)

\b
Exit status: 0 nothing at or above --fail-on; 1 findings; 2 wrong usage;
3 inconclusive: too little was seen to say that all is well;
4 the file is not an audit database."""

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


@click.command("check", epilog=_EPILOG)
@DATABASE
@choice_of_findings(fail_on=Severity.ERROR.value)
@click.option("-q", "--quiet", is_flag=True, help="Print the findings alone, without the closing line.")
@click.option(
    "--baseline", type=click.Path(path_type=Path), help="Known findings: only those that are not in it count."
)
@click.option(
    "--write-baseline", "new_baseline", type=click.Path(path_type=Path), help="Write the findings of now as a baseline."
)
def command(
    *,
    db: Path,
    run_id: int | None,
    where: Filter | None,
    quiet: bool,
    baseline: Path | None,
    new_baseline: Path | None,
    **options: Any,
) -> None:
    """Give the verdict on the audit database DB, by default audit.db: a line a finding, and an exit status."""
    settings = settings_from(**options)
    with opened(db) as reader:
        run = run_of(reader, run_id)
        findings = chosen(meant(reader, run, where), settings) if run else []
    if new_baseline is not None:
        _write_baseline(new_baseline, findings)
    if baseline is not None:
        findings = _new(findings, baseline)
    printable(sys.stdout)
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for finding in sorted(findings, key=verdict.counts, reverse=True):
        click.echo(_line(finding, colours=colours))
    if not quiet:
        for sentence in verdict.sentences(run, findings) if run else [NO_RUN]:
            click.echo(sentence)
    fail_on = settings.fail_on or Severity.ERROR.value
    sys.exit(verdict.verdict(run, findings, fail_on) if run else Status.INCONCLUSIVE)


def _new(findings: Sequence[FindingRow], baseline: Path) -> list[FindingRow]:
    """The findings that a baseline does not know."""
    try:
        known = read_baseline(baseline)
    except FileNotFoundError as error:
        raise UsageFailure(f"{baseline}: there is no such file; `--write-baseline {baseline}` makes one") from error
    except OSError as error:
        raise UsageFailure(f"{baseline} cannot be read: {error.strerror}") from error
    except BaselineError as error:
        raise BadInputFailure(str(error)) from error
    new = [each for each in findings if (each.code, edge_of(each)) not in known]
    if len(new) < len(findings):
        click.echo(f"note: {plural(len(findings) - len(new), 'finding')} known from {safe(str(baseline))}", err=True)
    return new


def _write_baseline(path: Path, findings: Sequence[FindingRow]) -> None:
    try:
        write_baseline(path, findings)
    except OSError as error:
        raise UsageFailure(f"{path} cannot be written: {error.strerror}") from error


def _line(finding: FindingRow, *, colours: bool) -> str:
    """``error TP001 traceparent-dropped  GET /checkout → pricing GET /quote  proven  12×``."""
    word = words.name(finding.severity) if verdict.counts(finding) else "unsure"
    if colours:
        word = click.style(word, fg=_COLOURS.get(word), bold=word == Severity.ERROR)
    times = f"  {finding.occurrences:,}×" if finding.occurrences else ""
    rule = f"{words.name(finding.code)} {words.name(finding.slug)}"
    return f"{word} {rule}  {words.edge_of(finding)}  {words.sureness(finding)}{times}"
