"""A sidecar on real sockets between small HTTP/1 servers whose every byte a test decides."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from traceaudit import listeners
from traceaudit.audit import GRACE_NS, Audit, AuditSettings
from traceaudit.correlation.gating import Gate
from traceaudit.exchange import Exchange
from traceaudit.listeners import Address
from traceaudit.store.reader import AuditReader
from traceaudit.store.writer import AuditWriter
from traceaudit_addons import certificates
from traceaudit_addons.cleartext_http2 import CleartextHTTP2
from traceaudit_addons.directions import Directions
from traceaudit_addons.gatekeeper import Answers, Gatekeeper
from traceaudit_addons.isolation import Isolation
from traceaudit_addons.minting import formats_to_mint
from traceaudit_addons.recorder import LOCK_PATIENCE_MS, Clock, Recorder
from traceaudit_addons.service_names import ServiceNames
from traceaudit_addons.sidecar import Sidecar
from traceaudit_addons.streaming import Streaming

type Handler = Callable[["Request"], Awaitable[bytes | None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUIRED = ("traceparent", "b3", "x-request-id")


@dataclass
class Request:
    """One request as a server got it, byte for byte, and the way back for answers that come in pieces."""

    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    def lines(self) -> list[bytes]:
        return self.head.rstrip(b"\r\n").split(b"\r\n")[1:]

    def values(self, name: str) -> list[str]:
        wanted = f"{name.lower()}:".encode()
        return [line.partition(b":")[2].strip().decode() for line in self.lines() if line.lower().startswith(wanted)]


def length_of(head: bytes) -> int | None:
    """What Content-Length says; None: it is not there."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return None


@contextlib.asynccontextmanager
async def server(handle: Handler) -> AsyncIterator[Address]:
    """An HTTP/1.1 server on a free port; a handler that gives None has answered by itself."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                answer = await handle(Request(head, await reader.readexactly(length_of(head) or 0), reader, writer))
                if answer is not None:
                    writer.write(answer)
                await writer.drain()
        writer.close()

    listening = await asyncio.start_server(connected, listeners.LOOPBACK, 0)
    try:
        yield Address(*listening.sockets[0].getsockname()[:2])
    finally:
        listening.close()


async def send(address: Address, raw: bytes) -> bytes:
    """Sends one request on a connection of its own; everything that comes back until the other side is done."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        length = length_of(head)
        return head + (await reader.read() if length is None else await reader.readexactly(length))
    finally:
        writer.close()


def get(path: str, *headers: str, host: str = "shop.test") -> bytes:
    """A GET request's bytes."""
    return "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "")).encode("latin-1")


@dataclass
class Rig:
    """A running sidecar: where it listens, and what it has written so far."""

    inbound: Address
    outbound: Address
    database: Path
    writer: AuditWriter
    audit: Audit

    def exchanges(self) -> list[Exchange]:
        """What somebody else reads from the file now."""
        reader = AuditReader(self.database)
        try:
            return list(reader.exchanges())
        finally:
            reader.close()

    def scalar(self, sql: str) -> object:
        connection = sqlite3.connect(self.database)
        try:
            return connection.execute(sql).fetchone()[0]
        finally:
            connection.close()


@contextlib.asynccontextmanager
async def sidecar(
    folder: Path,
    service: Address,
    *,
    routes: Mapping[str, Address] | None = None,
    mint: str = "missing",
    isolate_s: float | None = None,
    gate: Gate | None = None,
    audit: Audit | None = None,
    first: Sequence[object] = (),
) -> AsyncIterator[Rig]:
    """The sidecar around a service, as the commands put it together; ``first`` are addons that hear of all before."""
    places = [listeners.inbound(f"{free_port()}:{service.port}"), listeners.proxy(str(free_port()))]
    clock = Clock()
    grace_ns = GRACE_NS if isolate_s is None else int(isolate_s * 1e9)
    audit = audit or Audit(AuditSettings(grace_ns=grace_ns))
    audit.advance(clock.now_ns())
    database = folder / "audit.db"
    writer = AuditWriter(database, started_ns=clock.now_ns(), patience_ms=LOCK_PATIENCE_MS)
    directions = Directions.of(places)
    recorder = Recorder(audit, writer, directions, clock, mint_formats=formats_to_mint(REQUIRED, mint))
    before: list[object] = [] if isolate_s is None else [Isolation(directions, isolate_s)]
    after: list[object] = []
    if gate is not None:
        recorder.gatekeeper = Gatekeeper(gate, audit, directions, clock.now_ns, recorder.failed)
        before.append(recorder.gatekeeper)
        after.append(Answers(recorder.gatekeeper, directions))
    authority = folder / "authority"
    authority.mkdir()
    names = ServiceNames(routes or {}, directions)
    addons = [*first, CleartextHTTP2(), *before, Streaming(), recorder, names, *after]
    master = Sidecar(
        places, addons, certificates=authority, trusted=certificates.written(authority, certificates.roots(os.environ))
    )
    running = asyncio.create_task(master.run())
    await master.listening.wait()
    assert master.problem is None
    try:
        yield Rig(places[0].listen, places[1].listen, database, writer, audit)
    finally:
        master.should_exit.set()
        await running
        writer.conclude(audit, clock.now_ns())


async def drained(rig: Rig, count: int) -> None:
    """Returns when so many exchanges have ended, on the disk."""
    async with asyncio.timeout(20):
        while len([each for each in rig.exchanges() if each.ended_ns]) < count:
            await asyncio.sleep(0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((listeners.LOOPBACK, 0))
        return int(probe.getsockname()[1])
