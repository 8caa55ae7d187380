"""Reads what a user asks to be sent, written as for curl: URLs, a method, headers, a body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import SplitResult, quote, urlsplit

from traceaudit import listeners
from traceaudit.commands.sending import Request
from traceaudit.commands.status import UsageFailure
from traceaudit.config import Settings
from traceaudit.exchange import Header
from traceaudit.formats import FORMAT_OF_HEADER

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset({"user-agent", "host", "content-length", "transfer-encoding", "connection"})
_UNQUOTED = "!#$%&'()*+,/:;=?@[]~"


def requests_of(
    settings: Settings, urls: Sequence[str], method: str, headers: Sequence[str], body: bytes | None
) -> tuple[Settings, list[Request]]:
    """The request of each URL, and the settings with the service's address, if the URLs alone say it.

    Raises UsageFailure.
    """
    if not _NAME.fullmatch(method):
        raise UsageFailure(f"--method {method}: that is no method of HTTP; write it like GET")
    fields = [_field(each) for each in headers]
    if body is not None and not any(name.lower() == "content-type" for name, _ in fields):
        fields.append(("Content-Type", "application/x-www-form-urlencoded"))
    parts = [_parts(url) for url in urls]
    if not settings.inbound:
        settings = replace(settings, inbound=_inbound(urls, parts))
    try:
        inbound = listeners.inbound(settings.inbound)
    except ValueError as error:
        raise UsageFailure(str(error)) from error
    assert inbound.target is not None
    requests = []
    for url, part in zip(urls, parts, strict=True):
        if part.netloc and _port(part) not in (inbound.listen.port, inbound.target.port):
            raise UsageFailure(
                f"{url}: the audit is in front of {inbound.target} ({settings.inbound}), and this is another service's;"
                " probe one service at a time"
            )
        path = quote(part.path or "/", safe=_UNQUOTED) + (f"?{quote(part.query, safe=_UNQUOTED)}" if part.query else "")
        requests.append(Request(method, path, part.netloc or str(inbound.target), fields, body))
    return settings, requests


def _parts(url: str) -> SplitResult:
    written = url if url.startswith("/") or "://" in url else f"http://{url}"
    try:
        part = urlsplit(written)
        _port(part)
    except ValueError as error:
        raise UsageFailure(f"{url}: {error}; write it like http://localhost:8080/orders/17") from error
    if part.scheme not in ("", "http"):
        raise UsageFailure(
            f"{url}: the service is called without TLS, as by its sidecar; write http:// and the port where it listens"
        )
    if part.username is not None:
        raise UsageFailure(f"{url}: a name and password go into a header: --header 'Authorization: Basic …'")
    if not part.netloc.isascii():
        raise UsageFailure(f"{url}: write the host in ASCII, as a Host header has it (xn--…)")
    if part.scheme and not part.hostname:
        raise UsageFailure(f"{url}: there is no host in it; write it like http://localhost:8080/orders/17")
    return part


def _port(part: SplitResult) -> int:
    return 80 if part.port is None else part.port


def _inbound(urls: Sequence[str], parts: Sequence[SplitResult]) -> str:
    """Where the service listens by the URLs, behind any port that is free."""
    places = {(part.hostname, _port(part)): url for url, part in zip(urls, parts, strict=True) if part.netloc}
    if not places:
        raise UsageFailure(
            f"{urls[0]}: where does the service listen? Write the whole URL, like http://localhost:8080{urls[0]}, or"
            " say --inbound 15006:8080"
        )
    if len(places) > 1:
        raise UsageFailure(f"{' and '.join(places.values())} are of several services; probe one at a time")
    ((host, port),) = places
    return f"0:{f'[{host}]' if host and ':' in host else host}:{port}"


def _field(text: str) -> Header:
    name, sign, value = text.partition(":")
    value = value.strip()
    if not sign or not _NAME.fullmatch(name) or any(each in value for each in "\r\n\0"):
        raise UsageFailure(f"--header {text!r} is no header: write it like 'Accept: application/json'")
    if name.lower() in FORMAT_OF_HEADER:
        raise UsageFailure(f"--header {name}: every request of a probe is given a trace of its own")
    if name.lower() in _OURS:
        raise UsageFailure(f"--header {name}: this one is the probe's own")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise UsageFailure(f"--header {text!r}: a header's value can only have characters of ISO 8859-1") from None
    return name, value


def body_of(data: str | None) -> bytes | None:
    """The body that `--data` means: itself, or what is in the file that it names. Raises UsageFailure."""
    if data is None or not data.startswith("@"):
        return None if data is None else data.encode("utf-8", "surrogateescape")
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise UsageFailure(f"--data {data}: {data[1:]} cannot be read: {error.strerror}") from error
