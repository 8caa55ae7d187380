"""Lets bodies stream through in both directions, and everything be forgotten once it has passed."""

from __future__ import annotations

from mitmproxy.http import HTTPFlow
from mitmproxy.tcp import TCPFlow


class Streaming:
    """Never in the way: nothing is buffered, nothing is kept."""

    def requestheaders(self, flow: HTTPFlow) -> None:
        """Streams the request's body."""
        flow.request.stream = True

    def responseheaders(self, flow: HTTPFlow) -> None:
        """Streams the response's body."""
        if flow.response is not None:
            flow.response.stream = True

    def websocket_message(self, flow: HTTPFlow) -> None:
        """mitmproxy keeps every message of a web socket for as long as it is open."""
        if flow.websocket is not None:
            del flow.websocket.messages[:-1]

    def tcp_message(self, flow: TCPFlow) -> None:
        """It keeps what passes as bytes, too: after an upgrade, and in protocols that it does not know."""
        flow.messages.clear()
