"""All findings of a run, the gravest first, and below them what the one under the cursor says."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from traceaudit_tui.compare import concerns, headers_of
from traceaudit_tui.copies import quoted
from traceaudit_tui.rows import Cell as MatrixCell
from traceaudit_tui.rows import Finding
from traceaudit_tui.screens.base import Subject
from traceaudit_tui.screens.filtering import FilteredScreen
from traceaudit_tui.screens.finding import FindingScreen
from traceaudit_tui.signs import (
    MUTED,
    Part,
    clock,
    confidence_sign,
    edge_text,
    name,
    plural,
    severity_sign,
    short_count,
    sparkline,
)
from traceaudit_tui.verdict import verdict
from traceaudit_tui.widgets.filter_line import FilterLine
from traceaudit_tui.widgets.finding_facts import facts
from traceaudit_tui.widgets.lines import Lines, rule
from traceaudit_tui.widgets.row_list import Cell, Column, RowList

SPARK = 16  # parts of the run's time in a sparkline


class FindingPreview(Lines):
    """One finding in a few lines: where, what, expected, observed."""

    finding: Finding | None = None

    def show(self, finding: Finding | None) -> None:
        """Another one; None: there is none."""
        self.finding = finding
        self.changed()

    def lines(self, width: int) -> list[Content]:
        """As many as it takes."""
        finding = self.finding
        if finding is None:
            return []
        return [rule(edge_text(finding.edge)[: width - 2], width), *facts(finding, width)]


class FindingsScreen(FilteredScreen):
    """The list; with ``only``, the findings of one cell of the matrix."""

    MODE = "findings"
    ABOUT = (
        "Broken rules, one a line, grouped by rule and call edge; the gravest and most frequent first. "
        "Enter shows the requests that prove it."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "step(1)", "Next finding", id="finding.next"),
        Binding("E", "step(-1)", "Previous finding", id="finding.previous", show=False),
    ]
    FINDS = "findings"

    def __init__(self, only: MatrixCell | None = None) -> None:
        super().__init__()
        self.only = only
        self._findings: dict[int, Finding] = {}
        self._sparks: dict[int, list[int]] = {}

    def body(self) -> Iterable[Widget]:
        """Filter, list and preview."""
        columns = [
            Column("", 1),
            Column("code", 5),
            Column("rule", 22),
            Column("confidence", 11, from_width=132),
            Column("", 1, from_width=0),
            Column("call", 20, flex=True, ends=True),
            Column("over time", SPARK, from_width=100),
            Column("times", 5, right=True),
            Column("last seen", 12, from_width=140, right=True),
        ]
        yield FilterLine()
        yield RowList(columns, self._rows, id="findings")
        yield FindingPreview(id="preview")

    @property
    def finding(self) -> Finding | None:
        """The finding under the cursor; None: there is none."""
        key = self.query_one(RowList).key
        return None if key is None else self._findings.get(key)

    def update_view(self) -> None:
        """Reads the list anew; the cursor stays on its finding."""
        if self.filter is None:
            self._show(None)
        else:
            self._look()

    @work(exclusive=True, group="look")
    async def _look(self) -> None:
        """Asks which findings the filter means."""
        run, filter_ = self.inspector.summary.run, self.filter
        if run is None or filter_ is None:
            return

        def read() -> frozenset[int]:
            with self.inspector.audit.apart() as audit:
                return audit.finding_ids(run.id, filter_)

        self._show(await asyncio.to_thread(read))

    def _show(self, meant: frozenset[int] | None) -> None:
        """Shows the findings of the run and the cell; of these only the ones that a filter means, if there is one."""
        before = self.finding
        everything = [each for each in self.inspector.summary.findings if self._wanted(each)]
        matching = [each for each in everything if meant is None or each.id in meant]
        findings = everything if self.showing_all else matching
        self._findings = {each.id: each for each in findings}
        rows = self.query_one(RowList)
        verdict_ = verdict(self.inspector.summary)
        rows.empty = "No finding on these calls." if self.only else f"No findings. {verdict_.spoken}"
        if meant is not None and everything:
            rows.empty = f"None of {plural(len(everything), 'finding')} matches the filter."
        rows.matches = frozenset(each.id for each in matching) if self.showing_all else ()
        found = f"{len(matching):,} of {len(everything):,}{', all shown' if self.showing_all else ''}"
        self.query_one(FilterLine).show(self.filter, found)
        same = next((each.id for each in findings if before and each.identity == before.identity), None)
        rows.show(array("q", self._findings), key=same)
        self.query_one(FindingPreview).show(self.finding)
        self._read_sparks()

    def filter_changed(self) -> None:
        """Shows what the filter means."""
        self.workers.cancel_group(self, "look")
        self.update_view()

    def _wanted(self, finding: Finding) -> bool:
        if self.only is None:
            return True
        same_edge = finding.edge is not None and finding.edge.id == self.only.edge.id
        return same_edge and concerns(finding.header, self.only.format)

    @work(exclusive=True, group="sparks")
    async def _read_sparks(self) -> None:
        run = self.inspector.summary.run
        if run is None or not self._findings:
            return

        def read() -> dict[int, list[int]]:
            with self.inspector.audit.apart() as audit:
                return audit.sparks(run.id, SPARK)

        self._sparks = await asyncio.to_thread(read)
        self.query_one(RowList).forget()

    def _rows(self, keys: Sequence[int]) -> Mapping[int, Sequence[Cell]]:
        return {key: self._row(self._findings[key]) for key in keys if key in self._findings}

    def _row(self, finding: Finding) -> Sequence[Cell]:
        severity, confidence = severity_sign(finding.severity), confidence_sign(finding.confidence)
        spark: Part = (sparkline(self._sparks.get(finding.id, ())), "$text-primary")
        return [
            [(severity.sign, severity.style)],
            [(name(finding.code), severity.style)],
            [(name(finding.slug), "")],
            [(name(finding.confidence), confidence.style)],
            [(confidence.sign, confidence.style)],
            [(edge_text(finding.edge), "" if finding.edge else MUTED)],
            [spark],
            [(short_count(finding.occurrences), "bold")],
            [(clock(finding.last_ns) if finding.occurrences else "", MUTED)],
        ]

    def on_row_list_moved(self) -> None:
        """Shows what is under the cursor."""
        self.query_one(FindingPreview).show(self.finding)

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """Opens what was under the cursor then."""
        if (finding := self._findings.get(event.key)) is not None:
            self.app.push_screen(FindingScreen(finding))

    def action_step(self, by: int) -> None:
        """The next or previous finding."""
        self.query_one(RowList).action_move(by)

    def action_match(self, by: int) -> None:
        """The next or previous finding that the filter means."""
        rows = self.query_one(RowList)
        if self.filter is None:
            self.notify("There is no filter: press / for one.", markup=False)
            return
        places = range(rows.cursor + 1, len(rows.keys)) if by > 0 else range(rows.cursor - 1, -1, -1)
        place = next((each for each in places if not self.showing_all or rows.keys[each] in rows.matches), None)
        if place is None:
            self.notify("No further match in this list.", markup=False)
        else:
            rows.cursor = place

    def subject(self) -> Subject:
        """The finding under the cursor."""
        return self.finding

    def marks_changed(self) -> None:
        """Shows the marks."""
        rows = self.query_one(RowList)
        rows.marked = self.inspector.marks.findings
        rows.refresh()

    def listed_findings(self) -> list[Finding]:
        """What is listed, to be saved."""
        return [self._findings[key] for key in self.query_one(RowList).keys]

    def command_words(self) -> list[str]:
        """The findings as a report."""
        asked = [f"({self.filter.text})" if self.only and self.filter else self.filter.text] if self.filter else []
        if self.only is not None:
            edge = self.only.edge
            called = f"{edge.inbound_route} -> {edge.outbound_authority} {edge.outbound_route}"
            asked.insert(0, f"edge={quoted(called)}")
            header = " or ".join(f"header:{each}" for each in headers_of(self.only.format))
            asked.insert(1, f"({header})")
        return ["report", "--where", " ".join(asked)] if asked else ["report"]
