"""What the sidecar does to the traffic (nothing but minting) and what it writes down of it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from tests.addons.rig import OK, Request, drained, get, send, server, sidecar
from traceaudit.audit import Audit
from traceaudit.exchange import Direction, Exchange
from traceaudit.formats import Format
from traceaudit.listeners import Address
from traceaudit.verdicts import Verdict

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RAW = [
    "X-Z: last first",
    "traceParent: " + TRACEPARENT,
    "x-b3-traceid: 0af7651916cd43dd8448eb211c80319c",
    "TRACEPARENT: " + TRACEPARENT,
    "x-name: caf\xe9  with   spaces",
    "x-empty: ",
]


async def ok(request: Request) -> bytes:
    return OK


class Caller:
    """A service that calls an upstream through the explicit proxy, with the headers it is told to hand on."""

    def __init__(self, *names: str, host: str = "pricing") -> None:
        self.names = names
        self.host = host
        self.proxy: Address | None = None
        self.seen: list[Request] = []

    async def __call__(self, request: Request) -> bytes:
        self.seen.append(request)
        assert self.proxy is not None
        handed_on = [f"{name}: {value}" for name in self.names for value in request.values(name)]
        answer = await send(self.proxy, get(f"http://{self.host}/quote/17", *handed_on, host=self.host))
        return OK if answer.startswith(b"HTTP/1.1 200") else answer


async def test_header_fields_reach_the_service_as_they_were_sent(tmp_path: Path) -> None:
    seen: list[Request] = []

    async def service(request: Request) -> bytes:
        seen.append(request)
        return OK

    async with server(service) as address, sidecar(tmp_path, address, mint="never") as rig:
        await send(rig.inbound, get("/a%2Fb?q=1&q=2", *RAW))
    expected = ["Host: shop.test", *RAW]
    assert [line.decode("latin-1") for line in seen[0].lines()] == expected
    assert seen[0].target == "/a%2Fb?q=1&q=2"


async def test_a_request_is_given_what_it_lacks_and_all_of_it_names_one_trace(tmp_path: Path) -> None:
    seen: list[Request] = []

    async def service(request: Request) -> bytes:
        seen.append(request)
        return OK

    async with server(service) as address, sidecar(tmp_path, address) as rig:
        await send(rig.inbound, get("/", f"Traceparent: {TRACEPARENT}"))
        (exchange,) = rig.exchanges()
    assert seen[0].values("traceparent") == [TRACEPARENT]
    trace_id = TRACEPARENT.split("-")[1]
    assert seen[0].values("b3")[0].split("-")[0] == trace_id
    assert seen[0].values("x-b3-traceid") == [trace_id]
    assert len(seen[0].values("x-request-id")[0]) == 36
    assert exchange.minted == [Format.B3, Format.B3MULTI, Format.REQUEST_ID]
    assert exchange.request_headers[1] == ("Traceparent", TRACEPARENT)


async def test_a_call_by_service_name_is_led_to_its_address_and_keeps_its_host(tmp_path: Path) -> None:
    caller, upstream_saw = Caller("traceparent", "b3", "x-b3-traceid", "x-request-id"), []

    async def upstream(request: Request) -> bytes:
        upstream_saw.append(request)
        return OK

    async with (
        server(upstream) as upstream_address,
        server(caller) as service,
        sidecar(tmp_path, service, routes={"pricing": upstream_address}) as rig,
    ):
        caller.proxy = rig.outbound
        assert (await send(rig.inbound, get("/checkout"))).endswith(b"ok")
        inbound, outbound = rig.exchanges()
    assert upstream_saw[0].values("host") == ["pricing"]
    assert (outbound.direction, outbound.authority, outbound.path) == (Direction.OUTBOUND, "pricing", "/quote/17")
    assert outbound.server_address == str(upstream_address)
    assert rig.scalar("select inbound_id from links where rank = 1") == inbound.id


async def test_an_answered_exchange_is_on_the_disk(tmp_path: Path) -> None:
    """Somebody else reads the file at the moment when the client has its answer."""
    caller = Caller()
    async with (
        server(ok) as upstream,
        server(caller) as service,
        sidecar(tmp_path, service, routes={"pricing": upstream}) as rig,
    ):
        caller.proxy = rig.outbound
        for number in range(1, 6):
            await send(rig.inbound, get(f"/{number}"))
            answered = [each for each in rig.exchanges() if each.status == 200]
            assert len(answered) == 2 * number


async def test_an_upstream_that_cannot_be_reached_is_recorded_with_its_error(tmp_path: Path) -> None:
    caller = Caller()
    async with server(caller) as service:
        async with sidecar(tmp_path, service, routes={"pricing": Address("127.0.0.1", 1)}) as rig:
            caller.proxy = rig.outbound
            assert (await send(rig.inbound, get("/"))).startswith(b"HTTP/1.1 502")
        outbound = next(each for each in rig.exchanges() if each.direction is Direction.OUTBOUND)
    assert outbound.status is None
    assert "Connect call failed" in str(outbound.error)
    assert outbound.ended_ns is not None


async def test_a_stream_of_events_passes_as_it_comes(tmp_path: Path) -> None:
    """The second event is sent only when the client has the first."""
    got_first = asyncio.Event()

    async def service(request: Request) -> None:
        request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await request.writer.drain()
        await got_first.wait()
        request.writer.write(b"data: 2\n\n")
        request.writer.close()

    async with server(service) as address, sidecar(tmp_path, address) as rig, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(rig.inbound.host, rig.inbound.port)
        writer.write(get("/events"))
        assert (await reader.readuntil(b"data: 1\n\n")).startswith(b"HTTP/1.1 200")
        got_first.set()
        assert b"data: 2\n\n" in await reader.read()
        writer.close()


async def test_an_upload_passes_as_it_comes(tmp_path: Path) -> None:
    """The client sends the rest only when the service has the beginning."""
    has_beginning = asyncio.Event()

    async def service(request: Request) -> bytes:
        assert (await request.reader.readuntil(b"\r\nbegin\r\n")).endswith(b"begin\r\n")
        has_beginning.set()
        await request.reader.readuntil(b"0\r\n\r\n")
        return OK

    async with server(service) as address, sidecar(tmp_path, address) as rig, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(rig.inbound.host, rig.inbound.port)
        writer.write(b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n")
        await has_beginning.wait()
        writer.write(b"3\r\nend\r\n0\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


class FailingAudit(Audit):
    """An audit with a bug in it."""

    def begin(self, exchange: Exchange) -> Verdict | None:
        raise ZeroDivisionError(exchange.id)


async def test_an_error_in_the_audit_is_counted_and_the_traffic_flows_on(tmp_path: Path) -> None:
    async with server(ok) as service:
        async with sidecar(tmp_path, service, audit=FailingAudit()) as rig:
            for _ in range(3):
                assert (await send(rig.inbound, get("/"))).endswith(b"ok")
            assert rig.writer.errors == 3
        assert len(rig.exchanges()) == 3
        assert rig.scalar("select audit_errors from runs") == 3


async def test_a_locked_database_holds_nothing_up_and_gets_everything_later(tmp_path: Path) -> None:
    async with server(ok) as service:
        async with sidecar(tmp_path, service) as rig:
            await send(rig.inbound, get("/before"))
            other = sqlite3.connect(rig.database, isolation_level=None)
            other.execute("begin immediate")
            for _ in range(3):
                assert (await send(rig.inbound, get("/meanwhile"))).endswith(b"ok")
            assert rig.writer.errors > 0
            other.execute("rollback")
            other.close()
        assert [each.path for each in rig.exchanges()] == ["/before", "/meanwhile", "/meanwhile", "/meanwhile"]
        assert rig.scalar("select dropped_exchanges from runs") == 0


async def test_the_gate_lets_one_request_in_at_a_time_until_its_late_calls_are_done(tmp_path: Path) -> None:
    inside: list[str] = []
    work: list[asyncio.Task[None]] = []
    most = 0

    async def upstream(request: Request) -> bytes:
        return OK

    class LateCaller(Caller):
        async def __call__(self, request: Request) -> bytes:
            nonlocal most
            inside.append(request.target)
            most = max(most, len(inside))
            work.append(asyncio.create_task(self.later(request)))
            return OK

        async def later(self, request: Request) -> None:
            await super().__call__(request)
            inside.remove(request.target)

    caller = LateCaller()
    async with (
        server(upstream) as upstream_address,
        server(caller) as service,
        sidecar(tmp_path, service, routes={"pricing": upstream_address}, isolate_s=0.2) as rig,
    ):
        caller.proxy = rig.outbound
        await asyncio.gather(*(send(rig.inbound, get(f"/{number}")) for number in range(4)))
        await drained(rig, 8)
    assert most == 1
    methods = rig.scalar("select group_concat(distinct method) from links where rank = 1")
    assert methods == "isolated"


@pytest.mark.parametrize("part", ["x-request-id", "b3"])
async def test_a_request_that_waits_at_the_gate_and_gives_up_does_not_close_it(tmp_path: Path, part: str) -> None:
    release = asyncio.Event()

    async def service(request: Request) -> bytes:
        assert request.values(part)
        if request.target == "/slow":
            await release.wait()
        return OK

    async with server(service) as address, sidecar(tmp_path, address, isolate_s=0.01) as rig, asyncio.timeout(30):
        slow = asyncio.create_task(send(rig.inbound, get("/slow")))
        while not rig.audit._activity.in_flight:
            await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection(rig.inbound.host, rig.inbound.port)
        writer.write(get("/gives-up"))
        await writer.drain()
        writer.close()
        del reader
        release.set()
        assert (await slow).endswith(b"ok")
        assert (await send(rig.inbound, get("/next"))).endswith(b"ok")
