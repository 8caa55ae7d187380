"""What the audited proxy adds and bears, beside a bare mitmdump that streams, both in one run.

    python benchmarks/proxy_limits.py [latency] [in-flight] [idle] [body] [--requests 2000] [--flights 1000]
        [--connections 10000] [--gib 2]

- latency: what the inbound and the outbound hop together add to a request, against the service without a proxy
- in-flight: so many requests in the service at once, each with a call of its own at the upstream
- idle: so many open connections on which nothing is said, in memory, and a request beside them
- body: one body up and one down, in speed and in the most memory more than before
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

from proxy_overhead import commands, cpu, started, wait_for

from tests.services import free_port, running

PROXIES = ("bare mitmdump", "traceaudit proxy")
MIB = 1024 * 1024
PIECE = bytes(256 * 1024)
WANTED_MIB = 32


@dataclass
class Setup:
    """A proxy around a service; ``pid`` is the proxy's process."""

    inbound: int
    direct: int
    pid: int

    @property
    def memory(self) -> int:
        """Bytes that the process has in memory."""
        return int(psutil.Process(self.pid).memory_info().rss)

    @property
    def peak(self) -> int:
        """The most bytes that it has ever had."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@contextmanager
def proxied(name: str) -> Iterator[Setup]:
    """The Go service between a client and the upstream, with the proxy on both of its sides."""
    inbound, outbound = free_port(), free_port()
    environment = {"HTTP_PROXY": f"http://127.0.0.1:{outbound}", "NO_PROXY": "", "no_proxy": ""}
    with (
        tempfile.TemporaryDirectory() as folder,
        running("upstream") as upstream,
        running("nethttp", "-upstream", f"http://upstream.test:{upstream.port}", env=environment) as service,
        running("nethttp", "-upstream", upstream.url, env={"HTTP_PROXY": ""}) as direct,
        started(
            commands(name, (service.port, inbound, outbound), str(upstream.port), Path(folder) / "audit.db"),
            Path(folder) / "log",
        ) as process,
    ):
        wait_for(inbound, process)
        yield Setup(inbound, direct.port, process.pid)


# --- latency ----------------------------------------------------------------------------------------------------------


def latency(arguments: argparse.Namespace) -> None:
    added: dict[str, tuple[float, float]] = {}
    for name in PROXIES:
        with proxied(name) as setup:
            # In turns, so that whatever else the machine does slows both down.
            times: dict[int, list[float]] = {setup.inbound: [], setup.direct: []}
            connections = {port: http.client.HTTPConnection("127.0.0.1", port, timeout=30) for port in times}
            for number in range(arguments.requests + 200):
                for port, connection in connections.items():
                    took = timed(connection)
                    if number >= 200:  # the first ones open connections
                        times[port].append(took)
        through, direct = (quantiles(each) for each in times.values())
        added[name] = (through[0] - direct[0], through[1] - direct[1])
        print(f"latency    {name:17} adds p50 {added[name][0]:.2f} ms, p99 {added[name][1]:.2f} ms", flush=True)
    ratios = [audited / bare for bare, audited in zip(*(added[name] for name in PROXIES), strict=True)]
    print(f"latency    ratio             p50 {ratios[0]:.2f}, p99 {ratios[1]:.2f}")


def timed(connection: http.client.HTTPConnection) -> float:
    """Milliseconds until the body is here."""
    began = time.perf_counter()
    connection.request("GET", "/forward/17?full=1")
    response = connection.getresponse()
    response.read()
    took = (time.perf_counter() - began) * 1000
    if response.status != 200:
        raise SystemExit(f"a request was answered with {response.status}")
    return took


def quantiles(times: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(times, n=100)
    return cuts[49], cuts[98]


# --- many at once -----------------------------------------------------------------------------------------------------


def in_flight(arguments: argparse.Namespace) -> None:
    costs = {}
    for name in PROXIES:
        with proxied(name) as setup:
            before, used, began = setup.memory, cpu(setup.pid), time.perf_counter()
            statuses = asyncio.run(fly(setup.inbound, arguments.flights))
            costs[name] = cpu(setup.pid) - used
            print(
                f"in-flight  {name:17} {statuses.count(200)} of {arguments.flights} answered in"
                f" {time.perf_counter() - began:.1f} s, {costs[name]:.1f} s CPU,"
                f" {(setup.memory - before) / MIB:.0f} MiB more",
                flush=True,
            )
    print(f"in-flight  ratio             CPU {costs[PROXIES[1]] / costs[PROXIES[0]]:.2f}")


async def fly(port: int, count: int) -> list[int]:
    """Sends requests that are all in the service at once: the upstream takes its time over each."""

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /forward/17?sleep_ms=4000 HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return int(answer.split(b" ", 2)[1]) if answer else 0

    return await asyncio.gather(*(one() for _ in range(count)))


def idle(arguments: argparse.Namespace) -> None:
    costs = {}
    for name in PROXIES:
        with proxied(name) as setup:
            before = setup.memory
            connections = [connected(setup.inbound) for _ in range(arguments.connections)]
            # Accepted, and not only by the kernel: a request behind them all is answered.
            request = http.client.HTTPConnection("127.0.0.1", setup.inbound, timeout=60)
            timed(request)
            costs[name] = (setup.memory - before) / arguments.connections / 1024
            took = quantiles([timed(request) for _ in range(200)])[0]
            used = cpu(setup.pid)
            threading.Event().wait(2)
            print(
                f"idle       {name:17} {arguments.connections} connections, {costs[name]:.1f} KiB each,"
                f" {(cpu(setup.pid) - used) / 2 * 100:.1f} % CPU, a request beside them {took:.2f} ms",
                flush=True,
            )
            for connection in connections:
                connection.close()
    print(f"idle       ratio             memory {costs[PROXIES[1]] / costs[PROXIES[0]]:.2f}")


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


# --- a large body -----------------------------------------------------------------------------------------------------


def body(arguments: argparse.Namespace) -> None:
    size = int(arguments.gib * 1024 * MIB)
    speeds: dict[str, float] = {}
    for name in PROXIES:
        with socket.create_server(("127.0.0.1", 0)) as listening, tempfile.TemporaryDirectory() as folder:
            threading.Thread(target=swallow_and_pour, args=(listening, size), daemon=True).start()
            inbound, port = free_port(), listening.getsockname()[1]
            command = commands(name, (port, inbound, free_port()), "9", Path(folder) / "audit.db")
            with started(command, Path(folder) / "log") as process:
                wait_until_open(inbound)
                setup = Setup(inbound, port, process.pid)
                with connected(inbound) as client:
                    client.settimeout(600)
                    client.sendall(
                        f"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(PIECE)}\r\n\r\n".encode() + PIECE
                    )
                    take(client, head(client))
                    before, began = setup.peak, time.perf_counter()
                    client.sendall(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
                    pour(client, size)
                    take(client, head(client))
                    speeds[name] = 2 * size / MIB / (time.perf_counter() - began)
                more = (setup.peak - before) / MIB
        wanted = f" (wanted: at most {WANTED_MIB})" if name != PROXIES[0] else ""
        print(
            f"body       {name:17} {arguments.gib:g} GiB up and down at {speeds[name]:.0f} MiB/s,"
            f" {more:.1f} MiB more at most{wanted}",
            flush=True,
        )
    print(f"body       ratio             speed {speeds[PROXIES[1]] / speeds[PROXIES[0]]:.2f}")


def swallow_and_pour(listening: socket.socket, size: int) -> None:
    """Answers each request, when its body is here, with one of the same size."""
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        with client:
            for length in (len(PIECE), size):
                take(client, head(client))
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
                pour(client, length)


def head(source: socket.socket) -> int:
    """Reads a head; the length of the body that follows."""
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        byte = source.recv(1)
        if not byte:
            raise SystemExit(f"the connection ended after {read!r}")
        read += byte
    return int(read.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])


def take(source: socket.socket, size: int) -> None:
    while size > 0:
        received = len(source.recv(min(size, len(PIECE))))
        if not received:
            raise SystemExit(f"the connection ended with {size} bytes to come")
        size -= received


def pour(to: socket.socket, size: int) -> None:
    while size > 0:
        to.sendall(PIECE[:size])
        size -= len(PIECE)


def wait_until_open(port: int) -> None:
    while True:
        try:
            connected(port).close()
        except OSError:
            threading.Event().wait(0.1)
        else:
            return


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "latency": latency,
    "in-flight": in_flight,
    "idle": idle,
    "body": body,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure (default: all)")
    parser.add_argument("--requests", type=int, default=2000, help="of latency")
    parser.add_argument("--flights", type=int, default=1000, help="requests in flight")
    parser.add_argument("--connections", type=int, default=10_000, help="idle connections")
    parser.add_argument("--gib", type=float, default=2, help="the body's size")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for part in arguments.parts or PARTS:
        PARTS[part](arguments)


if __name__ == "__main__":
    main()
