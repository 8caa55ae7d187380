"""The audit database's tables and views, as migrations; DESIGN 7 is the contract.

Times are integer nanoseconds since the epoch in columns ending in ``_ns``; every view gives them as ISO 8601 in UTC,
too. A migration is never edited once released: a change is a new one below it.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("traceaudit")


def iso(column: str) -> str:
    """The SQL expression that shows a ``_ns`` column as ISO 8601 in UTC, with microseconds."""
    return (
        f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000000, 'unixepoch')"
        f" || printf('.%06dZ', ({column} / 1000) % 1000000)"
    )


@MIGRATIONS()
def tables(db: Database) -> None:
    """The tables of DESIGN 7."""
    db.table("runs").create(
        {
            "id": int,
            "started_ns": int,
            "ended_ns": int,
            "command": str,
            "service": str,
            "version": str,
            "settings": str,
            "exchanges": int,
            "dropped_exchanges": int,
            "audit_errors": int,
        },
        pk="id",
    )
    db.table("exchanges").create(
        {
            "id": str,
            "run_id": int,
            "direction": str,
            "started_ns": int,
            "response_started_ns": int,
            "ended_ns": int,
            "method": str,
            "scheme": str,
            "authority": str,
            "path": str,
            "route": str,
            "status": int,
            "http_version": str,
            "connection_id": str,
            "client_address": str,
            "server_address": str,
            "error": str,
            "minted": str,
        },
        pk="id",
        foreign_keys=[("run_id", "runs", "id")],
        not_null={"run_id", "direction", "started_ns", "method", "authority", "path"},
    )
    db.execute("create index idx_exchanges_time on exchanges (run_id, started_ns)")
    # Headers are read by exchange and in order, and there are a dozen an exchange: the key is the table.
    db.execute(
        """
        create table headers (
            exchange_id text not null references exchanges(id),
            side text not null,
            position integer not null,
            name text not null,
            value text not null,
            redacted integer not null default 0,
            primary key (exchange_id, side, position)
        ) without rowid
        """
    )
    db.table("rules").create({"code": str, "slug": str, "severity": str, "summary": str}, pk="code")
    db.execute(
        """
        create table links (
            outbound_id text not null references exchanges(id),
            inbound_id text references exchanges(id),
            method text not null,
            probability real not null,
            rank integer not null,
            evidence text,
            primary key (outbound_id, rank)
        ) without rowid
        """
    )
    db.execute("create index idx_links_inbound on links (inbound_id)")
    db.execute(
        """
        create table outcomes (
            outbound_id text not null references exchanges(id),
            inbound_id text references exchanges(id),
            format text not null,
            outcome text not null,
            probability real not null,
            detail text,
            edge_id integer references edges(id),
            primary key (outbound_id, format)
        ) without rowid
        """
    )
    db.execute("create index idx_outcomes_edge on outcomes (edge_id, format, outcome)")
    db.table("edges").create(
        {"id": int, "run_id": int, "inbound_route": str, "outbound_authority": str, "outbound_route": str},
        pk="id",
        foreign_keys=[("run_id", "runs", "id")],
    )
    db.table("findings").create(
        {
            "id": int,
            "run_id": int,
            "edge_id": int,
            "code": str,
            "slug": str,
            "severity": str,
            "confidence": str,
            "probability": float,
            "header": str,
            "message": str,
            "expected": str,
            "observed": str,
            "inbound_id": str,
            "outbound_id": str,
            "occurrences": int,
            "first_ns": int,
            "last_ns": int,
            "location": str,
            "function": str,
        },
        pk="id",
        foreign_keys=[
            ("run_id", "runs", "id"),
            ("edge_id", "edges", "id"),
            ("code", "rules", "code"),
            ("inbound_id", "exchanges", "id"),
            ("outbound_id", "exchanges", "id"),
        ],
    )
    db.execute(
        """
        create table finding_occurrences (
            finding_id integer not null references findings(id),
            outbound_id text not null references exchanges(id),
            inbound_id text references exchanges(id),
            probability real not null,
            primary key (finding_id, outbound_id)
        ) without rowid
        """
    )
    db.execute("create index idx_occurrences_outbound on finding_occurrences (outbound_id)")


@MIGRATIONS()
def views(db: Database) -> None:
    """The views for people."""
    db.create_view(
        "propagation_matrix",
        """
        select edges.run_id, edges.id as edge_id, edges.inbound_route, edges.outbound_authority, edges.outbound_route,
               counted.format, counted.outcome, counted.count,
               1.0 * counted.count / sum(counted.count) over (partition by edges.id, counted.format) as share
        from (select edge_id, format, outcome, count(*) as count from outcomes
              where edge_id is not null group by edge_id, format, outcome) as counted
        join edges on edges.id = counted.edge_id
        """,
    )
    db.create_view(
        "findings_for_people",
        f"""
        select findings.id, findings.run_id, findings.severity, findings.code, findings.slug, findings.confidence,
               round(findings.probability, 6) as probability, edges.inbound_route,
               edges.outbound_authority, edges.outbound_route, findings.header, findings.message,
               findings.expected, findings.observed, findings.occurrences,
               {iso("findings.first_ns")} as first_seen, {iso("findings.last_ns")} as last_seen,
               findings.location, findings.function, findings.inbound_id, findings.outbound_id
        from findings left join edges on edges.id = findings.edge_id
        """,  # noqa: S608  (our own expressions)
    )
    db.create_view(
        "uncaused_calls",
        f"""
        select exchanges.id, exchanges.run_id, {iso("exchanges.started_ns")} as started, exchanges.started_ns,
               exchanges.method, exchanges.authority, exchanges.path, exchanges.route, exchanges.status,
               links.probability
        from links join exchanges on exchanges.id = links.outbound_id
        where links.rank = 1 and links.inbound_id is null
        """,  # noqa: S608  (as above)
    )
    db.create_view(
        "requests",
        f"""
        select inbound.id, inbound.run_id, {iso("inbound.started_ns")} as started, inbound.started_ns,
               inbound.method, inbound.path, inbound.route, inbound.status,
               (inbound.ended_ns - inbound.started_ns) / 1e6 as duration_ms,
               outbound.id as call_id, {iso("outbound.started_ns")} as call_started,
               outbound.method as call_method, outbound.authority as call_authority, outbound.path as call_path,
               outbound.status as call_status, links.method as link_method, links.probability as link_probability
        from exchanges as inbound
        left join links on links.inbound_id = inbound.id and links.rank = 1
        left join exchanges as outbound on outbound.id = links.outbound_id
        where inbound.direction = 'inbound'
        """,  # noqa: S608  (as above)
    )


@MIGRATIONS()
def marks(db: Database) -> None:
    """What a person has marked in the inspector, and their notes."""
    # A finding that the audit withdraws takes its mark along; exchanges are never deleted.
    db.execute(
        """
        create table marks (
            id integer primary key,
            exchange_id text unique references exchanges(id),
            finding_id integer unique references findings(id) on delete cascade,
            note text not null default '',
            marked_ns integer not null,
            check ((exchange_id is null) <> (finding_id is null))
        )
        """
    )


@MIGRATIONS()
def connections(db: Database) -> None:
    """What the service was connected to that is not to be audited: databases, brokers, exporters of telemetry."""
    db.table("connections").create(
        {
            "id": int,
            "run_id": int,
            "address": str,
            "protocol": str,
            "kind": str,
            "connections": int,
            "first_ns": int,
            "last_ns": int,
        },
        pk="id",
        foreign_keys=[("run_id", "runs", "id")],
    )
