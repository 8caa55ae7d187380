"""What is no plain request and response passes as it would without the audit: byte for byte, and as it comes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.addons.rig import OK, Request, Rig, drained, get, send, server, sidecar
from traceaudit.exchange import Direction
from traceaudit.listeners import Address

WAIT_S = 20
HEAD_END = b"\r\n\r\n"


@contextlib.asynccontextmanager
async def connection(address: Address) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        async with asyncio.timeout(WAIT_S):
            yield reader, writer
    finally:
        writer.close()


def post(*headers: str, target: str = "/") -> bytes:
    return get(target, *headers).replace(b"GET", b"POST", 1)


# --- trailers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["inbound", "outbound"])
async def test_trailers_of_a_request_pass(way: str, tmp_path: Path) -> None:
    got: list[bytes] = []

    async def service(request: Request) -> bytes:
        got.append(await request.reader.readuntil(b"X-Sum: 7\r\n\r\n"))
        return OK

    async with server(service) as address, sidecar(tmp_path, address, routes={"shop.test": address}) as rig:
        to, target = (rig.inbound, "/") if way == "inbound" else (rig.outbound, "http://shop.test/")
        async with connection(to) as (reader, writer):
            for _ in range(2):  # The connection is as good as before.
                writer.write(post("Transfer-Encoding: chunked", "Trailer: X-Sum", target=target))
                writer.write(b"3\r\ntea\r\n0\r\nX-Sum: 7\r\n\r\n")
                assert (await reader.readexactly(len(OK))) == OK
    assert got == [b"3\r\ntea\r\n0\r\nX-Sum: 7\r\n\r\n"] * 2


async def test_trailers_of_a_response_pass_and_are_recorded(tmp_path: Path) -> None:
    async def service(request: Request) -> bytes:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        return head + b"3\r\ntea\r\n0\r\nX-Sum: 7\r\nX-sum: 8\r\n\r\n"

    async with server(service) as address, sidecar(tmp_path, address) as rig:
        async with connection(rig.inbound) as (reader, writer):
            for _ in range(2):
                writer.write(get("/"))
                answer = await reader.readuntil(b"X-Sum: 7\r\nX-sum: 8\r\n\r\n")
                assert answer.endswith(b"\r\n\r\n3\r\ntea\r\n0\r\nX-Sum: 7\r\nX-sum: 8\r\n\r\n")
        exchange = rig.exchanges()[0]
    assert exchange.response_headers[-2:] == [("X-Sum", "7"), ("X-sum", "8")]


# --- interim responses ------------------------------------------------------------------------------------------------


async def test_the_service_decides_whether_it_wants_a_body(tmp_path: Path) -> None:
    """The client sends its body when it is told to go on, and the service says so when it has seen the headers."""

    async def service(request: Request) -> bytes:
        assert request.lines()[-1] == b"Expect: 100-Continue"
        request.writer.write(b"HTTP/1.1 100 Continue\r\nX-Said-By: service\r\n\r\n")
        assert await request.reader.readuntil(b"0\r\n\r\n") == b"3\r\ntea\r\n0\r\n\r\n"
        return OK

    async with server(service) as address, sidecar(tmp_path, address, mint="never") as rig:
        async with connection(rig.inbound) as (reader, writer):
            writer.write(post("Transfer-Encoding: chunked", "Expect: 100-Continue"))
            interim = await reader.readuntil(HEAD_END)
            assert interim == b"HTTP/1.1 100 Continue\r\nX-Said-By: service\r\n\r\n"
            writer.write(b"3\r\ntea\r\n0\r\n\r\n")
            assert await reader.readexactly(len(OK)) == OK
        (exchange,) = rig.exchanges()
    assert exchange.status == 200
    assert exchange.request_headers[-1] == ("Expect", "100-Continue")


@pytest.mark.parametrize(
    "framing", ["Content-Length: 2\r\n\r\nno", "Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"]
)
async def test_a_body_that_the_service_declines_is_never_sent(framing: str, tmp_path: Path) -> None:
    answer = f"HTTP/1.1 417 Expectation Failed\r\n{framing}".encode()

    async def service(request: Request) -> None:
        request.writer.write(answer)

    async with server(service) as address, sidecar(tmp_path, address) as rig:
        async with connection(rig.inbound) as (reader, writer):
            writer.write(post("Transfer-Encoding: chunked", "Expect: 100-continue"))
            assert await reader.readexactly(len(answer)) == answer
        await drained(rig, 1)
        assert rig.exchanges()[0].status == 417


async def test_early_hints_come_before_the_response(tmp_path: Path) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"

    async def service(request: Request) -> bytes:
        return hints + hints + OK

    async with server(service) as address, sidecar(tmp_path, address) as rig:
        async with connection(rig.inbound) as (reader, writer):
            for _ in range(2):
                writer.write(get("/"))
                assert await reader.readexactly(len(2 * hints + OK)) == hints + hints + OK
        assert [each.status for each in rig.exchanges()] == [200, 200]


# --- connections ------------------------------------------------------------------------------------------------------


async def test_requests_on_one_connection_are_answered_in_order(tmp_path: Path) -> None:
    async def service(request: Request) -> bytes:
        body = request.target.encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async with server(service) as address, sidecar(tmp_path, address) as rig:
        async with connection(rig.inbound) as (reader, writer):
            writer.write(b"".join(get(f"/item-{number:02}") for number in range(20)))
            for number in range(20):
                assert (await reader.readuntil(f"/item-{number:02}".encode())).startswith(b"HTTP/1.1 200")
        assert len({each.connection_id for each in rig.exchanges()}) == 1


async def test_a_response_that_ends_with_its_connection_passes(tmp_path: Path) -> None:
    async def service(request: Request) -> None:
        request.writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")
        request.writer.close()

    async with (
        server(service) as address,
        sidecar(tmp_path, address) as rig,
        connection(rig.inbound) as (reader, writer),
    ):
        writer.write(get("/"))
        assert (await reader.read()).endswith(b"\r\n\r\nuntil the end")


async def test_a_client_that_has_closed_its_side_gets_its_response(tmp_path: Path) -> None:
    """And the service sees that it has: it answers when it has read the end of what the client says."""

    async def service(request: Request) -> bytes:
        assert await request.reader.read() == b""
        return OK

    async with server(service) as address, sidecar(tmp_path, address) as rig:
        async with connection(rig.inbound) as (reader, writer):
            writer.write(get("/"))
            writer.write_eof()
            assert await reader.read() == OK
        (exchange,) = rig.exchanges()
    assert (exchange.status, exchange.error) == (200, None)


async def test_a_service_sees_that_its_client_has_gone(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def service(request: Request) -> None:
        with contextlib.suppress(ConnectionError):
            request.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await request.reader.read()
            while True:
                request.writer.write(b"1\r\n.\r\n")
                await request.writer.drain()
                await asyncio.sleep(0)  # drain() does not let others run while there is room
        gone.set()

    async with server(service) as address, sidecar(tmp_path, address) as rig, asyncio.timeout(WAIT_S):
        async with connection(rig.inbound) as (reader, writer):
            writer.write(get("/"))
            await reader.readuntil(HEAD_END)
        await gone.wait()
        await drained(rig, 1)
        assert rig.exchanges()[0].error is not None


async def test_an_upload_that_is_broken_off_is_broken_off_at_the_service(tmp_path: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def service(request: Request) -> None:
        await request.reader.readuntil(b"begin\r\n")
        begun.set()
        with contextlib.suppress(ConnectionError):
            assert await request.reader.read() == b""
        ended.set()

    async with server(service) as address, sidecar(tmp_path, address) as rig, asyncio.timeout(WAIT_S):
        async with connection(rig.inbound) as (_, writer):
            writer.write(post("Transfer-Encoding: chunked") + b"5\r\nbegin\r\n")
            await begun.wait()
        await ended.wait()
        await drained(rig, 1)
        (exchange,) = rig.exchanges()
    assert exchange.status is None
    assert exchange.error is not None


async def test_a_response_that_comes_before_the_request_has_ended_is_whole(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 413 Content Too Large\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbig\r\n0\r\n\r\n"
    answered = asyncio.Event()

    async def service(request: Request) -> None:
        await request.reader.readuntil(b"begin\r\n")
        request.writer.write(answer)
        await answered.wait()
        await request.reader.readuntil(b"0\r\n\r\n")
        # The connection goes on.
        await request.reader.readuntil(HEAD_END)
        request.writer.write(OK)

    async with server(service) as address, sidecar(tmp_path, address) as rig:
        async with connection(rig.inbound) as (reader, writer):
            writer.write(post("Transfer-Encoding: chunked") + b"5\r\nbegin\r\n")
            assert await reader.readexactly(len(answer)) == answer
            answered.set()
            writer.write(b"0\r\n\r\n" + get("/next"))
            assert await reader.readexactly(len(OK)) == OK
        assert [each.status for each in rig.exchanges()] == [413, 200]


# --- web sockets ------------------------------------------------------------------------------------------------------


async def socket_service(request: Request) -> None:
    """Accepts the upgrade and says again whatever it hears."""
    key = request.values("sec-websocket-key")[0] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
    fields = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    request.writer.write(b"HTTP/1.1 101 Switching Protocols\r\n" + fields.encode() + b"\x81\x02hi")
    while data := await request.reader.read(65536):
        request.writer.write(data)
        await request.writer.drain()
    request.writer.close()


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Extensions: x-unheard-of",
)


@pytest.mark.parametrize("way", ["inbound", "outbound"])
async def test_a_web_socket_passes_byte_for_byte_and_ends_when_it_is_closed(way: str, tmp_path: Path) -> None:
    """Not message for message: a message may be endless, and its parts are waited for."""
    async with server(socket_service) as address, sidecar(tmp_path, address, routes={"shop.test": address}) as rig:
        to, target = (rig.inbound, "/chat") if way == "inbound" else (rig.outbound, "http://shop.test/chat")
        async with connection(to) as (reader, writer):
            writer.write(get(target, *UPGRADE))
            assert (await reader.readuntil(HEAD_END)).startswith(b"HTTP/1.1 101 ")
            assert await reader.readexactly(4) == b"\x81\x02hi"
            part = b"\x01\x83abcd" + b"123"  # the first part of a message that never ends, masked
            odd = os.urandom(100_000)
            for frame in (part, odd, b"\x89\x80wxyz"):
                writer.write(frame)
                assert await reader.readexactly(len(frame)) == frame
            assert await ended(rig) is None
        await drained(rig, 1)
        (exchange,) = rig.exchanges()
    assert (exchange.path, exchange.status) == ("/chat", 101)
    assert exchange.direction is (Direction.INBOUND if way == "inbound" else Direction.OUTBOUND)


async def ended(rig: Rig) -> int | None:
    return rig.exchanges()[0].ended_ns


async def test_a_refused_upgrade_is_a_response_like_any_other(tmp_path: Path) -> None:
    async def service(request: Request) -> bytes:
        return OK

    async with server(service) as address, sidecar(tmp_path, address) as rig:
        assert await send(rig.inbound, get("/chat", *UPGRADE)) == OK
