"""A pod for the service: a network of its own, in which the kernel sends every connection to the audit, without root.

Theory of operation. An assistant process makes a user namespace and a network namespace, in which it may do what root
may: it brings the loopback interface up, gives it the default route, and redirects all TCP and DNS, as Istio's init
container does in a Pod. It opens the redirected connections' listeners there and hands them to us: a socket stays in
the namespace that it was made in, so that the proxy, outside, accepts what the service calls inside and calls the real
upstream. What comes in is relayed the other way round: the assistant accepts on a listener that we made outside, and
connects inside. The service enters both namespaces, and one more in which it is the user that it was. All of it ends
with its processes.

https://man7.org/linux/man-pages/man7/user_namespaces.7.html
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from traceaudit import packet_filters
from traceaudit.listeners import LOOPBACK, Address
from traceaudit.packet_filters import FilterError, Rules
from traceaudit.redirection import RedirectionError

_OWN, _OWN_IPV6 = "198.18.0.1", "fd74:7261:6365::1"
"""The pod's addresses, of ranges that are nobody's. https://www.rfc-editor.org/rfc/rfc2544 and rfc4193"""
_RULES = "TAUDIT-POD"
_POLL_S = 0.05
_READY = b"ready"
_MOST_SOCKETS = 3
_CHUNK = 64 * 1024
_PATIENCE_S = 10.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def obstacle() -> str | None:
    """Why no pod can be made, with the remedy; ``None``: it can, and has been tried."""
    if sys.platform != "linux":
        return "pods are made on Linux only: use --capture env, and --upstream for localhost"
    if missing := packet_filters.programs():
        return f"there is no {' and no '.join(missing)}: install one (Debian, Ubuntu: apt-get install {missing[0]})"
    if shutil.which("ip") is None:
        return "there is no ip: install it (Debian, Ubuntu: apt-get install iproute2)"
    try:
        Pod(Address(LOOPBACK, 9)).close()
    except RedirectionError as error:
        return str(error)
    return None


class Pod:
    """One pod. ``listeners`` accept what is called inside, ``names`` gets DNS questions, ``outside`` leads in."""

    def __init__(self, target: Address) -> None:
        """``target``: where the service will listen, inside. Raises RedirectionError."""
        entrance = socket.socket()
        ours, theirs = socket.socketpair()
        try:
            entrance.bind((LOOPBACK, 0))
            self.outside = Address(*entrance.getsockname())
            self._assistant = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    __name__,
                    str(theirs.fileno()),
                    str(entrance.fileno()),
                    *map(str, _pair(target)),
                ],
                pass_fds=(theirs.fileno(), entrance.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C is for us, and we tell the assistant
                env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
            )
        finally:
            theirs.close()
            entrance.close()
        self._control = ours
        sockets = self._received()
        self.names, self.listeners = sockets[0], sockets[1:]
        # Open files, so that a later process of the same number is not taken for the assistant.
        self._namespaces = [
            os.open(f"/proc/{self._assistant.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("user", "net")
        ]
        self._ids = (os.getuid(), os.getgid())

    @property
    def port(self) -> int:
        """Of the listeners, inside."""
        port: int = self.listeners[0].getsockname()[1]
        return port

    def enter(self) -> None:
        """Moves the calling process into the pod; called in the child, before it becomes the service."""
        user, net = self._namespaces
        os.setns(user, os.CLONE_NEWUSER)
        os.setns(net, os.CLONE_NEWNET)
        # In there everybody is root; the service is to be who it was.
        os.unshare(os.CLONE_NEWUSER)
        _map(inside=self._ids, outside=(0, 0))

    def close(self) -> None:
        """Ends the assistant, and with it and the service the pod."""
        self._control.close()
        for each in (self.names, *self.listeners):
            each.close()
        for descriptor in self._namespaces:
            os.close(descriptor)
        self._end()

    def _received(self) -> list[socket.socket]:
        self._control.settimeout(_PATIENCE_S)
        try:
            said, descriptors, _, _ = socket.recv_fds(self._control, 4096, _MOST_SOCKETS)
        except OSError as error:
            said, descriptors = str(error).encode(), []
        if said != _READY:
            self._control.close()
            self._end()
            why = said.decode(errors="replace") or "the assistant gave up"
            raise RedirectionError(f"no pod can be made without root ({why}): use sudo, or --capture env. {_REMEDY}")
        return [socket.socket(fileno=each) for each in descriptors]

    def _end(self) -> None:
        self._assistant.kill()
        self._assistant.communicate()


_REMEDY = "On Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0"


def _pair(address: Address) -> tuple[str, int]:
    return address.host, address.port


def _map(*, inside: tuple[int, int], outside: tuple[int, int]) -> None:
    """Says who is who in the user namespace that this process has just made."""
    with contextlib.suppress(OSError):  # it has been said in the namespace around
        Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside[0]} {outside[0]} 1")
    Path("/proc/self/gid_map").write_text(f"{inside[1]} {outside[1]} 1")


