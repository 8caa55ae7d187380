"""Starting a service, waiting for it, ending it with everything it started."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from pathlib import Path

import pytest

from traceaudit.listeners import Address
from traceaudit.open_files import raise_limit
from traceaudit.supervisor import Service, ServiceFailedError, shown

LISTENS = """
import os, signal, socket, sys, threading
print("starting", flush=True)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("\\x1b[32mready\\x1b[0m", file=sys.stderr, flush=True)
signal.pause()
"""

HAS_A_CHILD = """
import subprocess, sys, socket, signal
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"])
print(child.pid, flush=True)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
signal.pause()
"""

IGNORES_SIGNALS = """
import signal, socket, sys
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
while True:
    signal.pause()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def started(script: str, lines: list[str], port: int) -> Service:
    service = await Service.start([sys.executable, "-c", script, str(port)], os.environ, lines.append)
    await service.wait_until_ready(Address("127.0.0.1", port), 20)
    return service


def is_running(pid: int) -> bool:
    """A zombie has ended: in a container nobody may be there to bury it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_it_is_ready_when_its_port_answers_and_ends_with_the_signal_it_is_sent() -> None:
    lines: list[str] = []
    service = await started(LISTENS, lines, free_port())
    assert await service.stop(signal.SIGINT) in (-signal.SIGINT, 1)
    assert lines[:2] == ["starting", "\x1b[32mready\x1b[0m"]


async def test_what_it_started_ends_with_it() -> None:
    lines: list[str] = []
    service = await started(HAS_A_CHILD, lines, free_port())
    child = int(lines[0])
    assert is_running(child)
    await service.stop()
    async with asyncio.timeout(10):
        while is_running(child):
            await asyncio.sleep(0)


async def test_one_that_ignores_signals_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceaudit.supervisor._STOP_S", 0.1)
    lines: list[str] = []
    service = await started(IGNORES_SIGNALS, lines, free_port())
    assert await service.stop() == -signal.SIGKILL
    assert "killed" in lines[-1]


async def test_one_that_ends_before_it_listens_is_reported_with_its_last_lines() -> None:
    script = "import sys; print('panic: no DATABASE_URL', file=sys.stderr); sys.exit(3)"
    service = await Service.start([sys.executable, "-c", script], os.environ, lambda _: None)
    with pytest.raises(ServiceFailedError) as failed:
        await service.wait_until_ready(Address("127.0.0.1", free_port()), 20)
    assert "ended with status 3 before it listened on 127.0.0.1:" in str(failed.value)
    assert str(failed.value).endswith("it said last:\n    panic: no DATABASE_URL")
    await service.stop()


async def test_one_that_listens_elsewhere_is_reported() -> None:
    service = await Service.start([sys.executable, "-c", LISTENS, str(free_port())], os.environ, lambda _: None)
    try:
        with pytest.raises(ServiceFailedError, match=r"does not listen on 127\.0\.0\.1:\d+ after 0\.5 s"):
            await service.wait_until_ready(Address("127.0.0.1", free_port()), 0.5)
    finally:
        await service.stop()


async def test_a_command_that_is_not_there_is_reported() -> None:
    with pytest.raises(ServiceFailedError, match=r"cannot start \./nothing: No such file or directory; is it built"):
        await Service.start(["./nothing"], os.environ, lambda _: None)


async def test_it_may_open_as_many_files_as_without_us() -> None:
    given = resource.getrlimit(resource.RLIMIT_NOFILE)
    lines: list[str] = []
    script = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    try:
        raise_limit()
        service = await Service.start([sys.executable, "-c", script], os.environ, lines.append)
        await service.wait()
        await service.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, given)
    assert lines == [f"{given[0]} {given[1]}"]


async def test_a_line_without_end_does_not_fill_the_memory() -> None:
    script = "import sys; sys.stdout.write('x' * 300_000); sys.stdout.flush()"
    lines: list[str] = []
    service = await Service.start([sys.executable, "-c", script], os.environ, lines.append)
    await service.wait()
    await service.stop()
    assert "".join(lines) == "x" * 300_000
    assert len(lines) > 1


def test_colours_stay_and_other_control_characters_are_escaped() -> None:
    assert shown("\x1b[31mred\x1b[0m \x1b]0;title\x07\tend") == "\x1b[31mred\x1b[0m \\x1b]0;title\\x07    end"
