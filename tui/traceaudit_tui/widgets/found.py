"""Where a text stands in lines that were folded or wrapped: what a person reads in one piece is found in one piece.

Lines that belong together are joined first. A line that is full may have been folded within a word, or wrapped at a
space that is gone: there the joint is a ``FOLD``, which may be anywhere in what is looked for, and is as good as a
space. After any other line the joint is a space.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from textual.content import Content

FOUND = "bold $background on $text-warning"
FOLD = "\n"


class Piece(NamedTuple):
    """Characters of a line, from and to."""

    line: int
    start: int
    end: int


type Strand = Sequence[Piece]
"""Pieces that follow each other for a reader: a column of a page."""
type Place = list[Piece]
"""What was found; a piece a line."""


def pattern(needle: str) -> re.Pattern[str]:
    """What a text is looked for by: small letters stand for both, and it may be folded anywhere."""
    characters = (f"[ {FOLD}]" if each == " " else re.escape(each) for each in needle)
    return re.compile(f"{FOLD}?".join(characters), re.IGNORECASE if needle == needle.lower() else 0)


def places(lines: Sequence[Content], needle: str, strand: Strand, width: int) -> list[Place]:
    """Everywhere that a text stands in a strand, whose column has so many cells."""
    if not needle:
        return []
    joined, starts, pieces = _joined(lines, strand, width)
    found: list[Place] = []
    for match in pattern(needle).finditer(joined):
        place: Place = []
        at = bisect_right(starts, match.start()) - 1
        while at < len(pieces) and starts[at] < match.end():
            line, start, end = pieces[at]
            shift = start - starts[at]
            piece = Piece(line, max(start, match.start() + shift), min(end, match.end() + shift))
            if piece.start < piece.end:
                place.append(piece)
            at += 1
        if place:
            found.append(place)
    return found


def _joined(lines: Sequence[Content], strand: Strand, width: int) -> tuple[str, list[int], list[Piece]]:
    """The text of a strand, where in it each piece begins, and the pieces without the space around them."""
    text: list[str] = []
    starts: list[int] = []
    pieces: list[Piece] = []
    at = 0
    for line, start, end in strand:
        words = lines[line].plain[start:end]
        bare = words.strip()
        begin = start + len(words) - len(words.lstrip())
        starts.append(at)
        pieces.append(Piece(line, begin, begin + len(bare)))
        bare += FOLD if cell_len(words.rstrip()) >= width else " "
        text.append(bare)
        at += len(bare)
    return "".join(text), starts, pieces


def whole(lines: Sequence[Content]) -> Strand:
    """All lines as one strand."""
    return [Piece(number, 0, len(line)) for number, line in enumerate(lines)]


def split(lines: Sequence[Content], left: int, gap: int) -> tuple[Strand, Strand]:
    """Two strands of lines that show two columns: so many cells, a gap, and the rest."""
    lefts: list[Piece] = []
    rights: list[Piece] = []
    for number, line in enumerate(lines):
        text = line.plain
        end = left if line.cell_length == len(text) else len(_of_width(text, left))
        lefts.append(Piece(number, 0, min(end, len(text))))
        rights.append(Piece(number, min(end + gap, len(text)), len(text)))
    return lefts, rights


def _of_width(text: str, width: int) -> str:
    """As much of a text as so many cells hold."""
    for end in range(len(text), -1, -1):
        if cell_len(text[:end]) <= width:
            return text[:end]
    return ""


def marked(lines: Sequence[Content], found: Sequence[Place]) -> list[Content]:
    """The lines with what was found marked."""
    result = list(lines)
    for place in found:
        for line, start, end in place:
            result[line] = result[line].stylize(FOUND, start, end)
    return result
