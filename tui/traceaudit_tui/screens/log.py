"""What the service and the audit said while the inspector had the terminal of `run --tui`: the end of a log, followed.

The list's keys are the places in the file at which lines begin. A log's beginning may be far away: it is read from its
last ``MOST`` bytes on.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from textual.widget import Widget

from traceaudit.safe import safe
from traceaudit_tui.copies import shell_word
from traceaudit_tui.screens.reading import printable
from traceaudit_tui.screens.searching import SearchedScreen
from traceaudit_tui.signs import ERROR, MUTED, WARNING
from traceaudit_tui.widgets.row_list import Cell, Column, RowList

MOST = 16 * 1024 * 1024  # bytes: a few hundred thousand lines
LONGEST = 4096  # bytes of a line that are shown
FOLLOW_S = 0.5
SERVICE = "service │ "


class LogScreen(SearchedScreen):
    """One line a line; at the last one it follows."""

    TITLE = "Log"
    ABOUT = (
        "What the service and the audit have said since the inspector was opened, as it is kept in the file beside the "
        "database. On the last line it follows what comes; on any other one it stays."
    )

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._read_to = 0

    def body(self) -> Iterable[Widget]:
        """The list."""
        columns = [Column("", 7), Column(safe(self._path.name, 200), 20, flex=True)]
        yield RowList(columns, self._rows, empty="Nothing has been said yet.", id="log")

    def on_mount(self) -> None:
        """From the end on."""
        self._follow()
        self.set_interval(FOLLOW_S, self._follow, name="log")

    def update_view(self) -> None:
        """The database says nothing of it."""

    def _follow(self) -> None:
        rows = self.query_one(RowList)
        at_end = rows.cursor >= len(rows.keys) - 1
        try:
            with self._path.open("rb") as log:
                size = log.seek(0, 2)
                first = not self._read_to
                start = self._read_to = max(self._read_to if size >= self._read_to else 0, size - MOST)
                log.seek(start)
                new = log.read(size - start)
        except OSError as error:
            rows.empty = f"{safe(str(self._path), 200)} cannot be read: {safe(str(error.strerror))}."
            rows.refresh()
            return
        whole = new.rfind(b"\n") + 1  # a line that is still being written is read when it has ended
        if first and start:
            start, new, whole = _from_a_line(start, new, whole)
        places, at = array("q"), 0
        while at < whole:
            places.append(start + at)
            at = new.index(b"\n", at) + 1
        self._read_to = start + whole
        if places:
            rows.extend(places)
            if at_end:
                rows.cursor = len(rows.keys) - 1

    def _rows(self, keys: Sequence[int]) -> Mapping[int, Sequence[Cell]]:
        result: dict[int, Sequence[Cell]] = {}
        try:
            with self._path.open("rb") as log:
                for key in keys:
                    log.seek(key)
                    result[key] = _cells(log.readline(LONGEST).decode("utf-8", "replace").rstrip("\r\n"))
        except OSError:
            return {}  # which the next look at the file says
        return result

    def command_text(self) -> str:
        """What shows the same."""
        return f"tail -F {shell_word(str(self._path))}"


def _from_a_line(start: int, new: bytes, whole: int) -> tuple[int, bytes, int]:
    """The same from the beginning of the first whole line on."""
    skipped = new.find(b"\n") + 1
    return start + skipped, new[skipped:], max(0, whole - skipped)


def _cells(line: str) -> Sequence[Cell]:
    """Who says it, and what. What the service said has been made safe when it was written: its backslashes are kept."""
    if line.startswith(SERVICE):
        return [[("service", MUTED)], [(printable(line.removeprefix(SERVICE)), "")]]
    style = next((style for word, style in (("error", ERROR), ("warning", WARNING)) if line.startswith(word)), "")
    return [[("audit", "$text-primary")], [(printable(line), style)]]
