"""Lines for a terminal or a pipe: text that is folded without cutting ids, and columns beside each other.

Lines are made to fit before they are printed, so that nothing is padded: what goes into a file has no trailing blanks.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from traceaudit.reports.output import printable

PIPE_WIDTH = 100
"""Columns where there is no terminal to ask: two ids fit beside each other."""

_WORDS = re.compile(r"[^ ]+")
_PIECES = re.compile(r"[0-9A-Za-z_.]+[^0-9A-Za-z_.]?|[^0-9A-Za-z_.]", re.DOTALL)


def console_on(stream: TextIO | None = None) -> Console:
    """A console on a stream, standard output by default; one that is no terminal gets plain lines of 100 columns.

    What the stream's encoding cannot say is replaced, never an error.
    """
    target = sys.stdout if stream is None else stream
    printable(target)
    width = None if target.isatty() else PIPE_WIDTH
    return Console(file=target, width=width, markup=False, highlight=False, emoji=False)


def show(console: Console, lines: Iterable[Text]) -> None:
    """Prints lines that fit as they are."""
    for line in lines:
        console.print(line, no_wrap=True, overflow="ignore", crop=False)


def fold(text: Text, width: int) -> list[Text]:
    """One text in lines of at most so many cells, broken behind punctuation where that is possible."""
    lines: list[Text] = []
    start = end = used = 0
    for piece in _PIECES.findall(text.plain):
        for part in chop_cells(piece, max(2, width)) if cell_len(piece) > width else [piece]:
            if used and used + cell_len(part) > width:
                lines.append(text[start:end])
                start, used = end, 0
            end += len(part)
            used += cell_len(part)
    return [*lines, text[start:]] if start < len(text) or not lines else lines


def wrap(text: Text, width: int, first: str = "", rest: str | None = None) -> list[Text]:
    """Words in lines; ``first`` stands before the first line, ``rest`` (as many blanks by default) before others."""
    rest = " " * cell_len(first) if rest is None else rest
    if cell_len(first) + text.cell_len <= width:
        return [Text.assemble(first, text)]
    inner = max(10, width - max(cell_len(first), cell_len(rest)))
    lines: list[Text] = []
    start = end = used = 0
    for word in _WORDS.finditer(text.plain):
        wide = cell_len(word[0])
        if used and used + word.start() - end + wide > inner:
            lines.append(text[start:end])
            used = 0
        if used:
            used += word.start() - end + wide
        elif wide <= inner:
            start, used = word.start(), wide
        else:
            *whole, last = fold(text[word.start() : word.end()], inner)
            lines += whole
            start, used = word.end() - len(last), last.cell_len
        end = word.end()
    lines.append(text[start:end])
    return [Text.assemble(rest if number else first, line) for number, line in enumerate(lines)]


def beside(columns: Sequence[Sequence[Text]], widths: Sequence[int], gap: str = "  ") -> list[Text]:
    """Columns of lines beside each other, without blanks at the end; widths are in cells."""
    lines: list[Text] = []
    for number in range(max(map(len, columns), default=0)):
        line = Text()
        for position, (column, width) in enumerate(zip(columns, widths, strict=True)):
            cell = column[number] if number < len(column) else Text()
            blanks = " " * (width - cell.cell_len) + gap if position < len(columns) - 1 else ""
            line = Text.assemble(line, cell, blanks)
        line.rstrip()
        lines.append(line)
    return lines
