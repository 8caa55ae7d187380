"""Looks at the TCP connections of a process and all that it started, on Linux, in /proc.

Theory of operation. A look reads the table of sockets of the processes' network namespace, of the kernel's sock_diag or
in /proc. A connection whose local
port somebody listens on, or listened on earlier, was accepted; of the rest, those whose inode is among the processes'
open files are theirs. Where neither end shows who opened a connection, nothing is said of it. Only connections that no
earlier look has decided about cost anything: where there are none, no process's files are read.

Looks are far apart, and a call to a neighbour is over in a millisecond. What it leaves behind (TIME_WAIT) is nobody's
any more, so that whose it was cannot be told from it. That has to be seen while the connection is open: a gaze, which
begins when a request comes in, glances at the processes' open files, densely at first and then ever less, and looks as
soon as there is a socket that was not there before. What is opened and closed between two glances is not seen, which is
why all this is evidence of what bypasses the audit, and never of its absence.

https://docs.kernel.org/networking/proc_net_tcp.html
"""

from __future__ import annotations

import ipaddress
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from traceaudit import socket_diagnostics
from traceaudit.coverage import Connection
from traceaudit.listeners import Address
from traceaudit.protocols import Protocol, named_in

PROC = Path("/proc")

_LISTEN = "0A"
_OPEN = frozenset({"01", "04", "05", "08", "09", "0B"})
"""Established, and the states of closing in which a process may still hold it. include/net/tcp_states.h"""

_SURE = 2
"""Looks after which an inode that is in nobody's open files is somebody else's; it may have been on its way before."""

_GAZE_S = 0.1
_SPARSER = 0.05
"""The pause between two glances, of the time since the gaze began."""
_GLANCES_EACH = 10
"""Glances in which a socket may be no connection of ours yet; what it is later, a look will tell."""

_PROXY = frozenset({"http_proxy", "https_proxy", "no_proxy"})


class Socket(NamedTuple):
    """One line of a table of sockets, undecoded."""

    local: str
    remote: str
    state: str
    inode: int


def parse(table: str) -> Iterator[Socket]:
    """The sockets of /proc/net/tcp or tcp6 that are listening or open; a line that is cut off is passed over."""
    for line in table.splitlines()[1:]:
        fields = line.split(None, 10)
        if len(fields) > 9 and (fields[3] in _OPEN or fields[3] == _LISTEN) and fields[9].isdecimal():
            yield Socket(fields[1], fields[2], fields[3], int(fields[9]))


