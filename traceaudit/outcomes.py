"""What became of each propagation format on one outbound call, given the request that caused it; DESIGN 4."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from traceaudit.exchange import Outcome
from traceaudit.formats.context import Format


class Alteration(StrEnum):
    """How a format was changed on a call that still names the same trace (several may apply)."""

    SAMPLING = "sampling"
    TRUNCATED = "truncated"
    TRACESTATE_DROPPED = "tracestate-dropped"
    TRACESTATE_DAMAGED = "tracestate-damaged"
    PARTLY_DROPPED = "partly-dropped"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of one format. ``detail`` is for people: ``sampled 1 → 0``, ``x-b3-parentspanid lost``.

    ``owner_id`` names the inbound exchange whose context a leaked one is; ``None`` where that is not known.
    """

    format: Format
    outcome: Outcome
    alterations: frozenset[Alteration] = frozenset()
    detail: str = ""
    owner_id: str | None = None
