"""Chooses the columns of the list of exchanges, and their order; the list behind it follows at once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from traceaudit.safe import safe
from traceaudit_tui.columns import USUAL, about, offered
from traceaudit_tui.signs import GOOD, MUTED
from traceaudit_tui.widgets.key_line import KeyLine
from traceaudit_tui.widgets.row_list import Cell, Column, RowList


class ColumnsScreen(ModalScreen[None]):
    """Every column in a row, the chosen ones first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,c,backspace", "dismiss", "Done", id="columns.close", key_display="esc"),
        Binding("space", "take", "Take or leave", id="columns.take", priority=True),
        Binding("J", "shift(1)", "Further right", id="columns.right"),
        Binding("K", "shift(-1)", "Further left", id="columns.left"),
        Binding("u", "usual", "The usual ones", id="columns.usual"),
    ]

    def __init__(self, chosen: Sequence[str], choose: Callable[[tuple[str, ...]], None]) -> None:
        """``choose`` is told of every change."""
        super().__init__()
        self._chosen = list(chosen)
        self._choose = choose
        self._offered = offered(chosen)

    def compose(self) -> ComposeResult:
        """The box."""
        with Vertical(classes="box") as box:
            box.border_title = "Columns"
            yield RowList([Column("", 1), Column("column", 20), Column("shows", 16, flex=True)], self._rows)
        yield KeyLine()

    def on_mount(self) -> None:
        """As many rows as there are columns."""
        rows = self.query_one(RowList)
        rows.styles.height = len(self._offered) + 1
        rows.show(array("q", range(len(self._offered))))

    def _rows(self, keys: Sequence[int]) -> Mapping[int, Sequence[Cell]]:
        rows: dict[int, Sequence[Cell]] = {}
        for key in keys:
            column = self._offered[key]
            here = column in self._chosen
            rows[key] = [
                [("✓" if here else "", GOOD)],
                [(safe(column, 60), "bold" if here else "")],
                [(safe(about(column), 200), MUTED)],
            ]
        return rows

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """Takes the column, or leaves it; the last one stays."""
        column = self._offered[event.key]
        if column not in self._chosen:
            self._chosen.append(column)
        elif len(self._chosen) > 1:
            self._chosen.remove(column)
        self._show()

    def action_take(self) -> None:
        """As enter."""
        self.query_one(RowList).action_open()

    def action_shift(self, by: int) -> None:
        """One place to the right or to the left."""
        rows = self.query_one(RowList)
        column = self._offered[rows.cursor]
        if column not in self._chosen:
            return
        here = self._chosen.index(column)
        there = min(max(0, here + by), len(self._chosen) - 1)
        self._chosen.insert(there, self._chosen.pop(here))
        self._offered = offered(self._chosen)
        self._show()
        rows.cursor = self._offered.index(column)

    def action_usual(self) -> None:
        """As they are without a choice."""
        self._chosen = list(USUAL)
        self._offered = offered(self._chosen)
        self._show()

    def _show(self) -> None:
        self.query_one(RowList).forget()
        self._choose(tuple(self._chosen))
