"""Gathers rows that belong together, and of headers leaves out the values that never reach the disk.

An exchange has a dozen headers, a call an outcome for each format. What comes in equal numbers goes in by one statement
with a row for each, which takes SQLite half the time that single rows take.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache

from traceaudit.exchange import Header
from traceaudit.verdicts import Alike, Echoed

_MOST = 32
"""Rows that go in together; Python keeps 128 statements at hand."""

_NAMES = 4096
"""Names that are kept in mind; whoever sends more of them has them looked at each time."""

type Row = Sequence[object]


class Rows:
    """Rows of one table that wait to be written."""

    def __init__(self, table: str, columns: int) -> None:
        self._table = table
        self._columns = columns
        self._together: dict[int, list[Row]] = {}

    def add(self, values: Row, number: int) -> None:
        """Takes so many rows, the values of all of them one after another."""
        if number > _MOST:
            width = self._columns
            for start in range(0, len(values), width):
                self.add(values[start : start + width], 1)
        elif number:
            self._together.setdefault(number, []).append(values)

    def statements(self) -> Iterator[tuple[str, list[Row]]]:
        """What is to be executed, and with which values."""
        for number, values in self._together.items():
            yield _statement(self._table, f"({', '.join(self._columns * '?')})", number), values


@lru_cache(maxsize=256)
def _statement(table: str, row: str, number: int) -> str:
    return f"insert into {table} values {', '.join([row] * number)}"  # noqa: S608  (our own words)


class EchoedRows:
    """Rows of links and of outcomes that wait to be written, of calls that are alike but for their requests.

    All but the ids is written into the statements, so that there is little to hand over for each.
    """

    def __init__(self) -> None:
        self._together: dict[Alike, tuple[str, list[Row], list[Row]]] = {}

    def add(self, call: Echoed, edge_id: int | None) -> None:
        """Takes one such call."""
        said = call.alike
        if (kept := self._together.get(said)) is None:
            kept = self._together[said] = json.dumps(said.evidence), [], []
        evidence, links, outcomes = kept
        links.append((call.outbound_id, call.inbound_id, said.share, said.rest, evidence))
        outcomes.append((call.outbound_id, call.inbound_id, said.share, edge_id))

    def statements(self) -> Iterator[tuple[str, list[Row]]]:
        """What is to be executed, and with which values."""
        for said, (_, links, outcomes) in self._together.items():
            method = said.method.value
            rows = f"(?1, ?2, '{method}', ?3, 1, ?5), (?1, null, '{method}', ?4, 2, null)"
            yield f"insert into links values {rows}", links  # noqa: S608  (our own words)
            rows = ", ".join(
                f"(?1, ?2, '{each.format.value}', '{each.outcome.value}', ?3, null, ?4)" for each in said.judgements
            )
            yield f"insert into outcomes values {rows}", outcomes  # noqa: S608  (our own words)


class HeaderRows:
    """Rows of headers that wait to be written."""

    def __init__(self, redact: frozenset[str]) -> None:
        """``redact``: the names, in lower case, of those whose values are left out."""
        self._redact = redact
        self._plain: set[str] = set()
        """Names, as sent, of which it is known that their values may be written."""
        self._together: dict[tuple[str, int], list[Row]] = {}
        self._single: list[Row] = []

    def clear(self) -> None:
        """Forgets what was to be written."""
        self._together.clear()
        self._single = []

    def add(self, id_: str, side: str, headers: Sequence[Header], written: int = 0) -> None:
        """Takes the fields of one side (`request`, `response`) of an exchange, but for the first ``written``."""
        if not headers:
            return
        if not written and len(headers) <= _MOST and self._all_plain(headers):
            rows = self._together.setdefault((side, len(headers)), [])
            rows.append([each for name, value in headers for each in (id_, name, value)])
            return
        redact = self._redact
        self._single += [
            (id_, side, position, name, "", 1) if name.lower() in redact else (id_, side, position, name, value, 0)
            for position, (name, value) in enumerate(headers[written:], written)
        ]

    def _all_plain(self, headers: Sequence[Header]) -> bool:
        plain = self._plain
        for name, _ in headers:
            if name not in plain:
                if name.lower() in self._redact:
                    return False
                if len(plain) < _NAMES:
                    plain.add(name)
        return True

    def statements(self) -> Iterator[tuple[str, list[Row]]]:
        """What is to be executed, and with which values."""
        for (side, number), rows in self._together.items():
            yield _of_one_side(side, number), rows
        yield "insert into headers values (?, ?, ?, ?, ?, ?)", self._single


@lru_cache(maxsize=2 * _MOST)
def _of_one_side(side: str, number: int) -> str:
    rows = ", ".join(f"(?, '{side}', {position}, ?, ?, 0)" for position in range(number))
    return f"insert into headers values {rows}"  # noqa: S608  (our own words)
