"""The connections of real processes, told apart by who opened them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services import LOOPBACK
from traceaudit.connections import Processes, Watcher, address, listener_of, parse
from traceaudit.listeners import Address
from traceaudit.socket_diagnostics import sockets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc elsewhere")

_OPEN_ONE = """
import os, socket, sys
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
kept = [listening]
for line in sys.stdin:
    verb, _, port = line.strip().partition(" ")
    if verb == "connect":
        kept.append(socket.create_connection(("127.0.0.1", int(port))))
    elif verb == "connect6":
        kept.append(socket.create_connection(("::1", int(port))))
    elif verb == "accept":
        kept.append(listening.accept()[0])
    elif verb == "deaf":
        kept.remove(listening)
        listening.close()
    elif verb == "fork":
        if os.fork() == 0:
            here = socket.create_connection(("127.0.0.1", int(port)))
            print(os.getpid(), flush=True)
            sys.stdin.read()
            os._exit(0)
        continue
    print("done", flush=True)
"""


class Other:
    """A process that opens and accepts connections when it is told to."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def tell(self, text: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextmanager
def process() -> Iterator[Other]:
    with subprocess.Popen(
        [sys.executable, "-c", _OPEN_ONE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "HTTPS_PROXY": "http://proxy.test",
            "HTTP_PROXY": "",
            "SECRET": "s3cret",
            "STORE": "mysql://shop:s3cret@db.test:7777/x",
        },
    ) as child:
        assert child.stdout is not None
        try:
            yield Other(child, int(child.stdout.readline()))
        finally:
            child.kill()


def remotes(watcher: Watcher) -> list[Address]:
    return [each.remote for each in watcher.look()]


def test_a_connection_that_a_process_opened_is_told_of_once() -> None:
    with socket.create_server((LOOPBACK, 0)) as upstream, process() as service:
        port = upstream.getsockname()[1]
        watcher = Watcher(Processes([service.process.pid]))
        assert remotes(watcher) == []
        service.tell(f"connect {port}")
        (found,) = watcher.look()
        assert (found.remote, found.pid) == (Address(LOOPBACK, port), service.process.pid)
        assert found.environ == {"HTTPS_PROXY": "http://proxy.test", "HTTP_PROXY": ""}
        assert found.reached == found.remote
        assert remotes(watcher) == []


def test_an_ipv6_connection_is_seen() -> None:
    try:
        upstream = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("there is no IPv6 here")
    with upstream, process() as service:
        service.tell(f"connect6 {upstream.getsockname()[1]}")
        assert remotes(Watcher(Processes([service.process.pid]))) == [Address("::1", upstream.getsockname()[1])]


def test_a_connection_that_a_process_accepted_is_not_its_call() -> None:
    with process() as service:
        watcher = Watcher(Processes([service.process.pid]))
        with socket.create_connection((LOOPBACK, service.port)):
            service.tell("accept")
            assert remotes(watcher) == []


def test_one_that_was_accepted_before_the_listener_closed_is_not_its_call_either() -> None:
    with process() as service:
        watcher = Watcher(Processes([service.process.pid]))
        assert remotes(watcher) == []
        with socket.create_connection((LOOPBACK, service.port)):
            service.tell("accept")
            service.tell("deaf")
            assert remotes(watcher) == []


def test_one_that_was_accepted_before_anybody_looked_is_not_taken_for_its_call() -> None:
    with process() as service, socket.create_connection((LOOPBACK, service.port)):
        service.tell("accept")
        service.tell("deaf")
        assert [remotes(Watcher(Processes([service.process.pid]))) for _ in range(2)] == [[], []]


def test_a_watcher_that_is_to_be_sure_tells_at_the_second_look() -> None:
    with socket.create_server((LOOPBACK, 0)) as upstream, process() as service:
        port = upstream.getsockname()[1]
        watcher = Watcher(Processes([service.process.pid]), looks=2)
        service.tell(f"connect {port}")
        assert [remotes(watcher) for _ in range(3)] == [[], [Address(LOOPBACK, port)], []]


