"""Reads the exchange log (DESIGN 8): JSON Lines, an exchange a line, in any order.

A line that cannot be used is data too: it is given back with its number and what is wrong with it, and reading goes on.
Unknown keys are ignored. One of our own, `run`, stands on the first line of an exported run and tells how long the
service was watched, which is what the rate of uncaused calls is learned from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from traceaudit.exchange import Direction, Exchange, Gated, Header
from traceaudit.formats.context import Format

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; Go's `http.Server` takes 1 MiB of headers, and JSON writes one byte with six characters at most."""

_MARK = b"\xef\xbb\xbf"
"""UTF-8's byte order mark, with which some programs begin a file; it may stand anywhere once logs were put together."""

_LARGEST = 2**63 - 1
"""SQLite's integers have 64 bits. https://www.sqlite.org/datatype3.html"""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be used; ``number`` counts from 1."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class RunTimes:
    """From when to when the service was watched, nanoseconds since the epoch, and what it was called."""

    started_ns: int
    ended_ns: int | None
    service: str


class _WrongError(ValueError):
    """What is wrong with a line, for people."""


def read(lines: Iterable[bytes]) -> Iterator[Exchange | RunTimes | BadLine]:
    """Every line's exchange, or what is wrong with it; empty lines are passed over."""
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(_MARK)
        if not text.strip():
            continue
        try:
            record = _record(text)
            times = _run(record["run"]) if "run" in record else None
            exchange = (_usual(record) or _exchange(record)) if times is None or "id" in record else None
        except _WrongError as wrong:
            yield BadLine(number, str(wrong))
            continue
        if times is not None:
            yield times
        if exchange is not None:
            yield exchange


