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

from traceaudit.safe import safe
from traceaudit_tui.compare import concerns
from traceaudit_tui.rows import Cell as MatrixCell
from traceaudit_tui.rows import Finding
from traceaudit_tui.screens.base import AuditScreen
from traceaudit_tui.screens.finding import FindingScreen
from traceaudit_tui.signs import (
    MUTED,
    Part,
    clock,
    confidence_sign,
    edge_text,
    name,
    severity_sign,
    short_count,
    sparkline,
)
from traceaudit_tui.verdict import verdict
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


class FindingsScreen(AuditScreen):
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

    def __init__(self, only: MatrixCell | None = None) -> None:
        super().__init__()
        self.only = only
        self._findings: dict[int, Finding] = {}
        self._sparks: dict[int, list[int]] = {}

    def body(self) -> Iterable[Widget]:
        """List and preview."""
        columns = [
            Column("", 1),
            Column("code", 5),
            Column("rule", 22),
            Column("confidence", 11, from_width=110),
            Column("", 1, from_width=0),
            Column("call", 20, flex=True),
            Column("over time", SPARK, from_width=140),
            Column("times", 5, right=True),
            Column("last seen", 12, from_width=100, right=True),
        ]
        yield RowList(columns, self._rows, id="findings")
        yield FindingPreview(id="preview")

    @property
    def finding(self) -> Finding | None:
        """The finding under the cursor; None: there is none."""
        key = self.query_one(RowList).key
        return None if key is None else self._findings.get(key)

    def update_view(self) -> None:
        """Reads the list anew; the cursor stays on its finding."""
        before = self.finding
        findings = [each for each in self.inspector.summary.findings if self._wanted(each)]
        self._findings = {each.id: each for each in findings}
        rows = self.query_one(RowList)
        verdict_ = verdict(self.inspector.summary)
        rows.empty = (
            "No finding on these calls." if self.only else f"No findings. {safe(verdict_.sentence).capitalize()}."
        )
        same = next((each.id for each in findings if before and each.identity == before.identity), None)
        rows.show(array("q", self._findings), key=same)
        self.query_one(FindingPreview).show(self.finding)
        self._read_sparks()

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

    def on_row_list_opened(self) -> None:
        """Opens it."""
        if (finding := self.finding) is not None:
            self.app.push_screen(FindingScreen(finding))

    def action_step(self, by: int) -> None:
        """The next or previous finding."""
        self.query_one(RowList).action_move(by)
