"""Reads an audit database for reports, checks and exports; it never writes.

Whatever is wrong with the file is said in one sentence when it is opened: :class:`FileNotFoundError` when it is not
there, :class:`NotAnAuditError` when it is something else or was made by another version. A file that goes bad later
raises ``sqlite3.Error``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from traceaudit.coverage import unobserved
from traceaudit.exchange import Direction, Exchange, Gated, Header
from traceaudit.filters import Filter
from traceaudit.formats.context import Format
from traceaudit.store.opening import NotAnAuditError, open_audit

__all__ = ["REDACTED", "AuditReader", "FindingRow", "HeaderRow", "NotAnAuditError", "OutcomeRow", "Run"]

REDACTED = "[redacted]"
"""What stands for a value that never reached the disk."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run and its totals; times are nanoseconds.

    ``linked`` counts calls that some request caused, at 0.95 or more; ``uncaused`` those where nothing is the likeliest
    cause; ``ambiguous`` the rest of those that were decided.
    """

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
    version: str = ""
    settings: dict[str, object] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """Upstreams that were expected (``--expect``) and never called."""


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding as the reports show it; ids refer to exchanges.

    The routes and the authority are empty and the ids ``None`` where no call is accused (a route that saw no request).
    """

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
    inbound_id: str | None
    outbound_id: str | None
    occurrences: int
    first_ns: int
    last_ns: int
    location: str | None
    function: str | None


@dataclass(frozen=True, slots=True)
class HeaderRow:
    """One header field as it was sent; ``value`` is empty where it was ``redacted``."""

    name: str
    value: str
    redacted: bool = False


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """What became of one format on a call."""

    format: str
    outcome: str
    probability: float
    detail: str


_EXCHANGE = """select id, direction, started_ns, response_started_ns, ended_ns, method, scheme, authority, path,
    http_version, status, error, connection_id, client_address, server_address, minted from exchanges"""


