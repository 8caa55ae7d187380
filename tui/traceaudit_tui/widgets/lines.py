"""A widget that lays out its own lines for the width it has: nothing is cut and nothing is wrapped behind its back."""

from __future__ import annotations

import re

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from traceaudit_tui.signs import Part

FOUND = "bold $background on $text-warning"


def pattern(needle: str) -> re.Pattern[str]:
    """What a text is looked for by: small letters stand for both."""
    return re.compile(re.escape(needle), re.IGNORECASE if needle == needle.lower() else 0)


class Lines(Widget):
    """As many lines as it takes; subclasses say which, for any width."""

    DEFAULT_CSS = """
    Lines { height: auto; width: 1fr; text-wrap: nowrap; text-overflow: clip; }
    """

    needle = ""
    """A text that is marked wherever it stands; empty: none."""

    def lines(self, width: int) -> list[Content]:
        """The lines for a width."""
        raise NotImplementedError

    def found(self, needle: str) -> list[int]:
        """The lines that hold a text, counted from its first one."""
        width, wanted = self.content_size.width, pattern(needle)
        return [i for i, line in enumerate(self.lines(width)) if wanted.search(line.plain)] if width else []

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 -- Textual's
        """As many as there are lines."""
        return len(self.lines(width))

    def render(self) -> Content:
        """All lines."""
        width = self.content_size.width
        text = Content("\n").join(self.lines(width)) if width else Content()
        return text.highlight_regex(pattern(self.needle), style=FOUND) if self.needle else text

    def changed(self) -> None:
        """What it shows has changed."""
        self.refresh(layout=True)


def wrapped(parts: list[Part], width: int, indent: int = 0) -> list[Content]:
    """Words in lines of at most ``width`` cells, each with so many spaces before it."""
    if width - indent < 1:
        return []
    return [Content.assemble(" " * indent, line) for line in Content.assemble(*parts).wrap(width - indent)]


def folded(parts: list[Part], width: int) -> list[Content]:
    """Every character kept, in lines of ``width`` cells, whatever words there are."""
    return Content.assemble(*parts).fold(max(2, width)) or [Content()]


def flowed(chunks: list[list[Part]], width: int, gap: int = 3) -> list[Content]:
    """Chunks one after another, none broken unless it is wider than a line."""
    lines: list[Content] = []
    line = Content()
    for chunk in chunks:
        piece = Content.assemble(*chunk)
        if line and line.cell_length + gap + piece.cell_length > width:
            lines += line.wrap(max(2, width))
            line = Content()
        line = Content.assemble(line, " " * gap, piece) if line else piece
    return lines + (line.wrap(max(2, width)) if line else [])


def cut_within(text: str, width: int) -> str:
    """Text in so many cells. Where it does not fit, its middle gives way: both ends tell what is called."""
    if cell_len(text) <= width:
        return text
    start = end = ""
    for one, other in zip(text, reversed(text), strict=True):
        if cell_len(start + one + end) >= width:
            break
        start += one
        if cell_len(start + other + end) >= width:
            break
        end = other + end
    return f"{start}…{end}"


def parts_length(parts: list[Part]) -> int:
    """Cells that parts take."""
    return Content.assemble(*parts).cell_length


def rule(title: str, width: int) -> Content:
    """A title with a line behind it."""
    return Content.assemble(
        (title, "bold $text-primary"), (" " + "─" * max(0, width - len(title) - 1), "$foreground 20%")
    )
