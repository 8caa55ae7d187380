"""What `traceaudit probe` sends, when, and what it makes of it.

Theory of operation. Every request has a number, which stands in its `User-Agent` and its `tracestate`, and a trace of
its own. Alone: one request after another, each until its calls are done and the grace period is over. Together: in each
round the starting line holds the requests until all are there, and the round is over when the service has gone quiet.
At the end, :mod:`traceaudit.mixing` compares which request's context each call carried in the one phase and the other.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from traceaudit.audit import DEFAULT_REQUIRE, Audit
from traceaudit.commands.sending import Request, send
from traceaudit.commands.telling import say
from traceaudit.config import Settings
from traceaudit.correlation.correlator import LATE
from traceaudit.exchange import Direction, Method
from traceaudit.formats import HEADER_NAMES, Format, minting
from traceaudit.mixing import Comparison, Made, Sent, compare, revision
from traceaudit.reports import phases
from traceaudit.reports.layout import show
from traceaudit.reports.words import plural
from traceaudit.routes import route_of
from traceaudit.rules import tp021_context_leaked
from traceaudit.safe import safe
from traceaudit.store.reader import AuditReader, FindingRow, Run
from traceaudit.verdicts import Revision

if TYPE_CHECKING:
    from rich.console import Console

    from traceaudit.commands import live

_IDLE_S = 1.0
"""Before and after, so that what the service does by itself is known for it."""

_PAUSES = 4
"""Grace periods that a service is waited for which is never quiet."""

_BAD = 400
_MARK = "traceaudit-probe"
_NUMBER = re.compile(rf"{_MARK} \(request (\d+), .*\)")
_BY_IDENTIFIERS = (Method.TRACE_ID, Method.REQUEST_ID)


def marked(request: Request, number: int, phase: str, wanted: frozenset[Format]) -> Request:
    """A request with its mark and with a trace of its own in every format that is wanted."""
    fields = minting.missing([], wanted, os.urandom)
    if Format.TRACEPARENT in wanted:
        fields.append((HEADER_NAMES[Format.TRACEPARENT][1], f"traceaudit={number}"))
    return replace(request, headers=[("User-Agent", f"{_MARK} (request {number}, {phase})"), *request.headers, *fields])


def mixture(round_: int, together: int, urls: int) -> list[int]:
    """Which URLs are requested together in a round, each as often as it is in it.

    Rounds differ in size and in each URL's share: what depends on numbers alone is not the same in all of them. Every
    probe has the same.
    """
    random = Random(round_)  # noqa: S311  (nobody is to be surprised)
    size = together - round_ % (together - together // 2)
    return random.choices(range(urls), [random.random() + 0.1 for _ in range(urls)], k=size)


class Load:
    """The requests of one probe, and what became of them."""

    def __init__(
        self,
        requests: Sequence[Request],
        settings: Settings,
        *,
        serial: int,
        rounds: int,
        together: int,
        timeout_s: float,
        quiet: bool,
    ) -> None:
        self._requests = requests
        self._serial, self._rounds, self._together = serial, rounds, together
        self._timeout_s = timeout_s
        self._settings = settings
        self._quiet = quiet
        self._sent: list[tuple[int, int | None]] = []
        """Of each that was sent, by its number: which of the requests, and the round; ``None``: alone."""
        self._troubles: Counter[tuple[str, str]] = Counter()
        """By URL, what should not have become of requests."""
        self._since_ns: int | None = None
        """When the first round began; ``None``: it never did."""
        self._done = 0
        """Rounds that are over."""
        self._restless = False
        """The service is never quiet."""
        self._comparison: Comparison | None = None
        from traceaudit_addons.minting import formats_to_mint  # noqa: PLC0415  (imports mitmproxy: seconds)

        self._formats = formats_to_mint(settings.require, "missing") or formats_to_mint(DEFAULT_REQUIRE, "missing")

    async def work(self, stage: live.Stage) -> None:
        """Sends everything."""
        clients = ThreadPoolExecutor(self._together)
        try:
            await asyncio.sleep(_IDLE_S)
            self._say(f"alone     {plural(self._serial, 'request')} of {self._urls}, one at a time")
            for which in range(len(self._requests)):
                for _ in range(self._serial):
                    await self._send(stage, clients, [which], None)
            rounds = plural(self._rounds, "round")
            self._say(f"together  {rounds} of up to {self._together} requests, released at one moment")
            self._since_ns = stage.now_ns()
            for round_ in range(self._rounds):
                those = mixture(round_, self._together, len(self._requests))
                stage.line.hold(len(those))
                await self._send(stage, clients, those, round_)
                self._done += 1
            await asyncio.sleep(_IDLE_S)
        finally:
            stage.line.hold(0)
            # Those that wait for a response have it, or an error, when the proxy closes; nobody waits for them here.
            clients.shutdown(wait=False, cancel_futures=True)
            for (url, what), times in self._troubles.items():
                say(f"warning   {url} {what} {plural(times, 'time')}")

    async def _pause(self, stage: live.Stage) -> None:
        """Waits until calls are done and the grace period is over."""
        grace_s = self._settings.grace_ms / 1000
        if self._restless:
            await stage.calls.quiet(grace_s, _PAUSES * grace_s)
        elif not await stage.calls.quiet(grace_s):
            self._restless = True
            say(
                f"note      the service makes calls all the time, with no pause of {self._settings.grace_ms} ms:"
                " they are not waited for; a lower --grace-ms may find pauses"
            )

    def _say(self, text: str) -> None:
        if not self._quiet:
            say(text)

    @property
    def _urls(self) -> str:
        return "the URL" if len(self._requests) == 1 else f"each of {len(self._requests)} URLs"

    async def _send(
        self, stage: live.Stage, clients: ThreadPoolExecutor, which: Sequence[int], round_: int | None
    ) -> None:
        """Sends requests at once, and waits until the service is done with them."""
        loop = asyncio.get_running_loop()
        phase = "alone" if round_ is None else f"round {round_ + 1}"
        sending = []
        for each in which:
            request = marked(self._requests[each], len(self._sent), phase, self._formats)
            self._sent.append((each, round_))
            sending.append(loop.run_in_executor(clients, send, stage.inbound, request, self._timeout_s))
        answers = await asyncio.gather(*sending, return_exceptions=True)
        for each, answer in zip(which, answers, strict=True):
            if isinstance(answer, (OSError, http.client.HTTPException, ValueError)):
                late = isinstance(answer, TimeoutError)
                why = f"no answer within {self._timeout_s:g} s" if late else safe(str(answer)) or type(answer).__name__
                self._troubles[self._shown(each), f"was not answered ({why})"] += 1
            elif isinstance(answer, BaseException):
                raise answer
            elif answer >= _BAD:
                self._troubles[self._shown(each), f"was answered {answer}"] += 1
        await self._pause(stage)

    def _shown(self, which: int) -> str:
        return safe(f"{self._requests[which].method} {self._requests[which].path}")

    # --- what came of it ----------------------------------------------------------------------------------------------

    def judge(self, audit: Audit, reader: AuditReader, run_id: int) -> Iterator[Revision]:
        """The verdicts on calls whose contexts were exchanged as a whole, in place of the first ones."""
        sent = self._sent_by(reader, run_id)
        if len(sent) < len(self._sent) or tp021_context_leaked.RULE not in self._settings.audit_settings().rules:
            return
        self._comparison = compare(sent, _made(audit, reader, run_id))
        for each in self._comparison.mixed:
            ids = (each.call.id, each.cause.id, each.owner.id)
            outbound, cause, owner = map(reader.exchange, ids)
            if outbound is None or cause is None or owner is None:
                continue
            if (revised := revision(audit, each, outbound, cause, owner)) is not None:
                yield revised

    def _sent_by(self, reader: AuditReader, run_id: int) -> list[Sent]:
        """Our requests, those that were recorded with their marks."""
        found = []
        for id_, status, mark in reader.requests_with(run_id, "user-agent"):
            match = _NUMBER.fullmatch(mark or "")
            if match and int(match[1]) < len(self._sent):
                which, round_ = self._sent[int(match[1])]
                found.append(Sent(id_, which, round_, status))
        return found

    def tell(self, console: Console, reader: AuditReader, run: Run, findings: Sequence[FindingRow]) -> None:
        """Prints what came up in which phase."""
        alone = sum(round_ is None for _, round_ in self._sent)
        probed = phases.Probed(
            alone, len(self._sent) - alone, self._since_ns, self._done, self._rounds, self._comparison
        )
        show(console, phases.lines(reader, run, findings, probed, console.width))

    @property
    def complete(self) -> bool:
        """Whether all rounds are over."""
        return self._done == self._rounds


def _made(audit: Audit, reader: AuditReader, run_id: int) -> list[Made]:
    """The calls of a run. One whose identifiers name several requests has no owner."""
    made = []
    for id_, at_ns, method, authority, path, inbound_id, how, probability, evidence in reader.calls(run_id):
        named = how in _BY_IDENTIFIERS and probability >= LATE and "identifiers_name" not in evidence
        route = audit.route_now(Direction.OUTBOUND, authority, route_of(method, path))
        made.append(Made(id_, at_ns, authority, f"{method} {path}", route, inbound_id if named else None))
    return made
