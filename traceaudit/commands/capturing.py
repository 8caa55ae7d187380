"""How the service's calls are brought to the audit: by its environment, by listeners alone, or by the kernel."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from traceaudit import listeners, redirection
from traceaudit.commands.status import UsageFailure
from traceaudit.commands.telling import say
from traceaudit.config import Settings
from traceaudit.coverage import Capture
from traceaudit.listeners import Address, Kind, Listener
from traceaudit.name_server import NameServer, resolvers
from traceaudit.protocols import BY_PORT, named_in
from traceaudit.redirection import Redirection, RedirectionError, Rules
from traceaudit.virtual_names import VirtualNames

_AUTO = "auto"


def chosen_capture(settings: Settings, *, starts: bool) -> Capture:
    """The capture that the settings ask for; ``auto`` takes the best that works here, and says why.

    Raises UsageFailure where what is asked for does not work.
    """
    if settings.capture != _AUTO:
        capture = Capture(settings.capture)
        if capture is Capture.REDIRECT:
            why = redirection.captures() if starts else _NEEDS_RUN
            if why is not None:
                raise UsageFailure(f"--capture redirect: {why}")
        return capture
    why = redirection.captures() if starts else _NEEDS_RUN
    if why is None:
        say("capture   redirect: the kernel sends every connection of the service through the audit")
        return Capture.REDIRECT
    say(f"capture   env: {why}")
    return Capture.ENV


_NEEDS_RUN = "only a service that `traceaudit run` starts can be redirected"


def listeners_for(settings: Settings, capture: Capture) -> list[Listener]:
    """The listeners that a capture needs. Raises ``ValueError`` for an address that is none."""
    behind: list[Listener] = []
    if capture is Capture.ENV:
        behind = [listeners.proxy(settings.outbound)]
    elif capture is Capture.REDIRECT:
        behind = listeners.redirect(settings.outbound)
    upstreams = (listeners.upstream(name, text) for name, text in settings.upstreams.items())
    return [listeners.inbound(settings.inbound), *behind, *upstreams]


class Capturing:
    """The capture of one run: what the service is started with, and what has to be undone when it has ended."""

    def __init__(self, capture: Capture, settings: Settings, places: Sequence[Listener]) -> None:
        self.capture = capture
        self._places = places
        routes = {name: listeners.address(text) for name, text in settings.routes.items()}
        self.names = VirtualNames(routes) if capture is Capture.REDIRECT else VirtualNames({})
        self._name_server: NameServer | None = None
        self._redirection: Redirection | None = None

    async def begin(self, environment: Mapping[str, str]) -> None:
        """Sets the redirection up, if there is to be one. Raises UsageFailure."""
        if self.capture is not Capture.REDIRECT:
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
