"""The proxy itself: a mitmproxy master with only the addons that serve, and ours.

The order of the addons is the order in which a request meets them: it waits for its turn, is given what it lacks, is
recorded, and is led to where its name points.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

from mitmproxy.addons.core import Core
from mitmproxy.addons.next_layer import NextLayer
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.master import Master
from mitmproxy.options import Options

from traceaudit.listeners import Kind, Listener
from traceaudit_addons import connection_handler, http1
from traceaudit_addons.directions import mode_of
from traceaudit_addons.fixed_addons import FixedAddons
from traceaudit_addons.http1 import Expectations
from traceaudit_addons.redirected import EagerTransparentProxy

logger = logging.getLogger(__name__)

_NEVER_S = 7 * 24 * 3600
"""Idle connections are the service's and its upstreams' to close; Go's own default is to keep them for ever."""

_CLOSING_S = 2.0
"""How long open connections may take to close at the end."""


class ListenError(Exception):
    """A listener could not be opened; the message says which and why."""


class Sidecar(Master):
    """The master; its listeners have ports of their own (mitmproxy refuses two that listen on any port, 0)."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        addons: Iterable[object],
        *,
        certificates: Path,
        trusted: Path | None,
        redirected: Sequence[socket.socket] = (),
    ) -> None:
        """``redirected`` are listening sockets of another network, for redirected connections as well."""
        http1.install()
        connection_handler.install()
        super().__init__(Options(), with_termlog=False)
        self.addons = FixedAddons(self)
        self.proxyserver = Proxyserver()
        self.listeners = listeners
        self._redirected = redirected
        self._inside: list[asyncio.Server] = []
        # Of those that hear `next_layer` the first that knows decides, of those that hear of a handshake the last.
        self.addons.add(Core(), self.proxyserver, TlsConfig(), *addons, Expectations(), NextLayer())
        self.options.update(
            mode=[mode_of(listener) for listener in listeners],
            confdir=str(certificates),
            connection_strategy="lazy",
            keep_host_header=True,
            websocket=False,  # They pass as the bytes that they are, like everything else that follows a 101.
            tcp_timeout=_NEVER_S,
            ssl_verify_upstream_trusted_ca=str(trusted) if trusted else None,
        )
        self.listening = asyncio.Event()
        """Set when every listener is open, or when ``problem`` says why not."""
        self.problem: ListenError | None = None

    async def running(self) -> None:
        """Looks whether every listener is open, before anybody is told that they are."""
        for listener in self.listeners:
            server = self.proxyserver.servers[mode_of(listener)]
            if listener.kind is Kind.REDIRECT:
                server.make_top_layer = EagerTransparentProxy  # type: ignore[method-assign]  # for this listener alone
            if not server.is_running:
                self.problem = ListenError(f"cannot listen on {listener.listen}: {server.last_exception}")
                self.should_exit.set()
                break
            if listener.kind is Kind.REDIRECT:
                # They are closed by who opened them; mitmproxy's own are closed with their mode.
                self._inside += [
                    await asyncio.start_server(server.handle_stream, sock=each) for each in self._redirected
                ]
        await super().running()
        self.listening.set()

    async def done(self) -> None:
        """Closes the listeners and what is still open before the addons are told that it is over."""
        for server in self._inside:
            server.close()
        await self.proxyserver.servers.update([])
        connections = self.proxyserver.connections
        for connection in list(connections.values()):
            transport = connection.transports.get(connection.client)
            if transport is not None and transport.handler is not None:
                transport.handler.cancel("the audit is over")
        try:
            async with asyncio.timeout(_CLOSING_S):
                while connections:  # noqa: ASYNC110  (see below)
                    await asyncio.sleep(0.01)  # nobody tells when a connection has closed
        except TimeoutError:
            logger.warning("%d connections did not close", len(connections))
        await super().done()
