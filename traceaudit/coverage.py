"""What the audit does not see: connections round the proxy, upstreams never called, routes never requested.

Theory of operation. :class:`Coverage` does no I/O and reads no clock. It is told of each connection that the service
has opened, once, and says whether that is a bypass (CP001), something that is not to be audited, or one of ours. At the
end it compares what the settings name with what was called and requested (CP002, CP003). Its findings go into the same
book as those about calls, so that selection, severities, the database and the reports treat them alike.

Being right comes first: a connection is accused when it came through no listener and is not known to be for something
else. Why it went round is a guess, and is worded as one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from traceaudit.findings import Accusation, Finding, FindingsBook
from traceaudit.listeners import Address
from traceaudit.protocols import Kind, Protocol, protocol_of
from traceaudit.rules import Rule, Violation
from traceaudit.rules import cp001_upstream_bypasses_proxy as cp001
from traceaudit.rules import cp002_upstream_unobserved as cp002
from traceaudit.rules import cp003_route_unexercised as cp003

_UNKNOWN = Protocol("unknown protocol", Kind.OTHER)

_CLUSTER = (".svc.cluster.local", ".svc")


class Capture(StrEnum):
    """How the service's calls are brought to the audit."""

    ENV = "env"
    """By ``HTTP_PROXY`` and ``HTTPS_PROXY``, and listeners in front of upstreams."""
    LISTENERS = "listeners"
    """By listeners in front of upstreams alone."""
    REDIRECT = "redirect"
    """By the kernel."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A TCP connection that a process of the service has opened; hosts are IP addresses."""

    local: Address
    remote: Address
    pid: int
    program: str
    environ: Mapping[str, str] | None = field(default=None, compare=False)
    """The proxy variables of the process's environment; ``None``: it could not be read."""
    named: Mapping[Address, Protocol] = field(default_factory=dict, compare=False)
    """What the process's environment and command line say of addresses."""
    reached: Address | None = None
    """Where the other end really is, when that is on this machine; another than ``remote`` after a redirection."""
    internal: bool = False
    """Its other end belongs to the service, too."""


@dataclass(slots=True)
class Other:
    """Connections to one address that are not to be audited, and why."""

    address: Address
    protocol: Protocol
    connections: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the settings name: upstreams with the setting that does, routes of the service, and where names lead."""

    upstreams: Mapping[str, str] = field(default_factory=dict)
    routes: Sequence[str] = ()
    leads: Mapping[Address, str] = field(default_factory=dict)
    """The address behind a Service name, as the settings have it."""


class Coverage:
    """One run's coverage."""

    def __init__(
        self,
        book: FindingsBook,
        rules: Collection[Rule],
        *,
        capture: Capture = Capture.ENV,
        listening: Sequence[Address] = (),
        came_through: Callable[[Address], bool] = lambda _: False,
        named: Mapping[Address, Protocol] | None = None,
        expectation: Expectation | None = None,
    ) -> None:
        """``came_through`` tells whether a connection from a local address has reached a listener of ours; ``named``
        is what the environment says of addresses.
        """
        self._book = book
        self._codes = {rule.code for rule in rules}
        self._capture = capture
        self._listening = listening
        self._came_through = came_through
        self._named = named or {}
        self._expectation = expectation or Expectation()
        self._undecrypted: set[str] = set()
        self.others: dict[tuple[Address, Protocol], Other] = {}
        """What is connected to and is not to be audited."""

    def is_ours(self, connection: Connection) -> bool:
        """Whether a connection goes to one of our listeners, or has reached one by redirection."""
        remote, local = connection.reached or connection.remote, connection.local
        here = _is_loopback(remote.host) or remote.host == local.host
        for listener in self._listening:
            if listener.port == remote.port and (here or listener.host == remote.host):
                return True
        return self._came_through(local)

    def see(self, connection: Connection, at_ns: int) -> Finding | None:
        """Takes a connection that the service has opened; the finding, when it goes round the audit."""
        if self.is_ours(connection):
            return None
        protocol = protocol_of(connection.remote, {**self._named, **connection.named})
        if connection.internal:
            protocol = Protocol(connection.program, Kind.INTERNAL)
        if protocol is not None:
            self._count(connection.remote, protocol, at_ns)
            return None
        why, remedy = guess(connection, self._capture)
        if (name := self._expectation.leads.get(connection.remote)) is not None:
            why = f"{why}. It is where {name} leads"
        violation = cp001.bypass(
            str(connection.remote), f"{connection.program} (process {connection.pid})", why, remedy
        )
        return self._add(cp001.RULE, "", str(connection.remote), violation, at_ns)

    def undecrypted(self, authority: str, why: str, remedy: str, at_ns: int) -> Finding | None:
        """Takes a connection over TLS that passes unread; the finding, if it is to be made."""
        self._undecrypted.add(authority)
        return self._add(cp001.RULE, "", authority, cp001.undecrypted(authority, why, remedy), at_ns)

    def not_http(self, remote: Address, at_ns: int) -> None:
        """Takes a connection that came to the audit and is no HTTP."""
        self._count(remote, protocol_of(remote, self._named) or _UNKNOWN, at_ns)

    def settle(self, authorities: Collection[str], requests: Iterable[str], at_ns: int) -> None:
        """Compares what was called and requested (routes, ``GET /orders/17``) with what the settings name."""
        if cp002.RULE.code in self._codes:
            called = {name for authority in {*authorities, *self._undecrypted} for name in names_of(authority)}
            called |= {name.lower() for address, name in self._expectation.leads.items() if _written(address) & called}
            for name, setting in self._expectation.upstreams.items():
                if name.lower() not in called:
                    self._add(cp002.RULE, "", name, cp002.unobserved(name, setting), at_ns, occurrences=0)
        if cp003.RULE.code in self._codes:
            seen = list(requests)
            for route in self._expectation.routes:
                if not any(fits(route, each) for each in seen):
                    self._add(cp003.RULE, route, "", cp003.unexercised(route), at_ns, occurrences=0)

    def _add(
        self, rule: Rule, route: str, authority: str, violation: Violation, at_ns: int, *, occurrences: int = 1
    ) -> Finding | None:
        if rule.code not in self._codes:
            return None
        edge = self._book.edge(route, authority, "")
        finding = self._book.add(edge, Accusation(rule, violation, None, None, at_ns, 1.0, 1.0, None))
        if not occurrences:  # What did not happen has no times; the report says none.
            finding.did_not_occur()
        return finding

    def _count(self, remote: Address, protocol: Protocol, at_ns: int) -> None:
        other = self.others.setdefault((remote, protocol), Other(remote, protocol, 0, at_ns, at_ns))
        other.connections += 1
        other.last_ns = at_ns


