"""How the reports say things: a sign and a word for each severity and outcome, sentences for links, times and counts.

Everything here is plain text without colour, and all of it is safe to print: whatever came over the wire or out of the
database goes through :func:`traceaudit.safe.safe`. The signs are one cell wide and have no emoji form.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from traceaudit.exchange import Confidence, Exchange, Method, Outcome, Severity
from traceaudit.safe import safe
from traceaudit.store.reader import FindingRow

NAME_LIMIT = 200
"""Characters of a name, path or route: what fits two lines of a wide terminal."""

VALUE_LIMIT = 256
"""Characters of a header's value: seven lines beside each other, and the longest trace header in use has 68. The
inspector and the JSON report show the rest."""

_SECOND_NS, _MILLISECOND_NS = 1_000_000_000, 1_000_000
_ROUNDING = 1e-6  # 0.57 * 10,000 is a little less than 5,700


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign, the name of its colour for a terminal, and what it means."""

    sign: str
    style: str
    meaning: str


SEVERITIES: Mapping[str, Sign] = {
    Severity.ERROR: Sign("✘", "bold red", "the trace breaks"),
    Severity.WARNING: Sign("▲", "yellow", "something is lost"),
    Severity.NOTE: Sign("•", "cyan", "good to know"),
}

OUTCOMES: Mapping[str, Sign] = {
    Outcome.LEAKED: Sign("⇄", "bold red", "another request's context"),
    Outcome.RESTARTED: Sign("↻", "red", "a trace that nobody brought"),
    Outcome.DROPPED: Sign("✘", "red", "not on the call"),
    Outcome.MALFORMED: Sign("!", "red", "there, and invalid"),
    Outcome.ALTERED: Sign("≠", "yellow", "same trace, a part changed that may not"),
    Outcome.CONVERTED: Sign("~", "cyan", "carried by the sibling format"),
    Outcome.CONTINUED: Sign("✓", "green", "same trace, new span"),
    Outcome.FORWARDED: Sign("=", "green", "copied as it came"),
    Outcome.ABSENT: Sign("·", "dim", "on neither side"),
}
"""The gravest first: in a mixed cell, three calls in a hundred that leak are what one looks for."""

UNKNOWN = Sign("?", "yellow", "a word that this version does not know")

METHODS: Mapping[str, str] = {
    Method.TRACE_ID: "the call carries a trace id that the request brought",
    Method.REQUEST_ID: "the call carries a request id that the request brought",
    Method.ISOLATED: "no other request was there that could have caused it",
    Method.GATED: "everything else was held back until the service had reacted to this request",
    Method.GOROUTINE: "the goroutine that made the call descends from the one that serves the request",
    Method.VALUE: "a distinctive value of the request reappears in the call",
    Method.TIMING: "this assignment best explains all starts and ends together",
}
"""Why each method is to be believed; DESIGN 5."""


def name(text: str) -> str:
    """A name, path or route in one safe line."""
    return safe(text, NAME_LIMIT)


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 call``, ``1,204 calls``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """``97%``; never 0% of something nor 100% of less than all."""
    if share <= 0 or share >= 1:
        return "100%" if share >= 1 else "0%"
    return f"{min(99, max(1, round(100 * share)))}%"


def probability(number: float) -> str:
    """``0.97``, rounded down: ``1`` is said of nothing less."""
    return "1" if number >= 1 else f"{math.floor(max(0.0, number) * 10_000 + _ROUNDING) / 10_000:g}"


def sureness(finding: FindingRow) -> str:
    """``proven``, ``probable 0.97``, ``ambiguous 0.81``."""
    if finding.confidence == Confidence.PROVEN:
        return "proven"
    return f"{name(finding.confidence)} {probability(finding.probability)}"


def short_authority(authority: str) -> str:
    """``inventory.default.svc:80`` as a person says it: the Service's name. Addresses and other ports are kept."""
    short = re.sub(r":(80|443)$", "", authority)
    host, _, port = short.partition(":")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        host = re.sub(r"\.[^.:]+\.svc(\.cluster\.local)?\.?$", "", host)
        return f"{host}:{port}" if port else host
    return authority


def edge(inbound_route: str, outbound_authority: str, outbound_route: str) -> str:
    """``GET /checkout → inventory GET /stock/{id}``."""
    return f"{name(inbound_route)} → {upstream(outbound_authority, outbound_route)}".strip()


def upstream(authority: str, route: str) -> str:
    """``inventory GET /stock/{id}``."""
    return f"{name(short_authority(authority))} {name(route)}"


def edge_of(finding: FindingRow) -> str:
    """A finding's call edge; a finding about coverage has none."""
    if not finding.outbound_authority:
        return name(finding.inbound_route) or "no call: coverage"
    return edge(finding.inbound_route, finding.outbound_authority, finding.outbound_route)


def request(exchange: Exchange) -> str:
    """``GET /checkout?cart=17`` into the service, ``GET inventory/stock/17`` out of it."""
    authority = short_authority(exchange.authority) if exchange.direction == "outbound" else ""
    return f"{name(exchange.method)} {name(authority + exchange.path)}"


