"""Reads an audit database for reports, checks and exports; it never writes.

Whatever is wrong with the file is said in one sentence: :class:`FileNotFoundError` when it is not there,
:class:`NotAnAuditError` when it is something else or was made by another version.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from traceaudit.exchange import Direction, Exchange, Header
from traceaudit.formats.context import Format


class NotAnAuditError(Exception):
    """The file is there, but is not an audit database that this version can read; the message is for people."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run and its totals. ``linked`` counts calls whose cause is known at 0.95 or more; times are nanoseconds."""

    id: int
    started_ns: int
    ended_ns: int | None
    command: str
    service: str
    inbound: int
    outbound: int
    linked: int
    uncaused: int
    ambiguous: int
    dropped: int
    audit_errors: int


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding as the reports show it; ids refer to exchanges."""

    id: int
    code: str
    slug: str
    severity: str
    confidence: str
    probability: float
    inbound_route: str
    outbound_authority: str
    outbound_route: str
    header: str
    message: str
    expected: str
    observed: str
    inbound_id: str
    outbound_id: str
    occurrences: int
    first_ns: int
    last_ns: int
    location: str | None
    function: str | None


_EXCHANGE = """select id, direction, started_ns, response_started_ns, ended_ns, method, scheme, authority, path,
    http_version, status, error, connection_id, client_address, server_address, minted from exchanges"""


class AuditReader:
    """A read-only view of an audit database."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(
                f"{path}: there is no such file; `traceaudit run` or `traceaudit analyze` makes one"
            )
        if path.is_dir():
            raise NotAnAuditError(f"{path} is a directory, not an audit database")
        try:
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            self._db.execute("pragma busy_timeout = 2000")
            tables = {name for (name,) in self._db.execute("select name from sqlite_master where type = 'table'")}
        except sqlite3.Error as error:
            raise NotAnAuditError(f"{path} is not an audit database: {error}") from error
        if not {"runs", "exchanges", "findings", "links"} <= tables:
            raise NotAnAuditError(f"{path} is not an audit database: it has no table of findings")

    def close(self) -> None:
        """Lets the file go."""
        self._db.close()

    def runs(self) -> list[Run]:
        """Every run, the oldest first."""
        return [self._run(row) for row in self._db.execute("select id from runs order by id")]

    def run(self, id_: int | None = None) -> Run | None:
        """One run, the newest without an id; ``None``: there is none."""
        row = self._db.execute(
            "select id from runs where id = coalesce(?, (select max(id) from runs))", (id_,)
        ).fetchone()
        return self._run(row) if row else None

    def _run(self, row: tuple[int]) -> Run:
        started, ended, command, service, dropped, errors = self._db.execute(
            "select started_ns, ended_ns, command, service, dropped_exchanges, audit_errors from runs where id = ?", row
        ).fetchone()
        counts = dict(
            self._db.execute("select direction, count(*) from exchanges where run_id = ? group by direction", row)
        )
        linked, uncaused, ambiguous = self._db.execute(
            """
            select coalesce(sum(caused >= 0.95), 0), coalesce(sum(chosen is null), 0),
                   coalesce(sum(chosen is not null and caused < 0.95), 0)
            from (select sum(case when inbound_id is not null then probability else 0 end) as caused,
                         max(case when rank = 1 then inbound_id end) as chosen
                  from links join exchanges on exchanges.id = links.outbound_id
                  where exchanges.run_id = ? group by outbound_id)
            """,
            row,
        ).fetchone()
        return Run(
            row[0],
            started,
            ended,
            command or "",
            service or "",
            counts.get("inbound", 0),
            counts.get("outbound", 0),
            linked,
            uncaused,
            ambiguous,
            dropped or 0,
            errors or 0,
        )

    def findings(self, run_id: int) -> list[FindingRow]:
        """A run's findings, the most severe and surest first."""
        rows = self._db.execute(
            """
            select findings.id, code, slug, severity, confidence, probability, inbound_route, outbound_authority,
                   outbound_route, header, message, expected, observed, inbound_id, outbound_id, occurrences, first_ns,
                   last_ns, location, function
            from findings join edges on edges.id = findings.edge_id where findings.run_id = ?
            order by case severity when 'error' then 0 when 'warning' then 1 else 2 end,
                     case confidence when 'proven' then 0 when 'probable' then 1 else 2 end,
                     code, inbound_route, outbound_authority, outbound_route
            """,
            (run_id,),
        )
        return [FindingRow(*row) for row in rows]

    def links(self, outbound_id: str) -> list[tuple[str | None, str, float, dict[str, object]]]:
        """A call's candidates, the chosen one first: inbound id, method, probability, evidence."""
        rows = self._db.execute(
            "select inbound_id, method, probability, evidence from links where outbound_id = ? order by rank",
            (outbound_id,),
        )
        return [(id_, method, probability, json.loads(evidence or "{}")) for id_, method, probability, evidence in rows]

    def matrix(self, run_id: int) -> list[tuple[str, str, str, str, str, int, float]]:
        """The propagation matrix: inbound route, outbound authority, outbound route, format, outcome, count, share."""
        rows = self._db.execute(
            "select inbound_route, outbound_authority, outbound_route, format, outcome, count, share"
            " from propagation_matrix where run_id = ?"
            " order by inbound_route, outbound_authority, outbound_route, format, count desc, outcome",
            (run_id,),
        )
        return list(rows)

    def uncaused(self, run_id: int) -> list[tuple[str, str, int]]:
        """Calls that no request caused: authority, route and how often."""
        return list(
            self._db.execute(
                "select authority, route, count(*) from uncaused_calls where run_id = ? group by 1, 2 order by 3 desc",
                (run_id,),
            )
        )

    def exchange(self, id_: str) -> Exchange | None:
        """One exchange with its headers."""
        row = self._db.execute(f"{_EXCHANGE} where id = ?", (id_,)).fetchone()
        return self._exchange(row) if row else None

    def exchanges(self, run_id: int | None = None) -> Iterator[Exchange]:
        """A run's exchanges (all runs': ``None``) in the order they started, each with its headers."""
        where = "" if run_id is None else " where run_id = ?"
        rows = self._db.execute(f"{_EXCHANGE}{where} order by started_ns, id", () if run_id is None else (run_id,))
        for row in rows:
            yield self._exchange(row)

    def _exchange(self, row: tuple[object, ...]) -> Exchange:
        id_, direction, started, responded, ended, method, scheme, authority, path, version, status, error = row[:12]
        sides: dict[str, list[Header]] = {"request": [], "response": []}
        for side, name, value, redacted in self._db.execute(
            "select side, name, value, redacted from headers where exchange_id = ? order by side, position", (id_,)
        ):
            sides[side].append((name, "[redacted]" if redacted else value))
        return Exchange(
            id=str(id_),
            direction=Direction(str(direction)),
            started_ns=started,  # type: ignore[arg-type]  # the schema's types
            response_started_ns=responded,  # type: ignore[arg-type]
            ended_ns=ended,  # type: ignore[arg-type]
            method=str(method),
            scheme=str(scheme),
            authority=str(authority),
            path=str(path),
            http_version=str(version),
            status=status,  # type: ignore[arg-type]
            error=error,  # type: ignore[arg-type]
            connection_id=row[12],  # type: ignore[arg-type]
            client_address=row[13],  # type: ignore[arg-type]
            server_address=row[14],  # type: ignore[arg-type]
            request_headers=sides["request"],
            response_headers=sides["response"],
            minted=[Format(name) for name in json.loads(str(row[15] or "[]"))],
        )
