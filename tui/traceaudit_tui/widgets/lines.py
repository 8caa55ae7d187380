"""A widget that lays out its own lines for the width it has: nothing is cut and nothing is wrapped behind its back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from traceaudit_tui.signs import MUTED, Part
from traceaudit_tui.widgets.found import Place, Strand, marked, places, whole


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

    def strands(self, lines: Sequence[Content], width: int) -> Iterable[tuple[Strand, int]]:
        """What of the lines is read in one piece, each with its width; all of them, usually."""
        return [(whole(lines), width)]

    def places(self, lines: Sequence[Content], needle: str, width: int) -> list[Place]:
        """Everywhere that a text stands."""
        return [each for strand, wide in self.strands(lines, width) for each in places(lines, needle, strand, wide)]

    def found(self, needle: str) -> list[int]:
        """The lines in which a text begins, counted from its first one."""
        width = self.content_size.width
        return sorted({each[0].line for each in self.places(self.lines(width), needle, width)}) if width else []

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 -- Textual's
        """As many as there are lines."""
        return len(self.lines(width))

    def render(self) -> Content:
        """All lines."""
        width = self.content_size.width
        lines = self.lines(width) if width else []
        if self.needle:
            lines = marked(lines, self.places(lines, self.needle, width))
        return Content("\n").join(lines)

    def changed(self) -> None:
        """What it shows has changed."""
        self.refresh(layout=True)


def wrapped(parts: list[Part], width: int, indent: int = 0) -> list[Content]:
    """Words in lines of at most ``width`` cells, each with so many spaces before it."""
    if width - indent < 1:
        return []
    return [Content.assemble(" " * indent, line) for line in Content.assemble(*parts).wrap(width - indent)]


def line_of(text: str, number: int, width: int) -> Content:
    """A line of words that say why there is nothing to be shown."""
    lines = wrapped([(text, MUTED)], width - 2, 2)
    return lines[number] if 0 <= number < len(lines) else Content()


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
