"""Reads the times of recordings: ISO 8601 with any number of digits behind the second, and seconds as decimals."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:[.,](\d{1,18}))?\s*(Z|[+-]\d{2}:?\d{2})?", re.IGNORECASE
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1


def time_ns(text: str) -> int:
    """Nanoseconds since the epoch; a time without a zone is UTC. Raises ``ValueError`` for what is no time."""
    match = _ISO.fullmatch(text.strip())
    if match is None:
        return _from_seconds(text)
    day, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}+00:00")
    offset = timedelta()
    if zone and zone.upper() != "Z":
        hours, minutes = zone[1:].replace(":", "")[:2], zone[1:].replace(":", "")[2:]
        offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if zone[0] == "-" else 1)
    seconds = (moment - offset - _EPOCH) // timedelta(seconds=1)
    return _in_range(seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0")[:9]), text)


def _from_seconds(text: str) -> int:
    if not re.fullmatch(r"\d{1,12}(\.\d{1,18})?", text.strip()):
        raise ValueError(f"{text[:40]!r} is no time")
    return _in_range(int(Decimal(text.strip()) * 1_000_000_000), text)


def _in_range(ns: int, text: str) -> int:
    if not 0 <= ns <= _LARGEST:
        raise ValueError(f"{text[:40]!r} is before 1970 or after 2262")
    return ns


def duration_ns(value: object) -> int | None:
    """A duration in milliseconds, a number or its text; ``None``: there is none (null, ``-``, negative)."""
    if isinstance(value, bool) or value is None or value in ("", "-"):
        return None
    if not isinstance(value, int | float | str):
        raise ValueError("a duration is no number")  # noqa: TRY004  (it is the recording that is wrong)
    try:
        milliseconds = Decimal(str(value))
    except ArithmeticError:
        raise ValueError(f"{str(value)[:40]!r} is no duration in milliseconds") from None
    if not milliseconds.is_finite() or milliseconds > 10**12:
        raise ValueError(f"{str(value)[:40]!r} is no duration in milliseconds")
    return None if milliseconds < 0 else int(milliseconds * 1_000_000)
