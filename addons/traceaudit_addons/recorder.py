"""Turns flows into exchanges, has them audited, and commits them before their responses are let go.

Theory of operation: a request is audited when its headers are here. When its response's headers are here, the exchange
is committed, and only then does the response go on; responses that arrive together share a commit. How it ended rides
with a later commit. Nothing that goes wrong here reaches the traffic: it is said once, counted, and the flow goes on.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable

from mitmproxy.connection import Address, Client
from mitmproxy.http import HTTPFlow

from traceaudit.audit import Audit
from traceaudit.exchange import Direction, Exchange, Header
from traceaudit.formats import Format
from traceaudit.store.writer import AuditWriter, DuplicateExchangeError
from traceaudit.verdicts import Verdict
from traceaudit_addons.directions import Directions
from traceaudit_addons.gatekeeper import Gatekeeper
from traceaudit_addons.minting import headers_of, mint

logger = logging.getLogger(__name__)

_EXCHANGE = "traceaudit"
_SWITCHING = 101
_LATER_S = 0.2
"""How long the end of an exchange may wait for a commit of its own."""
_RETRY_S = 1.0
"""How long after a failed commit the next is tried."""
LOCK_PATIENCE_MS = 50
"""How long a commit waits for somebody else's lock: all traffic waits with it."""

MOST_PENDING = 20_000
"""Exchanges that are kept while nothing can be written; about 40 MB. Beyond it they are given up, and counted."""


