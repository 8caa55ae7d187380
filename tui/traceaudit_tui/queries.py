"""All the SQL of the inspector, over one read-only connection.

What may take longer than a key press is asked ``apart``, on a connection of its own, by a thread. The queries behind
the long lists are in ``lists``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from traceaudit import listeners
from traceaudit.exchange import Confidence
from traceaudit.store.opening import Access, connect, open_audit
from traceaudit.store.reader import HeaderRow
from traceaudit_tui.coverage import coverage
from traceaudit_tui.lists import ExchangeLists
from traceaudit_tui.rows import (
    Bar,
    Candidate,
    Cell,
    Counts,
    Edge,
    Exchange,
    Finding,
    Judged,
    Marks,
    Place,
    Run,
    Summary,
)

CANDIDATES = 12  # of one call: more than that is noise to a person; how many more there are is said
BARS = 400  # calls of one request in a waterfall

_FINDINGS = """
select findings.*, edges.inbound_route, edges.outbound_authority, edges.outbound_route
from findings left join edges on edges.id = findings.edge_id
where findings.run_id = ?
order by case findings.severity when 'error' then 0 when 'warning' then 1 else 2 end,
         findings.occurrences desc, findings.code, findings.id
"""

_EXCHANGE = """
select exchanges.rowid as key, exchanges.*, chosen.inbound_id as caused_by, chosen.probability as confidence,
       chosen.method as method_of_link,
       (select count(*) from links where links.inbound_id = exchanges.id and links.rank = 1) as calls,
       (select group_concat(code, ' ') from (
            select distinct findings.code as code
            from finding_occurrences as o join findings on findings.id = o.finding_id
            where o.outbound_id = exchanges.id
               or o.outbound_id in (select outbound_id from links where inbound_id = exchanges.id and rank = 1)
            order by 1)) as faults
