"""The starting line lets requests go when all are there, and waits for nobody who does not come."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from traceaudit_addons.directions import Directions
from traceaudit_addons.starting_line import StartingLine

_IN, _OUT = "reverse:http://127.0.0.1:8080@127.0.0.1:15006", "regular@127.0.0.1:15001"


def connection(mode: str) -> ServerConnectionHookData:
    client = SimpleNamespace(proxy_mode=ProxyMode.parse(mode))
    return cast(ServerConnectionHookData, SimpleNamespace(client=client))


def at(line: StartingLine, mode: str = _IN) -> asyncio.Task[None]:
    async def there() -> None:
        await line.server_connected(connection(mode))

    return asyncio.create_task(there())


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_those_who_are_there_wait_for_the_last() -> None:
    line = StartingLine(Directions([_IN]), patience_s=60)
    line.hold(3)
    first = [at(line), at(line)]
    await settled()
    assert not any(each.done() for each in first)
    await asyncio.gather(at(line), *first)


async def test_nobody_waits_who_is_not_awaited() -> None:
    line = StartingLine(Directions([_IN]), patience_s=60)
    await at(line)
    line.hold(2)
    await at(line, _OUT)
    both = [at(line), at(line)]
    await asyncio.gather(*both)
    await at(line)


async def test_those_who_are_there_go_when_others_do_not_come() -> None:
    line = StartingLine(Directions([_IN]), patience_s=0.01)
    line.hold(3)
    await asyncio.gather(at(line), at(line))
    await at(line)  # Too late to be awaited.


async def test_those_who_still_wait_go_when_the_next_are_called() -> None:
    line = StartingLine(Directions([_IN]), patience_s=60)
    line.hold(2)
    late = at(line)
    await settled()
    line.hold(2)
    await late
    await asyncio.gather(at(line), at(line))
