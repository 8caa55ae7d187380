"""One request and the calls it caused, over time; where the trace breaks is marked on the bar."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from traceaudit.exchange import Confidence
from traceaudit_tui.copies import quoted
from traceaudit_tui.rows import Bar, Exchange
from traceaudit_tui.screens.base import Subject
from traceaudit_tui.screens.call import CallScreen
from traceaudit_tui.screens.opening_findings import first_finding, open_finding
from traceaudit_tui.screens.searching import SearchedScreen
from traceaudit_tui.signs import (
    ACCENT,
    GOOD,
    MUTED,
    Part,
    clock,
    confidence_sign,
    duration,
    gravest,
    is_fault,
    name,
    outcome_part,
    outcome_sign,
    probability_text,
    request_text,
    status_part,
)
from traceaudit_tui.widgets.lines import Lines, flowed, rule
from traceaudit_tui.widgets.row_list import Cell, Column, RowList

SURE = 0.95  # below it a link is ambiguous, and its bar is dashed
TIMELINE = 2  # the column's index


class CallPreview(Lines):
    """What is known about one call of the waterfall."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="preview")
        self._bar: Bar | None = None
        self._inbound: Exchange | None = None

    def show(self, inbound: Exchange | None, bar: Bar | None) -> None:
        """A call, or with ``bar`` None the request itself."""
        self._inbound, self._bar = inbound, bar
        self.changed()

    def lines(self, width: int) -> list[Content]:
        """Its link, its outcomes, its findings."""
        if self._inbound is None:
            return []
        if self._bar is None:
            words = f"request {name(self._inbound.id)} · {clock(self._inbound.started_ns)}"
            facts: list[list[Part]] = [[(duration(self._inbound.duration_ns), "")]]
            if self._inbound.minted:
                facts.append([(f"given by the audit: {name(', '.join(self._inbound.minted))}", ACCENT)])
            return [rule(words, width), *flowed(facts, width)]
        bar = self._bar
        sign = confidence_sign(Confidence.of(bar.probability))
        chunks: list[list[Part]] = [
            [
                (f"{sign.sign} {Confidence.of(bar.probability)}", sign.style),
                (f" {probability_text(bar.probability)}", ""),
            ],
            [(f"by {name(bar.method)}", MUTED)],
        ]
        if bar.rank > 1:
            chunks.append([("another request is the likelier cause", "$text-warning")])
        if bar.call.error:
            chunks.append([(name(bar.call.error), "$text-error")])
        chunks += [[outcome_part(each)] for each in bar.outcomes]
        chunks += [[(f"finding {name(code)}", "bold $text-error")] for code in bar.codes]
        words = f"call {name(bar.call.id)} · {clock(bar.call.started_ns)} · {duration(bar.call.duration_ns)}"
        return [rule(words, width), *flowed(chunks, width)]


