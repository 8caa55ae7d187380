"""Writes a run into the audit database; what it has committed survives the death of the process.

Theory of operation. Everything is gathered in memory and goes to the disk in :meth:`AuditWriter.commit`, one transaction
a call, so that no write lock is held in between (the inspector writes marks into the same file). The proxy commits before
it lets a response go. An exchange is inserted when it is first committed and updated when it has ended; its links,
outcomes and occurrences follow it in the same transaction. Times are nanoseconds since the epoch.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

from sqlite_utils import Database

from traceaudit import __version__
from traceaudit.audit import Verdict
from traceaudit.exchange import Exchange, Header
from traceaudit.findings import Edge, Finding
from traceaudit.routes import route_of
from traceaudit.rules import RULES
from traceaudit.store.schema import MIGRATIONS

SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key")
"""Headers whose values never reach the disk; DESIGN 7."""

BUSY_TIMEOUT_MS = 2_000
"""How long a commit waits for somebody else's lock before it is an error."""

_INSERT_EXCHANGE = f"insert into exchanges values ({', '.join('?' * 18)})"
_UPDATE_EXCHANGE = """update exchanges set response_started_ns = ?, ended_ns = ?, status = ?, http_version = ?,
    server_address = ?, error = ? where id = ?"""
_INSERT_HEADER = "insert into headers values (?, ?, ?, ?, ?, ?)"
_INSERT_LINK = "insert into links values (?, ?, ?, ?, ?, ?)"
_INSERT_OUTCOME = "insert into outcomes values (?, ?, ?, ?, ?, ?, ?)"
_INSERT_OCCURRENCE = "insert into finding_occurrences values (?, ?, ?, ?)"
_UPSERT_FINDING = f"""insert into findings values ({", ".join("?" * 19)})
    on conflict (id) do update set confidence = excluded.confidence, probability = excluded.probability,
    header = excluded.header, message = excluded.message, expected = excluded.expected, observed = excluded.observed,
    inbound_id = excluded.inbound_id, outbound_id = excluded.outbound_id, occurrences = excluded.occurrences,
    first_ns = excluded.first_ns, last_ns = excluded.last_ns"""


class DuplicateExchangeError(ValueError):
    """An exchange of this id is in the database already."""


def connect(path: Path) -> sqlite3.Connection:
    """Opens or makes an audit database for writing, mode 0600, with the present schema.

    Raises ``sqlite3.DatabaseError`` when the file is not a database or cannot be written.
    """
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("pragma journal_mode = wal")
        # In WAL mode NORMAL loses nothing when the process dies, only when the machine does.
        connection.execute("pragma synchronous = normal")
        database = Database(connection)
        MIGRATIONS.apply(database)
        connection.execute("begin")
        connection.executemany(
            "insert into rules values (?, ?, ?, ?) on conflict (code) do update set slug = excluded.slug,"
            " severity = excluded.severity, summary = excluded.summary",
            [(rule.code, rule.slug, rule.severity.value, rule.summary) for rule in RULES],
        )
        connection.execute("commit")
        connection.execute("pragma foreign_keys = on")
    except BaseException:
        connection.close()
        raise
    return connection


