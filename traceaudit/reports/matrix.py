"""The propagation matrix: call edges down, formats across; in each cell what became of the format, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from traceaudit.exchange import Outcome
from traceaudit.formats.context import Format
from traceaudit.reports import verdict, words
from traceaudit.reports.layout import beside, show, wrap
from traceaudit.store.reader import AuditReader, Run

type Edge = tuple[str, str, str]
"""Inbound route, outbound authority, outbound route."""

type Cell = list[tuple[str, int, float]]
"""Outcome, count and share; the gravest first."""

_INDENT = "  "
_LEAST_CELL = len("= forwarded")
_LEAST_EDGE = 26
_ORDER = list(words.OUTCOMES)


def write(console: Console, reader: AuditReader, run: Run) -> None:
    """Prints the matrix of a run and what its signs mean."""
    cells = read(reader, run)
    show(console, lines(cells, run, console.width))
    if cells:
        show(console, [Text(), *_legend(cells, console.width)])


def read(reader: AuditReader, run: Run) -> dict[Edge, dict[str, Cell]]:
    """The cells by edge and format, each in a fixed order."""
    cells: dict[Edge, dict[str, Cell]] = {}
    for inbound_route, authority, outbound_route, format_, outcome, count, share in reader.matrix(run.id):
        cell = cells.setdefault((inbound_route, authority, outbound_route), {}).setdefault(format_, [])
        cell.append((outcome, count, share))
    for row in cells.values():
        for cell in row.values():
            cell.sort(key=lambda each: _ORDER.index(each[0]) if each[0] in _ORDER else -1)
    return cells


def lines(cells: Mapping[Edge, Mapping[str, Cell]], run: Run, width: int) -> Iterator[Text]:
    """The matrix in lines; formats that do not fit beside the others come in another block below."""
    if not cells:
        yield from wrap(Text(f"No call was judged: {verdict.sentences(run, ())[0]}."), width, _INDENT)
        return
    names = {edge: _edge(edge) for edge in cells}
    widest = max(len(indent) + line.cell_len for name in names.values() for indent, line in name)
    blocks = _blocks(_formats(cells), width - len(_INDENT))
    for number, block in enumerate(blocks):
        if number:
            yield Text()
        taken = sum(each + 2 for each in block.values())
        edge_width = max(_LEAST_EDGE, min(widest, width - len(_INDENT) - taken))
        widths = [len(_INDENT) - 2, edge_width, *block.values()]
        titles = [[Text(words.name(format_), "bold")] for format_ in block]
        yield from beside([[], [Text("call edge", "dim")], *titles], widths)
        for edge, row in cells.items():
            name = [line for indent, part in names[edge] for line in wrap(part, edge_width, indent, "    ")]
            columns = [_cell(row[format_]) if format_ in row else [Text("·", "dim")] for format_ in block]
            yield from beside([[], name, *columns], widths)


def _formats(cells: Mapping[Edge, Mapping[str, Cell]]) -> list[str]:
    """The formats that any call or request carries; one that none does would be a column of dots."""
    there = {
        format_
        for row in cells.values()
        for format_, cell in row.items()
        if any(outcome != Outcome.ABSENT for outcome, _, _ in cell)
    } or {format_ for row in cells.values() for format_ in row}
    known = [each.value for each in Format]
    return sorted(there, key=lambda each: (known.index(each) if each in known else len(known), each))


def _blocks(formats: Sequence[str], width: int) -> list[dict[str, int]]:
    """The formats with the widths of their columns, as many in a block as leave room for the edges."""
    blocks: list[dict[str, int]] = [{}]
    for format_ in formats:
        cell = max(_LEAST_CELL, cell_len(words.name(format_)))
        if blocks[-1] and _LEAST_EDGE + sum(each + 2 for each in blocks[-1].values()) + cell + 2 > width:
            blocks.append({})
        blocks[-1][format_] = cell
    return blocks


def _edge(edge: Edge) -> list[tuple[str, Text]]:
    """The two lines of an edge, each with its indent."""
    inbound_route, authority, outbound_route = edge
    return [("", Text(words.name(inbound_route))), ("  ", Text(f"→ {words.upstream(authority, outbound_route)}"))]


def _cell(cell: Cell) -> list[Text]:
    """``✘ dropped`` over ``75% of 12``, and the cell's other outcomes below."""
    total = sum(count for _, count, _ in cell)
    lines: list[Text] = []
    for number, (outcome, _, share) in enumerate(cell):
        sign = words.OUTCOMES.get(outcome, words.UNKNOWN)
        of = f" of {_short(total)}" if not number else ""
        lines += [Text(f"{sign.sign} {words.name(outcome)}", sign.style), Text(f"  {words.percent(share)}{of}", "dim")]
    return lines


def _short(number: int) -> str:
    """At most four characters: ``999``, ``1.2k``, ``12k``, ``3.4M``."""
    for unit, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= unit:
            return f"{number / unit:.1f}{letter}" if number < 9.95 * unit else f"{number // unit}{letter}"
    return str(number)


def _legend(cells: Mapping[Edge, Mapping[str, Cell]], width: int) -> list[Text]:
    there = {outcome for row in cells.values() for cell in row.values() for outcome, _, _ in cell}
    return [
        line
        for outcome, sign in words.OUTCOMES.items()
        if outcome in there
        for line in wrap(Text.assemble((f"{sign.sign} {outcome}", sign.style), f": {sign.meaning}"), width, _INDENT)
    ]
