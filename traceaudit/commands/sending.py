"""Sends the service a request of the tool's own, through the inbound listener."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass

from traceaudit.exchange import Header
from traceaudit.listeners import Address

TIMEOUT_S = 30.0
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is written; ``path`` has the query, and the lengths of bodies are added."""

    method: str
    path: str
    authority: str
    headers: Sequence[Header] = ()
    body: bytes | None = None


def send(inbound: Address, request: Request, timeout_s: float = TIMEOUT_S) -> int:
    """Sends a request on a connection of its own, and reads the response to its end; its status.

    Raises ``OSError``, ``http.client.HTTPException`` or ``ValueError`` where there is no answer.
    """
    until = time.monotonic() + timeout_s
    connection = http.client.HTTPConnection(inbound.host, inbound.port, timeout=timeout_s)
    try:
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", request.authority)
        for name, value in request.headers:
            connection.putheader(name, value.encode("latin-1"))
        if request.body is not None:
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body)
        response = connection.getresponse()
        while response.read1(_PIECE):
            if time.monotonic() > until:
                raise TimeoutError("timed out")  # A stream of events comes to no end.
        return response.status
    finally:
        connection.close()
