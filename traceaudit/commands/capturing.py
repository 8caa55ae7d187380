"""How the service's calls are brought to the audit: by its environment, by listeners alone, or by the kernel."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from traceaudit import listeners, pod, redirection
from traceaudit.commands.status import UsageFailure
from traceaudit.commands.telling import say
from traceaudit.config import Settings
from traceaudit.coverage import Capture
from traceaudit.listeners import Address, Kind, Listener
from traceaudit.name_server import NameServer, resolvers
from traceaudit.packet_filters import Rules
from traceaudit.pod import Pod
from traceaudit.protocols import BY_PORT, named_in
from traceaudit.redirection import Redirection, RedirectionError
from traceaudit.virtual_names import VirtualNames

_AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Way:
    """How calls are captured; ``in_pod``: redirected in a network of the service's own, without root."""

    capture: Capture
    in_pod: bool = False


ENVIRONMENT = Way(Capture.ENV)


def chosen_way(settings: Settings, *, starts: bool) -> Way:
    """The capture that the settings ask for; ``auto`` takes the best that works here, and says why.

    Raises UsageFailure where what is asked for does not work.
    """
    if settings.capture not in (_AUTO, Capture.REDIRECT):
        return Way(Capture(settings.capture))
    why: str | None = _NEEDS_RUN
    if starts:
        if (as_root := redirection.captures()) is None:
            if settings.capture == _AUTO:
                say("capture   redirect: the kernel sends every connection of the service through the audit")
            return Way(Capture.REDIRECT)
        if (why := pod.obstacle()) is None:
            say("capture   redirect, in a pod: the service has a network of its own, and every connection is sent here")
            return Way(Capture.REDIRECT, in_pod=True)
        if redirection.is_root():
            why = as_root
    if settings.capture == _AUTO:
        say(f"capture   env: {why}")
        return ENVIRONMENT
    raise UsageFailure(f"--capture redirect: {why}")


_NEEDS_RUN = "only a service that `traceaudit run` starts can be redirected"


def listeners_for(settings: Settings, way: Way) -> list[Listener]:
    """The listeners that a capture needs. Raises ``ValueError`` for an address that is none."""
    capture = way.capture
    behind: list[Listener] = []
    if capture is Capture.ENV:
        behind = [listeners.proxy(settings.outbound)]
    elif capture is Capture.REDIRECT:
        behind = listeners.redirect(settings.outbound)[: 1 if way.in_pod else None]
    upstreams = (listeners.upstream(name, text) for name, text in settings.upstreams.items())
    return [listeners.inbound(settings.inbound), *behind, *upstreams]


class Capturing:
    """The capture of one run: what the service is started with, and what has to be undone when it has ended."""

    def __init__(self, way: Way, settings: Settings, places: Sequence[Listener]) -> None:
        """Makes the pod, if there is to be one. Raises UsageFailure."""
        capture = self.capture = way.capture
        self._places = places
        routes = {name: listeners.address(text) for name, text in settings.routes.items()}
        self.names = VirtualNames(routes) if capture is Capture.REDIRECT else VirtualNames({})
        self._name_server: NameServer | None = None
        self._redirection: Redirection | None = None
        self._pod: Pod | None = None
        if way.in_pod:
            target = next(each.target for each in places if each.kind is Kind.INBOUND)
            assert target is not None
            try:
                self._pod = Pod(target)
            except RedirectionError as error:
                raise UsageFailure(f"--capture redirect: {error}") from error

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """What listens for redirected connections besides the listeners."""
        return self._pod.listeners if self._pod else ()

    @property
    def places(self) -> list[Listener]:
        """The listeners, the inbound one's target as it can be reached from here."""
        if self._pod is None:
            return list(self._places)
        outside = self._pod.outside
        return [replace(each, target=outside) if each.kind is Kind.INBOUND else each for each in self._places]

    @property
    def fronts(self) -> dict[Address, Address]:
        """The listeners that stand in front of something, and what."""
        return {each.listen: each.target for each in self.places if each.target is not None}

    @property
    def listening(self) -> list[Address]:
        """Every address at which the service's calls arrive."""
        inside = [Address(*each.getsockname()[:2]) for each in self.sockets]
        return [*(each.listen for each in self._places), *inside]

    async def begin(self, environment: Mapping[str, str]) -> None:
        """Sets the redirection up, if there is to be one. Raises UsageFailure."""
        if self.capture is not Capture.REDIRECT:
            return
        if self._pod is not None:
            self._name_server = await NameServer.open(self.names, resolvers(), self._pod.names)
            return
        if self.names.addresses:
            self._name_server = await NameServer.open(self.names, resolvers())
        ours = [each.listen for each in self._places]
        rules = Rules(
            tcp_port=next(each.listen.port for each in self._places if each.kind is Kind.REDIRECT),
            dns_port=self._name_server.port if self._name_server else None,
            own=[literal for each in ours for literal in _literals(each)],
            untouched_ports=list(BY_PORT),
            untouched=[literal for each, _ in named_in(environment) for literal in _literals(each)],
        )
        self._redirection = Redirection(rules)
        try:
            self._redirection.set_up()
        except RedirectionError as error:
            raise UsageFailure(f"--capture redirect: {error}") from error

    @property
    def enter(self) -> Callable[[], None] | None:
        """What the service's process does first."""
        if self._pod is not None:
            return self._pod.enter
        return self._redirection.enter if self._redirection else None

    def environment(self, given: Mapping[str, str], bundle: Path) -> dict[str, str]:
        """The service's environment: the audit's authority trusted and, if that is the way, the proxy named."""
        environment = dict(given)
        environment["SSL_CERT_FILE"] = str(bundle)
        if self.capture is Capture.ENV:
            proxy = next(each.listen for each in self._places if each.kind is Kind.PROXY)
            for name in ("HTTP_PROXY", "HTTPS_PROXY"):
                environment[name] = environment[name.lower()] = f"http://{proxy}"
            for name in ("NO_PROXY", "no_proxy"):
                environment[name] = ""
        return environment

    def end(self) -> None:
        """Undoes everything."""
        if self._redirection is not None:
            self._redirection.remove()
        if self._name_server is not None:
            self._name_server.close()
        if self._pod is not None:
            self._pod.close()


def _literals(address: Address) -> list[Address]:
    """The IP addresses that a host and port stand for; none: its name leads nowhere now."""
    try:
        ipaddress.ip_address(address.host)
    except ValueError:
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except OSError:
            return []
        return [Address(host, address.port) for host in sorted({str(each[4][0]) for each in found})]
    return [address]
