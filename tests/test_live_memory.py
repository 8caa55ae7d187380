"""A body of any size passes through `traceaudit proxy` in a few megabytes of memory."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live import environment
from tests.services import LOOPBACK, free_port

SIZE = 256 * 1024 * 1024
MOST = 32 * 1024 * 1024
PIECE = bytes(256 * 1024)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak of another process's memory is read in /proc")


def pour(to: socket.socket, size: int) -> None:
    while size > 0:
        to.sendall(PIECE[:size])
        size -= len(PIECE)


def drain(source: socket.socket, size: int) -> None:
    while size > 0:
        received = len(source.recv(min(size, len(PIECE))))
        assert received
        size -= received


def head_of(source: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += source.recv(1)
    return head


def serve(listening: socket.socket) -> None:
    """Takes a body, and answers with one of the same size."""
    client, _ = listening.accept()
    with client:
        while b"POST" in head_of(client):
            drain(client, SIZE)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            pour(client, SIZE)


@contextmanager
def proxy(folder: Path, target: int) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    inbound = free_port()
    command = [sys.executable, "-m", "traceaudit", "proxy", "--inbound", f"{inbound}:{target}", "--outbound", "0"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert any(line.startswith("audit ") for line in iter(process.stderr.readline, ""))
        yield inbound, process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def test_a_large_body_passes_in_little_memory(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        with proxy(tmp_path, listening.getsockname()[1]) as (inbound, process):
            before = peak(process.pid)
            with socket.create_connection((LOOPBACK, inbound)) as client:
                client.settimeout(60)
                client.sendall(b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: %d\r\n\r\n" % SIZE)
                pour(client, SIZE)
                assert head_of(client).startswith(b"HTTP/1.1 200")
                drain(client, SIZE)
                assert peak(process.pid) - before < MOST
                client.sendall(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")  # ends the server