from exchanges left join links as chosen on chosen.outbound_id = exchanges.id and chosen.rank = 1
"""


class Audit(ExchangeLists):
    """The audit database as the inspector asks it. Raises sqlite3.Error when the file goes bad under it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, access: Access) -> None:
        """``access``: how other connections to it are to be made."""
        self.path = path
        self.access = access
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Audit:
        """Raises FileNotFoundError or NotAnAuditError, each with a sentence for people."""
        return cls(path, *open_audit(path))

    def close(self) -> None:
        """Gives the file back."""
        self._connection.close()

    @contextmanager
    def apart(self) -> Iterator[Audit]:
        """The same database on another connection, for a thread that may take its time."""
        access = self.access
        connection = connect(self.path, immutable=access.immutable, marks=access.marks)
        other = Audit(self.path, connection, access)
        try:
            yield other
        finally:
            other.close()

    def data_version(self) -> int:
        """A number that changes whenever another connection has written. https://www.sqlite.org/pragma.html"""
        return int(self._connection.execute("pragma data_version").fetchone()[0])

    # --- the run -----------------------------------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """Every run, the oldest first."""
        rows = self._rows("select id, service, started_ns, ended_ns, settings from runs order by id")
        return [
            Run(row["id"], _text(row["service"]), row["started_ns"], row["ended_ns"], _inbound(row["settings"]))
            for row in rows
        ]

    def summary(self, run_id: int | None = None) -> Summary:
        """A run's counts and findings; None: of the latest run."""
        runs = self.runs()
        run = next((run for run in runs if run.id == run_id), runs[-1] if runs else None)
        if run is None:
            return Summary()
        return Summary(run, len(runs), self.counts(run.id, only=len(runs) == 1), tuple(self.findings(run.id)))

    def counts(self, run_id: int, *, only: bool = False) -> Counts:
        """What a run saw. ``only`` says that there is no other run, which spares a join."""
        # The unary plus: reading the table through takes a third of what its index on runs does.
        seen = self._rows(
            "select count(*) as count, sum(direction = 'inbound') as inbound from exchanges where +run_id = ?",
            (run_id,),
        )[0]
        inbound = seen["inbound"] or 0
        mine = "" if only else "join exchanges on exchanges.id = links.outbound_id and exchanges.run_id = ?"
        row = self._rows(
            f"""
            select sum(inbound_id is null) as uncaused,
                   sum(inbound_id is not null and probability >= 0.999) as proven,
                   sum(inbound_id is not null and probability >= 0.95 and probability < 0.999) as probable,
                   sum(inbound_id is not null and probability < 0.95) as ambiguous
            from links {mine} where rank = 1
            """,  # noqa: S608 -- one of two constants
            () if only else (run_id,),
        )[0]
        return Counts(
            inbound=inbound,
            outbound=seen["count"] - inbound,
            proven=row["proven"] or 0,
            probable=row["probable"] or 0,
            ambiguous=row["ambiguous"] or 0,
            uncaused=row["uncaused"] or 0,
        )

    def findings(self, run_id: int) -> list[Finding]:
        """All findings of a run, the gravest and most frequent first."""
        return [_finding(row) for row in self._rows(_FINDINGS, (run_id,))]

    def marks(self) -> Marks:
        """What has been marked, with the notes."""
        rows = self._rows(
            "select exchanges.rowid as key, finding_id, note"
            " from marks left join exchanges on exchanges.id = exchange_id"
        )
        return Marks(
            {row["key"]: _text(row["note"]) for row in rows if row["key"] is not None},
            {row["finding_id"]: _text(row["note"]) for row in rows if row["finding_id"] is not None},
        )

    def coverage(self, run_id: int) -> list[Place]:
        """What has been exercised, and what has not. Slow on a large database: ask it apart."""
        return coverage(self._connection, run_id)

    def matrix(self, run_id: int) -> list[Cell]:
        """Every edge and format that was judged. Slow on a large database: ask it apart."""
        rows = self._rows(
            """
            select edge_id as id, inbound_route, outbound_authority, outbound_route, format, outcome, count
            from propagation_matrix where run_id = ?
            order by inbound_route, outbound_authority, outbound_route, edge_id, format, count desc, outcome
            """,
            (run_id,),
        )
        cells: dict[tuple[int, str], tuple[Edge, list[tuple[str, int]]]] = {}
        for row in rows:
            _, counts = cells.setdefault((row["id"], _text(row["format"])), (_edge(row), []))
            counts.append((_text(row["outcome"]), row["count"]))
        return [Cell(edge, format_, tuple(counts)) for (_, format_), (edge, counts) in cells.items()]

    def sparks(self, run_id: int, bins: int) -> dict[int, list[int]]:
        """Each finding's occurrences over the run's time, in so many equal parts. Slow: ask it apart."""
        span = self._rows(
            "select min(started_ns) as first, max(started_ns) as last from exchanges where run_id = ?", (run_id,)
        )[0]
        if span["first"] is None:
            return {}
        width = (span["last"] - span["first"]) // bins + 1
        sparks: dict[int, list[int]] = {}
        for row in self._rows(
            """
            select o.finding_id as id, (exchanges.started_ns - ?) / ? as bin, count(*) as count
            from findings join finding_occurrences as o on o.finding_id = findings.id
            join exchanges on exchanges.id = o.outbound_id
            where findings.run_id = ? group by 1, 2
            """,
            (span["first"], width, run_id),
        ):
            sparks.setdefault(row["id"], [0] * bins)[min(max(row["bin"], 0), bins - 1)] += row["count"]
        return sparks

    # --- one exchange ------------------------------------------------------------------------------------------------

    def exchanges(self, keys: Sequence[int]) -> dict[int, Exchange]:
        """A page of exchanges by their keys."""
        marks = ",".join("?" * len(keys))
        rows = self._rows(f"{_EXCHANGE} where exchanges.rowid in ({marks})", keys)
        return {row["key"]: _exchange(row) for row in rows}

    def exchange(self, id: str | None) -> Exchange | None:
        """One exchange; None: there is no such one."""
        rows = self._rows(f"{_EXCHANGE} where exchanges.id = ?", (id,)) if id is not None else []
        return _exchange(rows[0]) if rows else None

    def headers(self, exchange_id: str, side: str = "request") -> list[HeaderRow]:
        """One side's header fields in the order they were sent."""
        rows = self._rows(
            "select name, value, redacted from headers where exchange_id = ? and side = ? order by position",
            (exchange_id, side),
        )
        return [HeaderRow(_text(row["name"]), _text(row["value"]), bool(row["redacted"])) for row in rows]

    def header_values(self, keys: Sequence[int], names: Sequence[str]) -> dict[int, dict[str, str]]:
        """Of a page of exchanges the values of some of the request's headers, by their names in lower case; those of a
        header that was sent several times one after another."""
        found: dict[int, dict[str, str]] = {}
        marks, named = ",".join("?" * len(keys)), ",".join("?" * len(names))
        for row in self._rows(
            f"""
            select exchanges.rowid as key, lower(name) as name, value, redacted
            from exchanges join headers on headers.exchange_id = exchanges.id
            where exchanges.rowid in ({marks}) and side = 'request' and lower(name) in ({named}) order by position
            """,  # noqa: S608 -- question marks
            (*keys, *names),
        ):
            values = found.setdefault(row["key"], {})
            value = "[redacted]" if row["redacted"] else _text(row["value"])
            values[row["name"]] = f"{values[row['name']]} | {value}" if row["name"] in values else value
        return found

    def candidates(self, outbound_id: str) -> tuple[list[Candidate], int]:
        """The likeliest causes of a call, the chosen one first, and how many there are in all."""
        rows = self._rows(
            "select rank, inbound_id, method, probability, evidence from links where outbound_id = ? order by rank",
            (outbound_id,),
        )
        candidates = [
            Candidate(
                row["rank"],
                row["inbound_id"],
                self.exchange(row["inbound_id"]),
                _text(row["method"]),
                row["probability"],
                _object(row["evidence"]),
            )
            for row in rows[:CANDIDATES]
        ]
        return candidates, len(rows)

    def judged(self, outbound_id: str) -> list[Judged]:
        """What became of each format on a call; absent formats left out."""
        rows = self._rows(
            "select format, outcome, detail from outcomes where outbound_id = ? and outcome <> 'absent'", (outbound_id,)
        )
        return [Judged(_text(row["format"]), _text(row["outcome"]), _text(row["detail"])) for row in rows]

    def findings_of(self, outbound_id: str) -> list[int]:
        """The ids of the findings that a call is an occurrence of."""
        rows = self._rows("select finding_id as id from finding_occurrences where outbound_id = ?", (outbound_id,))
        return [row["id"] for row in rows]

    def waterfall(self, inbound_id: str) -> tuple[list[Bar], int]:
        """The calls that a request caused or may have caused, by their start, and how many there are in all."""
        links = self._rows(
            """
            select links.outbound_id, links.rank, links.method, links.probability from links
            join exchanges on exchanges.id = links.outbound_id
            where links.inbound_id = ? order by exchanges.started_ns
            """,
            (inbound_id,),
        )
        bars: list[Bar] = []
        for row in links[:BARS]:
            call = self.exchange(row["outbound_id"])
            if call is not None:
                outcomes = tuple(self.judged(call.id))
                codes = tuple(call.faults.split())
                bars.append(Bar(call, row["rank"], _text(row["method"]), row["probability"], outcomes, codes))
        return bars, len(links)

    def _rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[sqlite3.Row]:
        return self._connection.execute(sql, tuple(parameters)).fetchall()


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _inbound(settings: object) -> str:
    """The address that a run's settings ask to listen on; empty: none, or any that is free."""
    value = _object(settings).get("inbound")
    try:
        listen = listeners.inbound(value).listen if isinstance(value, str) and value else None
    except ValueError:
        return ""
    return str(listen) if listen and listen.port else ""


