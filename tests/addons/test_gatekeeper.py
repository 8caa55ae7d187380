"""The gate on real sockets: what it holds goes on unharmed, whatever happens to it meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from tests.addons.rig import OK, Request, get, send, server, sidecar
from traceaudit.correlation.gating import Gate
from traceaudit.exchange import Exchange

MS = 1_000_000
_LONG_NS = 3600 * 1000 * MS


def gate() -> Gate:
    return Gate(20 * MS, 250 * MS)


class Shut(Gate):
    """Holds every request until it is told to open, and notes how many wait."""

    def __init__(self) -> None:
        super().__init__(20 * MS, 250 * MS)
        self.shut = True
        self.begun: list[str] = []

    def may_begin(self, route: str, since_ns: int, now_ns: int) -> int | None:
        return now_ns + _LONG_NS if self.shut else super().may_begin(route, since_ns, now_ns)

    def begin(self, request_id: str, route: str, now_ns: int, held_ns: int = 0) -> None:
        super().begin(request_id, route, now_ns, held_ns)
        self.begun.append(route)


class Broken(Gate):
    """Fails at what it is named after."""

    def __init__(self, where: str) -> None:
        super().__init__(20 * MS, 250 * MS)
        setattr(self, where, self._fail)

    def _fail(self, *_: object) -> None:
        raise RuntimeError("the gate is broken")


async def answered(_: Request) -> bytes:
    return OK


async def test_a_held_request_reaches_the_service_byte_for_byte(tmp_path: Path) -> None:
    seen: list[Request] = []

    async def handle(request: Request) -> bytes:
        seen.append(request)
        return OK

    shut = Shut()
    async with server(handle) as service, sidecar(tmp_path, service, gate=shut, mint="never") as rig:
        raw = get("/cart", "Content-Length: 5", "X-Odd:  two  spaces ") + b"hello"
        waiting = asyncio.create_task(send(rig.inbound, raw))
        other = asyncio.create_task(send(rig.inbound, get("/other")))
        await asyncio.sleep(0.05)
        assert not seen
        shut.shut = False
        # Whatever comes next lets the others go.
        assert (await send(rig.inbound, get("/third"))).endswith(b"ok")
        assert (await waiting).endswith(b"ok")
        assert (await other).endswith(b"ok")
    assert {request.body for request in seen} == {b"hello", b""}
    assert sorted(shut.begun) == ["GET /cart", "GET /other", "GET /third"]


async def test_a_client_that_gives_up_while_it_is_held_leaves_nothing_behind(tmp_path: Path) -> None:
    shut = Shut()
    async with server(answered) as service, sidecar(tmp_path, service, gate=shut) as rig:
        _, writer = await asyncio.open_connection(rig.inbound.host, rig.inbound.port)
        writer.write(get("/cart"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.sleep(0.05)
        shut.shut = False
        assert (await send(rig.inbound, get("/other"))).endswith(b"ok")
        assert rig.writer.errors == 0
    assert shut.begun[-1] == "GET /other"


async def test_what_is_held_goes_when_the_audit_ends(tmp_path: Path) -> None:
    async with server(answered) as service:
        async with sidecar(tmp_path, service, gate=Shut()) as rig:
            waiting = asyncio.create_task(send(rig.inbound, get("/cart")))
            await asyncio.sleep(0.05)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await asyncio.wait_for(waiting, 10)


@pytest.mark.parametrize("where", ["may_begin", "begin", "may_answer", "answer", "call", "respond"])
async def test_an_error_opens_the_gate_for_good_and_is_counted_once(tmp_path: Path, where: str) -> None:
    async with server(answered) as upstream:

        async def handle(_: Request) -> bytes:
            return await send(rig.outbound, get(f"http://{upstream}/stock"))

        async with server(handle) as service, sidecar(tmp_path, service, gate=Broken(where)) as rig:
            for _ in range(3):
                assert (await send(rig.inbound, get("/cart"))).endswith(b"ok")
            assert rig.writer.errors == 1
            exchanges = rig.exchanges()
        assert len(exchanges) == 6
        assert all(each.gated is None for each in exchanges)


async def test_it_sleeps_while_calls_carry_their_ids_and_wakes_for_one_that_does_not(tmp_path: Path) -> None:
    async with server(answered) as upstream:

        async def handle(request: Request) -> bytes:
            kept = [f"traceparent: {value}" for value in request.values("traceparent") if request.target != "/drops"]
            return await send(rig.outbound, get(f"http://{upstream}/stock", *kept))

        own = gate()
        async with server(handle) as service, sidecar(tmp_path, service, gate=own) as rig:
            for _ in range(70):
                await send(rig.inbound, get("/keeps"))
            assert own.dozes
            await send(rig.inbound, get("/drops"))
            assert not own.dozes
            assert rig.writer.errors == 0


async def test_calls_that_overlap_are_claimed_for_the_right_requests(tmp_path: Path) -> None:
    """Each request calls the upstream once; its path, which no correlation reads, tells the truth."""
    asked = asyncio.Event()

    async def slow(_: Request) -> bytes:
        await asyncio.sleep(0.02)
        return OK

    async with server(slow) as upstream:

        async def handle(request: Request) -> bytes:
            asked.set()
            return await send(rig.outbound, get(f"http://{upstream}{request.target}"))

        async with server(handle) as service, sidecar(tmp_path, service, gate=gate()) as rig:
            claimed: list[Exchange] = []
            for _ in range(10):  # On a machine that is busy with other things, it takes longer until anything is shown.
                for _ in range(60):
                    targets = [f"/x/{number}" for number in range(100, 104)]
                    await asyncio.gather(*(send(rig.inbound, get(target)) for target in targets))
                exchanges = {each.id: each for each in rig.exchanges()}
                claimed = [each for each in exchanges.values() if each.gated is not None]
                if claimed:
                    break
        assert claimed
        for each in claimed:
            assert each.gated is not None
            assert exchanges[each.gated.inbound_id].path == each.path
