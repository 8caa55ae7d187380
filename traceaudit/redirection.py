"""Has the kernel send a service's TCP connections to the audit, as Istio's init container does (Linux, root).

Theory of operation. The service and all that it starts live in a cgroup of their own. A chain of the nat table, entered
from ``OUTPUT`` for packets of that cgroup alone, redirects their TCP connections to the proxy, loopback included, and
their DNS questions to our own answers where Service names have to be known. What is no HTTP (databases, brokers) and
our own listeners are left alone. The proxy is outside of the cgroup, so that its calls are not redirected again.

Cgroup and chain are named after the process that made them, by its number and its birth: whatever ends it, a later
``traceaudit doctor`` can tell what was left behind from what is in use. The rules match nothing but the cgroup, so that
what a ``kill -9`` leaves does no harm in the meantime.
https://github.com/istio/istio/tree/master/tools/istio-iptables
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from traceaudit import packet_filters
from traceaudit.packet_filters import FilterError, Rules

PREFIX = "TAUDIT-"
"""Short, since the name of a chain has at most 28 characters."""
_NAME = re.compile(rf"{PREFIX}(\d+)-([0-9a-f]+)(?:-[0-9a-f]+)?")
_KERNEL = (
    "The kernel needs nat, redirect and the cgroup match (xt_cgroup and xt_REDIRECT, or nft_socket and nft_redir); use "
    "--capture env"
)
_EMPTY_S = 5.0
"""How long the kernel may take to let go of processes that were killed."""


class RedirectionError(Exception):
    """Redirection is not possible here; the message says why, and what to do about it."""


def obstacle() -> str | None:
    """Why redirection cannot even be tried, with the remedy; ``None``: nothing speaks against it."""
    if sys.platform != "linux":
        return "the kernel redirects connections on Linux only: use --capture env, and --upstream for localhost"
    if os.geteuid() != 0:
        return "only root may redirect connections: run it with sudo, or use --capture env"
    if missing := packet_filters.programs():
        return f"there is no {' and no '.join(missing)}: install one (Debian, Ubuntu: apt-get install {missing[0]})"
    if hierarchy() is None:
        return "no cgroup v2 is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified"
    return None


def is_root() -> bool:
    """Whether this process may do what root may."""
    return os.geteuid() == 0


def hierarchy(mounts: Path = Path("/proc/self/mounts")) -> Path | None:
    """Where cgroup v2 is mounted; ``None``: nowhere."""
    for line in mounts.read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return Path(fields[1])
    return None


def own_name() -> str:
    """A name for what this process makes: its number, its birth, and a number that nobody else has."""
    return f"{PREFIX}{os.getpid()}-{_birth(os.getpid())}-{secrets.token_hex(1)}"


class Redirection:
    """One cgroup and its rules; :meth:`set_up` makes them and :meth:`remove` removes them."""

    def __init__(self, rules: Rules, name: str | None = None) -> None:
        self.name = name or own_name()
        self._rules = rules
        root = hierarchy()
        if root is None:
            raise RedirectionError(str(obstacle()))
        self.group = root / self.name

    def set_up(self) -> None:
        """Makes the cgroup and the rules. Raises RedirectionError; then nothing is left."""
        if (why := obstacle()) is not None:
            raise RedirectionError(why)
        try:
            self.group.mkdir()
        except OSError as error:
            raise RedirectionError(f"the cgroup {self.group} cannot be made: {error.strerror}") from error
        try:
            packet_filters.install(self.name, self._rules, self.group)
        except FilterError as error:
            self.remove()
            raise RedirectionError(f"{error}. {_KERNEL}") from error
        except BaseException:
            self.remove()
            raise

    def enter(self) -> None:
        """Moves the calling process into the cgroup; called in the child, before it becomes the service."""
        with (self.group / "cgroup.procs").open("w") as file:
            file.write("0")

    def remove(self) -> None:
        """Removes rules and cgroup, and ends what is still in it."""
        remove(self.name)


@contextmanager
def redirected(rules: Rules) -> Iterator[Redirection]:
    """Redirection for the block. Raises RedirectionError."""
    redirection = Redirection(rules)
    redirection.set_up()
    try:
        yield redirection
    finally:
        redirection.remove()


# --- removing ---------------------------------------------------------------------------------------------------------


def remove(name: str) -> None:
    """Removes whatever there is of this name: the rules first, then the cgroup and what runs in it."""
    for each in packet_filters.every():
        each.remove(name)
    root = hierarchy()
    if root is not None and (root / name).is_dir():
        _empty(root / name)


def leftovers() -> list[str]:
    """The names of what was made by processes that are no more."""
    names: dict[str, None] = {}
    if os.geteuid() == 0:
        for each in packet_filters.every():
            names.update(dict.fromkeys(name for name in each.names() if name.startswith(PREFIX)))
    root = hierarchy()
    if root is not None:
        names.update(dict.fromkeys(group.name for group in root.glob(f"{PREFIX}*") if group.is_dir()))
    return [name for name in names if _is_orphan(name)]


def _is_orphan(name: str) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and _birth(int(match[1])) != match[2]


def _birth(pid: int) -> str:
    """What tells a process from a later one of the same number, as hexadecimal digits; empty: there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    return f"{int(stat.rpartition(')')[2].split()[19]):x}"


def _empty(group: Path) -> None:
    deadline = time.monotonic() + _EMPTY_S
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                return  # `doctor --fix` will find it.
        else:
            return
        with suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.01)  # nobody tells when a killed process has left its cgroup


# --- does it work? ----------------------------------------------------------------------------------------------------

_PROBE = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 3).recv(1)"


def captures() -> str | None:
    """Redirects a connection of a process of our own and looks where it arrives, and where one of somebody else's does;
    ``None``: where it should, else why not.
    """
    if (why := obstacle()) is not None:
        return why
    with socket.create_server(("127.0.0.1", 0)) as meant, socket.create_server(("127.0.0.1", 0)) as ours:
        ours.settimeout(3)
        meant.settimeout(3)
        try:
            with redirected(Rules(ours.getsockname()[1])) as redirection:
                probe = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _PROBE, str(meant.getsockname()[1])],
                    stderr=subprocess.DEVNULL,
                    preexec_fn=_entering(redirection),  # noqa: PLW1509  (one system call)
                )
                try:
                    connection, _ = ours.accept()
                    connection.close()
                finally:
                    probe.kill()
                    probe.wait()
                if not _is_left_alone(meant):
                    return "the rules catch the connections of other processes too: use --capture env"
        except RedirectionError as error:
            return str(error)
        except TimeoutError:
            return "the rules were accepted, but the kernel redirects nothing here: use --capture env"
    return None


def _is_left_alone(meant: socket.socket) -> bool:
    try:
        with socket.create_connection(meant.getsockname(), 3), meant.accept()[0]:
            return True
    except OSError:
        return False


def _entering(redirection: Redirection) -> Callable[[], None]:
    return redirection.enter
