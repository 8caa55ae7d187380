"""Answers the DNS questions of a service whose calls are redirected: Service names by the routes, others as ever."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from traceaudit.listeners import LOOPBACK, Address
from traceaudit.virtual_names import VirtualNames

_PATIENCE_S = 5.0
"""The resolver's own default. resolv.conf(5)"""

_RESOLVERS = Path("/etc/resolv.conf")


def resolvers(path: Path = _RESOLVERS) -> list[Address]:
    """The name servers that this machine asks."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [Address(each[1].partition("%")[0], 53) for each in fields if len(each) > 1 and each[0] == "nameserver"]


class NameServer(asyncio.DatagramProtocol):
    """A UDP socket that answers; make it with :meth:`open`."""

    def __init__(self, names: VirtualNames, resolvers: Sequence[Address]) -> None:
        self._names = names
        self._resolvers = resolvers
        self._transport: asyncio.DatagramTransport | None = None
        self._asking: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls, names: VirtualNames, resolvers: Sequence[Address], given: socket.socket | None = None
    ) -> NameServer:
        """A server on a socket that is given, or on a free port of the loopback interface."""
        loop = asyncio.get_running_loop()
        where: dict[str, Any] = {"sock": given} if given is not None else {"local_addr": (LOOPBACK, 0)}
        _, server = await loop.create_datagram_endpoint(lambda: cls(names, resolvers), **where)
        return server

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._transport is not None
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def close(self) -> None:
        """Answers no more."""
        for task in self._asking:
            task.cancel()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # a UDP socket's
        """The socket is open."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A question has come."""
        answer = self._names.answer(data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)
            return
        task = asyncio.get_running_loop().create_task(self._ask(data, addr))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, query: bytes, client: tuple[str, int]) -> None:
        """Passes a question on to the machine's own name servers, one after the other."""
        loop = asyncio.get_running_loop()
        for resolver in self._resolvers:
            answered: asyncio.Future[bytes] = loop.create_future()
            try:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda answered=answered: _Question(answered),  # type: ignore[misc]  # mypy takes it for another
                    remote_addr=(resolver.host, resolver.port),
                )
            except OSError:
                continue
            try:
                transport.sendto(query)
                with contextlib.suppress(TimeoutError, OSError):
                    async with asyncio.timeout(_PATIENCE_S):
                        answer = await answered
                    if self._transport is not None and not self._transport.is_closing():
                        self._transport.sendto(answer, client)
                    return
            finally:
                transport.close()


class _Question(asyncio.DatagramProtocol):
    """One question to another name server."""

    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: ARG002  (asyncio's signature)
        if not self._answered.done():
            self._answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)