def _object(text: object) -> dict[str, object]:
    value: object = {}
    try:
        value = json.loads(str(text)) if text else {}
    except ValueError:
        value = str(text)
    return {str(key): each for key, each in value.items()} if isinstance(value, dict) else {"evidence": value}


def _names(text: object) -> tuple[str, ...]:
    try:
        value = json.loads(str(text)) if text else []
    except ValueError:
        return ()
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _edge(row: sqlite3.Row, id: str = "id") -> Edge:
    return Edge(row[id], _text(row["inbound_route"]), _text(row["outbound_authority"]), _text(row["outbound_route"]))


def _finding(row: sqlite3.Row) -> Finding:
    return Finding(
        id=row["id"],
        code=_text(row["code"]),
        slug=_text(row["slug"]),
        severity=_text(row["severity"]),
        confidence=_text(row["confidence"]) or Confidence.of(row["probability"] or 0.0).value,
        probability=row["probability"] or 0.0,
        header=_text(row["header"]),
        message=_text(row["message"]),
        expected=_text(row["expected"]),
        observed=_text(row["observed"]),
        occurrences=row["occurrences"] or 0,
        first_ns=row["first_ns"],
        last_ns=row["last_ns"],
        location=_text(row["location"]),
        function=_text(row["function"]),
        inbound_id=row["inbound_id"],
        outbound_id=row["outbound_id"],
        edge=_edge(row, "edge_id") if row["inbound_route"] is not None else None,
    )


def _exchange(row: sqlite3.Row) -> Exchange:
    return Exchange(
        key=row["key"],
        id=row["id"],
        direction=_text(row["direction"]),
        started_ns=row["started_ns"],
        ended_ns=row["ended_ns"],
        method=_text(row["method"]),
        authority=_text(row["authority"]),
        path=_text(row["path"]),
        route=_text(row["route"]),
        status=row["status"],
        error=_text(row["error"]),
        minted=_names(row["minted"]),
        caused_by=row["caused_by"],
        confidence=row["confidence"],
        calls=row["calls"],
        faults=_text(row["faults"]),
        response_started_ns=row["response_started_ns"],
        http_version=_text(row["http_version"]),
        connection_id=_text(row["connection_id"]),
        client_address=_text(row["client_address"]),
        server_address=_text(row["server_address"]),
        method_of_link=_text(row["method_of_link"]),
    )
