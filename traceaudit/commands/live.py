"""A live audit: the sidecar around a service, the service itself if it is ours to start, and the findings at the end.

This is where the core, the mitmproxy edge and the audit database are joined for `run`, `proxy` and `demo`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from traceaudit import listeners
from traceaudit.audit import Audit
from traceaudit.capture.elsewhere import Elsewhere
from traceaudit.commands import beginning, telling
from traceaudit.commands.capturing import ENVIRONMENT, Capturing, Way, chosen_way, listeners_for
from traceaudit.commands.reading import chosen
from traceaudit.commands.status import BadInputFailure, Status, UsageFailure
from traceaudit.commands.telling import (
    Announcer,
    announce_bypass,
    say,
    say_what_listens,
    say_what_was_gated,
    service_line,
)
from traceaudit.commands.watching import Watch
from traceaudit.config import Settings
from traceaudit.correlation.gating import Gate
from traceaudit.coverage import Capture
from traceaudit.listeners import Address, Kind, Listener
from traceaudit.open_files import raise_limit
from traceaudit.safe import safe
from traceaudit.store.reader import AuditReader, FindingRow, NotAnAuditError, Run
from traceaudit.supervisor import Service, ServiceFailedError
from traceaudit.verdicts import Revision
from traceaudit_addons import certificates
from traceaudit_addons.arrivals import Arrivals
from traceaudit_addons.cleartext_http2 import CleartextHTTP2
from traceaudit_addons.directions import Directions
from traceaudit_addons.gatekeeper import Answers, Gatekeeper
from traceaudit_addons.isolation import Isolation
from traceaudit_addons.minting import formats_to_mint
from traceaudit_addons.open_calls import OpenCalls
from traceaudit_addons.other_protocols import OtherProtocols
from traceaudit_addons.peers import Peers
from traceaudit_addons.recorder import Clock, Recorder
from traceaudit_addons.redirected import Redirected
from traceaudit_addons.service_names import ServiceNames
from traceaudit_addons.sidecar import Sidecar
from traceaudit_addons.starting_line import StartingLine
from traceaudit_addons.streaming import Streaming
from traceaudit_addons.untouched import Untouched, reason_for_all

if TYPE_CHECKING:
    from rich.console import Console

listen_to_the_proxy = telling.listen_to_the_proxy

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


type Further = Callable[[Console, AuditReader, Run, Sequence[FindingRow]], None]
type Judge = Callable[[Audit, AuditReader, int], Iterable[Revision]]
"""Finds what only a look at the whole run, of this number, can show."""


@dataclass(slots=True)
class Plan:
    """What is to be audited: the listeners, and the command that starts the service (empty: somebody else does)."""

    settings: Settings
    listeners: Sequence[Listener]
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    quiet: bool = False
    way: Way = ENVIRONMENT
    said: str = ""
    """The command that the run is recorded under; empty: as it was typed."""
    judge: Judge | None = None
    """What else is to be found, once everything has been seen."""

    @property
    def target(self) -> Address | None:
        """Where the service listens; ``None``: nothing was said of that."""
        return next((each.target for each in self.listeners if each.kind is Kind.INBOUND), None)

    def listening(self, kind: Kind) -> Address:
        """Where the first listener of a kind listens."""
        return next(each.listen for each in self.listeners if each.kind is kind)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an audit ended: its run in the database, whether a person ended it before anything was seen, and whether a
    signal did.

    ``errors`` and ``dropped`` are what the run should say of itself, and does not where it could not be written.
    """

    run_id: int
    interrupted: bool
    signalled: bool
    errors: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """What those have who send the service requests themselves."""

    inbound: Address
    calls: OpenCalls
    line: StartingLine
    now_ns: Callable[[], int]
    """The clock that exchanges go by."""


type Work = Callable[[Stage], Coroutine[None, None, None]]
"""What is done while the audit runs; the audit ends when it returns. It is given up when the service ends first."""


def plan_of(settings: Settings, command: Sequence[str] = (), *, quiet: bool = False) -> Plan:
    """The plan that the settings describe. Raises UsageFailure where they do not make one."""
    if not settings.inbound:
        raise UsageFailure(
            "where does the service listen? Say --inbound LISTEN:TARGET, for example --inbound 15006:8080: clients call"
            " 15006, the service listens on 8080"
        )
    way = chosen_way(settings, starts=bool(command))
    try:
        places = listeners_for(settings, way)
    except ValueError as error:
        raise UsageFailure(str(error)) from error
    return Plan(settings, places, command, quiet=quiet, way=way)


