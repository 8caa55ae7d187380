"""The matrix: call edges down, formats across, each cell the outcome that matters most, its share and its count.

The cursor is on a cell. The first column and the titles stay where they are; where the formats do not fit, the rest
scrolls under them so that the cursor's column is in view. Where the edges do not fit, each inbound route stands on a
line of its own above its calls: cut off, edges would look alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style

from traceaudit.exchange import Outcome
from traceaudit.formats.context import Format
from traceaudit_tui.rows import Cell, Edge
from traceaudit_tui.signs import called_text, edge_text, gravest, is_fault, name, outcome_sign, percent, short_count
from traceaudit_tui.widgets.found import pattern
from traceaudit_tui.widgets.lines import cut_within, line_of

SHORT = {
    Format.TRACEPARENT: "W3C",
    Format.B3: "b3",
    Format.B3MULTI: "x-b3-*",
    Format.REQUEST_ID: "req-id",
    Format.BAGGAGE: "baggage",
    Format.UBER: "uber",
    Format.DATADOG: "datadog",
    Format.CLOUD_TRACE: "gcloud",
    Format.GRPC_TRACE: "grpc-bin",
    Format.OT_SPAN: "ot-span",
    Format.SW8: "sw8",
    Format.AMZN: "amzn",
}
"""Titles for narrow columns."""

# Cells for sign, word, share and count; for sign, share and count; for sign and share.
WORDS, COUNTS, SHARES = 26, 15, 10
LEFT = 28  # cells that an edge gets at least


class OutcomeGrid(ScrollView, can_focus=True):
    """The grid itself."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--title", "grid--row", "grid--here", "grid--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1, 0)", "Down", id="grid.down", show=False),
        Binding("up,k", "move(-1, 0)", "Up", id="grid.up", show=False),
        Binding("right,l", "move(0, 1)", "Right", id="grid.right", show=False),
        Binding("left,h", "move(0, -1)", "Left", id="grid.left", show=False),
        Binding("g,ctrl+home", "edge(False)", "First", id="grid.first", show=False),
        Binding("G,ctrl+end", "edge(True)", "Last", id="grid.last", show=False),
        Binding("home", "side(False)", "First column", id="grid.first_column", show=False),
        Binding("end", "side(True)", "Last column", id="grid.last_column", show=False),
        Binding("pagedown,space", "page(1)", "Page down", id="grid.page_down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="grid.page_up", show=False),
        Binding("enter", "open", "Open", id="grid.open"),
    ]

    row = reactive(0)
    column = reactive(0)

    class Moved(Message):
        """The cursor is on another cell; None: nothing was judged there."""

        def __init__(self, cell: Cell | None) -> None:
            super().__init__()
            self.cell = cell

    class Opened(Message):
        """A cell was chosen, by key or by mouse."""

        def __init__(self, cell: Cell) -> None:
            super().__init__()
            self.cell = cell

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.edges: list[Edge] = []
        self.formats: list[str] = []
        self.empty = "reading…"
        self._cells: dict[tuple[int, str], Cell] = {}
        self._longest = 0
        """Cells that the longest edge takes, with what stands beside it."""
        self._places: list[tuple[int, bool]] = []
        """What each line shows: a row, or (True) the inbound route above it."""
        self._line_of: list[int] = []
        """The line of each row."""

    @property
    def cell(self) -> Cell | None:
        """The cell under the cursor; None: nothing was judged there."""
        if self.row >= len(self.edges) or self.column >= len(self.formats):
            return None
        return self._cells.get((self.edges[self.row].id, self.formats[self.column]))

    def show(self, cells: Sequence[Cell]) -> None:
        """Shows other cells; the cursor stays on its edge and format."""
        edge = self.edges[self.row].id if self.row < len(self.edges) else None
        format_ = self.formats[self.column] if self.column < len(self.formats) else None
        self.edges = list({cell.edge.id: cell.edge for cell in cells}.values())
        # A format that no call and no request carries would be a column of dots.
        seen = {cell.format for cell in cells if any(outcome != Outcome.ABSENT for outcome, _ in cell.counts)}
        order = [each.value for each in Format]
        self.formats = sorted(seen, key=lambda each: (order.index(each) if each in order else len(order), each))
        self._cells = {(cell.edge.id, cell.format): cell for cell in cells}
        self._longest = max((Content(edge_text(each)).cell_length for each in self.edges), default=0) + 4
        rows = [each.id for each in self.edges]
        self._resized()
        self.row = rows.index(edge) if edge in rows else self.row
        self.column = self.formats.index(format_) if format_ in self.formats else 0
        self._moved()

    def faulty(self) -> list[tuple[int, int]]:
        """Rows and columns of the cells that hold a fault, in reading order."""
        return [
            (row, column)
            for row, edge in enumerate(self.edges)
            for column, format_ in enumerate(self.formats)
            if (cell := self._cells.get((edge.id, format_))) and any(is_fault(outcome) for outcome, _ in cell.counts)
        ]

    def go_to(self, row: int, column: int) -> None:
        """Puts the cursor on a cell."""
        self.row, self.column = row, column

    def find(self, needle: str, by: int, here: bool = False) -> bool:
        """Puts the cursor on the next or previous edge or cell whose words hold a text, around both ends; whether there
        is one. ``here``: the cell under the cursor counts."""
        wanted = pattern(needle)
        places: list[tuple[int, int]] = []
        for row, edge in enumerate(self.edges):
            if wanted.search(edge_text(edge)):
                places.append((row, self.column))
                continue
            cells = [self._cells.get((edge.id, format_)) for format_ in self.formats]
            words = [
                f"{each.format} {' '.join(outcome for outcome, _ in each.counts)}" if each else "" for each in cells
            ]
            places += [(row, column) for column, text in enumerate(words) if wanted.search(text)]
        at = (self.row, self.column)
        if not places:
            return False
        ahead = [each for each in places if each > at] if by > 0 else [each for each in places[::-1] if each < at]
        place = at if here and at in places else ahead[0] if ahead else places[0 if by > 0 else -1]
        self.go_to(*place)
        return True

    # --- the cursor --------------------------------------------------------------------------------------------------

    def validate_row(self, row: int) -> int:
        """Within the edges."""
        return min(max(0, row), max(0, len(self.edges) - 1))

    def validate_column(self, column: int) -> int:
        """Within the formats."""
        return min(max(0, column), max(0, len(self.formats) - 1))

    def watch_row(self) -> None:
        """Shows it and tells the screen."""
        self._moved()

    def watch_column(self) -> None:
        """Shows it and tells the screen."""
        self._moved()

    def _moved(self) -> None:
        visible = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        last = self._line_of[self.row] if self.row < len(self._line_of) else 0
        first = last - 1 if last and self._places[last - 1][1] else last
        if first < top:
            self.scroll_to(y=first, animate=False, immediate=True, force=True)
        elif last >= top + visible:
            self.scroll_to(y=last - visible + 1, animate=False, immediate=True, force=True)
        self.refresh()
        self.post_message(self.Moved(self.cell))

    def action_move(self, down: int, right: int) -> None:
        """So many cells down and to the right."""
        self.row += down
        self.column += right

    def action_edge(self, last: bool) -> None:
        """To the first or the last row."""
        self.row = len(self.edges) - 1 if last else 0

    def action_side(self, last: bool) -> None:
        """To the first or the last column."""
        self.column = len(self.formats) - 1 if last else 0

    def action_page(self, pages: int) -> None:
        """So many screenfuls down."""
        self.row += pages * max(1, self.size.height - 2)

    def action_open(self) -> None:
        """Opens the cell under the cursor."""
        if self.cell is not None:
            self.post_message(self.Opened(self.cell))

    def on_click(self, event: events.Click) -> None:
        """The first click puts the cursor there, another one on it opens."""
        line = event.y - 1 + self.scroll_offset.y
        left, wide, first = self._widths()
        column = first + (event.x - left) // wide if event.x >= left else self.column
        if event.y < 1 or line >= len(self._places) or not 0 <= column < len(self.formats):
            return
        row, _ = self._places[line]
        if (row, column) == (self.row, self.column):
            self.action_open()
        else:
            self.go_to(row, column)

    # --- how it is drawn ---------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Columns follow the width."""
        self._resized()
        self._moved()

    def _resized(self) -> None:
        grouped = self._widths()[0] < self._longest
        self._places, self._line_of = [], []
        above = ""
        for row, edge in enumerate(self.edges):
            if grouped and edge.inbound_route != above:
                above = edge.inbound_route
                self._places.append((row, True))
            self._line_of.append(len(self._places))
            self._places.append((row, False))
        self.virtual_size = Size(self.size.width, len(self._places) + 1)

    def _widths(self) -> tuple[int, int, int]:
        """Cells of the edge's column and of each format's, and the first format that is shown."""
        width, count = self.size.width, max(1, len(self.formats))
        longest = self._longest
        for wide in (WORDS, COUNTS, SHARES):
            if width - wide * count >= longest:
                return longest, wide, 0
        for wide in (COUNTS, SHARES):
            if width - wide * count >= LEFT + (12 if wide == COUNTS else 0):
                return width - wide * count, wide, 0
        shown = max(1, (width - LEFT) // SHARES)
        return width - shown * SHARES, SHARES, max(0, min(self.column - shown // 2, count - shown))

    def render_line(self, y: int) -> Strip:
        """One line of the viewport: the formats, which stay, or an edge."""
        width = self.size.width
        style = self.get_visual_style("grid--row" if y else "grid--title")
        if not self.formats:
            return self._strip(line_of(self.empty, y - 2, width), width, style)
        left, wide, first = self._widths()
        formats = self.formats[first : first + max(1, (width - left) // wide)]
        if y == 0:
            titles = [_fit(Content(_title(each, wide)), wide) for each in formats]
            return self._strip(Content.assemble(_fit(Content("  call"), left), *titles), width, style)
        line = y - 1 + self.scroll_offset.y
        if line >= len(self._places):
            return Strip.blank(width, style.rich_style)
        row, above = self._places[line]
        edge, here = self.edges[row], row == self.row
        if above:
            return self._strip(
                _fit(Content.assemble("  ", (name(edge.inbound_route), "$text-muted")), width), width, style
            )
        if here:
            style = self.get_visual_style("grid--here")
        mark = ("▌", "$primary") if here else " "
        grouped = len(self._places) > len(self.edges)
        words = cut_within(f"  {called_text(edge)}" if grouped else edge_text(edge), left - 3)
        strips = [Strip(_fit(Content.assemble(mark, " ", words), left).render_segments(style))]
        for column, format_ in enumerate(formats, first):
            at = here and column == self.column
            cell = self._cells.get((edge.id, format_))
            content = _fit(_cell(cell, wide), wide, before="› " if at else "  ")
            strips.append(Strip(content.render_segments(self.get_visual_style("grid--cursor") if at else style)))
        return Strip.join(strips).adjust_cell_length(width, style.rich_style)

    def _strip(self, content: Content, width: int, style: Style) -> Strip:
        return Strip(content.render_segments(style)).adjust_cell_length(width, style.rich_style)


def _title(format_: str, wide: int) -> str:
    full = name(format_)
    if len(full) + 3 <= wide or format_ not in Format:
        return "  " + full
    return "  " + SHORT[Format(format_)]


def _fit(content: Content, width: int, before: str = "") -> Content:
    content = Content.assemble(before, content).truncate(width - 1, ellipsis=True)
    return Content.assemble(content, " " * (width - content.cell_length))


def _cell(cell: Cell | None, wide: int) -> Content:
    if cell is None or not cell.total:
        return Content("")
    outcome = gravest(each for each, _ in cell.counts)
    count = dict(cell.counts)[outcome]
    sign = outcome_sign(outcome)
    share = percent(count, cell.total)
    if outcome == Outcome.ABSENT:
        return Content.assemble((sign.sign, sign.style))
    if wide >= WORDS:
        return Content.assemble(
            (f"{sign.sign} {name(outcome):<9.9}", sign.style), f" {share:>4} ", (f"{short_count(count):>5}", "dim")
        )
    if wide >= COUNTS:
        return Content.assemble((f"{sign.sign} ", sign.style), f"{share:>4} ", (f"{short_count(count):>5}", "dim"))
    return Content.assemble((f"{sign.sign} ", sign.style), f"{share:>4}")
