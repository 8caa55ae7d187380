"""`traceaudit analyze`: audits recorded exchanges and prints the findings."""

from __future__ import annotations

import gc
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import click

from traceaudit.audit import Audit
from traceaudit.capture.replay import replay
from traceaudit.capture.spool import SpoolError
from traceaudit.commands.options import audit_options, settings_from
from traceaudit.commands.progress import progress
from traceaudit.commands.reading import chosen, opened
from traceaudit.commands.recording import Recording
from traceaudit.commands.status import BadInputFailure, Status, UsageFailure
from traceaudit.config import Settings
from traceaudit.coverage import Coverage
from traceaudit.exchange import Direction
from traceaudit.reports.verdict import verdict
from traceaudit.rules import select
from traceaudit.safe import safe
from traceaudit.store.opening import connect
from traceaudit.store.writer import AuditWriter

_EPILOG = """\b
Examples:
  traceaudit analyze run.jsonl --db again.db
  traceaudit analyze flows.mitm --db again.db
  traceaudit analyze --as-inbound in.har --as-outbound out.har
  traceaudit export audit.db | traceaudit analyze - --db again.db --require traceparent

\b
Exit status: 3 where too little was recorded to say that all is well; 4 where a
line could not be used (the rest is audited all the same) unless --lenient."""


@click.command("analyze", epilog=_EPILOG)
@click.argument("log", nargs=-1)
@click.option(
    "--as-inbound",
    multiple=True,
    metavar="LOG",
    help="A recording of what came into the service, where it does not say so itself (HAR).",
)
@click.option("--as-outbound", multiple=True, metavar="LOG", help="The same of what the service called.")
@audit_options
@click.option("--lenient", is_flag=True, help="Lines that cannot be used do not make the exit status 4.")
def command(
    *,
    log: Sequence[str],
    as_inbound: Sequence[str],
    as_outbound: Sequence[str],
    lenient: bool,
    **options: Any,
) -> None:
    """Audit the recordings LOG (`-`: standard input) into an audit database and print the findings.

    A recording is an exchange log, a mitmproxy flow file, Envoy's JSON access log, or a HAR file; which, is recognised.
    """
    recordings: list[tuple[str, Direction | None]] = [(each, None) for each in log]
    recordings += [(each, Direction.INBOUND) for each in as_inbound]
    recordings += [(each, Direction.OUTBOUND) for each in as_outbound]
    if not recordings:
        raise click.MissingParameter(param_type="argument", param_hint="LOG")
    settings = settings_from(**options)
    # What is read goes to the end or on to the disk, and nothing of it goes round in circles: collecting is in vain.
    collecting = gc.isenabled()
    gc.disable()
    try:
        sys.exit(_analyze(settings, recordings, lenient=lenient))
    except KeyboardInterrupt:
        click.echo(f"interrupted: {safe(str(settings.db))} has a part of the run at most", err=True)
        sys.exit(Status.INTERRUPTED)
    finally:
        if collecting:
            gc.enable()


def _analyze(settings: Settings, recordings: Sequence[tuple[str, Direction | None]], *, lenient: bool) -> Status:
    # A database that is there may have an exchange of the last line's id.
    fresh = not settings.db.exists() or not settings.db.stat().st_size
    recording = Recording(streaming=len(recordings) == 1 and fresh)
    for each, direction in recordings:
        recording.read(each, direction)
    if not fresh:
        _look_for_same_ids(settings.db, recording)
    run_id = _audit(settings, recording, ", ".join(each for each, _ in recordings), fresh=fresh)
    recording.tell_of_more()
    status = _report(settings, run_id)
    return Status.BAD_INPUT if recording.bad and not lenient else status


def _audit(settings: Settings, recording: Recording, logs: str, *, fresh: bool) -> int:
    exchanges = recording.in_order()
    first = next(exchanges, None)
    if first is None and recording.bad:
        recording.tell_of_more()
        raise BadInputFailure("no line is an exchange: see `traceaudit export` for what a log looks like")
    begun = [each.started_ns for each in recording.times] + ([first.started_ns] if first else [])
    started_ns = min(begun, default=0)
    try:
        writer = AuditWriter(
            settings.db,
            started_ns=started_ns,
            command=f"traceaudit analyze {logs}",
            service=next((each.service for each in recording.times if each.service), ""),
            settings=settings.as_json(),
            redact=settings.redact,
            recording=fresh,
        )
        recording.written = writer.has
        audit = Audit(settings.audit_settings())
        with progress("auditing", recording.exchanges) as step:
            replay(
                exchanges if first is None else chain((first,), exchanges),
                audit,
                writer,
                started_ns=started_ns,
                ended_ns=max([started_ns, *(each.ended_ns or 0 for each in recording.times)]),
                coverage=_coverage(settings, audit),
                progress=step,
            )
    except SpoolError as error:
        raise UsageFailure(str(error)) from error
    except sqlite3.OperationalError as error:
        raise UsageFailure(f"{settings.db} cannot be written: {error}; choose another file with --db") from error
    except sqlite3.DatabaseError as error:
        raise BadInputFailure(f"{settings.db} is not an audit database: {error}; choose another with --db") from error
    except OSError as error:
        raise UsageFailure(f"{settings.db} cannot be made: {error.strerror}; choose another file with --db") from error
    return writer.run_id


def _coverage(settings: Settings, audit: Audit) -> Coverage | None:
    """What is to compare the upstreams and routes that the settings name with the recording; ``None``: they name none.

    Connections that went round the audit are not in a recording, and nothing is said of them.
    """
    if not (settings.expect or settings.known_routes or settings.routes or settings.upstreams):
        return None
    from traceaudit.commands.watching import expectation  # noqa: PLC0415  (imports asyncio, for live audits)

    rules = select(settings.select, settings.ignore)
    return Coverage(audit.findings, rules, expectation=expectation(settings))


def _look_for_same_ids(path: Path, recording: Recording) -> None:
    """An exchange's id is its own for ever: the same log is not audited into the same file twice."""
    with opened(path):
        pass  # It is an audit database, or the command has ended with words.
    with closing(connect(path)) as database:
        for (id_,) in database.execute("select id from exchanges"):
            if id_ in recording:
                raise UsageFailure(
                    f"{path} has an exchange {id_} already: choose another file with --db, or remove this one"
                )


def _report(settings: Settings, run_id: int) -> Status:
    from traceaudit.reports import text  # noqa: PLC0415  (imports rich: a tenth of a second that --help must not take)
    from traceaudit.reports.layout import console_on  # noqa: PLC0415

    with opened(settings.db) as reader:
        run = reader.run(run_id)
        assert run is not None
        findings = chosen(reader.findings(run.id), settings)
        text.write(console_on(), reader, run, findings=findings)
        return verdict(run, findings, settings.fail_on)
