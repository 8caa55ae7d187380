"""gRPC without TLS passes as it would without us, and is recorded. mitmproxy by itself ends such connections.

If these fail after an upgrade of mitmproxy, look at addons/traceaudit_addons/cleartext_http2.py first: it tells
mitmproxy that a cleartext connection speaks HTTP/2 in a way that mitmproxy does not document.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from tests.addons.rig import sidecar
from traceaudit.exchange import Direction
from traceaudit.listeners import LOOPBACK, Address

WAIT_S = 20


class Shop(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers with what it is sent; keeps the metadata of every call."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, str]] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        self.metadata.append(dict(details.invocation_metadata))
        name = details.method.rpartition("/")[2]
        if name == "Unary":
            return grpc.unary_unary_rpc_method_handler(self.unary)
        if name == "Fails":
            return grpc.unary_unary_rpc_method_handler(self.fails)
        return grpc.stream_stream_rpc_method_handler(self.stream)

    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((("x-trailer", "kept"),))
        return b"re: " + request

    def fails(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such product")
        raise AssertionError

    def stream(self, requests: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield b"re: " + request


@pytest.fixture
def shop() -> Iterator[tuple[Shop, Address]]:
    handler = Shop()
    server = grpc.server(ThreadPoolExecutor(4), handlers=[handler])
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    server.start()
    yield handler, Address(LOOPBACK, port)
    server.stop(None).wait()


async def test_a_call_with_its_metadata_and_trailers(shop: tuple[Shop, Address], tmp_path: Path) -> None:
    handler, address = shop

    def call(to: Address) -> None:
        with grpc.insecure_channel(str(to)) as channel:
            unary = channel.unary_unary("/shop.v1.Shop/Unary")
            answer, done = unary.with_call(b"tea", timeout=WAIT_S, metadata=(("x-mine", "1"),))
            assert answer == b"re: tea"
            assert dict(done.trailing_metadata()) == {"x-trailer": "kept"}

    async with sidecar(tmp_path, address) as rig:
        await asyncio.to_thread(call, rig.inbound)
        (exchange,) = rig.exchanges()
    assert handler.metadata[0]["x-mine"] == "1"
    assert handler.metadata[0]["traceparent"] in dict(exchange.request_headers).values()
    assert (exchange.path, exchange.http_version, exchange.status) == ("/shop.v1.Shop/Unary", "HTTP/2.0", 200)


async def test_an_error_reaches_the_client_with_its_words(shop: tuple[Shop, Address], tmp_path: Path) -> None:
    _, address = shop

    def call(to: Address) -> None:
        with grpc.insecure_channel(str(to)) as channel, pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/shop.v1.Shop/Fails")(b"", timeout=WAIT_S)
        assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.NOT_FOUND, "no such product")

    async with sidecar(tmp_path, address) as rig:
        await asyncio.to_thread(call, rig.inbound)


async def test_messages_go_back_and_forth_one_by_one(shop: tuple[Shop, Address], tmp_path: Path) -> None:
    """Each message is sent only when the one before has been answered."""
    _, address = shop

    def talk(to: Address) -> None:
        waiting: queue.Queue[bytes | None] = queue.Queue()
        with grpc.insecure_channel(str(to)) as channel:
            answers = channel.stream_stream("/shop.v1.Shop/Talk")(iter(waiting.get, None), timeout=WAIT_S)
            for number in range(20):
                waiting.put(b"%d" % number)
                assert next(answers) == b"re: %d" % number
            waiting.put(None)
            assert list(answers) == []

    async with sidecar(tmp_path, address) as rig:
        await asyncio.to_thread(talk, rig.inbound)


async def test_a_call_through_the_explicit_proxy(
    shop: tuple[Shop, Address], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC asks the proxy for a tunnel (CONNECT), and speaks HTTP/2 inside it."""
    handler, address = shop

    def call() -> None:
        with grpc.insecure_channel("pricing.test:50051") as channel:
            assert channel.unary_unary("/shop.v1.Shop/Unary")(b"tea", timeout=WAIT_S) == b"re: tea"

    async with sidecar(tmp_path, address, routes={"pricing.test": address}) as rig:
        monkeypatch.setenv("grpc_proxy", f"http://{rig.outbound}")
        await asyncio.to_thread(call)
        (exchange,) = rig.exchanges()
    assert (exchange.direction, exchange.authority) == (Direction.OUTBOUND, "pricing.test:50051")
    assert exchange.path == "/shop.v1.Shop/Unary"
    assert len(handler.metadata) == 1