def audit(plan: Plan, work: Work | None = None) -> Outcome:
    """Runs an audit to its end. Raises UsageFailure or BadInputFailure where it cannot begin."""
    plan = beginning.looked_at(plan)

    async def whole() -> Outcome:
        return await LiveAudit(plan, work).run()

    return asyncio.run(whole())


class LiveAudit:
    """One audit from its first listener to its last commit; made inside the event loop."""

    def __init__(self, plan: Plan, work: Work | None) -> None:
        settings = plan.settings
        self._written = plan
        self._capturing = Capturing(plan.way, settings, plan.listeners)
        plan = self._plan = replace(plan, listeners=self._capturing.places)
        self._work = work
        self._clock = Clock()
        started_ns = self._clock.now_ns()
        self._writer = beginning.writer(plan, started_ns)
        self._core = Audit(settings.audit_settings())
        self._core.advance(started_ns)
        self._folder = certificates.directory()
        self._roots = certificates.roots(plan.environment)
        directions = Directions.of(plan.listeners)
        recorder = Recorder(
            self._core,
            self._writer,
            directions,
            self._clock,
            mint_formats=formats_to_mint(settings.require, settings.mint),
            watch=None if plan.quiet else Announcer(),
        )
        self._second = Elsewhere(self._core, self._writer, recorder.commit_later, recorder.failed)
        recorder.look_again(self._second.poke)
        self._recorder = recorder
        self._gate: Gate | None = None
        before: list[object] = []
        after: list[object] = []
        if settings.isolate:
            before.append(Isolation(directions, settings.grace_ms / 1000))
        elif settings.gate == "auto":
            gate = self._gate = Gate(settings.gate_budget_ms * 1_000_000, settings.grace_ms * 1_000_000)
            keeper = Gatekeeper(gate, self._core, directions, self._clock.now_ns, recorder.failed)
            recorder.gatekeeper = keeper
            before.append(keeper)
            after.append(Answers(keeper, directions))
        names = ServiceNames({name: listeners.address(text) for name, text in settings.routes.items()}, directions)
        peers = Peers()
        self._watch = Watch(
            settings,
            self._core.findings,
            self._writer,
            self._clock.now_ns,
            capture=plan.way.capture,
            listening=self._capturing.listening,
            environment=plan.environment,
            came_through=peers.__contains__,
            say=None if plan.quiet else announce_bypass,
        )
        redirected = Redirected(self._capturing.names, self._capturing.fronts)
        trusted = certificates.written(self._folder, self._roots)
        untouched = Untouched(
            lambda authority, why: self._watch.undecrypted(authority, why, why.remedy),
            trusted,
            reason_for_all(settings.tls),
        )
        self._stage = Stage(
            plan.listening(Kind.INBOUND), OpenCalls(directions), StartingLine(directions), self._clock.now_ns
        )
        staged = [self._stage.calls, self._stage.line] if work is not None else []
        arrivals, others = Arrivals(directions, self._watch.stir), OtherProtocols(self._watch.not_http)
        self._sidecar = Sidecar(
            plan.listeners,
            [
                peers,
                CleartextHTTP2(),
                others,
                untouched,
                *before,
                *staged,
                arrivals,
                Streaming(),
                recorder,
                names,
                redirected,
                *after,
            ],
            certificates=self._folder,
            trusted=trusted,
            redirected=self._capturing.sockets,
        )
        self._service: Service | None = None
        self._stop = asyncio.Event()
        self._impatient = asyncio.Event()
        """Whoever asked for the end has asked again."""
        self._signals: list[signal.Signals] = []
        self._said: set[str] = set()
        self._done = False
        """Whether the work came to its end."""

    async def run(self) -> Outcome:
        """Opens the listeners, starts the service, waits for the end, and leaves everything in order."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        raise_limit()
        # What is here now stays; else the collector looks at mitmproxy's hundred thousand objects again and again.
        gc.collect()
        gc.freeze()
        proxying = asyncio.create_task(self._sidecar.run())
        try:
            await _either(self._sidecar.listening.wait(), asyncio.shield(proxying))
            if self._sidecar.problem is not None:
                raise UsageFailure(str(self._sidecar.problem))
            await self._start_service()
            if not self._stop.is_set():
                self._watch.start(self._service.pid if self._service else None, self._plan.target)
                self._say_what_listens()
                await self._until_the_end()
        except ServiceFailedError as error:
            raise UsageFailure(str(error)) from error
        finally:
            await self._watch.stop()
            if self._service is not None:
                await self._service.stop(self._signals[0] if self._signals else signal.SIGTERM)
            if self._gate is not None and not self._plan.quiet:
                say_what_was_gated(self._gate.work)
            self._sidecar.should_exit.set()
            try:
                await asyncio.wait([proxying])
            finally:
                # A pod's sockets after those who listen on them: the loop would watch for what gets their numbers.
                self._capturing.end()
            await self._look_again()
            self._settle()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        writer, signalled = self._writer, bool(self._signals)
        interrupted = (signalled or self._done) and not writer.exchanges and not writer.dropped
        return Outcome(writer.run_id, interrupted, signalled, writer.errors, writer.dropped)

    def _on_signal(self, number: signal.Signals) -> None:
        self._signals.append(number)
        self._stop.set()
        if len(self._signals) > 1:
            self._impatient.set()
            if self._service is not None:
                self._service.kill()

    async def _start_service(self) -> None:
        plan = self._plan
        if not plan.command:
            return
        bundle = certificates.bundle(self._folder, self._roots)
        await self._capturing.begin(plan.environment)
        environment = self._capturing.environment(plan.environment, bundle)
        self._service = await Service.start(plan.command, environment, service_line, self._capturing.enter)
        if plan.target is not None:
            ready = self._service.wait_until_ready(plan.target, plan.settings.ready_timeout, self._written.target)
            await _either(ready, self._stop.wait())

    def _say_what_listens(self) -> None:
        plan = self._written
        if not plan.quiet:
            environment = plan.way.capture is Capture.ENV
            bundle = certificates.bundle(self._folder, self._roots)
            say_what_listens(
                plan.listeners, plan.settings.db, bundle, starts=bool(plan.command), environment=environment
            )

    async def _until_the_end(self) -> None:
        """Returns when a signal came, the service ended, or the work is done."""
        ends: list[Awaitable[object]] = [self._stop.wait()]
        if self._service is not None:
            ends.append(self._service.wait())
        work = asyncio.ensure_future(self._work(self._stage)) if self._work else None
        await _either(*ends, *([work] if work else []))
        self._done = work is not None and not work.cancelled()
        if not self._done and not self._stop.is_set() and self._service is not None:
            say(f"the service ended by itself with status {await self._service.wait()}")

    async def _look_again(self) -> None:
        """Has the times asked whose the calls were that nothing else tells; one more signal is enough of that."""
        try:
            if not await self._second.finish(self._impatient):
                say("note      whose some calls were, times were not asked to the end: they stay as first decided")
        except Exception as error:
            self._recorder.failed("causes were not inferred from times", error)
        self._recorder.done()

    def _settle(self) -> None:
        """Whatever goes wrong here, the findings that are on the disk are told, and that they are not all."""
        for step in (self._watch.settle, self._judge, partial(self._writer.conclude, self._core)):
            errors = self._writer.errors
            try:
                step(self._clock.now_ns())
            except Exception as error:
                self._writer.errors = max(self._writer.errors, errors + 1)
                what = (
                    f"could not be written to {self._plan.settings.db}"
                    if isinstance(error, sqlite3.Error)
                    else "failed"
                )
                self._say_once(f"error     the end of the run {what}: {safe(str(error)) or type(error).__name__}")

    def _judge(self, _: int) -> None:
        if self._plan.judge is not None:
            with AuditReader(Path(self._plan.settings.db)) as reader:
                for revision in self._plan.judge(self._core, reader, self._writer.run_id):
                    self._writer.revise(revision)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            say(text)
        self._said.add(text)


async def _either(*waits: Awaitable[object]) -> None:
    """Returns when the first of several has happened; the others are given up, and an error is raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    for task in done:
        task.result()


