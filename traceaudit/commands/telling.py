"""What a live audit says on standard error: where it listens, what it has found, and what the proxy complains about."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import click

from traceaudit.correlation.gating.worth import Work
from traceaudit.exchange import Confidence
from traceaudit.findings import Finding
from traceaudit.listeners import Kind, Listener
from traceaudit.safe import safe
from traceaudit.verdicts import Verdict


def say(text: str) -> None:
    """A line of ours."""
    click.echo(text, err=True)


def service_line(line: str) -> None:
    """A line of the service's own."""
    click.echo(f"{click.style('service │', dim=True)} {line}", err=True)


def say_what_listens(
    listeners: Sequence[Listener], database: Path, bundle: Path, *, starts: bool, environment: bool
) -> None:
    """Tells of each listener; ``starts``: the service is ours to start, ``environment``: and is given the proxy.

    ``bundle`` is what the service's calls over TLS have to trust.
    """
    for listener in listeners:
        address = listener.listen
        match listener.kind:
            case Kind.INBOUND:
                say(f"inbound   http://{address} → service on {listener.target}: call this one")
            case Kind.PROXY if starts and environment:
                say(f"outbound  http://{address}: set as HTTP_PROXY, HTTPS_PROXY (both spellings); NO_PROXY cleared")
            case Kind.PROXY:
                say(f"outbound  http://{address}: start the service with HTTP_PROXY and HTTPS_PROXY set to this,")
                say(f"          and, for calls over TLS, SSL_CERT_FILE={bundle}")
            case Kind.REDIRECT:
                say(f"outbound  {address}: the kernel sends every TCP connection of the service here")
            case Kind.UPSTREAM:
                say(f"outbound  http://{address} → {listener.name} on {listener.target}")
    say(f"audit     {database}; Ctrl-C ends it and shows the findings")


class Announcer:
    """Says each finding once, when it is first sure enough to matter."""

    def __init__(self) -> None:
        self._said: set[int] = set()

    def __call__(self, verdict: Verdict) -> None:
        """Looks at what one call was accused of."""
        for finding, _ in verdict.accusations:
            if finding.id in self._said or finding.confidence is Confidence.AMBIGUOUS:
                continue
            self._said.add(finding.id)
            edge = finding.edge
            where = f"{edge.inbound_route} → {edge.outbound_authority} {edge.outbound_route}"
            say(f"{finding.severity.value:9} {finding.rule.code} {finding.rule.slug}: {safe(where)}")


def announce_bypass(finding: Finding) -> None:
    """Says what goes round the audit, when it is first seen."""
    rule = finding.rule
    say(f"{finding.severity.value:9} {rule.code} {rule.slug}: {safe(finding.example.violation.message, None)}")


class Stderr(logging.Handler):
    """Shows warnings and errors of the proxy, one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record to standard error."""
        say(f"{record.levelname.lower():9} {safe(record.getMessage())}")


def listen_to_the_proxy() -> None:
    """Sends what mitmproxy and our addons log at warning and above to standard error."""
    handler = Stderr(logging.WARNING)
    for name in ("mitmproxy", "traceaudit_addons"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.handlers[:] = [handler]
        logger.propagate = False


_NOTICED_MS = 1.0
"""What was held for less is not noticed."""


def say_what_was_gated(work: Work) -> None:
    """Tells what the gate has shown, and what it cost; nothing where it did neither."""
    half, most = work.held_ms
    if not work.claimed and most < _NOTICED_MS:
        return
    say(
        f"gate      shows the request behind {work.claimed} of {work.calls} calls without ids; of {work.stimuli}"
        f" requests and answers, half were held at most {half:.2f} ms, 99 % at most {most:.1f} ms"
    )
