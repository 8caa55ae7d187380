"""What a redirected connection needs: to be opened ahead of its first byte, and led from virtual to real addresses."""

from __future__ import annotations

from collections.abc import Mapping

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.modes import TransparentProxy
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tls import ClientHelloData

from traceaudit.listeners import Address
from traceaudit.virtual_names import VirtualNames


class EagerTransparentProxy(TransparentProxy):
    """Connects to the upstream at once, as the service meant to: there are protocols in which the server speaks first.

    Where that fails, the request is waited for all the same, so that it is recorded with its error.
    """

    def finish_start(self) -> layer.CommandGenerator[str | None]:
        """Opens the connection to the upstream and hands over."""
        yield commands.OpenConnection(self.context.server)
        self._handle_event = self.child_layer.handle_event
        yield from self.child_layer.handle_event(events.Start())
        return None


class Redirected:
    """Leads connections to virtual addresses where the routes point; the request stays as it is."""

    def __init__(self, names: VirtualNames, own: Mapping[Address, Address] | None = None) -> None:
        """``own``: our listeners in front of something, which a service in a network of its own reaches through us."""
        self._names = names
        self._own = {(each.host, each.port): target for each, target in (own or {}).items()}

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """A connection to an upstream is about to be opened."""
        if data.server.address is None:
            return
        host, port = data.server.address[:2]
        real = self._names.real(host, port) or self._own.get((host, port))
        if real is not None:
            data.server.address = (real.host, real.port)
            data.server.error = None  # mitmproxy refuses to call its own listeners

    def tls_clienthello(self, data: ClientHelloData) -> None:
        """The connection to the upstream is open before the client speaks, and waits for its own handshake."""
        server = data.context.server
        data.establish_server_tls_first |= server.tls and server.connected
