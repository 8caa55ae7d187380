"""The service is quiet when no call is open and none has begun or ended for a while."""

from __future__ import annotations

import asyncio

from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow

from traceaudit_addons.directions import Directions
from traceaudit_addons.open_calls import OpenCalls

_IN, _OUT = "reverse:http://127.0.0.1:8080@127.0.0.1:15006", "regular@127.0.0.1:15001"


def calls() -> OpenCalls:
    return OpenCalls(Directions([_IN]))


def flow(mode: str = _OUT) -> tflow.http.HTTPFlow:
    flow = tflow.tflow()
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    return flow


async def test_it_is_quiet_when_there_are_no_calls() -> None:
    assert await calls().quiet(0)


async def test_an_open_call_is_waited_for() -> None:
    open_, call = calls(), flow()
    open_.requestheaders(call)
    quiet = asyncio.create_task(open_.quiet(0, 60))
    await asyncio.sleep(0.01)
    assert not quiet.done()
    open_.response(call)
    assert await quiet


async def test_one_that_broke_off_is_over_too() -> None:
    open_, call = calls(), flow()
    open_.requestheaders(call)
    open_.error(call)
    assert await open_.quiet(0, 60)


async def test_requests_are_no_calls() -> None:
    open_ = calls()
    open_.requestheaders(flow(_IN))
    assert await open_.quiet(0, 60)


async def test_a_call_that_stays_open_is_not_waited_for_for_ever() -> None:
    open_ = calls()
    open_.requestheaders(flow())
    assert not await open_.quiet(0, 0.01)


async def test_nor_are_calls_that_come_all_the_time() -> None:
    open_ = calls()

    async def poller() -> None:
        while True:
            call = flow()
            open_.requestheaders(call)
            await asyncio.sleep(0)
            open_.response(call)

    polling = asyncio.create_task(poller())
    assert not await open_.quiet(60, 0.05)
    polling.cancel()
