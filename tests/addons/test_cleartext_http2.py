"""gRPC without TLS passes as it would without us, and is recorded: a client of grpcio, a server of grpc-go.

mitmproxy by itself ends such connections. If these fail after an upgrade of mitmproxy, look at
addons/traceaudit_addons/cleartext_http2.py first: it tells mitmproxy that a cleartext connection speaks HTTP/2 in a way
that mitmproxy does not document.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import grpc
import pytest
from mitmproxy.proxy.layer import NextLayer

from tests.addons.rig import OK, Request, Rig, drained, get, send, server, sidecar
from tests.services import Service, running
from traceaudit.exchange import Direction, Exchange
from traceaudit.listeners import LOOPBACK, Address

WAIT_S = 20
NAME = "pricing.test:50051"
WAYS = ["inbound", "tunnel"]


@pytest.fixture(scope="module")
def shop() -> Iterator[Service]:
    with running("grpc") as service:
        yield service


def packed(text: str) -> bytes:
    """A google.protobuf.StringValue."""
    content = text.encode()
    assert len(content) < 128
    return b"\x0a" + bytes([len(content)]) + content if content else b""


def unpacked(message: bytes) -> str:
    return message[2:].decode()


class Client:
    """A channel to the shop, by the inbound listener or through the explicit proxy's tunnel."""

    def __init__(self, rig: Rig, way: str) -> None:
        target, options = str(rig.inbound), []
        if way == "tunnel":
            target, options = NAME, [("grpc.http_proxy", f"http://{rig.outbound}")]
        self.channel = grpc.insecure_channel(target, options=options)

    def unary(self, name: str) -> grpc.UnaryUnaryMultiCallable:
        return self.channel.unary_unary(f"/shop.v1.Shop/{name}", packed, unpacked)

    def upload(self, name: str) -> grpc.StreamUnaryMultiCallable:
        return self.channel.stream_unary(f"/shop.v1.Shop/{name}", packed, unpacked)

    def download(self, name: str) -> grpc.UnaryStreamMultiCallable:
        return self.channel.unary_stream(f"/shop.v1.Shop/{name}", packed, unpacked)

    def stream(self, name: str) -> grpc.StreamStreamMultiCallable:
        return self.channel.stream_stream(f"/shop.v1.Shop/{name}", packed, unpacked)


async def audited(tmp_path: Path, shop: Service, way: str, talk: Callable[[Client], None]) -> list[Exchange]:
    """Has a conversation through the sidecar; the exchanges that are on the disk when it is over."""
    address = Address(LOOPBACK, shop.port)

    def whole() -> None:
        client = Client(rig, way)
        with client.channel:
            talk(client)

    async with sidecar(tmp_path, address, routes={"pricing.test": address}) as rig:
        await asyncio.to_thread(whole)
        at_once = rig.exchanges()
        await drained(rig, len(at_once))
        return rig.exchanges()


@pytest.mark.parametrize("way", WAYS)
async def test_cleartext_http2_passes_this_version_of_mitmproxy(way: str, shop: Service, tmp_path: Path) -> None:
    def talk(client: Client) -> None:
        try:
            assert client.unary("Echo")("tea", timeout=WAIT_S) == "re: tea"
        except grpc.RpcError as error:
            pytest.fail(
                f"mitmproxy {version('mitmproxy')} no longer passes cleartext HTTP/2 by way of {way}"
                f" ({error.code().name}: {error.details()}): addons/traceaudit_addons/cleartext_http2.py has to be"
                " brought up to it, or mitmproxy held back in pyproject.toml"
            )

    (exchange,) = await audited(tmp_path, shop, way, talk)
    assert (exchange.method, exchange.path, exchange.http_version) == ("POST", "/shop.v1.Shop/Echo", "HTTP/2.0")
    inbound = way == "inbound"
    assert exchange.direction is (Direction.INBOUND if inbound else Direction.OUTBOUND)
    assert inbound or exchange.authority == NAME


@pytest.mark.parametrize("way", WAYS)
async def test_metadata_is_headers_and_trailing_metadata_follows_them(way: str, shop: Service, tmp_path: Path) -> None:
    def talk(client: Client) -> None:
        metadata = (("x-mine", "1"), ("x-mine", "2"), ("x-bytes-bin", b"\0\xff"))
        answer, call = client.unary("Echo").with_call("tea", timeout=WAIT_S, metadata=metadata)
        assert answer == "re: tea"
        assert ("x-header", "first") in call.initial_metadata()
        assert dict(call.trailing_metadata()) == {"x-trailer": "last"}

    (exchange,) = await audited(tmp_path, shop, way, talk)
    assert [value for name, value in exchange.request_headers if name == "x-mine"] == ["1", "2"]
    assert dict(exchange.request_headers)["x-bytes-bin"] == "AP8"
    names = [name for name, _ in exchange.response_headers]
    assert names.index("x-header") < names.index("grpc-status") < len(names)
    assert dict(exchange.response_headers)["x-trailer"] == "last"


@pytest.mark.parametrize(
    ("code", "status"),
    [("5", grpc.StatusCode.NOT_FOUND), ("13", grpc.StatusCode.INTERNAL), ("16", grpc.StatusCode.UNAUTHENTICATED)],
)
async def test_the_status_of_a_call_is_the_exchanges(
    code: str, status: grpc.StatusCode, shop: Service, tmp_path: Path
) -> None:
    def talk(client: Client) -> None:
        with pytest.raises(grpc.RpcError) as failed:
            client.unary("Fail")(code, timeout=WAIT_S)
        assert (failed.value.code(), failed.value.details()) == (status, "no such product: thé")

    (exchange,) = await audited(tmp_path, shop, "inbound", talk)
    assert exchange.status == int(code)
    assert exchange.error is None