class AuditWriter:
    """One run in an audit database."""

    def __init__(
        self,
        path: Path,
        *,
        started_ns: int,
        command: str = "",
        service: str = "",
        settings: dict[str, object] | None = None,
        redact: Collection[str] = (),
    ) -> None:
        self.path = path
        self._redact = frozenset(name.lower() for name in (*SECRET_HEADERS, *redact))
        self._db = connect(path)
        cursor = self._db.execute(
            "insert into runs (started_ns, command, service, version, settings, exchanges, dropped_exchanges,"
            " audit_errors) values (?, ?, ?, ?, ?, 0, 0, 0)",
            (started_ns, command, service, __version__, json.dumps(settings or {})),
        )
        self.run_id = int(cursor.lastrowid or 0)
        # Edges and findings count from one in each run; in the file they go on from the last run's.
        self._edge_base = self._largest("edges")
        self._finding_base = self._largest("findings")
        self._known: set[int] = set()
        self._new: dict[str, Exchange] = {}
        self._open: dict[str, Exchange] = {}
        self._changed: dict[str, Exchange] = {}
        self._verdicts: list[Verdict] = []
        self._findings: dict[int, Finding] = {}
        self.exchanges = 0
        self.dropped = 0
        self.errors = 0

    def _largest(self, table: str) -> int:
        return int(self._db.execute(f"select coalesce(max(id), 0) from {table}").fetchone()[0])  # noqa: S608  (our names)

    # --- gathering ----------------------------------------------------------------------------------------------------

    def begin(self, exchange: Exchange, verdict: Verdict | None = None) -> None:
        """Takes an exchange that has begun and what was decided of it."""
        self._new[exchange.id] = exchange
        self.exchanges += 1
        if verdict is not None:
            self._verdicts.append(verdict)
            for finding, _ in verdict.accusations:
                self._findings[finding.id] = finding

    def change(self, exchange: Exchange) -> None:
        """Takes what has been filled in of an exchange since: its response, its end, its error."""
        if exchange.id not in self._new:
            self._changed[exchange.id] = exchange

    def touch(self, finding: Finding) -> None:
        """Takes a finding whose probability has changed."""
        self._findings[finding.id] = finding

    @property
    def pending(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._new or self._changed or self._verdicts or self._findings)

    # --- to the disk --------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Writes all that was gathered in one transaction.

        Raises ``sqlite3.Error`` when the disk or another program forbids it; then all is kept for the next attempt.
        """
        if not self.pending:
            return
        self._db.execute("begin immediate")
        try:
            self._write()
            self._db.execute("commit")
        except sqlite3.IntegrityError as error:
            self._db.execute("rollback")
            if "exchanges.id" in str(error):
                raise DuplicateExchangeError(self._duplicate()) from error
            raise
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise
        self._known.update(edge.id for edge in self._edges())
        self._open.update((id_, each) for id_, each in self._new.items() if each.ended_ns is None)
        for id_, exchange in self._changed.items():
            if exchange.ended_ns is not None:
                self._open.pop(id_, None)
        for gathered in (self._new, self._changed, self._verdicts, self._findings):
            gathered.clear()

    def discard(self) -> int:
        """Gives up what could not be written; the number of exchanges lost, which the run counts."""
        lost = len(self._new)
        self.dropped += lost
        for gathered in (self._new, self._changed, self._verdicts, self._findings):
            gathered.clear()
        return lost

    def close(self, ended_ns: int) -> None:
        """Writes what is left and the run's totals, and leaves one whole file behind."""
        try:
            self.commit()
            self._db.execute(
                "update runs set ended_ns = ?, exchanges = ?, dropped_exchanges = ?, audit_errors = ? where id = ?",
                (ended_ns, self.exchanges - self.dropped, self.dropped, self.errors, self.run_id),
            )
        finally:
            self._db.close()

    def _write(self) -> None:
        execute = self._db.executemany
        execute(_INSERT_EXCHANGE, [self._row(each) for each in self._new.values()])
        headers: list[tuple[str, str, int, str, str, int]] = []
        for exchange in self._new.values():
            headers += self._headers(exchange.id, "request", exchange.request_headers)
            headers += self._headers(exchange.id, "response", exchange.response_headers)
        for exchange in self._changed.values():
            if exchange.response_started_ns is not None and exchange.id in self._open and exchange.response_headers:
                headers += self._headers(exchange.id, "response", exchange.response_headers)
        execute(_INSERT_HEADER + " on conflict do nothing", headers)
        execute(_UPDATE_EXCHANGE, [self._update(each) for each in self._changed.values()])
        execute(
            "insert into edges values (?, ?, ?, ?, ?)",
            [
                (
                    self._edge_base + each.id,
                    self.run_id,
                    each.inbound_route,
                    each.outbound_authority,
                    each.outbound_route,
                )
                for each in self._edges()
            ],
        )
        for verdict in self._verdicts:
            self._write_verdict(verdict)
        execute(_UPSERT_FINDING, [self._finding(each) for each in self._findings.values()])
        occurrences = [
            (self._finding_base + finding.id, each.outbound_id, each.inbound_id, each.probability)
            for verdict in self._verdicts
            for finding, each in verdict.accusations
        ]
        execute(_INSERT_OCCURRENCE, occurrences)

    def _edges(self) -> list[Edge]:
        """The edges that the gathered verdicts name and that are not in the file yet."""
        edges = {each.edge.id: each.edge for each in self._verdicts if each.edge is not None}
        return [edge for id_, edge in edges.items() if id_ not in self._known]

    def _write_verdict(self, verdict: Verdict) -> None:
        self._db.executemany(
            _INSERT_LINK,
            [
                (
                    link.outbound_id,
                    link.inbound_id,
                    link.method.value,
                    link.probability,
                    link.rank,
                    json.dumps(link.evidence) if link.evidence else None,
                )
                for link in verdict.links
            ],
        )
        edge_id = self._edge_base + verdict.edge.id if verdict.edge else None
        self._db.executemany(
            _INSERT_OUTCOME,
            [
                (
                    verdict.outbound_id,
                    each.inbound_id,
                    each.judgement.format.value,
                    each.judgement.outcome.value,
                    each.probability,
                    each.judgement.detail or None,
                    edge_id,
                )
                for each in verdict.outcomes
            ],
        )

    def _row(self, each: Exchange) -> Sequence[object]:
        return (
            each.id,
            self.run_id,
            each.direction.value,
            each.started_ns,
            each.response_started_ns,
            each.ended_ns,
            each.method,
            each.scheme,
            each.authority,
            each.path,
            route_of(each.method, each.path),
            each.status,
            each.http_version,
            each.connection_id,
            each.client_address,
            each.server_address,
            each.error,
            json.dumps([format_.value for format_ in each.minted]),
        )

    @staticmethod
    def _update(each: Exchange) -> Sequence[object]:
        return (
            each.response_started_ns,
            each.ended_ns,
            each.status,
            each.http_version,
            each.server_address,
            each.error,
            each.id,
        )

    def _headers(self, id_: str, side: str, headers: Sequence[Header]) -> list[tuple[str, str, int, str, str, int]]:
        redact = self._redact
        return [
            (id_, side, position, name, "", 1) if name.lower() in redact else (id_, side, position, name, value, 0)
            for position, (name, value) in enumerate(headers)
        ]

    def _finding(self, each: Finding) -> Sequence[object]:
        example, violation = each.example, each.example.violation
        return (
            self._finding_base + each.id,
            self.run_id,
            self._edge_base + each.edge.id,
            each.rule.code,
            each.rule.slug,
            each.severity.value,
            each.confidence.value,
            round(each.probability, 6),
            violation.header,
            violation.message,
            violation.expected,
            violation.observed,
            example.inbound_id,
            example.outbound_id,
            each.occurrences,
            each.first_ns,
            each.last_ns,
            None,
            None,
        )

    def _duplicate(self) -> str:
        """The first id that is in the file already."""
        for id_ in self._new:
            if self._db.execute("select 1 from exchanges where id = ?", (id_,)).fetchone():
                return id_
        return "?"
