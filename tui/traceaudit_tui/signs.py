"""How things look: a sign, a word and a colour for each severity, confidence and outcome; times and counts as text.

A colour never says anything alone: whoever sees none, or not these, reads the sign. Colours are the theme's variables.
The signs are one cell wide in every terminal tried and none of them has an emoji form.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from traceaudit.exchange import Confidence, Outcome, Severity
from traceaudit.reports import words
from traceaudit.reports.words import Sign, name, plural, short_authority
from traceaudit.safe import safe
from traceaudit_tui.rows import Edge, Exchange, Judged

__all__ = [
    "ACCENT",
    "CONFIDENCES",
    "ERROR",
    "GOOD",
    "GRAVITY",
    "MUTED",
    "NOTE",
    "OUTCOMES",
    "SERVICE_LIMIT",
    "SEVERITIES",
    "UNKNOWN",
    "WARNING",
    "Part",
    "Sign",
    "called_text",
    "clock",
    "confidence_sign",
    "day_and_clock",
    "duration",
    "edge_text",
    "gravest",
    "is_fault",
    "name",
    "outcome_part",
    "outcome_sign",
    "percent",
    "plural",
    "probability_text",
    "request_text",
    "service_text",
    "severity_sign",
    "short_authority",
    "short_count",
    "sparkline",
    "status_part",
]  # fmt: skip

type Part = tuple[str, str]
"""Text that is safe, and its style: the piece that every line is made of."""

MUTED = "$text-muted"
ERROR, WARNING, NOTE, GOOD, ACCENT = "$text-error", "$text-warning", "$text-secondary", "$text-success", "$text-accent"


_SEVERITIES = {Severity.ERROR: f"bold {ERROR}", Severity.WARNING: WARNING, Severity.NOTE: NOTE}
_OUTCOMES = {
    Outcome.CONTINUED: GOOD,
    Outcome.FORWARDED: GOOD,
    Outcome.CONVERTED: ACCENT,
    Outcome.ALTERED: WARNING,
    Outcome.RESTARTED: ERROR,
    Outcome.LEAKED: f"bold {ERROR}",
    Outcome.MALFORMED: ERROR,
    Outcome.DROPPED: ERROR,
    Outcome.ABSENT: MUTED,
}
"""In the order of DESIGN 4."""

# Signs and meanings are the reports'; the colours are the theme's.
SEVERITIES = {each: replace(words.SEVERITIES[each], style=style) for each, style in _SEVERITIES.items()}
OUTCOMES = {each: replace(words.OUTCOMES[each], style=style) for each, style in _OUTCOMES.items()}
CONFIDENCES = {
    Confidence.PROVEN: Sign("●", GOOD, "999 in 1,000 or better"),
    Confidence.PROBABLE: Sign("◐", ACCENT, "95 in 100 or better"),
    Confidence.AMBIGUOUS: Sign("○", MUTED, "it could be otherwise; fails no build"),
}
UNKNOWN = replace(words.UNKNOWN, style=WARNING)
GRAVITY = [Outcome(each) for each in words.OUTCOMES]
"""The order in which an outcome stands for a mixed cell, the gravest first."""


def severity_sign(severity: str) -> Sign:
    """Of a severity as the database has it."""
    return SEVERITIES[Severity(severity)] if severity in Severity else UNKNOWN


def confidence_sign(confidence: str) -> Sign:
    """Of a class of confidence as the database has it."""
    return CONFIDENCES[Confidence(confidence)] if confidence in Confidence else UNKNOWN


def outcome_sign(outcome: str) -> Sign:
    """Of an outcome as the database has it."""
    return OUTCOMES[Outcome(outcome)] if outcome in Outcome else UNKNOWN


def is_fault(outcome: str) -> bool:
    """Whether an outcome accuses the service."""
    return outcome not in (Outcome.CONTINUED, Outcome.FORWARDED, Outcome.CONVERTED, Outcome.ABSENT)


def gravest(outcomes: Iterable[str]) -> str:
    """The outcome that stands for several."""
    return min(outcomes, key=lambda outcome: GRAVITY.index(Outcome(outcome)) if outcome in Outcome else -1)


SERVICE_LIMIT = 36  # characters of the service's command: its name and what comes first


def service_text(command: str, limit: int = SERVICE_LIMIT) -> str:
    """``my-service --port 8080`` for a command that names a place on this machine; not all of a long one."""
    program, space, rest = command.partition(" ")
    short = safe(program.rstrip("/").rpartition("/")[2] + space + rest, None)
    return short if len(short) <= limit else short[: limit - 1] + "…"


def edge_text(edge: Edge | None) -> str:
    """``GET /checkout → inventory GET /stock/{id}``."""
    if edge is None:
        return "no call: coverage"
    return f"{name(edge.inbound_route)} {called_text(edge)}".strip()


def called_text(edge: Edge) -> str:
    """``→ inventory GET /stock/{id}``; nothing where nothing is called."""
    called = words.upstream(edge.outbound_authority, edge.outbound_route).strip()
    return f"→ {called}" if called else ""


def request_text(exchange: Exchange) -> str:
    """``GET /checkout?cart=17`` into the service, ``GET inventory/stock/17`` out of it."""
    if exchange.outbound:
        return f"{name(exchange.method)} {name(short_authority(exchange.authority))}{name(exchange.path)}"
    return f"{name(exchange.method)} {name(exchange.path)}"


def outcome_part(judged: Judged) -> Part:
    """``✘ traceparent dropped``."""
    sign = outcome_sign(judged.outcome)
    detail = f" ({name(judged.detail)})" if judged.detail else ""
    return (f"{sign.sign} {name(judged.format)} {name(judged.outcome)}{detail}", sign.style)


def status_part(exchange: Exchange) -> Part:
    """The status, or that there is none."""
    if exchange.error:
        return ("error", f"bold {ERROR}")
    if exchange.status is None:
        return ("…", MUTED)
    styles = {2: GOOD, 3: ACCENT, 4: WARNING, 5: f"bold {ERROR}"}
    return (str(exchange.status), styles.get(exchange.status // 100, MUTED))


def clock(ns: int | None) -> str:
    """``10:00:00.254``, in UTC."""
    return "" if ns is None else words.clock(ns)


def day_and_clock(ns: int | None) -> str:
    """``2026-03-02 10:00:00 UTC``."""
    return "" if ns is None else words.day_and_clock(ns)


def duration(ns: int | None) -> str:
    """``48.0 ms``, ``1.20 s``, ``3 m 12 s``; None, not ended, is ``…``."""
    return "…" if ns is None else words.short_duration(ns)


def short_count(number: int) -> str:
    """At most five characters: ``999``, ``1.2k``, ``12k``, ``3.4M``."""
    for unit, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= unit:
            scaled = number / unit
            return f"{scaled:.1f}{letter}" if scaled < 9.95 else f"{number // unit}{letter}"
    return str(number)


def percent(part: int, whole: int) -> str:
    """``97%``; never 0% of something nor 100% of less than all."""
    return words.percent(part / whole if whole else 0)


def probability_text(probability: float) -> str:
    """``0.9996``; never 1 for what is less than certain."""
    return words.probability(probability)


SPARKS = " ▁▂▃▄▅▆▇█"


def sparkline(counts: Iterable[int]) -> str:
    """Counts as a row of bars; what happened once is seen."""
    numbers = list(counts)
    most = max(numbers, default=0)
    return "".join(SPARKS[0 if not n else max(1, round(n * 8 / most))] for n in numbers)
