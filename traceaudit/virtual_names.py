"""Gives Service names addresses of their own, for a service whose calls the kernel redirects.

In a mesh `inventory` resolves to a virtual address that nobody listens on, and the sidecar knows whose it is. Here it
is the same: each name of the routes gets an address in 127.240.0.0/16, DNS questions for it are answered with that, and
the proxy leads a connection to it where the route points. Other questions are passed on.
https://www.rfc-editor.org/rfc/rfc1035
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping

from traceaudit.coverage import names_of
from traceaudit.listeners import Address
from traceaudit.protocols import BY_PORT

_FIRST = ipaddress.IPv4Address("127.240.0.1")
"""On the loopback interface every address of 127.0.0.0/8 can be reached without a route."""

_A, _IN = 1, 1
_TTL_S = 5


class VirtualNames:
    """The names of a table of routes and their addresses."""

    def __init__(self, routes: Mapping[str, Address]) -> None:
        self._routes = {name.lower(): address for name, address in routes.items()}
        # What is no HTTP goes round the proxy, and so cannot be led anywhere from a virtual address.
        hosts = {name.partition(":")[0] for name, address in self._routes.items() if address.port not in BY_PORT}
        self.addresses: dict[str, str] = {host: str(_FIRST + at) for at, host in enumerate(sorted(hosts))}
        """The virtual address of each name."""
        self._hosts = {address: host for host, address in self.addresses.items()}

    def real(self, host: str, port: int) -> Address | None:
        """Where a virtual address leads; ``None``: it is none of ours, or nothing is known for this port."""
        name = self._hosts.get(host)
        return None if name is None else self._routes.get(f"{name}:{port}") or self._routes.get(name)

    def answer(self, query: bytes) -> bytes | None:
        """The answer to a DNS question for one of the names; ``None``: it is for somebody else to answer."""
        asked = _question(query)
        if asked is None:
            return None
        name, kind, end = asked
        address = next((self.addresses[each] for each in names_of(name) if each in self.addresses), None)
        if address is None:
            return None
        record = b""
        if kind == _A:
            # The name is a pointer to the question's, right behind the header of twelve bytes.
            record = struct.pack("!HHHIH", 0xC00C, _A, _IN, _TTL_S, 4) + ipaddress.IPv4Address(address).packed
        # A response, recursion available, the question's own wish for recursion; no error.
        flags = 0x8080 | (struct.unpack_from("!H", query, 2)[0] & 0x0100)
        header = query[:2] + struct.pack("!HHHHH", flags, 1, 1 if record else 0, 0, 0)
        return header + query[12:end] + record


def _question(query: bytes) -> tuple[str, int, int] | None:
    """Name, type and end of the only question of a DNS query; ``None``: it is something else."""
    if len(query) < 12:
        return None
    flags, questions = struct.unpack_from("!HH", query, 2)
    if flags & 0xF800 or questions != 1:
        return None
    labels: list[str] = []
    at = 12
    while at < len(query) and (length := query[at]):
        if length > 63:
            return None
        labels.append(query[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    if at + 5 > len(query):
        return None
    kind, class_ = struct.unpack_from("!HH", query, at + 1)
    return (".".join(labels), kind, at + 5) if class_ == _IN else None
