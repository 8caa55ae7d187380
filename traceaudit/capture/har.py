"""Reads HAR 1.2 files. A HAR file does not say on which side of the service it was recorded: its reader is told.

http://www.softwareishard.com/blog/har-12-spec/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from traceaudit.capture.exchange_log import BadLine
from traceaudit.capture.times import duration_ns, time_ns
from traceaudit.exchange import Direction, Exchange, Header

_BEFORE_THE_ANSWER = ("blocked", "dns", "connect", "send", "wait")
"""The timings that end when the response begins; `ssl` is a part of `connect`."""


class NotHarError(ValueError):
    """The file as a whole is no HAR; the message says why."""


def read(content: bytes, direction: Direction, prefix: str) -> Iterator[Exchange | BadLine]:
    """Every entry's exchange, or what is wrong with it and its number. Raises NotHarError.

    The ids are made of ``prefix``, the direction and the entry's number: HAR has none.
    """
    for number, entry in enumerate(_entries(content), 1):
        try:
            yield _exchange(entry, direction, f"{direction.value[0]}{prefix}{number}")
        except (KeyError, ValueError, TypeError) as error:
            what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            yield BadLine(number, f"entry {number}: {what}")


def _entries(content: bytes) -> list[object]:
    try:
        entries = json.loads(content.removeprefix(b"\xef\xbb\xbf"))["log"]["entries"]
    except (ValueError, RecursionError) as error:
        raise NotHarError(f"not JSON: {error}") from None
    except (KeyError, TypeError):
        raise NotHarError("it has no log with entries") from None
    if not isinstance(entries, list):
        raise NotHarError("its entries are no list")
    return entries


def _exchange(entry: object, direction: Direction, id_: str) -> Exchange:
    record = _object(entry, "the entry")
    request, response = _object(record["request"], "request"), _object(record.get("response") or {}, "response")
    url = urlsplit(_text(request["url"]))
    headers = _headers(request["headers"], "request")
    started_ns = time_ns(_text(record["startedDateTime"]))
    took_ns = duration_ns(record.get("time"))
    status = response.get("status")
    answered = isinstance(status, int) and not isinstance(status, bool) and status > 0
    host = next((value for name, value in headers if name.lower() == "host"), "")
    return Exchange(
        id=id_,
        direction=direction,
        started_ns=started_ns,
        method=_text(request["method"]),
        scheme=url.scheme or "http",
        authority=host or url.netloc.rpartition("@")[2],
        path=(url.path or "/") + (f"?{url.query}" if url.query else ""),
        http_version=_text(request.get("httpVersion") or "HTTP/1.1"),
        request_headers=headers,
        response_started_ns=_response_started_ns(record, started_ns) if answered else None,
        ended_ns=None if took_ns is None else started_ns + took_ns,
        status=int(str(status)) if answered else None,
        error=None if answered else _bytewise(str(response.get("_error") or record.get("_error") or "no response")),
        connection_id=_optional(record.get("connection")),
        server_address=_optional(record.get("serverIPAddress")),
        response_headers=_headers(response.get("headers") or [], "response") if answered else [],
    )


def _response_started_ns(record: Mapping[str, object], started_ns: int) -> int | None:
    timings = record.get("timings")
    if not isinstance(timings, Mapping):
        return None
    known = [duration_ns(timings.get(name)) for name in _BEFORE_THE_ANSWER]
    return started_ns + sum(each for each in known if each is not None)


def _headers(value: object, whose: str) -> list[Header]:
    """The header fields in order. HTTP/2's pseudo-header fields are what the URL and the method say already."""
    if not isinstance(value, list):
        raise ValueError(f"the {whose}'s headers are no list")  # noqa: TRY004  (it is the recording that is wrong)
    headers: list[Header] = []
    for each in value:
        field = _object(each, "a header")
        name = _text(field["name"])
        if not name.startswith(":"):
            headers.append((name, _text(field["value"])))
    return headers


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} is no object")  # noqa: TRY004  (as above)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} stands where a text should")  # noqa: TRY004  (as above)
    return _bytewise(value)


def _optional(value: object) -> str | None:
    return _bytewise(str(value)) if value not in (None, "") else None


def _bytewise(text: str) -> str:
    """A text in which one character stands for one byte, as everywhere here."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("latin-1")
    return text
