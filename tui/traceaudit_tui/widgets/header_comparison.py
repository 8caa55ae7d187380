"""The request's headers and the call's, side by side, byte for byte, with what differs marked by sign and colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.content import Content

from traceaudit.exchange import Outcome
from traceaudit.reports.comparison import Pair, State, all_pairs, differing
from traceaudit.safe import safe
from traceaudit.store.reader import HeaderRow
from traceaudit_tui.rows import Exchange, Judged
from traceaudit_tui.signs import (
    ACCENT,
    ERROR,
    GOOD,
    MUTED,
    WARNING,
    Part,
    clock,
    duration,
    is_fault,
    outcome_sign,
    request_text,
    status_part,
)
from traceaudit_tui.widgets.found import Strand, split
from traceaudit_tui.widgets.lines import Lines, folded, rule, wrapped

TRACE_LIMIT = 1024  # characters of a trace header's value: twice what W3C demands of a tracestate
OTHER_LIMIT = 240  # of another header's
WHOLE_LIMIT = 1_000_000  # when whole values are asked for: servers take less
BETWEEN = " │ "


class HeaderComparison(Lines):
    """Inbound on the left, outbound on the right."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._inbound: Exchange | None = None
        self._outbound: Exchange | None = None
        self._pairs: list[Pair] = []
        self._outcomes: dict[str, str] = {}
        self._whole = False

    def show(
        self,
        inbound: Exchange | None,
        outbound: Exchange | None,
        left: Sequence[HeaderRow],
        right: Sequence[HeaderRow],
        judged: Sequence[Judged],
    ) -> None:
        """Shows two requests; ``inbound`` None: nothing is known to have caused the call."""
        self._inbound, self._outbound = inbound, outbound
        self._pairs = all_pairs(left, right)
        self._outcomes = {each.format: each.outcome for each in judged}
        self.changed()

    def lines(self, width: int) -> list[Content]:
        """Titles, the headers that propagate context, then the others."""
        half = (width - 2 - len(BETWEEN)) // 2
        lines: list[Content] = []
        for left, right in self._titles(half):
            lines += _beside([], left, right, half)
        ours = [each for each in self._pairs if each.format]
        others = [each for each in self._pairs if not each.format]
        for title, group in (("trace headers", ours), ("other headers", others)):
            lines.append(rule(title, width))
            for each in group:
                lines += self._pair(each, half)
            if not group:
                lines.append(Content.assemble(("  none on either side", MUTED)))
        return lines

    def strands(self, lines: Sequence[Content], width: int) -> Iterable[tuple[Strand, int]]:
        """The two sides, with the sign before the left one."""
        half = (width - 2 - len(BETWEEN)) // 2
        left, right = split(lines, 2 + half, len(BETWEEN))
        return [(left, 2 + half), (right, half)]

    def turn_whole(self) -> None:
        """Long values in full, or cut again."""
        self._whole = not self._whole
        self.changed()

    def _titles(self, half: int) -> list[tuple[list[Content], list[Content]]]:
        left, right = _facts(self._inbound), _facts(self._outbound)
        titles = [(_title("into the service", self._inbound), _title("out of it", self._outbound)), (left, right)]
        if self._inbound is not None and self._inbound.minted:
            titles.append(([(f"given by the audit: {safe(', '.join(self._inbound.minted))}", ACCENT)], []))
        return [(wrapped(start, half), wrapped(end, half)) for start, end in titles]

    def _pair(self, each: Pair, half: int) -> list[Content]:
        sign, style = self._sign(each)
        limit = WHOLE_LIMIT if self._whole else TRACE_LIMIT if each.format else OTHER_LIMIT
        left = folded(_side(each, each.carried, each.sent, style, limit), half)
        right = folded(_side(each, each.sent, each.carried, style, limit), half)
        return _beside([(sign, style)], left, right, half)

    def _sign(self, each: Pair) -> Part:
        outcome = self._outcomes.get(each.format or "", "")
        if not each.format:
            return {
                State.SAME: (" ", ""),
                State.CHANGED: ("≠", MUTED),
                State.DROPPED: ("-", MUTED),
                State.ADDED: ("+", MUTED),
            }[each.state]
        match each.state:
            case State.SAME:
                return ("=", WARNING if outcome == Outcome.LEAKED else GOOD)
            case State.CHANGED:
                return ("≠", ERROR if is_fault(outcome) and outcome else GOOD if outcome else WARNING)
            case State.DROPPED:
                sign = outcome_sign(outcome) if outcome == Outcome.CONVERTED else None
                return (sign.sign, sign.style) if sign else ("✘", f"bold {ERROR}")
            case State.ADDED:
                return ("+", ACCENT)


def _beside(sign: list[Part], lefts: list[Content], rights: list[Content], half: int) -> list[Content]:
    lines: list[Content] = []
    for number in range(max(len(lefts), len(rights))):
        start = lefts[number] if number < len(lefts) else Content()
        end = rights[number] if number < len(rights) else Content()
        mark = Content.assemble(*sign) if sign and number == 0 else Content(" ")
        blank = " " * (half - start.cell_length)
        lines.append(Content.assemble(mark, " ", start, blank, (BETWEEN, "$foreground 30%"), end))
    return lines


def _title(words: str, exchange: Exchange | None) -> list[Part]:
    if exchange is None:
        return [("no request is known to have caused it", MUTED)]
    return [(f"{words}: ", MUTED), (request_text(exchange), "bold")]


def _facts(exchange: Exchange | None) -> list[Part]:
    if exchange is None:
        return [("", "")]
    parts: list[Part] = [(f"{safe(exchange.id, 40)}  {clock(exchange.started_ns)}  ", MUTED)]
    parts += [status_part(exchange), (f"  {duration(exchange.duration_ns)}", MUTED)]
    if exchange.error:
        parts.append((f"  {safe(exchange.error, 200)}", ERROR))
    return parts


def _side(each: Pair, line: HeaderRow | None, other: HeaderRow | None, style: str, limit: int) -> list[Part]:
    ours = each.format is not None
    if line is None:
        return [("not sent", f"italic {style}")] if ours and each.state is State.DROPPED else [("", "")]
    parts: list[Part] = [(safe(line.name, 256), "bold" if ours else MUTED), (": ", MUTED)]
    if line.redacted:
        return [*parts, ("not recorded", f"italic {MUTED}")]
    if not line.value:
        return [*parts, ("empty", f"italic {MUTED}")]
    if not ours:
        return [*parts, (safe(line.value, limit), "$foreground 80%")]
    if other is None or each.state is State.SAME:
        return [*parts, (safe(line.value, limit), style if other is None else "")]
    room = limit
    for piece, differs in differing(line.value, other.value):
        parts.append((safe(piece, max(0, room)), f"{style} bold underline" if differs else ""))
        room -= len(piece)
        if room <= 0:
            break
    return parts
