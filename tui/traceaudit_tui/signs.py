"""How things look: a sign, a word and a colour for each severity, confidence and outcome; times and counts as text.

A colour never says anything alone: whoever sees none, or not these, reads the sign. Colours are the theme's variables.
The signs are one cell wide in every terminal tried and none of them has an emoji form.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from traceaudit.exchange import Confidence, Outcome, Severity
from traceaudit.safe import safe
from traceaudit_tui.rows import Edge, Exchange, Judged

type Part = tuple[str, str]
"""Text that is safe, and its style: the piece that every line is made of."""

MUTED = "$text-muted"
ERROR, WARNING, NOTE, GOOD, ACCENT = "$text-error", "$text-warning", "$text-secondary", "$text-success", "$text-accent"
NAME_LIMIT = 200  # characters of a name, path or route: more than the widest screen shows in one line
MINUTE_NS, SECOND_NS, MILLISECOND_NS = 60_000_000_000, 1_000_000_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Sign:
    """``meaning`` is what help says of it."""

    sign: str
    style: str
    meaning: str


SEVERITIES = {
    Severity.ERROR: Sign("✘", f"bold {ERROR}", "error: the trace breaks"),
    Severity.WARNING: Sign("▲", WARNING, "warning: something is lost"),
    Severity.NOTE: Sign("•", NOTE, "note: good to know"),
}
CONFIDENCES = {
    Confidence.PROVEN: Sign("●", GOOD, "proven: 999 in 1,000 or better"),
    Confidence.PROBABLE: Sign("◐", ACCENT, "probable: 95 in 100 or better"),
    Confidence.AMBIGUOUS: Sign("○", MUTED, "ambiguous: it could be otherwise; fails no build"),
}
OUTCOMES = {
    Outcome.CONTINUED: Sign("✓", GOOD, "same trace, new span"),
    Outcome.FORWARDED: Sign("=", GOOD, "copied as it came"),
    Outcome.CONVERTED: Sign("~", ACCENT, "carried by the sibling format"),
    Outcome.ALTERED: Sign("≠", WARNING, "same trace, a part changed that may not"),
    Outcome.RESTARTED: Sign("↻", ERROR, "a trace that nobody brought"),
    Outcome.LEAKED: Sign("⇄", f"bold {ERROR}", "another request's context"),
    Outcome.MALFORMED: Sign("!", ERROR, "there, and invalid"),
    Outcome.DROPPED: Sign("✘", ERROR, "not on the call"),
    Outcome.ABSENT: Sign("·", MUTED, "on neither side"),
}
"""In the order of DESIGN 4."""

GRAVITY = [
    Outcome.LEAKED,
    Outcome.RESTARTED,
    Outcome.DROPPED,
    Outcome.MALFORMED,
    Outcome.ALTERED,
    Outcome.CONVERTED,
    Outcome.CONTINUED,
    Outcome.FORWARDED,
    Outcome.ABSENT,
]
"""The order in which an outcome stands for a mixed cell: three calls in a hundred that leak are what one looks for."""

UNKNOWN = Sign("?", WARNING, "a word that this version does not know")


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


def name(text: str) -> str:
    """A name, path or route in one safe line."""
    return safe(text, NAME_LIMIT)


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


SERVICE_LIMIT = 36  # characters of the service's command: its name and what comes first


def service_text(command: str) -> str:
    """``my-service --port 8080`` for a command that names a place on this machine; not all of a long one."""
    program, space, rest = command.partition(" ")
    short = safe(program.rstrip("/").rpartition("/")[2] + space + rest, None)
    return short if len(short) <= SERVICE_LIMIT else short[: SERVICE_LIMIT - 1] + "…"


def edge_text(edge: Edge | None) -> str:
    """``GET /checkout → inventory GET /stock/{id}``."""
    if edge is None:
        return "no call: coverage"
    called = f"{name(short_authority(edge.outbound_authority))} {name(edge.outbound_route)}".strip()
    if not called:
        return name(edge.inbound_route)
    return f"{name(edge.inbound_route)} → {called}".lstrip()


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


def _at(ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


def clock(ns: int | None) -> str:
    """``10:00:00.254``, in UTC."""
    return "" if ns is None else f"{_at(ns):%H:%M:%S}.{ns // MILLISECOND_NS % 1000:03d}"


def day_and_clock(ns: int | None) -> str:
    """``2026-03-02 10:00:00 UTC``."""
    return "" if ns is None else f"{_at(ns):%Y-%m-%d %H:%M:%S} UTC"


def duration(ns: int | None) -> str:
    """``48.0 ms``, ``1.20 s``, ``3 m 12 s``; None, not ended, is ``…``."""
    if ns is None:
        return "…"
    if abs(ns) >= MINUTE_NS:
        minutes, seconds = divmod(ns // SECOND_NS, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes:02d} m" if hours else f"{minutes} m {seconds:02d} s"
    if abs(ns) >= SECOND_NS:
        return f"{ns / SECOND_NS:.2f} s"
    return f"{ns / MILLISECOND_NS:.1f} ms" if abs(ns) < 100 * MILLISECOND_NS else f"{ns / MILLISECOND_NS:.0f} ms"


def short_count(number: int) -> str:
    """At most five characters: ``999``, ``1.2k``, ``12k``, ``3.4M``."""
    for unit, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= unit:
            scaled = number / unit
            return f"{scaled:.1f}{letter}" if scaled < 9.95 else f"{number // unit}{letter}"
    return str(number)


def percent(part: int, whole: int) -> str:
    """``97%``; never 0% of something nor 100% of less than all."""
    if not whole or part in (0, whole):
        return "100%" if whole and part else "0%"
    return f"{min(99, max(1, round(100 * part / whole)))}%"


def probability_text(probability: float) -> str:
    """``0.9996``; never 1 for what is less than certain."""
    return "1" if probability >= 1 else f"{min(probability, 0.9999):.4f}".rstrip("0").rstrip(".")


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 call``, ``1,204 calls``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


SPARKS = " ▁▂▃▄▅▆▇█"


def sparkline(counts: Iterable[int]) -> str:
    """Counts as a row of bars; what happened once is seen."""
    numbers = list(counts)
    most = max(numbers, default=0)
    return "".join(SPARKS[0 if not n else max(1, round(n * 8 / most))] for n in numbers)