def _no_constant(word: str) -> object:
    """ "Numeric values that cannot be represented in the grammar below (such as Infinity and NaN) are not permitted."
    https://www.rfc-editor.org/rfc/rfc8259#section-6
    """
    raise ValueError(f"{word} is no number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _record(line: bytes) -> dict[str, object]:
    if len(line) > LONGEST_LINE:
        raise _WrongError(f"the line is longer than {LONGEST_LINE // 2**20} MiB")
    try:
        record = _DECODER.decode(line.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError as error:
        raise _WrongError(f"not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise _WrongError(f"not JSON at column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise _WrongError("not an exchange: nested too deeply") from None
    except ValueError as error:  # Infinity, NaN, an integer of more than 4,300 digits.
        raise _WrongError(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise _WrongError(f"not an exchange: {_kind(record)} instead of an object")
    return record


_DIRECTIONS: Mapping[object, Direction] = {each.value: each for each in Direction}
_REQUIRED = itemgetter("id", "direction", "method", "authority", "path", "started_ns", "request_headers")
_OPTIONAL = ("response_started_ns", "ended_ns", "status", "error", "connection_id", "client_address", "server_address")
_FEW = 64
"""Header fields; adding up more of them takes longer than looking at each."""


def _usual(record: dict[str, Any]) -> Exchange | None:
    """What :func:`_exchange` gives of a line in which nothing is amiss and every character is one of ASCII, as in
    nearly all; ``None``: it is none of those.

    What has to be looked at is looked at together, which takes half the time.
    """
    get = record.get
    try:
        id_, direction, method, authority, path, started_ns, sent = _REQUIRED(record)
        response_started_ns, ended_ns, status, error, connection_id, client, server = map(get, _OPTIONAL)
        scheme, version, answered = get("scheme"), get("http_version"), get("response_headers")
        if scheme is None:
            scheme = "http"
        if version is None:
            version = "HTTP/1.1"
        fields = sent if answered is None else sent + answered
        if len(fields) > _FEW:
            return None
        said = sum(fields, [id_, method, authority, path, scheme, version])  # Nothing but a list adds to a list.
        said += [each for each in (error, connection_id, client, server) if each is not None]
        plain = "".join(said).isascii()
        request_headers = [(name, value) for name, value in sent]
        response_headers = [] if answered is None else [(name, value) for name, value in answered]
        side = _DIRECTIONS[direction]
    except (KeyError, TypeError, ValueError):
        return None  # A key is missing, or a text, a list or a pair is something else.
    if not (
        plain
        and id_
        and method
        and type(sent) is list
        and type(started_ns) is int
        and 0 <= started_ns <= _LARGEST
        and (response_started_ns is None or _is_within(response_started_ns, started_ns))
        and (ended_ns is None or _is_within(ended_ns, started_ns))
        and (status is None or _is_within(status, 0))
    ):
        return None
    return Exchange(
        id_,
        side,
        started_ns,
        method,
        authority,
        path,
        request_headers,
        scheme,
        version,
        response_started_ns,
        ended_ns,
        status,
        error,
        connection_id,
        client,
        server,
        response_headers,
        _minted(record),
        _gated(record) if "gated" in record else None,
    )


def _is_within(value: object, least: int) -> bool:
    return type(value) is int and least <= value <= _LARGEST


def _exchange(record: Mapping[str, object]) -> Exchange:
    started_ns = _time(record, "started_ns", required=True)
    assert started_ns is not None
    response_started_ns = _time(record, "response_started_ns")
    ended_ns = _time(record, "ended_ns")
    for key, value in (("response_started_ns", response_started_ns), ("ended_ns", ended_ns)):
        if value is not None and value < started_ns:
            raise _WrongError(f"{key} is before started_ns")
    return Exchange(
        id=_name(record, "id"),
        direction=_direction(record),
        started_ns=started_ns,
        method=_name(record, "method"),
        authority=_text(record, "authority", None),
        path=_text(record, "path", None),
        request_headers=_headers(record, "request_headers", required=True),
        scheme=_text(record, "scheme", "http"),
        http_version=_text(record, "http_version", "HTTP/1.1"),
        response_started_ns=response_started_ns,
        ended_ns=ended_ns,
        status=_integer(record, "status"),
        error=_optional_text(record, "error"),
        connection_id=_optional_text(record, "connection_id"),
        client_address=_optional_text(record, "client_address"),
        server_address=_optional_text(record, "server_address"),
        response_headers=_headers(record, "response_headers"),
        minted=_minted(record),
        gated=_gated(record) if "gated" in record else None,
    )


def _run(value: object) -> RunTimes:
    if not isinstance(value, dict):
        raise _WrongError(f"run is {_kind(value)} instead of an object")
    started_ns = _time(value, "started_ns", required=True)
    assert started_ns is not None
    return RunTimes(started_ns, _time(value, "ended_ns"), _text(value, "service", ""))


# --- one key ----------------------------------------------------------------------------------------------------------


def _name(record: Mapping[str, object], key: str) -> str:
    text = _text(record, key, None)
    if not text:
        raise _WrongError(f"{key} is empty")
    return text


def _text(record: Mapping[str, object], key: str, default: str | None) -> str:
    """A text; ``default`` ``None``: the key is required."""
    value = record.get(key)
    if value is None and default is not None:
        return default
    if key not in record:
        raise _WrongError(f"{key} is missing")
    if not isinstance(value, str):
        raise _WrongError(f"{key} is {_kind(value)} instead of a text")
    return _bytewise(value)


def _optional_text(record: Mapping[str, object], key: str) -> str | None:
    return None if record.get(key) is None else _text(record, key, "")


def _bytewise(text: str) -> str:
    """A text in which one character stands for one byte, as everywhere here; others are taken for their UTF-8."""
    if text.isascii():
        return text
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("latin-1")
    return text


def _integer(record: Mapping[str, object], key: str) -> int | None:
    value = record.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _WrongError(f"{key} is {_kind(value)} instead of an integer")
    if not 0 <= value <= _LARGEST:
        raise _WrongError(f"{key} is out of range")
    return value


def _time(record: Mapping[str, object], key: str, *, required: bool = False) -> int | None:
    value = _integer(record, key)
    if value is None and required:
        raise _WrongError(f"{key} is missing")
    return value


def _direction(record: Mapping[str, object]) -> Direction:
    value = _text(record, "direction", None)
    if value not in Direction:
        raise _WrongError(f"direction is {value!r} instead of inbound or outbound")
    return Direction(value)


def _headers(record: Mapping[str, object], key: str, *, required: bool = False) -> list[Header]:
    value = record.get(key)
    if value is None:
        if required:
            raise _WrongError(f"{key} is missing")
        return []
    if not isinstance(value, list):
        raise _WrongError(f"{key} is {_kind(value)} instead of a list of [name, value]")
    headers: list[Header] = []
    for pair in value:
        # Without a match statement: there are a dozen of these an exchange, and they are half of what reading costs.
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], str)):
            raise _WrongError(f"{key}, number {len(headers) + 1}, is not [name, value]")
        name, content = pair
        if not (name.isascii() and content.isascii()):
            name, content = _bytewise(name), _bytewise(content)
        headers.append((name, content))
    return headers


def _minted(record: Mapping[str, object]) -> list[Format]:
    value = record.get("minted")
    if value is None:
        return []
    if not isinstance(value, list):
        raise _WrongError(f"minted is {_kind(value)} instead of a list of formats")
    return [Format(name) for name in value if isinstance(name, str) and name in Format]


def _gated(record: Mapping[str, object]) -> Gated | None:
    value = record["gated"]
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _WrongError(f"gated is {_kind(value)} instead of an object")
    doubt, evidence = value.get("doubt"), value.get("evidence", {})
    if isinstance(doubt, bool) or not isinstance(doubt, int | float) or not 0 <= doubt <= 1:
        raise _WrongError("gated.doubt is no probability")
    if not isinstance(evidence, dict):
        raise _WrongError(f"gated.evidence is {_kind(evidence)} instead of an object")
    for key, each in evidence.items():
        if isinstance(each, dict | list):
            raise _WrongError(f"gated.evidence.{key} is {_kind(each)} instead of a text or a number")
    return Gated(_name(value, "inbound_id"), doubt, evidence)


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"