# --- the assistant ----------------------------------------------------------------------------------------------------


def assist(control: socket.socket, entrance: socket.socket, target: Address) -> None:
    """Makes the namespaces, hands their sockets over, and relays what comes in until the control socket is closed."""
    try:
        sockets = _furnish(target)
    except (OSError, FilterError) as error:
        control.sendall(" ".join(str(error).split()).encode()[:2000])
        return
    socket.send_fds(control, [_READY], [each.fileno() for each in sockets])
    for each in sockets:
        each.close()
    asyncio.run(_relay(control, entrance, target))


def _furnish(target: Address) -> Sequence[socket.socket]:
    """Everything inside: the names' socket first, then the listeners."""
    ids = (os.getuid(), os.getgid())
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    _map(inside=(0, 0), outside=ids)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _do("ip", "link", "set", "lo", "up")
    # The route alone will not do: calls to elsewhere need an address to come from, and 127.0.0.1 is for calls to here.
    _do("ip", "address", "add", f"{_OWN}/32", "dev", "lo")
    _do("ip", "route", "add", "default", "dev", "lo")
    names = socket.socket(type=socket.SOCK_DGRAM)
    names.bind((LOOPBACK, 0))
    listener = socket.create_server((LOOPBACK, 0), backlog=1024)
    sockets = [names, listener]
    with contextlib.suppress(OSError):  # where there is no IPv6, none can be redirected
        _do("ip", "-6", "address", "add", f"{_OWN_IPV6}/128", "dev", "lo")
        _do("ip", "-6", "route", "add", "default", "dev", "lo")
        sockets.append(socket.create_server(("::1", listener.getsockname()[1]), family=socket.AF_INET6, backlog=1024))
    rules = Rules(
        listener.getsockname()[1],
        names.getsockname()[1],
        own=[Address(network, target.port) for network in ("127.0.0.0/8", "::1/128")],
    )
    # The lock that everybody who uses iptables shares cannot be opened in here, and need not be.
    os.environ["XTABLES_LOCKFILE"] = os.devnull
    packet_filters.install(_RULES, rules, ipv6_rules=replace(rules, dns_port=None))
    return sockets


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip() or f'status {done.returncode}'}")


async def _relay(control: socket.socket, entrance: socket.socket, target: Address) -> None:
    """Accepts outside and connects inside, from when the service listens until the control socket is closed."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(control.fileno(), over.set)

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inside_reader, inside_writer = await asyncio.open_connection(target.host, target.port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_pass(reader, inside_writer), _pass(inside_reader, writer))

    while not over.is_set():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(target.host, target.port)
            writer.close()
            break
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                await over.wait()
    async with await asyncio.start_server(accepted, sock=entrance):
        await over.wait()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except (OSError, RuntimeError):
        writer.transport.abort()


def main(arguments: Sequence[str]) -> None:
    """The assistant's beginning: the control socket, the entrance, and where the service will listen."""
    control, entrance, host, port = arguments
    assist(socket.socket(fileno=int(control)), socket.socket(fileno=int(entrance)), Address(host, int(port)))


if __name__ == "__main__":
    main(sys.argv[1:])