class WaterfallScreen(SearchedScreen):
    """The request on top, its calls below it in the order of their start."""

    MODE = "requests"
    TITLE = "Waterfall"
    ABOUT = (
        "One request and the calls it caused. Solid bars: the link is proven or probable. Dashed bars: it is "
        "ambiguous, or another request is the likelier cause. The sign before a bar says where the trace broke. Calls "
        "may start after the request has ended."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "step(1)", "Next finding", id="finding.next"),
        Binding("E", "step(-1)", "Previous finding", id="finding.previous", show=False),
        Binding("f", "finding", "Finding", id="call.finding"),
    ]

    def __init__(self, inbound_id: str, call_id: str | None = None) -> None:
        super().__init__()
        self._inbound_id = inbound_id
        self._wanted = call_id
        self._inbound: Exchange | None = None
        self._bars: dict[int, Bar] = {}
        self._span = (0, 1)

    def body(self) -> Iterable[Widget]:
        """Bars and preview."""
        columns = [
            Column("", 1),
            Column("request and calls", 24, flex=True),
            Column("", 22, flex=True),
            Column("took", 8, right=True),
            Column("status", 6, right=True),
        ]
        yield RowList(columns, self._rows, empty="This request is not in the database.", id="waterfall")
        yield CallPreview(id="preview")

    @property
    def bar(self) -> Bar | None:
        """The call under the cursor; None: the request itself."""
        return self._bars.get(self.query_one(RowList).key or 0)

    def update_view(self) -> None:
        """Reads the request and its calls anew."""
        audit = self.inspector.audit
        self._inbound = audit.exchange(self._inbound_id)
        rows = self.query_one(RowList)
        if self._inbound is None:
            rows.show(array("q"))
            return
        bars, total = audit.waterfall(self._inbound_id)
        self._bars = {bar.call.key: bar for bar in bars}
        # What is likelier another request's may be far off; it does not set the scale.
        everything = [self._inbound, *(bar.call for bar in bars if bar.rank == 1)]
        start = min(each.started_ns for each in everything)
        end = max(each.ended_ns or each.started_ns for each in everything)
        self._span = (start, max(1, end - start))
        more = f", {total - len(bars):,} more calls not shown" if total > len(bars) else ""
        scale = replace(rows.columns[TIMELINE], title=f"├ 0 to {duration(self._span[1])}{more}")
        rows.columns = (*rows.columns[:TIMELINE], scale, *rows.columns[TIMELINE + 1 :])
        wanted = next((bar.call.key for bar in bars if bar.call.id == self._wanted), None)
        self._wanted = None
        rows.show(array("q", [self._inbound.key, *self._bars]), key=wanted)
        self.query_one(CallPreview).show(self._inbound, self.bar)

    def _rows(self, keys: Sequence[int]) -> Mapping[int, Sequence[Cell]]:
        rows = self.query_one(RowList)
        width = rows.layout_columns(rows.size.width)[TIMELINE][1]
        result: dict[int, Sequence[Cell]] = {}
        for key in keys:
            bar = self._bars.get(key)
            exchange = bar.call if bar else self._inbound
            if exchange is None:
                continue
            sign = self._sign(bar) if bar else ("", "")
            indent = "" if bar is None else "└ " if bar.rank == 1 else "┆ "
            result[key] = [
                [sign],
                [(indent, MUTED), (request_text(exchange), "bold" if bar is None else "")],
                self._timeline(exchange, bar, width),
                [(duration(exchange.duration_ns), MUTED)],
                [status_part(exchange)],
            ]
        return result

    @staticmethod
    def _sign(bar: Bar) -> Part:
        faults = [each.outcome for each in bar.outcomes if is_fault(each.outcome)]
        if not bar.outcomes:
            return ("", "")
        sign = outcome_sign(gravest(faults or [each.outcome for each in bar.outcomes]))
        return (sign.sign, sign.style)

    def _timeline(self, exchange: Exchange, bar: Bar | None, width: int) -> Cell:
        start, span = self._span
        at = (exchange.started_ns - start) * width // span
        left = min(max(0, at), width - 1)
        end = start + span if exchange.ended_ns is None else exchange.ended_ns
        cells = max(1, min(width - left, -(-(end - start) * width // span) - left))
        if bar is None:
            return [(" " * left, ""), ("█" * cells, "$primary")]
        sure = bar.rank == 1 and bar.probability >= SURE
        style = self._sign(bar)[1] or GOOD
        shape = "▆" if sure else "╌"
        beyond = exchange.ended_ns is None or end > start + span
        first, last = "◂" if at < 0 else shape, "▸" if beyond else shape
        text = (
            last if cells == 1 and (beyond or at >= 0) else first if cells == 1 else first + shape * (cells - 2) + last
        )
        return [(" " * left, ""), (text, style)]

    def on_row_list_moved(self) -> None:
        """Shows what is under the cursor."""
        if self._inbound is not None:
            self.query_one(CallPreview).show(self._inbound, self.bar)

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """A call's headers beside the request's."""
        if (bar := self._bars.get(event.key)) is not None:
            self.app.push_screen(CallScreen(bar.call.id))

    def action_step(self, by: int) -> None:
        """The next or previous call that a finding is about."""
        rows = self.query_one(RowList)
        faulty = [key for key, bar in self._bars.items() if bar.codes]
        here = rows.cursor
        places = sorted(rows.keys.index(key) for key in faulty)
        ahead = [p for p in places if p > here] if by > 0 else [p for p in reversed(places) if p < here]
        if ahead:
            rows.cursor = ahead[0]
        else:
            self.notify("No further finding in this request.", markup=False)

    def action_finding(self) -> None:
        """The finding that the call is an occurrence of."""
        open_finding(self, first_finding(self.inspector, self.bar.call.id) if self.bar else None)

    def subject(self) -> Subject:
        """The call under the cursor, or the request."""
        return self.bar.call if self.bar else self._inbound

    def marks_changed(self) -> None:
        """Shows the marks."""
        rows = self.query_one(RowList)
        rows.marked = self.inspector.marks.exchanges
        rows.refresh()

    def listed_exchanges(self) -> array[int]:
        """What is listed, to be saved."""
        return self.query_one(RowList).keys[:]

    def command_words(self) -> list[str]:
        """The request and its calls in an exchange log."""
        return ["export", "--where", f"id:{quoted(self._inbound_id)} or cause:{quoted(self._inbound_id)}"]