class Clock:
    """Nanoseconds since the epoch that never go backwards, whatever is done to the machine's time."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """The time now."""
        return time.monotonic_ns() + self._offset_ns


class Recorder:
    """The audit's hooks. ``mint_formats`` are given to requests that lack them; ``watch`` hears of every verdict."""

    def __init__(
        self,
        audit: Audit,
        writer: AuditWriter,
        directions: Directions,
        clock: Clock,
        *,
        mint_formats: frozenset[Format] = frozenset(),
        watch: Callable[[Verdict], None] | None = None,
    ) -> None:
        self._audit = audit
        self._writer = writer
        self._directions = directions
        self._clock = clock
        self._mint_formats = mint_formats
        self._watch = watch
        self._looking: Callable[[], None] | None = None
        self.gatekeeper: Gatekeeper | None = None
        """Who is told of each exchange, if anything is gated."""
        self._prefix = "" if writer.run_id == 1 else f"{writer.run_id}."
        self._count = 0
        self._upgraded: dict[str, HTTPFlow] = {}
        self._said: set[str] = set()
        self._committed: asyncio.Future[None] | None = None
        self._later: asyncio.TimerHandle | None = None
        self._not_before = 0.0

    # --- hooks --------------------------------------------------------------------------------------------------------

    def requestheaders(self, flow: HTTPFlow) -> None:
        """A request is here: the service is about to get it, or has made it."""
        try:
            self._begin(flow)
        except Exception as error:
            self.failed("an exchange was not audited", error)

    def responseheaders(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """A response is here; it goes on when its exchange is on the disk."""
        try:
            exchange = flow.metadata.get(_EXCHANGE)
            if exchange is None or flow.response is None:
                return None
            exchange.response_started_ns = self._clock.now_ns()
            headers = headers_of(flow.response.headers.fields)
            status = grpc_status(headers)
            exchange.status = flow.response.status_code if status is None else status
            exchange.response_headers = headers
            exchange.server_address = _address(flow.server_conn.peername)
            self._writer.change(exchange)
        except Exception as error:
            self.failed("a response was not recorded", error)
        return self._commit_together()

    def response(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """A response has passed to the last byte of its body; its trailers go on when they are on the disk."""
        trailers = flow.response.trailers if flow.response is not None else None
        if trailers is not None:
            self._take_trailers(flow, headers_of(trailers.fields))
        if flow.response is not None and flow.response.status_code == _SWITCHING:
            self._upgraded[flow.client_conn.id] = flow
        else:
            self._end(flow, None)
        return None if trailers is None else self._commit_together()

    def error(self, flow: HTTPFlow) -> None:
        """An exchange broke off."""
        self._end(flow, flow.error.msg if flow.error else "unknown error")

    def client_disconnected(self, client: Client) -> None:
        """What a connection was upgraded to (a web socket) ends with it."""
        flow = self._upgraded.pop(client.id, None)
        if flow is not None:
            self._end(flow, None)

    def done(self) -> None:
        """The proxy is closing: everything there is goes to the disk."""
        if self._later is not None:
            self._later.cancel()
        self.commit()

    def look_again(self, poke: Callable[[], None]) -> None:
        """``poke`` is called whenever the audit may want a second look at calls."""
        self._looking = poke

    def commit_later(self) -> None:
        """Something is to be written that nobody waits for."""
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(_LATER_S, self._commit_later)

    # --- what they do -------------------------------------------------------------------------------------------------

    def _begin(self, flow: HTTPFlow) -> None:
        direction = self._directions.direction(flow)
        inbound = direction is Direction.INBOUND
        minted = mint(flow, self._mint_formats) if inbound and self._mint_formats else []
        self._count += 1
        request = flow.request
        headers = headers_of(request.headers.fields)
        exchange = Exchange(
            id=f"{self._prefix}{'i' if inbound else 'o'}{self._count}",
            direction=direction,
            started_ns=self._clock.now_ns(),
            method=request.data.method.decode("latin-1"),
            scheme=request.data.scheme.decode("latin-1"),
            authority=self._directions.name(flow) or _authority(flow),
            path=request.data.path.decode("latin-1"),
            http_version=request.data.http_version.decode("latin-1"),
            connection_id=flow.client_conn.id[:8],
            client_address=_address(flow.client_conn.peername),
            request_headers=headers,
            minted=minted,
        )
        flow.metadata[_EXCHANGE] = exchange
        try:
            if self.gatekeeper is not None and inbound:
                self.gatekeeper.delivered(flow, exchange)
            elif self.gatekeeper is not None:
                exchange.gated = self.gatekeeper.called(flow, exchange)
            verdict = self._audit.begin(exchange)
            if self.gatekeeper is not None and verdict is not None:
                self.gatekeeper.judged(exchange, verdict)
        except Exception as error:
            verdict = None
            self.failed("an exchange was recorded but not judged", error)
        self._writer.begin(exchange, verdict)
        if verdict is not None and self._watch is not None:
            self._watch(verdict)
        if self._looking is not None and self._audit.looks:
            self._looking()

    def _take_trailers(self, flow: HTTPFlow, trailers: list[Header]) -> None:
        exchange: Exchange | None = flow.metadata.get(_EXCHANGE)
        if exchange is None or exchange.ended_ns is not None:
            return
        exchange.response_headers += trailers
        status = grpc_status(trailers)
        if status is not None:
            exchange.status = status

    def _end(self, flow: HTTPFlow, error: str | None) -> None:
        try:
            exchange: Exchange | None = flow.metadata.get(_EXCHANGE)
            if exchange is None or exchange.ended_ns is not None:
                return
            exchange.ended_ns = self._clock.now_ns()
            exchange.error = error
            self._audit.end(exchange)
            self._writer.change(exchange)
            self.commit_later()
            if self._looking is not None and self._audit.looks:
                self._looking()
        except Exception as exception:
            self.failed("the end of an exchange was not recorded", exception)

    # --- to the disk --------------------------------------------------------------------------------------------------

    def _commit_together(self) -> Awaitable[None]:
        """Is done when all that is gathered now is on the disk, or cannot be written."""
        if self._committed is None:
            loop = asyncio.get_running_loop()
            self._committed = loop.create_future()
            loop.call_soon(self._commit_now)
        return self._committed

    def _commit_now(self) -> None:
        committed, self._committed = self._committed, None
        try:
            if time.monotonic() >= self._not_before:
                self.commit()
        finally:
            if committed is not None and not committed.done():
                committed.set_result(None)

    def _commit_later(self) -> None:
        self._later = None
        if time.monotonic() >= self._not_before:
            self.commit()

    def commit(self) -> None:
        """Writes what is gathered; what cannot be written is kept for the next attempt, up to a bound."""
        try:
            self._writer.commit()
            self._not_before = 0.0
        except DuplicateExchangeError as error:
            # Ids are counted within a run, so somebody else wrote ours; without them nothing more could be written.
            self.failed("an exchange's id is in the audit database already", error)
            self._writer.discard()
        except sqlite3.Error as error:
            self._not_before = time.monotonic() + _RETRY_S
            self.failed("nothing can be written to the audit database for now", error)
            if self._writer.waiting > MOST_PENDING:
                lost = self._writer.discard()
                logger.warning("%d exchanges could not be written and were given up", lost)

    def failed(self, what: str, error: Exception) -> None:
        """Counts an error of ours, and says each kind of it once."""
        self._writer.errors += 1
        kind = f"{what}: {type(error).__name__}: {error}"
        if kind not in self._said and len(self._said) < 100:
            self._said.add(kind)
            logger.error("%s; the traffic goes on", kind, exc_info=logger.isEnabledFor(logging.DEBUG))


def grpc_status(headers: Iterable[Header]) -> int | None:
    """The status of a gRPC call, from its trailers, or from the headers of a response that has nothing else.

    ``None``: the call has none, or is no gRPC. The codes end at 16, far below the least of HTTP's.
    https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
    """
    for name, value in headers:
        if name.lower() == "grpc-status" and value.isdecimal() and len(value) <= 2:
            return int(value)
    return None


def _authority(flow: HTTPFlow) -> str:
    """Whom the request names: `:authority`, else the `Host` header as it was sent, else the address it goes to."""
    request = flow.request
    if request.data.authority:
        return request.data.authority.decode("latin-1")
    for name, value in request.headers.fields:
        if name.lower() == b"host":
            return value.decode("latin-1")
    return f"{request.data.host}:{request.data.port}"


def _address(address: Address | None) -> str | None:
    if address is None:
        return None
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