def test_a_gaze_sees_what_is_opened_while_it_lasts() -> None:
    with socket.create_server((LOOPBACK, 0)) as upstream, process() as service:
        port = upstream.getsockname()[1]
        watcher = Watcher(Processes([service.process.pid]))
        assert remotes(watcher) == []
        with ThreadPoolExecutor() as pool:
            gazing = pool.submit(watcher.gaze, 1.0)
            service.tell(f"connect {port}")
            found = gazing.result()
        assert [each.remote for each in [*found, *watcher.look()]] == [Address(LOOPBACK, port)]


def test_a_gaze_accuses_nobody_of_what_was_accepted() -> None:
    with process() as service:
        watcher = Watcher(Processes([service.process.pid]))
        assert remotes(watcher) == []
        with ThreadPoolExecutor() as pool:
            gazing = pool.submit(watcher.gaze, 1.0)
            with socket.create_connection((LOOPBACK, service.port)):
                service.tell("accept")
                service.tell("deaf")
                assert gazing.result() == []
                assert remotes(watcher) == []


def test_the_kernel_tells_of_the_same_sockets_as_proc_does() -> None:
    """Connections of this process; others come and go in the meantime."""
    with socket.create_server((LOOPBACK, 0)) as listening, socket.create_connection(listening.getsockname()) as client:
        ours = {os.fstat(each.fileno()).st_ino for each in (listening, client)}
        tables = [Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6")]
        in_proc = {each for table in tables for each in parse(table) if each.inode in ours}
        assert {each for each in sockets(("01", "0A")) if each[3] in ours} == in_proc
        assert len(in_proc) == 2


def test_what_the_process_is_told_of_databases_comes_along() -> None:
    with socket.create_server((LOOPBACK, 0)) as upstream, process() as service:
        service.tell(f"connect {upstream.getsockname()[1]}")
        (found,) = Watcher(Processes([service.process.pid])).look()
        assert [(str(each), protocol.name) for each, protocol in found.named.items()] == [("db.test:7777", "MySQL")]


def test_connections_of_other_processes_are_not_told_of() -> None:
    with socket.create_server((LOOPBACK, 0)) as upstream, process() as service, process() as stranger:
        stranger.tell(f"connect {upstream.getsockname()[1]}")
        watcher = Watcher(Processes([service.process.pid]))
        assert [remotes(watcher) for _ in range(3)] == [[], [], []]


def test_what_a_child_opens_is_the_services() -> None:
    with socket.create_server((LOOPBACK, 0)) as upstream, process() as service:
        child = int(service.tell(f"fork {upstream.getsockname()[1]}"))
        (found,) = Watcher(Processes([service.process.pid])).look()
        assert found.pid == child


def test_a_connection_between_the_services_own_processes_is_internal() -> None:
    with process() as one, process() as other:
        one.tell(f"connect {other.port}")
        (found,) = Watcher(Processes([one.process.pid, other.process.pid])).look()
        assert found.internal


def test_a_process_that_is_gone_has_no_connections() -> None:
    with process() as service:
        processes = Processes([service.process.pid])
        assert processes.now() == [service.process.pid]
    assert processes.now() == []
    assert Watcher(processes).look() == []


def test_who_listens_on_a_port_is_found() -> None:
    with process() as service:
        assert listener_of(service.port) == service.process.pid
    assert listener_of(service.port) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0100007F:1F90", Address("127.0.0.1", 8080)),
        ("00000000000000000000000001000000:0016", Address("::1", 22)),
        ("0000000000000000FFFF00000100007F:1F90", Address("127.0.0.1", 8080)),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the texts are those of a little-endian machine")
def test_addresses_are_read_as_the_kernel_writes_them(text: str, expected: Address) -> None:
    assert address(text) == expected


def test_a_table_that_is_cut_off_is_read_as_far_as_it_goes() -> None:
    table = Path("/proc/net/tcp").read_text()
    whole = list(parse(table))
    with socket.create_server((LOOPBACK, 0)):
        assert len(list(parse(Path("/proc/net/tcp").read_text()[:-100]))) >= 0
    assert list(parse(table.splitlines()[0])) == []
    assert whole == list(parse(table))
