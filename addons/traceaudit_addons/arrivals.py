"""Tells when a request is about to reach the service, so that what it does then can be looked at closely."""

from __future__ import annotations

from collections.abc import Callable

from mitmproxy.http import HTTPFlow

from traceaudit.exchange import Direction
from traceaudit_addons.directions import Directions


class Arrivals:
    """``tell`` is called for every inbound request."""

    def __init__(self, directions: Directions, tell: Callable[[], None]) -> None:
        self._directions = directions
        self._tell = tell

    def requestheaders(self, flow: HTTPFlow) -> None:
        """A request is here."""
        if self._directions.direction(flow) is Direction.INBOUND:
            self._tell()
