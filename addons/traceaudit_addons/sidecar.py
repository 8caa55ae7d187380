"""The proxy itself: a mitmproxy master with only the addons that serve, and ours.

The order of the addons is the order in which a request meets them: it waits for its turn, is given what it lacks, is
recorded, and is led to where its name points.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

from mitmproxy.addons.core import Core
from mitmproxy.addons.next_layer import NextLayer
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.master import Master
from mitmproxy.options import Options

from traceaudit.listeners import Address, Listener
from traceaudit_addons.directions import mode_of

_NEVER_S = 7 * 24 * 3600
"""Idle connections are the service's and its upstreams' to close; Go's own default is to keep them for ever."""


class ListenError(Exception):
    """A listener could not be opened; the message says which and why."""


class Sidecar(Master):
    """The master. ``addresses`` has each listener's real address once ``listening`` is set."""

    def __init__(
        self, listeners: Sequence[Listener], addons: Iterable[object], *, certificates: Path, trusted: Path | None
    ) -> None:
        super().__init__(Options(), with_termlog=False)
        self.proxyserver = Proxyserver()
        self.listeners = listeners
        self.addons.add(Core(), self.proxyserver, NextLayer(), TlsConfig(), *addons)
        self.options.update(
            mode=[mode_of(listener) for listener in listeners],
            confdir=str(certificates),
            connection_strategy="lazy",
            keep_host_header=True,
            tcp_timeout=_NEVER_S,
            ssl_verify_upstream_trusted_ca=str(trusted) if trusted else None,
        )
        self.listening = asyncio.Event()
        """Set when every listener is open, or when ``problem`` says why not."""
        self.problem: ListenError | None = None
        self.addresses: dict[Listener, Address] = {}

    async def running(self) -> None:
        """Looks whether every listener is open, before anybody is told that they are."""
        for listener in self.listeners:
            server = self.proxyserver.servers[mode_of(listener)]
            if not server.is_running:
                self.problem = ListenError(f"cannot listen on {listener.listen}: {server.last_exception}")
                self.shutdown()
                break
            host, port = server.listen_addrs[0][:2]
            self.addresses[listener] = Address(host, port)
        await super().running()
        self.listening.set()

    async def done(self) -> None:
        """Closes the listeners before the addons are told that it is over."""
        await self.proxyserver.servers.update([])
        await super().done()
