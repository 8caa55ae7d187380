"""Asks the kernel for the TCP sockets of this network namespace, in the states that are wanted, without root.

/proc/net/tcp has every connection of the last minute in it, closed ones too: after a load test that is tens of
thousands of lines, of which a handful matter. https://man7.org/linux/man-pages/man7/sock_diag.7.html
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterator

_NETLINK_SOCK_DIAG = 4
_TCPDIAG_GETSOCK = 18
"""The older request, which walks the kernel's tables once for both families."""
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
"""Length, type, flags, sequence number, port. linux/netlink.h"""
_REQUEST = struct.Struct("=4x48xI4x")
"""An id that is not asked for, and the states. linux/inet_diag.h, inet_diag_req"""
_ANSWER = struct.Struct("=BB2x2s2s16s16s4x8x4x4x4x4xI")
"""Family, state, ports, addresses and inode. linux/inet_diag.h, inet_diag_msg"""
_ROOM = 1 << 18
"""The kernel fills what it is given, up to 32 KiB a message."""

type Row = tuple[str, str, str, int]
"""Local, remote, state and inode, the first three as /proc/net/tcp writes them."""


def sockets(states: Collection[str]) -> list[Row]:
    """The sockets in these states (``01``: established, as in /proc/net/tcp). Raises OSError where none may ask."""
    mask = sum(1 << int(each, 16) for each in states)
    found: list[Row] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asking:
        asking.settimeout(1)
        request = _REQUEST.pack(mask)
        asking.send(_HEADER.pack(_HEADER.size + len(request), _TCPDIAG_GETSOCK, _DUMP, 1, 0) + request)
        while _read(asking.recv(_ROOM), found):
            pass
    return found


def _read(message: bytes, found: list[Row]) -> bool:
    """Takes what is in a message; whether there are more to come."""
    at = 0
    while at + _HEADER.size <= len(message):
        length, kind, *_ = _HEADER.unpack_from(message, at)
        if kind == _DONE or length < _HEADER.size:
            return False
        if kind == _ERROR:
            (number,) = struct.unpack_from("=i", message, at + _HEADER.size)
            raise OSError(-number, "the kernel does not tell of its sockets")
        if kind == _TCPDIAG_GETSOCK:
            family, state, *ends, inode = _ANSWER.unpack_from(message, at + _HEADER.size)
            local_port, remote_port, local, remote = ends
            words = 1 if family == socket.AF_INET else 4
            found.append((_end(local, local_port, words), _end(remote, remote_port, words), f"{state:02X}", inode))
        at += (length + 3) & ~3
    return True


def _end(address: bytes, port: bytes, words: int) -> str:
    """``0100007F:1F90``: each group of eight digits is a number in the machine's own order."""
    numbers: Iterator[int] = iter(struct.unpack("=4I", address)[:words])
    return f"{''.join(f'{each:08X}' for each in numbers)}:{int.from_bytes(port):04X}"
