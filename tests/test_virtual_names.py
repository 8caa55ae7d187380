"""Service names get addresses of their own, and every other DNS question is left to others."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest

from traceaudit.listeners import LOOPBACK, Address
from traceaudit.name_server import NameServer, resolvers
from traceaudit.virtual_names import VirtualNames

A, AAAA = 1, 28
ROUTES = {
    "inventory": Address(LOOPBACK, 9001),
    "pricing:8080": Address(LOOPBACK, 9002),
    "pricing": Address(LOOPBACK, 9003),
    "store": Address(LOOPBACK, 5432),
}


def query(name: str, kind: int = A, *, id_: int = 7) -> bytes:
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    return struct.pack("!HHHHHH", id_, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def address_in(answer: bytes) -> str:
    return ".".join(map(str, answer[-4:]))


def test_each_name_has_an_address_that_leads_where_its_route_points() -> None:
    names = VirtualNames(ROUTES)
    assert sorted(names.addresses) == ["inventory", "pricing"]  # a database goes round the proxy
    assert names.real(names.addresses["inventory"], 80) == Address(LOOPBACK, 9001)
    assert names.real(names.addresses["pricing"], 8080) == Address(LOOPBACK, 9002)
    assert names.real(names.addresses["pricing"], 80) == Address(LOOPBACK, 9003)
    assert names.real("127.0.0.1", 80) is None


@pytest.mark.parametrize(
    "name",
    ["inventory", "Inventory", "inventory.shop.svc.cluster.local", "inventory.shop.svc", "inventory.default.svc"],
)
def test_a_question_for_a_name_is_answered(name: str) -> None:
    names = VirtualNames(ROUTES)
    answer = names.answer(query(name))
    assert answer is not None
    assert struct.unpack_from("!HHHH", answer) == (7, 0x8180, 1, 1)
    assert address_in(answer) == names.addresses["inventory"]


def test_a_name_has_no_ipv6_address_and_is_there_all_the_same() -> None:
    answer = VirtualNames(ROUTES).answer(query("inventory", AAAA))
    assert answer is not None
    assert struct.unpack_from("!HHHH", answer) == (7, 0x8180, 1, 0)


@pytest.mark.parametrize(
    "question",
    [
        query("example.com"),
        query("inventory.example.com"),
        b"",
        query("inventory")[:-3],
        query("inventory")[:20],
        b"\0\7\x85\x80" + query("inventory")[4:],
        query("inventory")[:12] + b"\xc0\x0c\0\1\0\1",
    ],
)
def test_every_other_question_is_left_to_others(question: bytes) -> None:
    assert VirtualNames(ROUTES).answer(question) is None


class Asking(asyncio.DatagramProtocol):
    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self.answered = answered

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: ARG002  (as asyncio calls it)
        self.answered.set_result(data)


class Resolver(asyncio.DatagramProtocol):
    """The machine's own: answers every question with its own text."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # a UDP socket's
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(b"answer to " + data, addr)


async def ask(port: int, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: Asking(answered), remote_addr=(LOOPBACK, port))
    try:
        transport.sendto(question)
        async with asyncio.timeout(30):
            return await answered
    finally:
        transport.close()


async def test_the_server_answers_for_names_and_passes_on_the_rest() -> None:
    loop = asyncio.get_running_loop()
    resolver, _ = await loop.create_datagram_endpoint(Resolver, local_addr=(LOOPBACK, 0))
    names = VirtualNames(ROUTES)
    server = await NameServer.open(names, [Address(LOOPBACK, resolver.get_extra_info("sockname")[1])])
    try:
        assert address_in(await ask(server.port, query("inventory"))) == names.addresses["inventory"]
        assert await ask(server.port, query("example.com")) == b"answer to " + query("example.com")
    finally:
        server.close()
        resolver.close()


def test_the_machines_name_servers_are_read_from_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("# a comment\nsearch shop\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\noptions ndots:5\n")
    assert resolvers(path) == [Address("10.0.0.53", 53), Address("fe80::1", 53)]
    assert resolvers(tmp_path / "none") == []