def _at(ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


def clock(ns: int) -> str:
    """``10:00:00.254``, in UTC."""
    return f"{_at(ns):%H:%M:%S}.{ns // _MILLISECOND_NS % 1000:03d}"


def day_and_clock(ns: int) -> str:
    """``2026-03-02 10:00:00 UTC``."""
    return f"{_at(ns):%Y-%m-%d %H:%M:%S} UTC"


def duration(ns: int) -> str:
    """``48 ms``, ``1.2 s``, ``3 m 12 s``, ``2 h 05 m``."""
    if ns < _SECOND_NS:
        return f"{ns / _MILLISECOND_NS:.0f} ms"
    if ns < 60 * _SECOND_NS:
        return f"{ns / _SECOND_NS:.1f} s"
    minutes, seconds = divmod(ns // _SECOND_NS, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours else f"{minutes} m {seconds:02d} s"


def short_duration(ns: int) -> str:
    """``48.0 ms``, ``1.20 s``, ``3 m 12 s``: as `duration`, and finer below a minute."""
    if abs(ns) >= 60 * _SECOND_NS:
        return duration(ns)
    if abs(ns) >= _SECOND_NS:
        return f"{ns / _SECOND_NS:.2f} s"
    return f"{ns / _MILLISECOND_NS:.1f} ms" if abs(ns) < 100 * _MILLISECOND_NS else f"{ns / _MILLISECOND_NS:.0f} ms"


def seen(finding: FindingRow) -> str:
    """``12 times, 10:00:00.254 to 10:00:44.254 UTC``."""
    if finding.occurrences == 1 or finding.first_ns == finding.last_ns:
        return f"{_times(finding.occurrences)}, at {clock(finding.first_ns)} UTC"
    return f"{_times(finding.occurrences)}, {clock(finding.first_ns)} to {clock(finding.last_ns)} UTC"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def location(finding: FindingRow) -> str:
    """``shop/checkout.go:42 in main.checkout``; empty where neither is known."""
    return " in ".join(name(text) for text in (finding.location, finding.function) if text)


type LinkRow = tuple[str | None, str, float, dict[str, object]]
"""Inbound id, method, probability, evidence; as :meth:`traceaudit.store.reader.AuditReader.links` gives them."""


def link(candidates: Sequence[LinkRow], settled: float) -> str:
    """Why the cause of a call is believed, in a sentence; ``candidates`` has the chosen one first.

    Links keep what was known when the call was made. ``settled`` is the probability of the finding, for which the rate
    of uncaused calls was weighed anew when the run ended. With several candidates it may be less than theirs, where not
    all of them would make the finding true.
    """
    if not candidates:
        return "nothing is known about what caused this call"
    inbound_id, method, share, evidence = candidates[0]
    if inbound_id is None:
        return f"no request is likely to have caused it ({probability(share)})"
    meaning = "how calls are spread over requests" if "calls_missing" in evidence else METHODS.get(method, "")
    said = f"{probability(share)} by {name(method)}{': ' + meaning if meaning else ''}"
    numbers = evidence_in_words(evidence)
    rivals = sum(each[0] is not None for each in candidates[1:])
    if rivals:
        numbers.append(plural(rivals, "other candidate"))
    if numbers:
        said += f" ({', '.join(numbers)})"
    caused = sum(each[2] for each in candidates if each[0] is not None)
    if settled > caused + 0.005 or (not rivals and settled < caused - 0.005):
        said += f"; {probability(settled)} by all that the run has shown"
    return said


_EVIDENCE: Mapping[str, str] = {
    "in_flight": "{} in flight",
    "ended_recently": "{} ended a moment before",
    "carried_by": "brought by {}",
    "idle_calls": "{} such calls while idle",
    "idle_seconds": "{} s of idle time watched",
    "uncaused_share": "{} that nothing caused it",
    "formats": "in {}",
    "identifiers_name": "its identifiers name {}",
    "others_in_flight": "{} others in flight",
    "since_request_ns": "{} after the request came",
    "reaction_ns": "{} after the event that it followed",
    "usual_from_ns": "such calls follow after {} at least",
    "usual_to_ns": "and {} at most",
    "after": "after {}",
    "held_ms": "which was held for {} ms",
    "gap_ms": "{} ms later",
    "usual_gap_ms": "usually {} ms",
    "longest_gap_ms": "{} ms at most",
    "such_reactions": "{} such reactions seen",
    "unseen": "{} that a request made it which came past the audit",
    "others_may_have": "{} that another made it",
    "by_itself_may_be": "{} that it came by itself",
    "calls_alone": "alone, the request makes {} of these",
    "calls_missing": "{} missing now",
    "calls_beyond": "{} too many with the other's context",
    "rounds_mixed": "so in {} rounds",
}
"""What the correlation's numbers mean; keys in ``_ns`` are shown as times."""


def evidence_in_words(evidence: Mapping[str, object]) -> list[str]:
    """What a link is believed for, as phrases; what has no phrase here is named by its key, and every text is safe."""
    phrases: list[str] = []
    for key, value in evidence.items():
        shown = _value(value)
        if key.endswith("_ns") and isinstance(value, int | float) and math.isfinite(value):
            shown = short_duration(int(value))
        phrase = _EVIDENCE.get(key)
        label = name(key.removesuffix("_ns").replace("_", " "))
        phrases.append(phrase.format(shown) if phrase else f"{label} {shown}")
    return phrases


def _value(value: object) -> str:
    match value:
        case bool() | None:
            return {True: "yes", False: "no", None: "unknown"}[value]
        case float():
            return f"{value:.6g}"
        case int():
            return f"{value:,}"
        case list():
            return " and ".join(_value(each) for each in value)
        case dict():
            return "; ".join(f"{name(str(key))} {_value(each)}" for key, each in value.items())
        case _:
            return name(str(value))
