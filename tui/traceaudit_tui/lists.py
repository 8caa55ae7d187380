"""The queries behind the long lists: the keys of exchanges, in order, all of them or those that a filter means.

Lists are held as their exchanges' rowids in an ``array('q')`` (8 bytes a row) and fetched a page at a time by those
keys, never with OFFSET: at a million rows that is 9 ms against 174. A filter that has no index to go by is asked for
one stretch of time after another, each as long as the last one was quick, so that what is found is shown while the rest
is still looked for, and nobody waits for a query that is no longer wanted.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from traceaudit.filters import Filter, Where

STRETCHES = 32  # of a run's time: the first is looked through by itself, the following ones grow
EVERYTHING = Where("1", ())
PIECE = 1 << 13  # characters of a list of keys that are read at once: an eighth of a millisecond


class ExchangeLists:
    """What ``queries.Audit`` inherits."""

    _connection: sqlite3.Connection

    def latest_ns(self, run_id: int) -> int:
        """The moment that ``since:5m`` counts from: the run's end, or its latest exchange while it goes on."""
        sql = (
            "select coalesce((select ended_ns from runs where id = ?),"
            " (select max(started_ns) from exchanges where run_id = ?), 0)"
        )
        return int(self._connection.execute(sql, (run_id, run_id)).fetchone()[0])

    def span(self, run_id: int) -> tuple[int, int] | None:
        """When the run's first exchange started, and its last one; None: there is none."""
        first, last = (
            self._connection.execute(
                f"select started_ns from exchanges where run_id = ? order by started_ns {way} limit 1",  # noqa: S608 -- one of two words
                (run_id,),
            ).fetchone()
            for way in ("asc", "desc")
        )
        return (first[0], last[0]) if first else None

    def last_key(self) -> int:
        """The key of what was recorded last, in any run; 0: nothing was."""
        return int(self._connection.execute("select coalesce(max(rowid), 0) from exchanges").fetchone()[0])

    def exchange_keys(
        self,
        run_id: int,
        direction: str | None = None,
        where: Where = EVERYTHING,
        between: tuple[int, int] | None = None,
    ) -> array[int]:
        """Exchanges of a run in the order of their start. ``direction`` None: both; ``between``: started from the one
        time to before the other, None: at any time."""
        sql, parameters = "run_id = ?", [run_id]
        if between is not None:
            sql += " and started_ns >= ? and started_ns < ?"
            parameters += between
        if direction is not None:
            # The unary plus keeps SQLite on the index of times.
            return self._keys(
                f"select rowid from exchanges where {sql} and +direction = ? and {where.sql} order by started_ns",  # noqa: S608 -- a filter's SQL is constants
                (*parameters, direction, *where.parameters),
            )
        return self._keys(
            f"select rowid from exchanges where {sql} and {where.sql} order by started_ns",  # noqa: S608 -- as above
            (*parameters, *where.parameters),
        )

    def exchange_keys_after(self, run_id: int, key: int, direction: str | None = None) -> array[int]:
        """What was recorded after ``key``, in the order of its recording."""
        # The unary plus keeps SQLite from taking the index on run_id, which would read the whole run.
        return self._keys(
            """
            select rowid from exchanges
            where rowid > ? and +run_id = ? and (? is null or direction = ?) order by rowid
            """,
            (key, run_id, direction, direction),
        )

    def uncaused_keys(self, run_id: int, where: Where = EVERYTHING) -> array[int]:
        """Outbound calls that no inbound request caused, in the order of their start."""
        return self._keys(
            f"""
            select exchanges.rowid from links join exchanges on exchanges.id = links.outbound_id
            where links.inbound_id is null and links.rank = 1 and exchanges.run_id = ? and {where.sql}
            order by exchanges.started_ns
            """,  # noqa: S608 -- as above
            (run_id, *where.parameters),
        )

    def occurrence_keys(self, finding_id: int) -> array[int]:
        """The calls that a finding is about, in the order of their start."""
        return self._keys(
            """
            select exchanges.rowid from finding_occurrences as o join exchanges on exchanges.id = o.outbound_id
            where o.finding_id = ? order by exchanges.started_ns, exchanges.rowid
            """,
            (finding_id,),
        )

    def faulty_keys(self, run_id: int) -> array[int]:
        """Every exchange that a finding is about or that caused such a call."""
        return self._keys(
            """
            select distinct exchanges.rowid from findings
            join finding_occurrences as o on o.finding_id = findings.id
            join exchanges on exchanges.id in (o.outbound_id, o.inbound_id)
            where findings.run_id = ? order by 1
            """,
            (run_id,),
        )

    def faulty_among(self, keys: Sequence[int]) -> frozenset[int]:
        """Those of these exchanges that a finding is about or that caused such a call."""
        marks = ",".join("?" * len(keys))
        sql = f"""
            select rowid from exchanges where rowid in ({marks})
            and (exists (select 1 from finding_occurrences as o where o.outbound_id = exchanges.id)
                 or exists (select 1 from links join finding_occurrences as o on o.outbound_id = links.outbound_id
                            where links.inbound_id = exchanges.id and links.rank = 1))
            """  # noqa: S608 -- question marks
        return frozenset(self._keys(sql, keys))

    def finding_ids(self, run_id: int, filter_: Filter) -> frozenset[int]:
        """The findings that a filter means."""
        where = filter_.findings(self.latest_ns(run_id))
        sql = (
            "select findings.id from findings left join edges on edges.id = findings.edge_id"  # noqa: S608 -- as above
            f" where findings.run_id = ? and {where.sql}"
        )
        return frozenset(self._keys(sql, (run_id, *where.parameters)))

    def _keys(self, sql: str, parameters: Iterable[Any]) -> array[int]:
        """All of them in one step: a thread that fetches rows hands over the interpreter's lock at each of them."""
        # SQLite's select.c: an ORDER BY is not left out below an aggregate other than count(), min() and max().
        cursor = self._connection.execute(
            f"with keys(key) as ({sql}) select group_concat(key) from keys",  # noqa: S608 -- as above
            tuple(parameters),
        )
        text = cursor.fetchone()[0] or ""
        keys, at = array("q"), 0
        while at < len(text):
            end = text.find(",", at + PIECE)
            end = end if end >= 0 else len(text)
            keys.extend(map(int, text[at:end].split(",")))
            at = end + 1
        return keys