# --- names ------------------------------------------------------------------------------------------------------------


def names_of(authority: str) -> list[str]:
    """All that a call's authority may be called in the settings, the most exact first: with the port, as it was
    written, without the cluster's suffix, and the Service alone.
    """
    host, port = _host_and_port(authority.lower())
    host = host.removesuffix(".")
    short = host
    for suffix in _CLUSTER:
        if host.endswith(suffix):
            short = host.removesuffix(suffix)
            break
    service = short.partition(".")[0] if short != host or "." not in host else host
    names = dict.fromkeys((host, short, service))
    return [text for name in names for text in ((f"{name}:{port}", name) if port else (name,))]


def unobserved(names: Iterable[str], authorities: Iterable[str]) -> list[str]:
    """The names that no call went to."""
    called = {name for authority in authorities for name in names_of(authority)}
    return [name for name in names if name.lower() not in called]


def _written(address: Address) -> set[str]:
    """An address as calls may have it."""
    hosts = {address.host, "localhost"} if _is_loopback(address.host) else {address.host}
    return {f"{host}:{address.port}" for host in hosts}


def _host_and_port(authority: str) -> tuple[str, str]:
    if authority.startswith("["):
        host, _, port = authority.partition("]")
        return host[1:], port.removeprefix(":")
    host, colon, port = authority.rpartition(":")
    return (host, port) if colon and port.isdecimal() and ":" not in host else (authority, "")


def fits(known: str, seen: str) -> bool:
    """Whether a route that was seen is the one that is known; a part in braces stands for any one segment, and
    ``{name...}`` at the end for all that follow, as in Go's ``http.ServeMux``.
    """
    known_method, known_parts = _parts(known)
    seen_method, seen_parts = _parts(seen)
    if known_method and known_method != seen_method:
        return False
    if known_parts and known_parts[-1].endswith("...}"):
        known_parts, seen_parts = known_parts[:-1], seen_parts[: len(known_parts) - 1]
    return len(known_parts) == len(seen_parts) and all(
        one == other or one.startswith("{") or other.startswith("{")
        for one, other in zip(known_parts, seen_parts, strict=True)
    )


def _parts(route: str) -> tuple[str, list[str]]:
    """The method, empty where there is none, and the segments of the path."""
    before, slash, path = route.strip().partition("/")
    return before.strip().upper(), (slash + path).partition("?")[0].rstrip("/").split("/")


# --- why --------------------------------------------------------------------------------------------------------------


def guess(connection: Connection, capture: Capture) -> tuple[str, str]:
    """Why a connection probably goes round the audit, and the remedy; both are parts of sentences."""
    own = f"give it a listener, --upstream NAME=PORT:{connection.remote}, and let the service call localhost:PORT"
    match capture:
        case Capture.REDIRECT:
            return (
                "it was opened before the redirection held, or by a process that has left the service's group",
                "start everything that belongs to the service from the command that is audited",
            )
        case Capture.LISTENERS:
            why, remedy = "no listener stands for it", own
        case Capture.ENV:
            why, remedy = _why_not_by_environment(connection, own)
    return why, f"{remedy}; or run with --capture redirect (Linux)"


def _why_not_by_environment(connection: Connection, own: str) -> tuple[str, str]:
    host, program, environ = connection.remote.host, connection.program, connection.environ
    if environ is not None and not _variable(environ, "http_proxy") and not _variable(environ, "https_proxy"):
        return (
            f"{program} runs without HTTP_PROXY, so what started it has not passed the environment on",
            "pass HTTP_PROXY and HTTPS_PROXY on to it",
        )
    if _is_loopback(host):
        return "Go sends nothing to localhost or a loopback address through a proxy, whatever HTTP_PROXY says", own
    if _is_excluded(host, _variable(environ, "no_proxy")):
        return f"NO_PROXY in the environment of {program} covers it", "take it out of NO_PROXY"
    if environ is not None and not _variable(environ, "https_proxy"):
        return "grpc-go and calls over TLS honour HTTPS_PROXY, and only HTTP_PROXY is set", "set HTTPS_PROXY as well"
    return (
        "perhaps an http.Transport without Proxy, a gRPC dialer of its own, or a client that never takes an address "
        "literal through a proxy",
        f"set Proxy: http.ProxyFromEnvironment in the Transport, or {own}",
    )


def _variable(environ: Mapping[str, str] | None, name: str) -> str:
    return ((environ or {}).get(name) or (environ or {}).get(name.upper())) or ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_excluded(host: str, no_proxy: str) -> bool:
    """Whether ``NO_PROXY`` covers an address; names in it are not known to be this address, so they do not count.
    https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for part in (each.strip() for each in no_proxy.split(",")):
        if part == "*":
            return True
        try:
            if address in ipaddress.ip_network(part.strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False
