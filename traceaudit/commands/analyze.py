"""`traceaudit analyze`: audits recorded exchanges and prints the findings."""

from __future__ import annotations

import gc
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import click

from traceaudit.audit import Audit
from traceaudit.capture import envoy_log, har
from traceaudit.capture.exchange_log import BadLine, RunTimes, read
from traceaudit.capture.inference import inferred
from traceaudit.capture.replay import BATCH, replay
from traceaudit.capture.sources import HEAD, Source, recognise
from traceaudit.commands.options import audit_options, settings_from
from traceaudit.commands.reading import chosen, opened
from traceaudit.commands.status import BadInputFailure, Status, UsageFailure
from traceaudit.config import Settings
from traceaudit.correlation.inference.records import Candidate
from traceaudit.coverage import Coverage
from traceaudit.exchange import Direction, Exchange
from traceaudit.reports.verdict import verdict
from traceaudit.rules import select
from traceaudit.safe import safe
from traceaudit.store.opening import connect
from traceaudit.store.writer import AuditWriter

_SHOWN = 20
"""Bad lines that are told one by one; a file that is no log has as many as it has lines."""

_LONG = 5_000
"""Lines from which on a terminal is shown how far it is: about a second's work."""

_EPILOG = """\b
Examples:
  traceaudit analyze run.jsonl --db again.db
  traceaudit analyze flows.mitm --db again.db
  traceaudit analyze --as-inbound in.har --as-outbound out.har
  traceaudit export audit.db | traceaudit analyze - --db again.db --require traceparent

\b
Exit status: 3 where too little was recorded to say that all is well; 4 where a
line could not be used (the rest is audited all the same) unless --lenient."""


type _Reader = Callable[[Iterable[bytes]], Iterator[Exchange | RunTimes | BadLine]]


class _Recording:
    """What was read: exchanges by id, the times of the run, and how many lines could not be used."""

    def __init__(self) -> None:
        self.exchanges: dict[str, Exchange] = {}
        self.times: list[RunTimes] = []
        self.bad = 0
        self._direction: Direction | None = None
        self._files = 0

    def read(self, log: str, direction: Direction | None = None) -> None:
        """Reads one recording; `-` is standard input. ``direction``: where it does not say itself on which side."""
        shown = safe(log)
        self._direction = direction
        self._files += 1
        if log == "-":
            if sys.stdin is None:  # what Python makes of one that is closed
                raise UsageFailure("standard input is closed: name a file, or pipe a log in")
            self._recognise(sys.stdin.buffer, "standard input")
            return
        try:
            with Path(log).open("rb", buffering=HEAD) as file:
                self._recognise(file, shown)
        except FileNotFoundError as error:
            raise UsageFailure(f"{log}: there is no such file") from error
        except OSError as error:
            raise UsageFailure(f"{log} cannot be read: {error.strerror}") from error

    def _recognise(self, file: BinaryIO, name: str) -> None:
        """Reads what is there by its own reader."""
        # Exchanges without ids of their own are named by the file and their place in it.
        direction, prefix = self._direction, "" if self._files == 1 else f"{self._files}."
        match recognise(file.peek(HEAD) if isinstance(file, BufferedReader) else b""):
            case Source.EXCHANGE_LOG:
                self._take(file, name, read)
            case Source.ENVOY:
                self._take(file, name, lambda lines: envoy_log.read(lines, direction, prefix))
            case Source.HAR:
                if direction is None:
                    raise UsageFailure(
                        f"{name} is a HAR file, which does not say on which side of the service it was recorded: name "
                        "it with --as-inbound or --as-outbound"
                    )
                try:
                    self._keep(har.read(file.read(), direction, prefix), name)
                except har.NotHarError as error:
                    raise BadInputFailure(f"{name} is no HAR file: {error}") from error
            case Source.FLOWS:
                from traceaudit_addons import flow_file  # noqa: PLC0415  (imports mitmproxy: seconds)

                self._keep(flow_file.read(file, direction), name)

    def _keep(self, found: Iterable[Exchange | BadLine], name: str) -> None:
        """Takes the exchanges of a file that has no lines."""
        for number, each in enumerate(found, 1):
            if isinstance(each, BadLine):
                self._complain(name, each.number, each.reason)
            elif each.id in self.exchanges:
                self._complain(name, number, f"id {each.id!r} has been used before")
            else:
                self.exchanges[each.id] = each

    def _take(self, lines: Iterable[bytes], name: str, reader: _Reader) -> None:
        number = 0  # of the line that was read last: some give nothing, and an exported run's first gives two things

        def counted(step: Callable[[int], None]) -> Iterator[bytes]:
            nonlocal number
            for line in lines:
                number += 1
                if number % BATCH == 0:
                    step(BATCH)
                yield line

        with _progress(f"reading {name}") as step:
            for each in reader(counted(step)):
                match each:
                    case RunTimes():
                        self.times.append(each)
                    case BadLine():
                        self._complain(name, each.number, each.reason)
                    case Exchange() if each.id in self.exchanges:
                        self._complain(name, number, f"id {each.id!r} has been used before")
                    case Exchange():
                        self.exchanges[each.id] = each

    def _complain(self, name: str, number: int, reason: str) -> None:
        self.bad += 1
        if self.bad <= _SHOWN:
            click.echo(f"{name}:{number}: {safe(reason)}", err=True)

    @property
    def started_ns(self) -> int:
        """When the first run began, or the first exchange."""
        return min([*(each.started_ns for each in self.times), *(each.started_ns for each in self.exchanges.values())])

    @property
    def ended_ns(self) -> int:
        """When the last run ended, or the last exchange."""
        ends = [each.ended_ns or each.started_ns for each in self.exchanges.values()]
        return max([self.started_ns, *(each.ended_ns or 0 for each in self.times), *ends])


