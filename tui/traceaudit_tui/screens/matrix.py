"""Home: which call edge carries which format on, at one look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from traceaudit_tui.compare import concerns
from traceaudit_tui.rows import Cell, Finding
from traceaudit_tui.screens.finding import FindingScreen
from traceaudit_tui.screens.findings import FindingsScreen
from traceaudit_tui.screens.searching import SearchedScreen
from traceaudit_tui.signs import MUTED, Part, edge_text, name, outcome_sign, percent, plural, severity_sign
from traceaudit_tui.verdict import verdict
from traceaudit_tui.widgets.lines import Lines, flowed, rule
from traceaudit_tui.widgets.outcome_grid import OutcomeGrid


class CellPreview(Lines):
    """One cell in words: all of its outcomes, and its findings."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._cell: Cell | None = None
        self._findings: list[Finding] = []

    def show(self, cell: Cell | None, findings: list[Finding]) -> None:
        """Another cell; None: nothing was judged there."""
        self._cell, self._findings = cell, findings
        self.changed()

    def lines(self, width: int) -> list[Content]:
        """As many as it takes."""
        cell = self._cell
        if cell is None:
            return []
        title = f"{edge_text(cell.edge)} · {name(cell.format)}"
        chunks: list[list[Part]] = []
        for outcome, count in cell.counts:
            sign = outcome_sign(outcome)
            share = f" {percent(count, cell.total)} of {plural(cell.total, 'call')}" if count < cell.total else ""
            words = f"{sign.sign} {name(outcome)}"
            chunks.append(
                [(words, sign.style), (share or f" on {plural(count, 'call')}", ""), (f": {sign.meaning}", MUTED)]
            )
        lines = [rule(title[: max(1, width - 2)], width), *flowed(chunks, width)]
        found: list[list[Part]] = []
        for each in self._findings:
            grave = severity_sign(each.severity)
            found.append(
                [(f"{grave.sign} {name(each.code)} {name(each.slug)}", grave.style), (f" {each.occurrences:,}×", MUTED)]
            )
        return lines + flowed(found, width)


class MatrixScreen(SearchedScreen):
    """The grid and what its cell says."""

    MODE = "matrix"
    ABOUT = (
        "One line a call edge (a route of the service and what it calls), one column a format of trace headers. A cell "
        "shows the gravest thing that happened there, on what share of the calls, and how often. Enter opens its "
        "findings."
    )
    FOCUS = OutcomeGrid
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "step(1)", "Next fault", id="finding.next"),
        Binding("E", "step(-1)", "Previous fault", id="finding.previous", show=False),
    ]

    def body(self) -> Iterable[Widget]:
        """Grid and preview."""
        yield OutcomeGrid(id="matrix")
        yield CellPreview(id="preview")

    def update_view(self) -> None:
        """Reads the matrix anew; the cursor stays on its cell."""
        self._read()

    @work(exclusive=True, group="matrix")
    async def _read(self) -> None:
        run = self.inspector.summary.run

        def read() -> list[Cell]:
            with self.inspector.audit.apart() as audit:
                return audit.matrix(run.id) if run else []

        cells = await asyncio.to_thread(read)
        grid = self.query_one(OutcomeGrid)
        said = verdict(self.inspector.summary)
        grid.empty = said.spoken if said.word == "empty" else f"No call was judged. {said.spoken}"
        grid.show(cells)

    def _findings(self, cell: Cell | None) -> list[Finding]:
        if cell is None:
            return []
        return [
            each
            for each in self.inspector.summary.findings
            if each.edge is not None and each.edge.id == cell.edge.id and concerns(each.header, cell.format)
        ]

    def on_outcome_grid_moved(self, event: OutcomeGrid.Moved) -> None:
        """Shows what is under the cursor."""
        self.query_one(CellPreview).show(event.cell, self._findings(event.cell))

    def on_outcome_grid_opened(self, event: OutcomeGrid.Opened) -> None:
        """The cell's findings; a single one at once."""
        findings = self._findings(event.cell)
        if not findings:
            self.notify("No finding on these calls.", markup=False)
        elif len(findings) == 1:
            self.app.push_screen(FindingScreen(findings[0]))
        else:
            self.app.push_screen(FindingsScreen(event.cell))

    def action_step(self, by: int) -> None:
        """The next or previous cell with a fault."""
        grid = self.query_one(OutcomeGrid)
        here = (grid.row, grid.column)
        faulty = grid.faulty()
        ahead = (
            [each for each in faulty if each > here] if by > 0 else [each for each in reversed(faulty) if each < here]
        )
        if ahead:
            grid.go_to(*ahead[0])
        else:
            self.notify("No further fault in the matrix.", markup=False)

    def command_words(self) -> list[str]:
        """The matrix."""
        return ["report", "--format", "matrix"]
