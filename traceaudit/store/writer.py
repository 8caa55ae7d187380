"""Writes a run into the audit database; what it has committed survives the death of the process.

Theory of operation. Everything is gathered in memory and goes to the disk in :meth:`AuditWriter.commit`, one
transaction a call, so that no write lock is held in between (the inspector writes marks into the same file). The proxy
commits before it lets a response go. An exchange is inserted when it is first committed and updated when it has ended;
its links, outcomes and occurrences follow it in the same transaction. Times are nanoseconds since the epoch.

Edges and findings count from one in each run; in the file they get the next free numbers, taken under the lock of the
transaction that inserts them, so that two runs may write into one file at the same time. What could not be written is
kept for the next attempt until :meth:`AuditWriter.discard` gives it up; later rows leave out what is lost, so that
every reference in the file leads somewhere.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from itertools import count
from operator import attrgetter
from pathlib import Path

from traceaudit import __version__
from traceaudit.audit import Audit
from traceaudit.coverage import Other
from traceaudit.exchange import Direction, Exchange
from traceaudit.findings import Finding
from traceaudit.routes import route_of
from traceaudit.store.connecting import BUSY_TIMEOUT_MS, complete, connect, make_indices, without_indices
from traceaudit.store.rows import EchoedRows, HeaderRows, Row, Rows
from traceaudit.verdicts import Echoed, Revision, Verdict

SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key")
"""Headers whose values never reach the disk; DESIGN 7."""

_INSERT_EXCHANGE = "insert into exchanges values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE_EXCHANGE = """update exchanges set response_started_ns = ?, ended_ns = ?, status = ?, http_version = ?,
    server_address = ?, error = ? where id = ?"""
_INSERT_OCCURRENCE = "insert into finding_occurrences values (?, ?, ?, ?)"
_DELETE_ORPHANS = """delete from edges where run_id = ?
    and not exists (select 1 from outcomes where outcomes.edge_id = edges.id)
    and not exists (select 1 from findings where findings.edge_id = edges.id)"""
_UPSERT_FINDING = """insert into findings values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (id) do update set confidence = excluded.confidence, probability = excluded.probability,
    header = excluded.header, message = excluded.message, expected = excluded.expected, observed = excluded.observed,
    inbound_id = excluded.inbound_id, outbound_id = excluded.outbound_id, occurrences = excluded.occurrences,
    first_ns = excluded.first_ns, last_ns = excluded.last_ns"""


_REQUEST = attrgetter("started_ns", "response_started_ns", "ended_ns", "method", "scheme", "authority", "path")
_REST = attrgetter("status", "http_version", "connection_id", "client_address", "server_address", "error")
_CHANGED = attrgetter(
    "response_started_ns", "ended_ns", "status", "http_version", "server_address", "error", "id"
)  # in the order of _UPDATE_EXCHANGE
_VIOLATION = attrgetter("header", "message", "expected", "observed")


class DuplicateExchangeError(ValueError):
    """An exchange of this id is in the database already."""


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
        patience_ms: int = BUSY_TIMEOUT_MS,
        recording: bool = False,
    ) -> None:
        """``recording``: the file is new, nobody else needs it yet, and what is written can be had again."""
        self.path = path
        self._headers = HeaderRows(frozenset(name.lower() for name in (*SECRET_HEADERS, *redact)))
        self._evidence: dict[int, tuple[dict[str, object], str]] = {}
        self._db = connect(path, recording=recording)
        self._recording = recording
        self._indices = without_indices(self._db) if recording else []
        # A live proxy stands still while it waits here; it would rather try again later.
        self._db.execute(f"pragma busy_timeout = {patience_ms:d}")
        cursor = self._db.execute(
            "insert into runs (started_ns, command, service, version, settings, exchanges, dropped_exchanges,"
            " audit_errors) values (?, ?, ?, ?, ?, 0, 0, 0)",
            (started_ns, _storable(command), _storable(service), __version__, json.dumps(settings or {})),
        )
        self.run_id = int(cursor.lastrowid or 0)
        self._edge_ids: dict[int, int] = {}
        self._finding_ids: dict[int, int] = {}
        self._lost: set[str] = set()
        self._escaping = False
        self._said = (0, 0)
        self._new: dict[str, Exchange] = {}
        self._open: dict[str, int] = {}
        """Exchanges on the disk that have not ended, and how many of their response's header fields are there."""
        self._changed: dict[str, Exchange] = {}
        self._verdicts: dict[str, Verdict] = {}
        """By call, the last that was decided of it."""
        self._revised: dict[str, list[int]] = {}
        """By call, the findings that it was an occurrence of until it was judged again."""
        self._orphans = False
        self._findings: dict[int, Finding] = {}
        self._withdrawn: list[int] = []
        self.exchanges = 0
        """Exchanges begun and not given up."""
        self.dropped = 0
        """Exchanges that are not in the file; whoever loses some elsewhere adds them."""
        self.errors = 0
        """Errors inside the audit; whoever catches one adds it."""

    # --- gathering ----------------------------------------------------------------------------------------------------

    def begin(self, exchange: Exchange, verdict: Verdict | None = None) -> None:
        """Takes an exchange that has begun and what was decided of it.

        Raises :class:`DuplicateExchangeError` when one of its id is still waiting to be written.
        """
        if exchange.id in self._new:
            raise DuplicateExchangeError(exchange.id)
        self._new[exchange.id] = exchange
        self.exchanges += 1
        if verdict is not None:
            self._take(verdict)

    def revise(self, revision: Revision) -> None:
        """Takes a verdict that replaces the one that :meth:`begin` was given of the same call."""
        verdict = revision.verdict
        if verdict.outbound_id in self._lost:
            return
        self._revised.setdefault(verdict.outbound_id, [finding.id for finding, _ in revision.former])
        for finding, _ in revision.former:
            standing = finding.standing
            self._findings[standing.id] = standing
        self._take(verdict)
        for finding in revision.withdrawn:
            self._findings[finding.id] = finding  # It is written and deleted, so that its number is known.
            self.withdraw(finding)
        self._orphans = True

    def _take(self, verdict: Verdict) -> None:
        self._verdicts[verdict.outbound_id] = verdict
        for finding, _ in verdict.accusations:
            self._findings[finding.id] = finding

    def change(self, exchange: Exchange) -> None:
        """Takes what has been filled in of an exchange since: its response, its end, its error."""
        if exchange.id not in self._new:
            self._changed[exchange.id] = exchange

    def touch(self, finding: Finding) -> None:
        """Takes a finding whose probability has changed."""
        self._findings[finding.id] = finding

    def withdraw(self, finding: Finding) -> None:
        """Takes a finding that is no longer made."""
        self._withdrawn.append(finding.id)

    @property
    def pending(self) -> bool:
        """Whether there is anything to commit."""
        gathered = self._new or self._changed or self._verdicts or self._findings or self._withdrawn
        return bool(gathered) or self._said != (self.dropped, self.errors)

    @property
    def waiting(self) -> int:
        """Exchanges that are gathered and not yet on the disk."""
        return len(self._new)

    def has(self, id_: str) -> bool:
        """Whether an exchange of this id was taken, or was in the file before."""
        if id_ in self._new:
            return True
        return self._db.execute("select 1 from exchanges where id = ?", (_storable(id_),)).fetchone() is not None

    # --- to the disk --------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Writes all that was gathered in one transaction.

        Raises ``sqlite3.Error`` when the disk or another program forbids it; then all is kept for the next attempt.
        Raises :class:`DuplicateExchangeError` when an exchange's id is in the file already; then, too, all is kept.
        """
        if not self.pending:
            return
        said = (self.dropped, self.errors)
        try:
            edge_ids, finding_ids = self._transact()
        except UnicodeEncodeError:
            # A lone surrogate (a path that is no UTF-8, a log's "\\ud800"), which SQLite's text cannot hold.
            self._escaping = True
            try:
                edge_ids, finding_ids = self._transact()
            finally:
                self._escaping = False
        self._edge_ids, self._finding_ids, self._said = edge_ids, finding_ids, said
        for id_, exchange in (self._new | self._changed).items():
            if exchange.ended_ns is None:
                self._open[id_] = len(exchange.response_headers)
            else:
                self._open.pop(id_, None)
        self._forget()

    def discard(self) -> int:
        """Gives up what could not be written; the number of exchanges lost, which the run counts."""
        lost = len(self._new)
        self.dropped += lost
        self.exchanges -= lost
        self._lost.update(self._new)
        self._forget()
        return lost

    def seen(self) -> tuple[list[str], list[str]]:
        """The authorities that were called and the routes that saw a request, in what is on the disk."""
        called = self._db.execute(
            "select distinct authority from exchanges where run_id = ? and direction = 'outbound'", (self.run_id,)
        )
        requested = self._db.execute(
            "select distinct route from exchanges where run_id = ? and direction = 'inbound'", (self.run_id,)
        )
        return [row[0] for row in called], [row[0] for row in requested]

    def connected(self, others: Iterable[Other]) -> None:
        """Writes what the service was connected to that is not to be audited. Raises ``sqlite3.Error``."""
        rows: list[Row] = [
            (
                self.run_id,
                str(each.address),
                each.protocol.name,
                each.protocol.kind.value,
                each.connections,
                each.first_ns,
                each.last_ns,
            )
            for each in others
        ]
        self._many(
            "insert into connections (run_id, address, protocol, kind, connections, first_ns, last_ns)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def conclude(self, audit: Audit, ended_ns: int) -> None:
        """Writes the findings as they stand when all is known, and closes the run. Raises what :meth:`close` raises."""
        try:
            self._db.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS:d}")
            for finding in audit.settle(ended_ns):
                self.withdraw(finding)
            for finding in audit.findings:
                self.touch(finding)
            self.commit()
            make_indices(self._db, self._indices)
            self._rename(audit)
        except Exception:
            self.errors += 1
            raise
        finally:
            self.close(ended_ns)

    def _rename(self, audit: Audit) -> None:
        """Gives everything in the file the names that its routes turned out to have; edges of one name become one."""
        book, edges, findings = audit.findings, self._edge_ids, self._finding_ids
        shapes = "select distinct direction, authority, route from exchanges where run_id = ?"
        renamed: list[Row] = []
        for direction, authority, route in self._db.execute(shapes, (self.run_id,)).fetchall():
            name = audit.route_now(Direction(direction), authority, route)
            if name != route:
                renamed.append((name, self.run_id, direction, authority, route))
        if not (renamed or book.merged_edges or book.merged_findings):
            return
        for old, new in book.edges_become():
            if old in edges:
                edges.setdefault(new, edges[old])  # One that no verdict names any more was never written.
        merged_edges: list[Row] = [(edges[new], edges[old]) for old, new in book.edges_become() if old in edges]
        merged_edges = [(new, old) for new, old in merged_edges if new != old]
        merged: list[Row] = [
            (findings[new], findings[old]) for old, new in book.findings_become() if old in findings and new in findings
        ]
        self._db.execute("begin immediate")
        try:
            where = "where run_id = ? and direction = ? and authority = ? and route = ?"
            self._many(f"update exchanges set route = ? {where}", renamed)  # noqa: S608  (our own words)
            self._many("update finding_occurrences set finding_id = ? where finding_id = ?", merged)
            self._many("update or ignore marks set finding_id = ? where finding_id = ?", merged)
            self._many("delete from findings where id = ?", [(old,) for _, old in merged])
            for table in ("outcomes", "findings"):
                self._many(f"update {table} set edge_id = ? where edge_id = ?", merged_edges)  # noqa: S608  (as above)
            self._many("delete from edges where id = ?", [(old,) for _, old in merged_edges])
            names = "update edges set inbound_route = ?, outbound_route = ? where id = ?"
            self._many(names, [(e.inbound_route, e.outbound_route, edges[e.id]) for e in book.edges if e.id in edges])
            self._db.execute("commit")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise

    def close(self, ended_ns: int) -> None:
        """Writes what is left and the run's totals, and leaves one whole file behind.

        Raises what :meth:`commit` raises. What could not be written then is lost, and counted if that can be.
        """
        try:
            try:
                self.commit()
            except BaseException:
                self.discard()
                raise
            finally:
                self._db.execute(
                    "update runs set ended_ns = ?, exchanges = ?, dropped_exchanges = ?, audit_errors = ? where id = ?",
                    (ended_ns, self.exchanges, self.dropped, self.errors, self.run_id),
                )
                if self._recording:
                    make_indices(self._db, self._indices)
                    complete(self._db)
        finally:
            self._db.close()

    def _forget(self) -> None:
        for taken in (self._new, self._changed, self._verdicts, self._revised, self._findings, self._withdrawn):
            taken.clear()

    def _transact(self) -> tuple[dict[int, int], dict[int, int]]:
        """All that was gathered in one transaction; the ids in the file of the run's edges and findings."""
        self._db.execute("begin immediate")
        try:
            ids = self._write()
            self._db.execute("commit")
        except BaseException as error:
            if self._db.in_transaction:  # SQLite rolls back by itself when the disk is full
                self._db.execute("rollback")
            if isinstance(error, sqlite3.IntegrityError) and "exchanges.id" in str(error):
                raise DuplicateExchangeError(self._duplicate()) from error
            raise
        return ids

    def _write(self) -> tuple[dict[int, int], dict[int, int]]:
        self._many(_INSERT_EXCHANGE, [self._row(each) for each in self._new.values()])
        headers = self._headers
        headers.clear()
        for exchange in self._new.values():
            headers.add(exchange.id, "request", exchange.request_headers)
            headers.add(exchange.id, "response", exchange.response_headers)
        for each in headers.statements():
            self._many(*each)
        if self._changed:
            self._write_changes()
        edge_ids = self._write_edges()
        finding_ids = self._write_findings(edge_ids)
        self._write_verdicts(edge_ids, finding_ids)
        withdrawn: list[Row] = [(finding_ids[id_],) for id_ in self._withdrawn if id_ in finding_ids]
        self._many("delete from finding_occurrences where finding_id = ?", withdrawn)
        self._many("delete from findings where id = ?", withdrawn)
        if self._said != (self.dropped, self.errors):
            self._db.execute(
                "update runs set dropped_exchanges = ?, audit_errors = ? where id = ?",
                (self.dropped, self.errors, self.run_id),
            )
        return edge_ids, finding_ids

    def _many(self, sql: str, rows: list[Row]) -> None:
        if not rows:
            return
        if self._escaping:
            rows = [tuple(_storable(value) if isinstance(value, str) else value for value in row) for row in rows]
        self._db.executemany(sql, rows)

    def _write_changes(self) -> None:
        headers = self._headers
        headers.clear()
        for exchange in self._changed.values():
            # A response is told when it starts and again when it ends, perhaps with trailers then.
            written = self._open.get(exchange.id)
            if written is not None and written < len(exchange.response_headers):
                headers.add(exchange.id, "response", exchange.response_headers, written)
        for each in headers.statements():
            self._many(*each)
        self._many(_UPDATE_EXCHANGE, [_CHANGED(each) for each in self._changed.values()])

    def _write_edges(self) -> dict[int, int]:
        named = [each.edge for each in self._verdicts.values() if each.edge is not None]
        named += [each.edge for each in self._findings.values()]
        new = {edge.id: edge for edge in named if edge.id not in self._edge_ids}
        if not new:
            return self._edge_ids
        ids = self._edge_ids | dict(zip(new, count(self._next("edges")), strict=False))
        self._many(
            "insert into edges values (?, ?, ?, ?, ?)",
            [
                (ids[each.id], self.run_id, each.inbound_route, each.outbound_authority, each.outbound_route)
                for each in new.values()
            ],
        )
        return ids

    def _write_findings(self, edge_ids: dict[int, int]) -> dict[int, int]:
        if not self._findings:
            return self._finding_ids
        new = [id_ for id_ in self._findings if id_ not in self._finding_ids]
        ids = self._finding_ids
        if new:
            ids = ids | dict(zip(new, count(self._next("findings")), strict=False))
        for each in self._findings.values():
            each.recount()
        rows = [self._finding(each, ids[each.id], edge_ids[each.edge.id]) for each in self._findings.values()]
        self._many(_UPSERT_FINDING, rows)
        return ids

    def _next(self, table: str) -> int:
        """The first number that is free, and stays so until this transaction ends."""
        return int(self._db.execute(f"select coalesce(max(id), 0) + 1 from {table}").fetchone()[0])  # noqa: S608  (ours)

    def _write_verdicts(self, edge_ids: dict[int, int], finding_ids: dict[int, int]) -> None:
        links, outcomes, echoed = Rows("links", 6), Rows("outcomes", 7), EchoedRows()
        occurrences: list[Row] = []
        for verdict in self._verdicts.values():
            edge_id = edge_ids[verdict.edge.id] if verdict.edge else None
            if isinstance(verdict.decided, Echoed) and not self._lost:
                echoed.add(verdict.decided, edge_id)
                continue
            kept = [link for link in verdict.links if link.inbound_id not in self._lost]  # Null would say: nothing.
            values: list[object] = []
            for link in kept:
                said = self._said_of(link.evidence) if link.evidence else None
                values += (link.outbound_id, link.inbound_id, link.method._value_, link.probability, link.rank, said)
            links.add(values, len(kept))
            values, number = [], 0
            for alike in verdict.outcomes:
                id_, probability = self._kept(alike.inbound_id), alike.probability
                for each in alike.judgements:
                    format_, outcome = each.format._value_, each.outcome._value_
                    values += (verdict.outbound_id, id_, format_, outcome, probability, each.detail or None, edge_id)
                number += len(alike.judgements)
            outcomes.add(values, number)
            occurrences += [
                (finding_ids[finding.id], said.outbound_id, self._kept(said.inbound_id), said.probability)
                for finding, said in verdict.accusations
            ]
        former: list[Row] = [(id_,) for id_ in self._revised]
        self._many("delete from links where outbound_id = ?", former)
        self._many("delete from outcomes where outbound_id = ?", former)
        pairs: list[Row] = [
            (finding_ids[each], id_)
            for id_, findings in self._revised.items()
            for each in findings
            if each in finding_ids
        ]
        self._many("delete from finding_occurrences where finding_id = ? and outbound_id = ?", pairs)
        for sql, rows in (*links.statements(), *outcomes.statements(), *echoed.statements()):
            self._many(sql, rows)
        self._many(_INSERT_OCCURRENCE, occurrences)
        self._evidence.clear()

    def _said_of(self, evidence: dict[str, object]) -> str:
        """The evidence as JSON; calls that are alike share theirs."""
        known = self._evidence.get(id(evidence))
        if known is None:
            known = self._evidence[id(evidence)] = evidence, json.dumps(evidence)
        return known[1]

    def _kept(self, id_: str | None) -> str | None:
        """An exchange's id, unless the exchange was given up."""
        return None if id_ in self._lost else id_

    def _row(self, each: Exchange) -> Row:
        minted = json.dumps([format_.value for format_ in each.minted]) if each.minted else "[]"
        route = route_of(each.method, each.path)
        return (each.id, self.run_id, each.direction._value_, *_REQUEST(each), route, *_REST(each), minted)

    def _finding(self, each: Finding, id_: int, edge_id: int) -> Row:
        rule, example = each.rule, each.example
        judged = (each.severity.value, each.confidence.value, round(each.probability, 6))
        evidence = (self._kept(example.inbound_id), self._kept(example.outbound_id))
        seen = (each.occurrences, each.first_ns, each.last_ns)
        said = _VIOLATION(example.violation)
        return (id_, self.run_id, edge_id, rule.code, rule.slug, *judged, *said, *evidence, *seen, None, None)

    def _duplicate(self) -> str:
        """The first id that is in the file already."""
        for id_ in self._new:
            if self._db.execute("select 1 from exchanges where id = ?", (_storable(id_),)).fetchone():
                return id_
        return "?"


def _storable(text: str) -> str:
    """Text with its lone surrogates escaped; all else stays as it is."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
