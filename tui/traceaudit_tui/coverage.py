"""What has been exercised: routes and upstreams seen, and those that the settings name and nobody saw."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict

from traceaudit.coverage import fits, unobserved
from traceaudit.exchange import Direction
from traceaudit_tui.rows import Place

MOST = 5_000  # places of each kind: a path that was never folded may make many
BYPASS = "CP001"

_SEEN = """
select direction, case direction when 'inbound' then coalesce(route, method || ' ' || path) else authority end as name,
       count(*) as seen, sum(error is not null or status >= 500) as failed, max(started_ns) as last
from exchanges where +run_id = ? group by 1, 2 order by 1, 3 desc, 2 limit ?
"""
_CALLS = """
select coalesce(inbound.route, inbound.method || ' ' || inbound.path) as name, count(*) as calls
from links join exchanges as inbound on inbound.id = links.inbound_id
where links.rank = 1 and inbound.run_id = ? group by 1
"""
_FOUND = """
select code, coalesce(inbound_route, '') as route, coalesce(outbound_authority, '') as authority
from findings left join edges on edges.id = findings.edge_id where findings.run_id = ?
"""


def coverage(connection: sqlite3.Connection, run_id: int) -> list[Place]:
    """What was never seen first, then the routes and the upstreams, the most frequent first."""
    codes: dict[tuple[str, str], set[str]] = defaultdict(set)
    bypasses: set[str] = set()
    unseen: list[tuple[str, str]] = []
    for row in connection.execute(_FOUND, (run_id,)):
        for direction, name in ((Direction.INBOUND, row["route"]), (Direction.OUTBOUND, row["authority"])):
            if name:
                codes[direction, name].add(row["code"])
        if row["code"] == BYPASS:
            bypasses.add(row["authority"])
    calls = {row["name"]: row["calls"] for row in connection.execute(_CALLS, (run_id,))}
    seen = [
        Place(
            row["direction"],
            str(row["name"]),
            row["seen"],
            row["failed"] or 0,
            calls.get(row["name"], 0) if row["direction"] == Direction.INBOUND else 0,
            tuple(sorted(codes.get((row["direction"], row["name"]), ()))),
            row["last"],
        )
        for row in connection.execute(_SEEN, (run_id, 2 * MOST))
    ]
    routes = [each.name for each in seen if each.direction == Direction.INBOUND]
    upstreams = [each.name for each in seen if each.direction == Direction.OUTBOUND]
    named_routes, named_upstreams = _named(connection, run_id)
    unseen += [(Direction.INBOUND, each) for each in named_routes if not any(fits(each, route) for route in routes)]
    unseen += [(Direction.OUTBOUND, each) for each in unobserved(named_upstreams, upstreams)]
    unseen += [(Direction.OUTBOUND, each) for each in sorted(bypasses) if each not in upstreams]
    # What the audit itself has found missing is there even where its settings are not.
    unseen += [
        key for key, found in codes.items() if found & {"CP002", "CP003"} and key[1] not in {*routes, *upstreams}
    ]
    gaps = [
        Place(direction, name, 0, 0, 0, tuple(sorted(codes.get((direction, name), ()))), None, name in bypasses)
        for direction, name in dict.fromkeys(unseen)
    ]
    return [*gaps, *seen]


def _named(connection: sqlite3.Connection, run_id: int) -> tuple[list[str], list[str]]:
    """The routes and the upstreams that a run's settings name."""
    row = connection.execute("select settings from runs where id = ?", (run_id,)).fetchone()
    try:
        settings = json.loads(row["settings"] or "{}") if row else {}
    except ValueError:
        settings = {}
    if not isinstance(settings, dict):
        settings = {}

    def texts(key: str) -> list[str]:
        value = settings.get(key)
        return [each for each in value if isinstance(each, str)] if isinstance(value, list | dict) else []

    return texts("known_routes")[:MOST], list(dict.fromkeys([*texts("routes"), *texts("upstreams"), *texts("expect")]))
