"""Reads what a field is compared with: texts with ``*``, numbers, words, times, rules. Each says what is wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from traceaudit.rules import RULES

SECOND_NS = 1_000_000_000
UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3_600 * SECOND_NS,
    "d": 86_400 * SECOND_NS,
}
MAX_STARS = 10  # of one text: each multiplies what LIKE has to try
MAX_INTEGER = 2**63 - 1  # https://www.sqlite.org/datatype3.html

_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ns|us|ms|s|m|h|d)")
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?")
_DAY_AND_CLOCK = re.compile(rf"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})(?:[T ]{_CLOCK.pattern})?Z?")
_RESERVED = ("CP", "MR")
"""Families of rules that other versions of traceaudit may have written."""


def pattern(value: str, *, whole: bool) -> str:
    r"""A LIKE pattern with the escape ``\``: ``*`` stands for anything. ``whole`` or with ``*``: all of the text has to
    match; else the value has to be somewhere in it. Raises ValueError."""
    parts = value.split("*")
    if len(parts) > MAX_STARS + 1:
        raise ValueError(f"a text has at most {MAX_STARS} *")
    # The database keeps text that is no UTF-8 with its lone surrogates escaped; so does what is compared with it.
    parts = [part.encode("utf-8", "backslashreplace").decode("utf-8") for part in parts]
    escaped = "%".join(re.sub(r"([\\%_])", r"\\\1", part) for part in parts)
    return escaped if whole or len(parts) > 1 else f"%{escaped}%"


def number(value: str) -> int | float:
    """A number. Raises ValueError."""
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"{value} is not a number")
    return float(value) if "." in value else int(value)


def status_range(value: str) -> tuple[int, int]:
    """The first and last status that ``503`` or ``5xx`` means. Raises ValueError."""
    if re.fullmatch(r"[1-9][xX]{2}", value):
        return int(value[0]) * 100, int(value[0]) * 100 + 99
    if not re.fullmatch(r"[0-9]{1,3}", value):
        raise ValueError(f"{value} is not a status: write 503 or 5xx")
    return int(value), int(value)


def duration(value: str) -> int:
    """Nanoseconds of ``250ms``, ``1.5s``, ``5m``. Raises ValueError."""
    match = _DURATION.fullmatch(value.lower())
    if not match:
        raise ValueError(f"{value} is not a duration: write 250ms, 1.5s, 5m, 2h or 1d")
    nanoseconds = round(float(match[1]) * UNITS_NS[match[2]])
    if nanoseconds > MAX_INTEGER:
        raise ValueError(f"{value} is too long")
    return nanoseconds


def moment(value: str, latest_ns: int) -> int:
    """``5m`` before ``latest_ns``, ``10:00:44`` on its day, or ``2026-03-02T10:00``; all in UTC. Raises ValueError."""
    if _DURATION.fullmatch(value.lower()):
        return max(-MAX_INTEGER, latest_ns - duration(value))
    day = datetime.fromtimestamp(latest_ns // SECOND_NS, UTC)
    if clock := _CLOCK.fullmatch(value):
        year, month, date, parts = day.year, day.month, day.day, clock.groups()
    elif full := _DAY_AND_CLOCK.fullmatch(value):
        year, month, date = (int(part) for part in full.groups()[:3])
        parts = full.groups()[3:]
    else:
        raise ValueError(f"{value} is not a time: write 5m, 10:00:44 or 2026-03-02T10:00")
    hour, minute, second = (int(part or 0) for part in parts[:3])
    try:
        seconds = int(datetime(year, month, date, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError as error:
        raise ValueError(f"{value} is not a time: {error}") from error
    return seconds * SECOND_NS + int((parts[3] or "").ljust(9, "0"))


def words(value: str, known: Sequence[str], *, several: bool) -> list[str]:
    """The words of ``dropped,altered``, each of them known. Raises ValueError."""
    named = [each.strip().lower() for each in (value.split(",") if several else [value])]
    for each in named:
        if each not in known:
            raise ValueError(f"there is no {each or 'empty word'}{closest(each, known)}: there are {', '.join(known)}")
    return named


def compared(word: str, op: str, order: Sequence[str]) -> list[str]:
    """The words of an order, the least first, that are ``op`` this one."""
    place = order.index(word)
    chosen = {
        ">": order[place + 1 :],
        ">=": order[place:],
        "<": order[:place],
        "<=": order[: place + 1],
    }
    return list(chosen.get(op, [word]))


def codes(value: str) -> list[str]:
    """LIKE patterns of rules: codes, their beginnings or slugs, with commas. Raises ValueError."""
    slugs = {rule.slug: rule.code for rule in RULES}
    patterns: list[str] = []
    for each in (part.strip() for part in value.split(",")):
        code = slugs.get(each.lower(), each.upper().rstrip("*"))
        known = any(rule.code.startswith(code) for rule in RULES) or code[:2] in _RESERVED
        if not code or not known or not code.isalnum() or not code.isascii():
            names = [name for rule in RULES for name in (rule.code, rule.slug)]
            raise ValueError(f"there is no rule {each or '(empty)'}{closest(each, names)}")
        patterns.append(f"{code}%")
    return patterns


def closest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean dropped?)``, or nothing."""
    spelled = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), spelled, n=1)
    return f" (did you mean {spelled[close[0]]}?)" if close else ""
