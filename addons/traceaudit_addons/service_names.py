"""Resolves Service names (`inventory`, `inventory.default.svc.cluster.local`) to the addresses of a table."""

from __future__ import annotations

from collections.abc import Mapping

from mitmproxy.http import HTTPFlow

from traceaudit.exchange import Direction
from traceaudit.listeners import Address
from traceaudit_addons.directions import Directions

_CLUSTER = (".svc.cluster.local", ".svc")


def short_name(host: str) -> str:
    """`inventory.default` for `inventory.default.svc.cluster.local`; other names stay as they are, in lower case."""
    host = host.lower().removesuffix(".")
    for suffix in _CLUSTER:
        if host.endswith(suffix):
            return host.removesuffix(suffix)
    return host


class ServiceNames:
    """Sends calls by Service name where the table says; the `Host` header stays as the service wrote it."""

    def __init__(self, routes: Mapping[str, Address], directions: Directions) -> None:
        self._routes = {name.lower(): address for name, address in routes.items()}
        self._directions = directions

    def address(self, host: str, port: int) -> Address | None:
        """Where a host and port lead; ``None``: the table does not know.

        The table's names are matched from the most exact to the least: with the port, the name as it was written, the
        name without the cluster's suffix, and the Service alone without its namespace.
        """
        host = host.lower().removesuffix(".")
        short = short_name(host)
        service = short.partition(".")[0] if short != host or "." not in host else host
        for name in (host, short, service):
            for key in (f"{name}:{port}", name):
                if key in self._routes:
                    return self._routes[key]
        return None

    def requestheaders(self, flow: HTTPFlow) -> None:
        """A call through the explicit proxy, in the clear."""
        if self._directions.direction(flow) is Direction.OUTBOUND:
            self._lead(flow)

    def http_connect(self, flow: HTTPFlow) -> None:
        """A call through a tunnel of the explicit proxy."""
        self._lead(flow)

    def _lead(self, flow: HTTPFlow) -> None:
        address = self.address(flow.request.host, flow.request.port)
        if address is not None:
            # Not flow.request.host: its setter writes the Host header too.
            flow.request.data.host, flow.request.data.port = address.host, address.port
