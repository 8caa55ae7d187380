"""Lets bodies stream through in both directions, and messages of web sockets be forgotten once they have passed."""

from __future__ import annotations

from mitmproxy.http import HTTPFlow


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