class AuditReader:
    """The audit database as it is at one moment: what is written while it is read is not seen.

    It is a context manager that closes itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db, _ = open_audit(path)
        self._db.row_factory = None
        self._db.execute("begin")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        started, ended, command, service, dropped, errors, version, settings = self._db.execute(
            "select started_ns, ended_ns, command, service, dropped_exchanges, audit_errors, version, settings"
            " from runs where id = ?",
            row,
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
            id=row[0],
            started_ns=started or 0,
            ended_ns=ended,
            command=command or "",
            service=service or "",
            inbound=counts.get("inbound", 0),
            outbound=counts.get("outbound", 0),
            linked=linked,
            uncaused=uncaused,
            ambiguous=ambiguous,
            dropped=dropped or 0,
            audit_errors=errors or 0,
            version=version or "",
            settings=_object(settings),
            missing=self._missing(row[0], _object(settings).get("expect")),
        )

    def _missing(self, run_id: int, expected: object) -> tuple[str, ...]:
        if not isinstance(expected, list) or not expected:
            return ()
        rows = self._db.execute(
            "select distinct authority from exchanges where run_id = ? and direction = 'outbound'", (run_id,)
        )
        return tuple(unobserved(map(str, expected), [row[0] for row in rows]))

    def connections(self, run_id: int) -> list[tuple[str, str, str, int]]:
        """What the service was connected to that is not to be audited: address, protocol, kind and how often."""
        try:
            rows = self._db.execute(
                "select address, protocol, kind, connections from connections where run_id = ? order by kind, address",
                (run_id,),
            )
        except sqlite3.OperationalError:
            return []  # An older version's file that could not be brought up to date has no such table.
        return list(rows)

    def latest_ns(self, run_id: int) -> int:
        """The moment that `since:5m` counts from: the run's end, or its latest exchange's start while it goes on."""
        row = self._db.execute(
            "select coalesce((select ended_ns from runs where id = ?),"
            " (select max(started_ns) from exchanges where run_id = ?), 0)",
            (run_id, run_id),
        ).fetchone()
        return int(row[0])

    def findings(self, run_id: int, filter_: Filter | None = None) -> list[FindingRow]:
        """A run's findings, the most severe and surest first; ``None``: all of them."""
        where = filter_.findings(self.latest_ns(run_id)) if filter_ else None
        rows = self._db.execute(
            f"""
            select findings.id, code, coalesce(slug, ''), coalesce(severity, ''), coalesce(confidence, ''),
                   coalesce(probability, 0.0), coalesce(inbound_route, ''), coalesce(outbound_authority, ''),
                   coalesce(outbound_route, ''), coalesce(header, ''), coalesce(message, ''), coalesce(expected, ''),
                   coalesce(observed, ''), inbound_id, outbound_id, coalesce(occurrences, 0), coalesce(first_ns, 0),
                   coalesce(last_ns, 0), location, function
            from findings left join edges on edges.id = findings.edge_id where findings.run_id = ?
            {f"and {where.sql}" if where else ""}
            order by case severity when 'error' then 0 when 'warning' then 1 else 2 end,
                     case confidence when 'proven' then 0 when 'probable' then 1 else 2 end,
                     code, inbound_route, outbound_authority, outbound_route, findings.id
            """,  # noqa: S608  (a filter's SQL is made of constants; what a person typed is a parameter)
            (run_id, *(where.parameters if where else ())),
        )
        return [FindingRow(*row) for row in rows]

    def links(self, outbound_id: str) -> list[tuple[str | None, str, float, dict[str, object]]]:
        """A call's candidates, the chosen one first: inbound id, method, probability, evidence."""
        rows = self._db.execute(
            "select inbound_id, method, probability, evidence from links where outbound_id = ? order by rank",
            (outbound_id,),
        )
        return [(id_, method, probability, _object(evidence)) for id_, method, probability, evidence in rows]

    def outcomes(self, outbound_id: str) -> list[OutcomeRow]:
        """What became of each format on a call."""
        rows = self._db.execute(
            "select format, outcome, probability, coalesce(detail, '') from outcomes where outbound_id = ?"
            " order by format",
            (outbound_id,),
        )
        return [OutcomeRow(*row) for row in rows]

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
                "select authority, coalesce(route, method || ' ' || path), count(*) from uncaused_calls"
                " where run_id = ? group by 1, 2 order by 3 desc, 1, 2",
                (run_id,),
            )
        )

    def in_doubt(self, run_id: int) -> list[str]:
        """Ids of the requests that may have caused calls whose cause is not sure, in the order they came."""
        rows = self._db.execute(
            """
            with doubtful as (
                select outbound_id from links join exchanges on exchanges.id = links.outbound_id
                where run_id = ? group by outbound_id
                having max(case when inbound_id is null then 0 else probability end) < 0.95
                   and max(case when rank = 1 then inbound_id end) is not null
                union
                select finding_occurrences.outbound_id
                from finding_occurrences join findings on findings.id = finding_id
                where findings.run_id = ? and confidence = 'ambiguous'
            )
            select distinct inbound.id from links join doubtful using (outbound_id)
            join exchanges as inbound on inbound.id = links.inbound_id
            order by inbound.started_ns, inbound.id
            """,
            (run_id, run_id),
        )
        return [id_ for (id_,) in rows]

    def requests_with(self, run_id: int, header: str) -> list[tuple[str, int | None, str | None]]:
        """The requests that brought a header (its name in lower case): id, status, and the header's value, unless it is
        redacted."""
        return list(
            self._db.execute(
                "select exchanges.id, status, value from exchanges join headers on exchange_id = exchanges.id"
                " where run_id = ? and direction = 'inbound' and side = 'request' and lower(name) = ?"
                " order by started_ns, exchanges.id",
                (run_id, header),
            )
        )

    def calls(self, run_id: int) -> list[tuple[str, int, str, str, str, str | None, str, float, dict[str, object]]]:
        """A run's calls: id, start, method, authority, path, and the likeliest cause with method, probability and
        evidence; a call without any has no method."""
        rows = self._db.execute(
            """
            select exchanges.id, started_ns, exchanges.method, authority, path, inbound_id, coalesce(links.method, ''),
                   coalesce(probability, 0.0), evidence
            from exchanges left join links on outbound_id = exchanges.id and rank = 1
            where run_id = ? and direction = 'outbound' order by started_ns, exchanges.id
            """,
            (run_id,),
        )
        return [(*row[:8], _object(row[8])) for row in rows]

    def occurrences(self, run_id: int) -> list[tuple[int, str, int]]:
        """Of a run's findings, each call that is one's occurrence: the finding's id, the call's, and its start."""
        return list(
            self._db.execute(
                "select finding_id, outbound_id, started_ns from finding_occurrences"
                " join exchanges on exchanges.id = outbound_id where run_id = ?",
                (run_id,),
            )
        )

    def calls_since(self, run_id: int, moment_ns: int) -> dict[tuple[str, str], tuple[int, int]]:
        """By authority and route, how many calls began before a moment, and how many since."""
        rows = self._db.execute(
            "select authority, route, sum(started_ns < ?1), sum(started_ns >= ?1) from exchanges"
            " where run_id = ?2 and direction = 'outbound' group by authority, route",
            (moment_ns, run_id),
        )
        return {(authority, route): (before, since) for authority, route, before, since in rows}

    def headers(self, exchange_id: str, side: str = "request") -> list[HeaderRow]:
        """One side's header fields in the order they were sent; ``side`` is ``request`` or ``response``."""
        rows = self._db.execute(
            "select name, value, redacted from headers where exchange_id = ? and side = ? order by position",
            (exchange_id, side),
        )
        return [HeaderRow(name, value, bool(redacted)) for name, value, redacted in rows]

    def exchange(self, id_: str) -> Exchange | None:
        """One exchange with its headers."""
        row = self._db.execute(f"{_EXCHANGE} where id = ?", (id_,)).fetchone()
        return self._exchange(row) if row else None

    def exchanges(self, run_id: int | None = None, filter_: Filter | None = None) -> Iterator[Exchange]:
        """A run's exchanges (all runs': ``None``) in the order they started, each with its headers; those that a filter
        means, or all."""
        condition = "" if run_id is None else " where run_id = ?"
        parameters: list[object] = [] if run_id is None else [run_id]
        if filter_:
            if run_id is None:
                raise ValueError("a filter is for one run: its times count from that run's end")
            where = filter_.exchanges(self.latest_ns(run_id))
            condition, parameters = f"{condition} and {where.sql}", [*parameters, *where.parameters]
        for row in self._db.execute(f"{_EXCHANGE}{condition} order by started_ns, id", parameters):
            yield self._exchange(row)

    def _exchange(self, row: tuple[object, ...]) -> Exchange:
        id_, direction, started, responded, ended, method, scheme, authority, path, version, status, error = row[:12]
        sides: dict[str, list[Header]] = {"request": [], "response": []}
        for side, name, value, redacted in self._db.execute(
            "select side, name, value, redacted from headers where exchange_id = ? order by side, position", (id_,)
        ):
            sides[side].append((name, REDACTED if redacted else value))
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
            minted=_formats(row[15]),
            gated=self._gated(str(id_)) if direction == Direction.OUTBOUND else None,
        )

    def _gated(self, outbound_id: str) -> Gated | None:
        """What the gate has seen of a call, as its link has it."""
        row = self._db.execute(
            "select inbound_id, probability, evidence from links"
            " where outbound_id = ? and rank = 1 and method = 'gated'",
            (outbound_id,),
        ).fetchone()
        return Gated(row[0], round(1 - row[1], 6), _object(row[2])) if row is not None and row[0] else None


def _object(text: object) -> dict[str, object]:
    """A column of JSON; what another program has put there instead of an object is shown as it is."""
    try:
        value = json.loads(str(text)) if text else {}
    except ValueError:
        value = str(text)
    return value if isinstance(value, dict) else {"value": value}


def _formats(text: object) -> list[Format]:
    """A JSON list of formats, as far as this version knows them."""
    try:
        names = json.loads(str(text)) if text else []
    except ValueError:
        return []
    return (
        [Format(name) for name in names if isinstance(name, str) and name in Format] if isinstance(names, list) else []
    )