# --- when it is over --------------------------------------------------------------------------------------------------


def conclude(plan: Plan, outcome: Outcome, further: Further | None = None) -> Status:
    """Prints the findings, and what further is to be said of them; the exit status."""
    from traceaudit.reports import text  # noqa: PLC0415  (only a run that came to its end needs these)
    from traceaudit.reports.layout import console_on  # noqa: PLC0415
    from traceaudit.reports.verdict import verdict  # noqa: PLC0415

    settings = plan.settings
    try:
        reader = AuditReader(Path(settings.db))
    except (NotAnAuditError, OSError, sqlite3.Error) as error:
        raise BadInputFailure(f"{settings.db} cannot be read any more: {error}") from error
    try:
        run = reader.run(outcome.run_id)
        if run is None:
            raise BadInputFailure(f"{settings.db} does not hold this run any more: was the file replaced?")
        errors, dropped = max(run.audit_errors, outcome.errors), max(run.dropped, outcome.dropped)
        run = replace(run, audit_errors=errors, dropped=dropped)
        findings = chosen(reader.findings(run.id), settings)
        console = console_on()
        text.write(console, reader, run, findings=findings)
        if further is not None:
            further(console, reader, run, findings)
        if outcome.interrupted:
            return Status.INTERRUPTED
        return verdict(run, findings, settings.fail_on)
    finally:
        reader.close()
