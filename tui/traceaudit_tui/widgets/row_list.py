"""A list of any length: keys in an ``array('q')``, rows fetched a page at a time when they come into view.

Theory of operation: the list knows only its keys, in order, and asks ``fetch`` for the cells of a page of them; a few
pages are kept. Textual's ``DataTable`` holds every row and freezes for a minute at 100,000. The cursor is a position,
and the key under it is what stays put when keys change: new rows never move what a person is looking at.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style

from traceaudit_tui.signs import MUTED, Part
from traceaudit_tui.widgets.found import pattern
from traceaudit_tui.widgets.lines import cut_within, line_of

type Cell = Sequence[Part]
type Fetch = Callable[[Sequence[int]], Mapping[int, Sequence[Cell]]]

PAGE = 64  # rows fetched at once: a tall terminal's screenful
PAGES = 16  # kept: a few screens up and down
GUTTER = 2  # the cursor's mark, for those who see no background
GAP, NARROW_GAP, NARROW = 2, 1, 100  # cells between columns; in lists below so many cells, one less


@dataclass(frozen=True, slots=True)
class Column:
    """``width`` in cells (for a ``flex`` column: at least); it is left out of lists narrower than ``from_width``.

    ``ends``: of a text that does not fit, both ends are kept; its style is that of its first part.
    """

    title: str
    width: int
    flex: bool = False
    right: bool = False
    from_width: int = 0
    ends: bool = False


class RowList(ScrollView, can_focus=True):
    """The list. Texts in cells must be safe; they are never read as markup."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--title", "rows--row", "rows--cursor", "rows--blurred"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", id="list.down", show=False),
        Binding("up,k", "move(-1)", "Up", id="list.up", show=False),
        Binding("home,g", "edge(False)", "First", id="list.first", show=False),
        Binding("end,G", "edge(True)", "Last", id="list.last", show=False),
        Binding("pagedown,ctrl+f,space", "page(1)", "Page down", id="list.page_down", show=False),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", id="list.page_up", show=False),
        Binding("enter", "open", "Open", id="list.open"),
    ]

    cursor = reactive(0)

    class Moved(Message):
        """The cursor is on another row; ``key`` None: the list is empty."""

        def __init__(self, rows: RowList, key: int | None) -> None:
            super().__init__()
            self.rows = rows
            self.key = key

        @property
        def control(self) -> RowList:
            """The list."""
            return self.rows

    class Opened(Message):
        """A row was chosen, by key or by mouse."""

        def __init__(self, rows: RowList, key: int) -> None:
            super().__init__()
            self.rows = rows
            self.key = key

        @property
        def control(self) -> RowList:
            """The list."""
            return self.rows

    def __init__(self, columns: Sequence[Column], fetch: Fetch, *, empty: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.keys: array[int] = array("q")
        self.empty = empty
        self.matches: Container[int] = ()
        """Keys that a search has found: they get a sign of their own."""
        self.marked: Container[int] = ()
        """Keys that a person has marked."""
        self._fetch = fetch
        self._pages: OrderedDict[int, Mapping[int, Sequence[Cell]]] = OrderedDict()

    @property
    def key(self) -> int | None:
        """The key under the cursor; None: the list is empty."""
        return self.keys[self.cursor] if 0 <= self.cursor < len(self.keys) else None

    def show(self, keys: array[int], *, key: int | None = None) -> None:
        """Shows other keys, or the same read anew. The row under the cursor stays where it is on the screen.

        ``key`` is that row's key among the new ones, when it has changed. When the row is gone, the cursor stays at its
        position.
        """
        wanted = self.key if key is None else key
        old = self.cursor
        self.keys = keys
        self._pages.clear()
        if 0 <= old < len(keys) and keys[old] == wanted:
            found = old
        else:
            found = keys.index(wanted) if wanted is not None and wanted in keys else min(old, max(0, len(keys) - 1))
        self._resized()
        if found != old:
            self.scroll_to(y=self.scroll_offset.y + found - old, animate=False, immediate=True, force=True)
        self.cursor = found
        self._into_view()
        self.refresh()
        self.post_message(self.Moved(self, self.key))

    def extend(self, keys: array[int]) -> None:
        """Adds rows at the end; nothing else moves."""
        if not keys:
            return
        was_empty = not self.keys
        self.keys.extend(keys)
        self._pages.clear()
        self._resized()
        self.refresh()
        if was_empty:
            self.post_message(self.Moved(self, self.key))

    def forget(self) -> None:
        """Reads what is shown anew."""
        self._pages.clear()
        self.refresh()

    def go_to(self, key: int) -> bool:
        """Puts the cursor on a key, if it is there."""
        if key not in self.keys:
            return False
        self.cursor = self.keys.index(key)
        return True

    def row_region(self) -> Region:
        """Where the cursor's row is, within the widget."""
        return Region(0, self.cursor - self.scroll_offset.y + 1, self.size.width, 1)

    def find(self, needle: str, by: int, here: bool = False) -> bool:
        """Puts the cursor on the next or previous row that holds a text, around both ends; whether there is one.

        ``here``: the row under the cursor counts.
        """
        wanted, count = pattern(needle), len(self.keys)
        first = self.cursor + (0 if here else by)
        order = [(first + by * step) % count for step in range(count)] if count else []
        for start in range(0, count, PAGE):
            page = order[start : start + PAGE]
            rows = self._fetch([self.keys[index] for index in page])
            for index in page:
                text = "  ".join("".join(part for part, _ in cell) for cell in rows.get(self.keys[index], ()))
                if wanted.search(text):
                    self.cursor = index
                    return True
        return False

    # --- the cursor --------------------------------------------------------------------------------------------------

    def validate_cursor(self, cursor: int) -> int:
        """Within the list."""
        return min(max(0, cursor), max(0, len(self.keys) - 1))

    def watch_cursor(self) -> None:
        """Shows it and tells the screen."""
        self._into_view()
        self.refresh()
        self.post_message(self.Moved(self, self.key))

    def action_move(self, by: int) -> None:
        """So many rows down."""
        self.cursor += by

    def action_edge(self, last: bool) -> None:
        """To the first or the last row."""
        self.cursor = len(self.keys) - 1 if last else 0

    def action_page(self, pages: int) -> None:
        """So many screenfuls down."""
        self.cursor += pages * max(1, self.size.height - 2)

    def action_open(self) -> None:
        """Opens the row under the cursor."""
        if self.key is not None:
            self.post_message(self.Opened(self, self.key))

    def on_click(self, event: events.Click) -> None:
        """The first click puts the cursor there, another one on it opens."""
        index = event.y - 1 + self.scroll_offset.y
        if event.y < 1 or index >= len(self.keys):
            return
        if index == self.cursor:
            self.action_open()
        else:
            self.cursor = index

    # --- how it is drawn ---------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Columns follow the width, and some cells too."""
        self._pages.clear()
        self._resized()
        self._into_view()

    def _resized(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.keys) + 1)

    def _into_view(self) -> None:
        visible = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True, force=True)
        elif self.cursor >= top + visible:
            self.scroll_to(y=self.cursor - visible + 1, animate=False, immediate=True, force=True)

    def lay_out(self, columns: Sequence[Column]) -> None:
        """Shows other columns."""
        self.columns = tuple(columns)
        self.forget()

    def _fitting(self, width: int) -> list[int]:
        """Which columns are shown: those meant for the width, from the left on while there is room; one always."""
        gap, room, fitting = self._gap(width), width - GUTTER, list[int]()
        for index, column in enumerate(self.columns):
            if column.from_width <= width:
                room -= column.width + gap
                if room < -gap and fitting:
                    break
                fitting.append(index)
        return fitting

    def layout_columns(self, width: int) -> list[tuple[Column, int]]:
        """The columns that fit, each with its width."""
        columns = [self.columns[index] for index in self._fitting(width)]
        room = width - GUTTER - sum(column.width for column in columns) - self._gap(width) * len(columns)
        flexible = [column for column in columns if column.flex]
        share, extra = divmod(max(0, room), len(flexible) or 1)
        return [
            (column, column.width + (share + (extra if column is flexible[-1] else 0) if column.flex else 0))
            for column in columns
        ]

    @staticmethod
    def _gap(width: int) -> int:
        return GAP if width >= NARROW else NARROW_GAP

    def render_line(self, y: int) -> Strip:
        """One line of the viewport: the titles, which stay, or a row."""
        width = self.size.width
        if y == 0:
            style = self.get_visual_style("rows--title")
            return self._line([[(self.columns[each].title, "")] for each in self._fitting(width)], width, style)
        index = y - 1 + self.scroll_offset.y
        style = self.get_visual_style("rows--row")
        if not self.keys:
            return self._strip(line_of(self.empty, y - 2, width), width, style)
        if index >= len(self.keys):
            return Strip.blank(width, style.rich_style)
        here = index == self.cursor
        if here:
            style = self.get_visual_style("rows--cursor" if self.has_focus else "rows--blurred")
        cells = self._cells(index)
        if cells is None:
            return self._strip(Content.assemble("  ", ("…", MUTED)), width, style)
        shown = [cells[each] for each in self._fitting(width)]
        return self._line(shown, width, style, self._gutter(self.keys[index], here=here))

    def _cells(self, index: int) -> Sequence[Cell] | None:
        page = index // PAGE
        rows = self._pages.get(page)
        if rows is None:
            rows = self._pages[page] = self._fetch(self.keys[page * PAGE : (page + 1) * PAGE])
            if len(self._pages) > PAGES:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(page)
        return rows.get(self.keys[index])

    def _gutter(self, key: int, *, here: bool) -> Content:
        match = ("›", "bold $text-accent") if key in self.matches else " "
        return Content.assemble(
            ("▌", "$primary") if here else match, ("*", "bold $text-warning") if key in self.marked else " "
        )

    def _line(self, cells: Sequence[Cell], width: int, style: Style, gutter: Content | None = None) -> Strip:
        gap = " " * self._gap(width)
        pieces: list[Content] = [gutter or Content("  ")]
        for (column, cell_width), parts in zip(self.layout_columns(width), cells, strict=True):
            cell = Content.assemble(*parts)
            if column.ends and cell.cell_length > cell_width:
                cell = Content.assemble((cut_within(cell.plain, cell_width), parts[0][1]))
            cell = cell.truncate(cell_width, ellipsis=True)
            blank = " " * (cell_width - cell.cell_length)
            pieces += [Content.assemble(blank, cell) if column.right else Content.assemble(cell, blank), Content(gap)]
        return self._strip(Content.assemble(*pieces), width, style)

    def _strip(self, content: Content, width: int, style: Style) -> Strip:
        strip = Strip(content.render_segments(style))
        return strip.adjust_cell_length(width, style.rich_style)
