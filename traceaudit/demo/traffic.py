"""The demo's traffic: every route of the shop a few times, one request after another but for one pair.

Pauses are part of it: what a service does on its own is learned from the times when nobody asks it for anything.
"""

from __future__ import annotations

import asyncio
import http.client

from traceaudit.listeners import Address

ROUNDS = 6
_WATCHED_S = 2.0
_PAUSE_S = 0.3
_TIMEOUT_S = 10.0


async def drive(address: Address) -> None:
    """Sends the demo's requests to the inbound listener."""
    await asyncio.sleep(_WATCHED_S)
    for number in range(1, ROUNDS + 1):
        for method, path in (
            ("GET", f"/products/{number}"),
            ("GET", "/checkout"),
            ("POST", "/orders"),
            ("GET", "/search?q=tea"),
            ("GET", "/account"),
        ):
            await _request(address, method, path)
            await asyncio.sleep(_PAUSE_S)
        # Two at once: what these share shows only then.
        await asyncio.gather(*(_request(address, "GET", "/recommendations") for _ in range(2)))
        await asyncio.sleep(_PAUSE_S)


async def _request(address: Address, method: str, path: str) -> None:
    await asyncio.to_thread(_send, address, method, path)


def _send(address: Address, method: str, path: str) -> None:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_TIMEOUT_S)
    try:
        connection.request(method, path)
        connection.getresponse().read()
    finally:
        connection.close()
