"""Opens or makes an audit database for writing.

Theory of operation. A live run and the inspector write into one file at the same time, and what a run has committed
must survive the death of its process: the file has a write-ahead log. A recording that is audited into a new file can
be audited again. As long as that is going on, the file has neither log nor indices but those that it needs, and nobody
waits for the disk; :func:`complete` makes it what the others are. Who looks into it before sees a file that is locked.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlite_utils import Database

from traceaudit.rules import RULES
from traceaudit.store.schema import MIGRATIONS

BUSY_TIMEOUT_MS = 2_000
"""How long a commit waits for somebody else's lock before it is an error."""


def connect(path: Path, *, recording: bool = False) -> sqlite3.Connection:
    """Opens or makes an audit database, mode 0600, with the present schema.

    ``recording``: it is made now, of a recording. Raises ``sqlite3.DatabaseError`` when the file is not a database or
    cannot be written.
    """
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS:d}")
        if recording:
            connection.execute("pragma journal_mode = memory")
            connection.execute("pragma synchronous = off")
            connection.execute("pragma locking_mode = exclusive")
        else:
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
        # What a recording's rows refer to has been written before them; the checks are a sixth of what writing costs.
        connection.execute(f"pragma foreign_keys = {'off' if recording else 'on'}")
    except BaseException:
        connection.close()
        raise
    return connection


def without_indices(connection: sqlite3.Connection) -> list[str]:
    """Drops the indices that make writing slower and nothing else; what makes them again."""
    found = connection.execute(
        "select name, sql from sqlite_schema where type = 'index' and sql is not null and tbl_name in"
        " ('exchanges', 'links', 'outcomes', 'finding_occurrences')"
    ).fetchall()
    for name, _ in found:
        connection.execute(f"drop index [{name}]")
    return [str(sql) for _, sql in found]


def make_indices(connection: sqlite3.Connection, indices: list[str]) -> None:
    """Makes the indices that were left out, and forgets them. Raises ``sqlite3.Error``."""
    for sql in indices:
        connection.execute(sql)
    indices.clear()


def complete(connection: sqlite3.Connection) -> None:
    """Makes a recording's file, whose indices are there, what the others are. Raises ``sqlite3.Error``."""
    connection.execute("pragma synchronous = normal")
    connection.execute("pragma locking_mode = normal")
    connection.execute("pragma journal_mode = wal")