@contextmanager
def _progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Shows on a terminal how much is done, and of how much where that is known, once there is much."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415  (as in _report)

    from traceaudit.reports.layout import console_on  # noqa: PLC0415

    console = console_on(sys.stderr)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=not console.is_interactive)
    task, done = bar.add_task(what, total=total), 0

    def step(more: int) -> None:
        nonlocal done
        done += more
        if done >= _LONG:
            bar.start()
        bar.update(task, completed=done)

    try:
        yield step
    finally:
        if bar.live.is_started:
            bar.stop()


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
@click.option(
    "--infer",
    is_flag=True,
    help="Infer the causes of calls without identifiers from all times together; takes a while.",
)
@click.option("--lenient", is_flag=True, help="Lines that cannot be used do not make the exit status 4.")
def command(
    *,
    log: Sequence[str],
    as_inbound: Sequence[str],
    as_outbound: Sequence[str],
    infer: bool,
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
    # What is read stays to the end, and nothing of it goes round in circles: collecting it again and again is in vain.
    collecting = gc.isenabled()
    gc.disable()
    try:
        sys.exit(_analyze(settings, recordings, infer=infer, lenient=lenient))
    except KeyboardInterrupt:
        click.echo(f"interrupted: {safe(str(settings.db))} has a part of the run at most", err=True)
        sys.exit(Status.INTERRUPTED)
    finally:
        if collecting:
            gc.enable()


def _analyze(
    settings: Settings, recordings: Sequence[tuple[str, Direction | None]], *, infer: bool, lenient: bool
) -> Status:
    recording = _Recording()
    for each, direction in recordings:
        recording.read(each, direction)
    if recording.bad > _SHOWN:
        click.echo(f"… and {recording.bad - _SHOWN:,} more lines that cannot be used", err=True)
    if not recording.exchanges and recording.bad:
        raise BadInputFailure("no line is an exchange: see `traceaudit export` for what a log looks like")
    run_id = _audit(settings, recording, ", ".join(each for each, _ in recordings), infer=infer)
    status = _report(settings, run_id)
    return Status.BAD_INPUT if recording.bad and not lenient else status


def _audit(settings: Settings, recording: _Recording, logs: str, *, infer: bool) -> int:
    _look_for_same_ids(settings.db, recording.exchanges)
    known = bool(recording.exchanges or recording.times)
    started_ns, ended_ns = (recording.started_ns, recording.ended_ns) if known else (0, 0)
    answers: Mapping[str, Sequence[Candidate]] = {}
    if infer:
        click.echo("inferring causes from times …", err=True)
        answers = inferred(recording.exchanges.values(), settings.audit_settings(), started_ns)
    try:
        writer = AuditWriter(
            settings.db,
            started_ns=started_ns,
            command=f"traceaudit analyze {logs}",
            service=next((each.service for each in recording.times if each.service), ""),
            settings=settings.as_json(),
            redact=settings.redact,
        )
        audit = Audit(settings.audit_settings(), answers)
        with _progress("auditing", len(recording.exchanges)) as step:
            replay(
                recording.exchanges.values(),
                audit,
                writer,
                started_ns=started_ns,
                ended_ns=ended_ns,
                coverage=_coverage(settings, audit),
                progress=step,
            )
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


def _look_for_same_ids(path: Path, exchanges: dict[str, Exchange]) -> None:
    """An exchange's id is its own for ever: the same log is not audited into the same file twice."""
    if not path.exists() or not path.stat().st_size:
        return
    with opened(path):
        pass  # It is an audit database, or the command has ended with words.
    with closing(connect(path)) as database:
        for (id_,) in database.execute("select id from exchanges"):
            if id_ in exchanges:
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
