"""Saves a view to a file, in the form that the file's name asks for; a file that is there is never overwritten."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from traceaudit.exports.jsonl import record
from traceaudit.safe import safe
from traceaudit.store.reader import AuditReader
from traceaudit_tui.copies import finding_markdown
from traceaudit_tui.queries import Audit
from traceaudit_tui.rows import Exchange, Finding
from traceaudit_tui.widgets.prompt import Question

if TYPE_CHECKING:
    from traceaudit_tui.app import Inspector
    from traceaudit_tui.screens.base import AuditScreen

type Write = Callable[[TextIO], int]
"""Writes it, and gives back how many rows that were; 0: it has none."""

PAGE = 500  # exchanges read at once
ANY = (".svg", ".txt")  # forms of whatever is on the screen

EXCHANGE_COLUMNS = (
    "id", "direction", "started_ns", "ended_ns", "method", "authority", "path", "route", "status", "error", "caused_by",
    "probability", "findings", "note",
)  # fmt: skip
FINDING_COLUMNS = (
    "code", "slug", "severity", "confidence", "probability", "inbound_route", "outbound_authority", "outbound_route",
    "header", "message", "expected", "observed", "occurrences", "first_ns", "last_ns", "location", "note",
)  # fmt: skip


def forms(screen: AuditScreen) -> tuple[str, ...]:
    """The suffixes that a view can be saved with, the usual one first."""
    if screen.listed_exchanges() is not None:
        return (".jsonl", ".csv", *ANY)
    if screen.listed_findings() is not None:
        return (".md", ".csv", *ANY)
    return ANY


def file_question(screen: AuditScreen) -> Question:
    """What asks for a file."""
    known = forms(screen)

    def check(text: str) -> tuple[bool, str]:
        path = Path(text).expanduser()
        if path.suffix.lower() not in known:
            return False, f"its name has to end in {', '.join(known)}"
        if os.path.lexists(path):
            return False, "there is such a file already"
        return True, f"a new file in {safe(str(path.absolute().parent), 200)}"

    name = (screen.TITLE or screen.MODE).lower()
    return Question("save", "save as", f"a file that ends in {', '.join(known)}", check, f"{name}{known[0]}")


def save(screen: AuditScreen, text: str) -> None:
    """Writes the file, in a thread where it is long, and says so."""
    fine, words = file_question(screen).check(text)
    if not fine:
        screen.notify(f"{safe(text, 200)}: {words}.", severity="error", markup=False)
        return
    path = Path(text).expanduser()
    app = screen.inspector
    suffix = path.suffix.lower()
    if suffix == ".svg":
        write = _writing(app.export_screenshot(title="traceaudit"))
    elif suffix == ".txt":
        # There is no public way to the composed lines; the SVG is made from the same.
        strips = screen._compositor.render_strips()
        write = _writing("\n".join(strip.text.rstrip() for strip in strips) + "\n")
    elif (keys := screen.listed_exchanges()) is not None:
        write = _writing_exchanges(app, keys, as_csv=suffix == ".csv")
    else:
        write = _writing_findings(app, screen.listed_findings() or [], as_csv=suffix == ".csv")
    app.run_worker(_save(screen, path, write), group="save", exit_on_error=True)


async def _save(screen: AuditScreen, path: Path, write: Write) -> None:
    def work() -> int:
        with path.open("x", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            return write(stream)

    try:
        count = await asyncio.to_thread(work)
    except (OSError, sqlite3.Error) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        screen.notify(f"{safe(str(path), 200)} cannot be written: {safe(str(words))}.", severity="error", markup=False)
    else:
        rows = f" ({count:,})" if count else ""
        screen.notify(f"Saved to {safe(str(path), 200)}{rows}.", markup=False)


def _writing(text: str) -> Write:
    def write(stream: TextIO) -> int:
        stream.write(text)
        return 0

    return write


def _writing_exchanges(app: Inspector, keys: array[int], *, as_csv: bool) -> Write:
    notes = dict(app.marks.exchanges)

    def write(stream: TextIO) -> int:
        with app.audit.apart() as audit:
            if as_csv:
                return _csv(stream, EXCHANGE_COLUMNS, _exchange_rows(audit, keys, notes))
            return _jsonl(stream, audit, keys)

    return write


def _writing_findings(app: Inspector, findings: Sequence[Finding], *, as_csv: bool) -> Write:
    notes = dict(app.marks.findings)

    def write(stream: TextIO) -> int:
        if as_csv:
            return _csv(stream, FINDING_COLUMNS, (_finding_row(each, notes) for each in findings))
        stream.write("\n".join(finding_markdown(each) for each in findings))
        return len(findings)

    return write


def _pages(audit: Audit, keys: array[int]) -> Iterator[Exchange]:
    for start in range(0, len(keys), PAGE):
        page = keys[start : start + PAGE]
        exchanges = audit.exchanges(page)
        yield from (exchanges[key] for key in page if key in exchanges)


def _exchange_rows(audit: Audit, keys: array[int], notes: dict[int, str]) -> Iterator[Sequence[object]]:
    for each in _pages(audit, keys):
        yield (
            each.id, each.direction, each.started_ns, each.ended_ns, each.method, each.authority, each.path, each.route,
            each.status, each.error, each.caused_by, each.confidence, each.faults, notes.get(each.key, ""),
        )  # fmt: skip


def _finding_row(each: Finding, notes: dict[int, str]) -> Sequence[object]:
    edge = each.edge
    return (
        each.code, each.slug, each.severity, each.confidence, each.probability, edge.inbound_route if edge else "",
        edge.outbound_authority if edge else "", edge.outbound_route if edge else "", each.header, each.message,
        each.expected, each.observed, each.occurrences, each.first_ns, each.last_ns, each.location,
        notes.get(each.id, ""),
    )  # fmt: skip


def _csv(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    writer = csv.writer(stream)
    writer.writerow(columns)
    count = 0
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        count += 1
    return count


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula. https://owasp.org/www-community/attacks/CSV_Injection"""
    if not isinstance(value, str):
        return "" if value is None else value
    shown = safe(value, None)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@", "\t", "\r")) else shown


def _jsonl(stream: TextIO, audit: Audit, keys: array[int]) -> int:
    count = 0
    with AuditReader(audit.path) as reader:
        for each in _pages(audit, keys):
            exchange = reader.exchange(each.id)
            if exchange is not None:
                stream.write(json.dumps(record(exchange)) + "\n")
                count += 1
    return count
