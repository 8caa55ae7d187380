"""Remembers who has connected to a listener, so that connections which did not can be told from those that did."""

from __future__ import annotations

from collections import OrderedDict

from mitmproxy.connection import Client

from traceaudit.listeners import Address

_MOST = 65_536
"""As many as there are ports: the address of an older connection may belong to another one by now."""


class Peers:
    """The other ends of all connections that came through a listener, the latest of them."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, int], None] = OrderedDict()

    def client_connected(self, client: Client) -> None:
        """A connection has come in."""
        host, port = client.peername[:2]
        # A socket for both families shows IPv4 in IPv6's clothes.
        key = (host.removeprefix("::ffff:"), port)
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > _MOST:
            self._seen.popitem(last=False)

    def __contains__(self, address: Address) -> bool:
        return (address.host, address.port) in self._seen
