"""Why a link is believed: the method in words, its numbers, and every candidate with its probability."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from traceaudit.exchange import Confidence
from traceaudit.reports.words import METHODS, evidence_in_words
from traceaudit_tui.rows import Candidate, Exchange
from traceaudit_tui.signs import (
    MUTED,
    Part,
    clock,
    confidence_sign,
    duration,
    name,
    probability_text,
    request_text,
)
from traceaudit_tui.widgets.lines import Lines, rule, wrapped

BAR = 10  # cells of a whole probability


class Evidence(Lines):
    """The candidates of one call."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._call: Exchange | None = None
        self._candidates: Sequence[Candidate] = ()
        self._total = 0
        self._settled: float | None = None

    def show(
        self, call: Exchange | None, candidates: Sequence[Candidate], total: int, settled: float | None = None
    ) -> None:
        """Shows a call's candidates, of which there may be more than are given. ``settled`` is the probability of the
        finding that it is looked at for; None: it is looked at for itself."""
        self._call, self._candidates, self._total, self._settled = call, candidates, total, settled
        self.changed()

    def lines(self, width: int) -> list[Content]:
        """The chosen one in words and numbers, then all of them."""
        result = [rule("why this link is believed", width)]
        if self._call is None:
            return []
        if not self._candidates:
            return [*result, *wrapped([("nothing is known yet about what caused this call", MUTED)], width, 2)]
        chosen = self._candidates[0]
        kind = Confidence.of(chosen.probability)
        sign = confidence_sign(kind)
        meaning = METHODS.get(chosen.method, "") if chosen.inbound_id is not None else ""
        words: list[Part] = [(f"{sign.sign} {kind}", sign.style), (f" {probability_text(chosen.probability)}", "bold")]
        words.append((f" by {name(chosen.method)}" + (f": {meaning}" if meaning else ""), ""))
        if chosen.inbound_id is None:
            words.append((": no request caused it", ""))
        result += wrapped(words, width, 2)
        numbers = numbers_of(chosen.evidence)
        if numbers:
            result += wrapped([(numbers, MUTED)], width, 2)
        if self._settled is not None and Confidence.of(self._settled) is not kind:
            sign = confidence_sign(Confidence.of(self._settled))
            settled: list[Part] = [(f"{sign.sign} {Confidence.of(self._settled)}", sign.style)]
            settled += [
                (f" {probability_text(self._settled)}", "bold"),
                (" is the finding by all that the run has shown", ""),
            ]
            result += wrapped(settled, width, 2)
        for candidate in self._candidates:
            result += self._candidate(candidate, width)
        more = self._total - len(self._candidates)
        if more > 0:
            result.append(Content.assemble((f"  and {more:,} less likely", MUTED)))
        return result

    def _candidate(self, candidate: Candidate, width: int) -> list[Content]:
        filled = round(candidate.probability * BAR)
        style = "$text-success" if candidate.rank == 1 else MUTED
        probability = probability_text(candidate.probability)
        parts: list[Part] = [
            ("█" * filled, style),
            ("░" * (BAR - filled), "$foreground 30%"),
            (f" {probability:<6}  ", ""),
        ]
        if candidate.inbound_id is None:
            parts.append(("no request: a poller, a ticker, start-up", MUTED))
        elif candidate.inbound is None:
            parts.append((name(candidate.inbound_id), ""))
        else:
            parts += [(request_text(candidate.inbound), "bold" if candidate.rank == 1 else "")]
            parts += [(f"  {name(candidate.inbound.id)}{self._when(candidate.inbound)}", MUTED)]
        if candidate.rank > 1 and (numbers := numbers_of(candidate.evidence)):
            parts.append((f"  {numbers}", MUTED))
        lines = Content.assemble(*parts).wrap(max(10, width - 2))
        return [
            Content.assemble("  ", line) if not i else Content.assemble(" " * (BAR + 11), line)
            for i, line in enumerate(lines)
        ]

    def _when(self, inbound: Exchange) -> str:
        if self._call is None:
            return ""
        gap = self._call.started_ns - inbound.started_ns
        words = f"  call {duration(gap)} after it" if gap >= 0 else f"  call {duration(-gap)} before it"
        if inbound.ended_ns is not None and self._call.started_ns > inbound.ended_ns:
            words += f", {duration(self._call.started_ns - inbound.ended_ns)} after its end"
        return f"  {clock(inbound.started_ns)}{words}"


def numbers_of(evidence: dict[str, object]) -> str:
    """``3 in flight · brought by 1``: whatever the correlation wrote down."""
    return " · ".join(evidence_in_words(evidence))
