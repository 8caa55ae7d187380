"""Reads what a user writes for listeners and addresses: `15006:8080`, `inventory=9101:10.0.0.7:80`, `[::1]:9000`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

LOOPBACK = "127.0.0.1"
"""Where everything listens unless the user says otherwise: an audit is for this machine."""

_PART = re.compile(r"\[[0-9a-fA-F:.]+\]|[^:\[\]]+")


class Kind(StrEnum):
    """What a listener stands for."""

    INBOUND = "inbound"
    """In front of the service."""
    PROXY = "proxy"
    """Behind the service, as the explicit proxy that ``HTTP_PROXY`` names."""
    REDIRECT = "redirect"
    """Behind the service, where the kernel sends its connections."""
    UPSTREAM = "upstream"
    """Behind the service, in front of one upstream."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a name or a literal without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket; port 0: any that is free. ``target`` is ``None`` where every request names its own."""

    kind: Kind
    listen: Address
    target: Address | None = None
    name: str = ""


def address(text: str) -> Address:
    """Reads `PORT`, `HOST:PORT` or `http://HOST:PORT`; raises ``ValueError`` with what is wrong."""
    parts = _parts(text.removeprefix("http://").removesuffix("/"))
    match parts:
        case [port]:
            return Address(LOOPBACK, _port(port, text))
        case [host, port]:
            return Address(host, _port(port, text))
    raise ValueError(f"{text!r} is not an address: write PORT or HOST:PORT")


def inbound(text: str) -> Listener:
    """Reads `LISTEN:TARGET`, each a port or a host and a port: where clients call, and where the service listens."""
    listen, target = _pair(text)
    return Listener(Kind.INBOUND, listen, target)


def upstream(name: str, text: str) -> Listener:
    """Reads an upstream's `LISTEN:UPSTREAM`, each a port or a host and a port."""
    if not name:
        raise ValueError(f"{text!r} needs a name: write NAME=LISTEN:UPSTREAM")
    listen, target = _pair(text)
    return Listener(Kind.UPSTREAM, listen, target, name)


def proxy(text: str) -> Listener:
    """Reads where the explicit proxy listens: a port, or a host and a port."""
    return Listener(Kind.PROXY, address(text))


def redirect(text: str) -> list[Listener]:
    """Reads where redirected connections arrive, a port: that of the loopback interface, of IPv4 and of IPv6."""
    port = address(text).port
    return [Listener(Kind.REDIRECT, Address(host, port)) for host in (LOOPBACK, "::1")]


def _pair(text: str) -> tuple[Address, Address]:
    parts = _parts(text)
    match parts:
        case [one, two]:
            pair = ((LOOPBACK, one), (LOOPBACK, two))
        case [one, two, three] if one.isdecimal():
            pair = ((LOOPBACK, one), (two, three))
        case [one, two, three]:
            pair = ((one, two), (LOOPBACK, three))
        case [one, two, three, four]:
            pair = ((one, two), (three, four))
        case _:
            raise ValueError(
                f"{text!r} is not LISTEN:TARGET: write it like 15006:8080 or 127.0.0.1:15006:localhost:8080"
            )
    (listen, listen_port), (target, target_port) = pair
    if _port(target_port, text) == 0:
        raise ValueError(f"{text!r}: the target's port cannot be 0")
    return Address(listen, _port(listen_port, text)), Address(target, _port(target_port, text))


def _parts(text: str) -> list[str]:
    parts = _PART.findall(text)
    if ":".join(parts) != text:
        raise ValueError(f"{text!r} is not an address: an IPv6 host needs brackets, like [::1]:8080")
    return [part.strip("[]") for part in parts]


def _port(text: str, whole: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) > 65535:
        raise ValueError(f"{whole!r}: {text!r} is not a port; ports go from 0 to 65535")
    return int(text)