async def test_a_call_that_went_well_has_the_status_0(shop: Service, tmp_path: Path) -> None:
    (exchange,) = await audited(
        tmp_path, shop, "inbound", lambda client: client.unary("Echo")("tea", timeout=WAIT_S) and None
    )
    assert exchange.status == 0


@pytest.mark.parametrize("way", WAYS)
async def test_every_kind_of_stream_passes(way: str, shop: Service, tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(300)]

    def talk(client: Client) -> None:
        assert client.upload("Collect")(iter(words[:20]), timeout=WAIT_S) == " ".join(words[:20])
        assert list(client.download("List")(" ".join(words[:20]), timeout=WAIT_S)) == words[:20]
        assert list(client.stream("Talk")(iter(words), timeout=WAIT_S)) == [f"re: {word}" for word in words]

    exchanges = await audited(tmp_path, shop, way, talk)
    assert [(each.path.rpartition("/")[2], each.status) for each in exchanges] == [
        ("Collect", 0),
        ("List", 0),
        ("Talk", 0),
    ]


@pytest.mark.parametrize("way", WAYS)
async def test_messages_go_back_and_forth_one_by_one(way: str, shop: Service, tmp_path: Path) -> None:
    """Each message is sent only when the one before has been answered."""

    def talk(client: Client) -> None:
        waiting: queue.Queue[str | None] = queue.Queue()
        answers = client.stream("Talk")(iter(waiting.get, None), timeout=WAIT_S)
        for number in range(20):
            waiting.put(f"{number}")
            assert next(answers) == f"re: {number}"
        waiting.put(None)
        assert list(answers) == []

    await audited(tmp_path, shop, way, talk)


async def test_a_server_ends_a_stream_before_its_client_does(shop: Service, tmp_path: Path) -> None:
    def talk(client: Client) -> None:
        waiting: queue.Queue[str | None] = queue.Queue()
        answers = client.stream("Talk")(iter(waiting.get, None), timeout=WAIT_S)
        waiting.put("tea")
        assert next(answers) == "re: tea"
        waiting.put("enough")
        with pytest.raises(grpc.RpcError) as failed:
            next(answers)
        waiting.put(None)
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        # The connection is as good as before.
        assert client.unary("Echo")("tea", timeout=WAIT_S) == "re: tea"

    streamed, after = await audited(tmp_path, shop, "inbound", talk)
    assert (streamed.status, streamed.error, after.status) == (8, None, 0)
    assert streamed.ended_ns is not None


@pytest.mark.parametrize("way", WAYS)
async def test_a_deadline_reaches_the_server(way: str, shop: Service, tmp_path: Path) -> None:
    def talk(client: Client) -> None:
        with pytest.raises(grpc.RpcError) as failed:
            client.unary("Wait")("", timeout=0.3)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert client.unary("Ended")("", timeout=WAIT_S).endswith("limited: true")

    waited, _ = await audited(tmp_path, shop, way, talk)
    assert "grpc-timeout" in dict(waited.request_headers)
    assert waited.ended_ns is not None


@pytest.mark.parametrize("way", WAYS)
async def test_a_cancelled_call_is_cancelled_at_the_server(way: str, shop: Service, tmp_path: Path) -> None:
    def talk(client: Client) -> None:
        call = client.unary("Wait").future("")
        # It has been sent when another call behind it on the same connection is answered.
        assert client.unary("Echo")("tea", timeout=WAIT_S) == "re: tea"
        call.cancel()
        assert client.unary("Ended")("", timeout=WAIT_S) == "true, limited: false"

    exchanges = await audited(tmp_path, shop, way, talk)
    (waited,) = (each for each in exchanges if each.path.endswith("/Wait"))
    assert waited.status is None
    assert "CANCEL" in str(waited.error)
    assert waited.ended_ns is not None


async def test_calls_share_a_connection_and_keep_apart(shop: Service, tmp_path: Path) -> None:
    """More at once than a connection may carry before the server has said how many."""
    count = 60

    def talk(client: Client) -> None:
        calls = [client.unary("Echo").future(f"{number}", timeout=WAIT_S) for number in range(count)]
        assert [call.result() for call in calls] == [f"re: {number}" for number in range(count)]

    exchanges = await audited(tmp_path, shop, "inbound", talk)
    assert len(exchanges) == count
    assert len({each.connection_id for each in exchanges}) == 1


class Asked:
    """Hears of each question what a connection speaks."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[bytes] = asyncio.Queue()

    def next_layer(self, nextlayer: NextLayer) -> None:
        self.begun.put_nowait(nextlayer.data_client())


async def test_a_preface_that_comes_in_pieces_is_known(shop: Service, tmp_path: Path) -> None:
    asked = Asked()
    async with sidecar(tmp_path, Address(LOOPBACK, shop.port), first=[asked]) as rig, asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection(rig.inbound.host, rig.inbound.port)
        for part in (b"P", b"RI * HT"):
            writer.write(part)
            while not (await asked.begun.get()).endswith(part):
                pass
        writer.write(b"TP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        frame = await reader.readexactly(9)
        assert frame[3] == 4  # SETTINGS, the server's preface; RFC 9113, 3.4
        writer.close()


async def test_an_offer_to_upgrade_to_http2_is_not_passed_on(tmp_path: Path) -> None:
    """After such an upgrade nothing could be audited; a server may ignore the offer, and Envoy always does."""
    seen: list[Request] = []

    async def service(request: Request) -> bytes:
        seen.append(request)
        return OK

    async with server(service) as address, sidecar(tmp_path, address) as rig:
        offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
        assert (await send(rig.inbound, get("/", *offer))).endswith(b"ok")
    assert seen[0].values("upgrade") == []
    assert seen[0].values("http2-settings") == []