@lru_cache(maxsize=8192)
def address(text: str) -> Address:
    """``0100007F:1F90`` as an address; an IPv4 address in IPv6's clothes is given as IPv4."""
    host, _, port = text.partition(":")
    # Each group of eight digits is a number in the machine's own order.
    words = [bytes.fromhex(host[at : at + 8]) for at in range(0, len(host), 8)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    ip = ipaddress.ip_address(b"".join(words))
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return Address(str(mapped or ip), int(port, 16))


class Processes:
    """A process and all that it started, also what was left behind by its parent."""

    def __init__(self, roots: Iterable[int], proc: Path = PROC) -> None:
        self._proc = proc
        self._known: dict[int, str] = {pid: self._birth(pid) for pid in roots}

    def now(self) -> list[int]:
        """The processes that run now."""
        waiting = [pid for pid, birth in self._known.items() if self._birth(pid) == birth]
        alive: dict[int, str] = {}
        while waiting:
            pid = waiting.pop()
            if pid in alive:
                continue
            birth = self._birth(pid)
            if not birth:
                continue
            alive[pid] = birth
            waiting += self._children(pid)
        self._known = alive
        return sorted(alive)

    def _birth(self, pid: int) -> str:
        """What tells a process from a later one of the same number: when it began. Empty: there is none."""
        try:
            stat = (self._proc / str(pid) / "stat").read_text(errors="replace")
        except OSError:
            return ""
        return stat.rpartition(")")[2].split()[19]

    def _children(self, pid: int) -> list[int]:
        children: list[int] = []
        with suppress(OSError):
            for task in (self._proc / str(pid) / "task").iterdir():
                with suppress(OSError):
                    children += [int(each) for each in (task / "children").read_text().split()]
        return children


class Watcher:
    """Looks again and again; each connection is told of once, when so many ``looks`` have seen it."""

    def __init__(self, processes: Processes, proc: Path = PROC, looks: int = 1) -> None:
        self._processes = processes
        self._proc = proc
        self._looks = looks
        self._clients = _client_ports(proc)
        self._listened: set[int] = set()
        self._decided: set[int] = set()
        self._unowned: Counter[int] = Counter()
        self._owned: Counter[int] = Counter()
        self._glanced: Counter[int] = Counter()
        self._pids: list[int] = []
        self._asks = sys.platform == "linux"

    def gaze(self, most_s: float) -> list[Connection]:
        """Looks closely for a tenth of a second, at a cost of ``most_s`` of CPU at most, for what is over soon."""
        began, used_s = time.monotonic(), time.thread_time()
        found: list[Connection] = []
        owners: dict[int, int] = {}
        while (elapsed_s := time.monotonic() - began) < _GAZE_S and time.thread_time() - used_s < most_s:
            owners = self._owners(self._pids)
            if any(self._glanced[each] < _GLANCES_EACH for each in owners.keys() - self._decided):
                found += self._look(self._pids, owners)
                self._glanced.update(owners.keys() - self._decided)
            time.sleep(_SPARSER * elapsed_s)
        for inode in self._glanced.keys() - owners.keys():
            del self._glanced[inode]
        return found

    def look(self) -> list[Connection]:
        """The connections that the processes have opened since the last look."""
        self._pids = self._processes.now()
        return self._look(self._pids)

    def _look(self, pids: list[int], owners: dict[int, int] | None = None) -> list[Connection]:
        """``owners``: who has which socket, if that has just been seen."""
        found: list[Connection] = []
        present: set[int] = set()
        for representative in self._namespaces(pids):
            sockets = self._sockets(representative)
            self._listened |= {_port(each.local) for each in sockets if each.state == _LISTEN}
            opened = [each for each in sockets if each.state in _OPEN and each.inode]
            present |= {each.inode for each in opened}
            new = [each for each in opened if each.inode not in self._decided]
            accepted = [each for each in new if _port(each.local) in self._listened]
            self._decided.update(each.inode for each in accepted)
            if len(new) > len(accepted):
                whose = self._owners(pids) if owners is None else owners
                mine = [each for each in new if each.inode not in self._decided and self._is_ripe(each, whose)]
                found += self._opened(mine, representative, whose) if mine else ()
        self._decided &= present
        for counted in (self._unowned, self._owned):
            for inode in counted.keys() - present:
                del counted[inode]
        return found

    def _is_ripe(self, each: Socket, owners: Mapping[int, int]) -> bool:
        """Whether a connection is the processes' own, and has been seen often enough to be told of."""
        counted, enough = (self._owned, self._looks) if each.inode in owners else (self._unowned, _SURE)
        counted[each.inode] += 1
        if counted[each.inode] < enough:
            return False
        self._decided.add(each.inode)
        return each.inode in owners

    def _opened(self, mine: list[Socket], representative: int, owners: Mapping[int, int]) -> Iterator[Connection]:
        """Those of the processes' connections that they have surely opened."""
        # The table is no picture of one moment: who has begun to listen in the meantime may have accepted these.
        sockets = self._sockets(representative)
        listening = {_port(each.local): each.inode for each in sockets if each.state == _LISTEN}
        self._listened |= listening.keys()
        ends = {address(each.remote): address(each.local) for each in sockets if each.state in _OPEN}
        told = {pid: self._told(pid) for pid in {owners[each.inode] for each in mine}}
        for each in mine:
            local, remote, pid = address(each.local), address(each.remote), owners[each.inode]
            here = remote.host == local.host or ipaddress.ip_address(remote.host).is_loopback
            reached = ends.get(local)
            if local.port in self._listened or local == remote:
                continue
            if here and reached in (None, remote) and remote.port not in self._listened:
                continue  # Who listened is gone, on this machine: it may have been the service.
            if not here and remote.port in self._clients and local.port not in self._clients:
                continue  # As if a client had called: the listener may be gone.
            program, environ, named = told[pid]
            yield Connection(
                local,
                remote,
                pid,
                program,
                environ,
                named=named,
                reached=reached,
                internal=here and listening.get(remote.port) in owners,
            )

    def _told(self, pid: int) -> tuple[str, dict[str, str] | None, dict[Address, Protocol]]:
        """A process's name, the proxies it knows of (``None``: not to be read), and what it is told of addresses."""
        environ, arguments = self._environ(pid), self._read(pid, "cmdline")
        proxies = {name: value for name, value in (environ or {}).items() if name.lower() in _PROXY}
        named = dict(named_in(environ or {}, arguments or ()))
        return self._program(pid), None if environ is None else proxies, named

    def _sockets(self, pid: int) -> list[Socket]:
        """The sockets of a process's network: the kernel tells of our own at once, and of another's in /proc."""
        if self._asks and self._network(pid) == self._network("self"):
            try:
                return [Socket(*each) for each in socket_diagnostics.sockets((*_OPEN, _LISTEN))]
            except OSError:
                self._asks = False
        return [each for table in ("tcp", "tcp6") for each in self._table(pid, table)]

    def _network(self, pid: int | str) -> str:
        try:
            return str((self._proc / str(pid) / "ns" / "net").readlink())
        except OSError:
            return ""  # The process is gone.

    def _table(self, pid: int, name: str) -> list[Socket]:
        try:
            return list(parse((self._proc / str(pid) / "net" / name).read_text()))
        except OSError:
            return []  # The process is gone, or the kernel has no IPv6.

    def _namespaces(self, pids: list[int]) -> list[int]:
        """One process of each network namespace."""
        of: dict[str, int] = {}
        for pid in pids:
            of.setdefault(self._network(pid), pid)
        of.pop("", None)
        return list(of.values())

    def _owners(self, pids: list[int]) -> dict[int, int]:
        """The process of each socket that is among their open files."""
        owners: dict[int, int] = {}
        for pid in pids:
            with suppress(OSError):
                for file in (self._proc / str(pid) / "fd").iterdir():
                    with suppress(OSError):
                        target = str(file.readlink())
                        if target.startswith("socket:["):
                            owners.setdefault(int(target[8:-1]), pid)
        return owners

    def _program(self, pid: int) -> str:
        try:
            return (self._proc / str(pid) / "comm").read_text(errors="replace").strip()
        except OSError:
            return "a process"

    def _environ(self, pid: int) -> dict[str, str] | None:
        """What a process was started with; ``None``: it cannot be read."""
        variables = self._read(pid, "environ")
        if variables is None:
            return None
        pairs = (each.partition("=") for each in variables)
        return {name: value for name, sign, value in pairs if sign}

    def _read(self, pid: int, name: str) -> list[str] | None:
        """A file of texts with zeros between them."""
        try:
            content = (self._proc / str(pid) / name).read_bytes()
        except OSError:
            return None
        return [each.decode("utf-8", "replace") for each in content.split(b"\0")]


def _client_ports(proc: Path) -> range:
    """The ports that the kernel gives to who opens a connection. Documentation/networking/ip-sysctl.rst"""
    try:
        first, last = (proc / "sys/net/ipv4/ip_local_port_range").read_text().split()
        return range(int(first), int(last) + 1)
    except (OSError, ValueError):
        return range(32_768, 61_000)


def listener_of(port: int, proc: Path = PROC) -> int | None:
    """The process that listens on a TCP port; ``None``: there is none, or it is another user's."""
    inodes = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for each in parse((proc / "net" / name).read_text()):
                if each.state == _LISTEN and _port(each.local) == port:
                    inodes.add(f"socket:[{each.inode}]")
    if not inodes:
        return None
    for process in proc.iterdir():
        if process.name.isdecimal():
            with suppress(OSError):
                for file in (process / "fd").iterdir():
                    with suppress(OSError):
                        if str(file.readlink()) in inodes:
                            return int(process.name)
    return None


def _port(text: str) -> int:
    return int(text.rpartition(":")[2], 16)
