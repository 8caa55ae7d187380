"""Tells which side of the service a flow is on, from the listener it came through."""

from __future__ import annotations

from collections.abc import Iterable

from mitmproxy.connection import Client
from mitmproxy.http import HTTPFlow
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode

from traceaudit.exchange import Direction
from traceaudit.listeners import Kind, Listener


def mode_of(listener: Listener) -> str:
    """A listener as mitmproxy writes it: ``reverse:http://127.0.0.1:8080@127.0.0.1:15006``."""
    # After the @ it takes the host as it is, an IPv6 literal without brackets.
    at = f"{listener.listen.host}:{listener.listen.port}"
    if listener.kind is Kind.REDIRECT:
        return f"transparent@{at}"
    return f"regular@{at}" if listener.target is None else f"reverse:http://{listener.target}@{at}"


class Directions:
    """The side and the upstream's name of every listener."""

    def __init__(self, inbound: Iterable[str], names: dict[str, str] | None = None) -> None:
        self._inbound = frozenset(inbound)
        self._names = names or {}

    @classmethod
    def of(cls, listeners: Iterable[Listener]) -> Directions:
        """The directions of our own listeners."""
        inbound = [mode_of(each) for each in listeners if each.kind is Kind.INBOUND]
        return cls(inbound, {mode_of(each): each.name for each in listeners if each.name})

    @classmethod
    def of_modes(cls, modes: Iterable[str]) -> Directions:
        """The directions in a user's own mitmproxy: the first reverse proxy is in front of the service."""
        reverse = (mode for mode in modes if isinstance(ProxyMode.parse(mode), ReverseMode))
        return cls([first for first in [next(reverse, None)] if first is not None])

    def direction(self, flow: HTTPFlow) -> Direction:
        """Inbound or outbound."""
        return self.side(flow.client_conn)

    def side(self, client: Client) -> Direction:
        """Inbound: a client's connection to us; outbound: the service's."""
        inbound = client.proxy_mode.full_spec in self._inbound
        return Direction.INBOUND if inbound else Direction.OUTBOUND

    def name(self, flow: HTTPFlow) -> str:
        """The name of the upstream that this flow's listener stands for; empty: it has none."""
        return self._names.get(flow.client_conn.proxy_mode.full_spec, "")
