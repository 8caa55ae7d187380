"""Reads Envoy's JSON access log, with the request's headers logged as docs/sources.md shows.

Keys are those that Istio's own JSON format uses, which most hand-written formats follow. The headers stand in an object
`request_headers`: a header that a request lacks is null there, and one that the format does not log is not there at
all. Both must not be confused, so every line has to log the same headers: a line that logs others is not used.

https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
https://istio.io/latest/docs/tasks/observability/logs/access-log/
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from traceaudit.capture.exchange_log import LONGEST_LINE, BadLine
from traceaudit.capture.times import duration_ns, time_ns
from traceaudit.exchange import Direction, Exchange, Header
from traceaudit.formats import FORMAT_OF_HEADER

_NO_VALUE = frozenset({"", "-"})
"""What stands for an operator without a value in text; JSON has null."""

_PROTOCOLS = {"HTTP/2": "HTTP/2.0", "HTTP/3": "HTTP/3.0"}


def read(lines: Iterable[bytes], direction: Direction | None, prefix: str) -> Iterator[Exchange | BadLine]:
    """Every line's exchange, or what is wrong with it; a line that is no JSON object is a sidecar's own log.

    ``direction`` ``None``: each line says it, by `direction` or by Istio's `upstream_cluster`.
    """
    logged: frozenset[str] | None = None
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith(b"{"):
            continue
        try:
            record = _record(line)
            headers = _object(record)
            names = frozenset(name.lower() for name in headers)
            if logged is not None and names != logged:
                other = ", ".join(sorted(names ^ logged))
                raise ValueError(f"it does not log the same request headers as the lines before: {other}")  # noqa: TRY301
            exchange = _exchange(record, headers, direction, prefix, number)
            logged = names
        except ValueError as error:
            yield BadLine(number, str(error))
            continue
        yield exchange


def _record(line: bytes) -> Mapping[str, object]:
    if len(line) > LONGEST_LINE:
        raise ValueError(f"the line is longer than {LONGEST_LINE // 2**20} MiB")
    try:
        record = json.loads(line)
    except RecursionError:
        raise ValueError("not an access log's line: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    assert isinstance(record, dict)  # it begins with a brace
    return record


def _object(record: Mapping[str, object]) -> Mapping[str, object]:
    headers = record.get("request_headers")
    if not isinstance(headers, Mapping):
        raise ValueError("it logs no request_headers: docs/sources.md has the format that does")  # noqa: TRY004
    if not any(name.lower() in FORMAT_OF_HEADER for name in headers):
        raise ValueError("none of the request_headers that it logs is a trace header: docs/sources.md names them")
    return headers


def _exchange(
    record: Mapping[str, object], headers: Mapping[str, object], side: Direction | None, prefix: str, number: int
) -> Exchange:
    direction = side or _direction(record)
    started_ns = time_ns(_required(record, "start_time"))
    took_ns = duration_ns(record.get("duration"))
    first_ns = duration_ns(record.get("response_duration"))
    status = _status(record.get("response_code"))
    protocol = _text(record.get("protocol")) or "HTTP/1.1"
    return Exchange(
        id=f"{direction.value[0]}{prefix}{number}",
        direction=direction,
        started_ns=started_ns,
        method=_required(record, "method"),
        scheme=_text(record.get("scheme")) or "http",
        authority=_text(record.get("authority")) or _text(record.get("upstream_host")),
        path=_required(record, "path"),
        http_version=_PROTOCOLS.get(protocol, protocol),
        request_headers=[*_fields(headers)],
        response_started_ns=None if first_ns is None or not status else started_ns + first_ns,
        ended_ns=None if took_ns is None else started_ns + took_ns,
        status=status,
        error=None if status else _text(record.get("response_flags")) or "no response",
        connection_id=_text(record.get("connection_id")) or None,
        client_address=_text(record.get("downstream_remote_address")) or None,
        server_address=_text(record.get("upstream_host")) or None,
    )


def _direction(record: Mapping[str, object]) -> Direction:
    said = _text(record.get("direction")).lower()
    if said in Direction:
        return Direction(said)
    # `inbound|8080||` and `outbound|80||inventory.shop.svc.cluster.local`; Istio's pass-through clusters say it too.
    cluster = _text(record.get("upstream_cluster"))
    for each in Direction:
        if cluster.startswith((f"{each.value}|", each.value.capitalize())):
            return each
    if cluster == "PassthroughCluster":
        return Direction.OUTBOUND
    raise ValueError(
        "it does not say whether it is inbound or outbound: log a key `direction`, or name the file with --as-inbound "
        "or --as-outbound"
    )


def _fields(headers: Mapping[str, object]) -> Iterator[Header]:
    for name, value in headers.items():
        if value is not None and (text := _text(value)) not in _NO_VALUE:
            yield name, text


def _status(value: object) -> int | None:
    """0 is Envoy's for a request that got no response."""
    text = _text(value)
    return int(text) if text.isdecimal() and text.isascii() and 0 < int(text) < 1000 else None


def _required(record: Mapping[str, object], key: str) -> str:
    text = _text(record.get(key))
    if text in _NO_VALUE:
        raise ValueError(f"{key} is missing")
    return text


def _text(value: object) -> str:
    if value is None or isinstance(value, bool | list | dict):
        return ""
    text = str(value)
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("latin-1")
    return text
