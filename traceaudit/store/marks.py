"""Writes what a person marks in the inspector, on a connection that is open for no longer than that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

BUSY_S = 2.0
"""How long another program's lock is waited for: a person is waiting."""

NOTE_LIMIT = 2_000
"""Characters of a note: a paragraph."""

_COLUMNS = {"exchange": "exchange_id", "finding": "finding_id"}


def mark(path: Path, kind: str, id_: str | int, *, note: str | None, now_ns: int) -> None:
    """Marks an exchange or a finding (``kind``); ``note`` None: the one it has is kept.

    Raises sqlite3.Error when the file cannot be written.
    """
    column = _COLUMNS[kind]
    kept = "note" if note is None else "excluded.note"
    text = (note or "")[:NOTE_LIMIT].encode("utf-8", "backslashreplace").decode()
    with closing(_connect(path)) as connection:
        connection.execute(
            f"insert into marks ({column}, note, marked_ns) values (?, ?, ?)"  # noqa: S608 -- one of two constants
            f" on conflict ({column}) do update set note = {kept}, marked_ns = excluded.marked_ns",
            (id_, text, now_ns),
        )


def unmark(path: Path, kind: str, id_: str | int) -> None:
    """Takes a mark away, and its note. Raises sqlite3.Error when the file cannot be written."""
    with closing(_connect(path)) as connection:
        connection.execute(f"delete from marks where {_COLUMNS[kind]} = ?", (id_,))  # noqa: S608 -- as above


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: a file that has gone in the meantime is not made anew.
    location = f"file:{quote(str(path.absolute()))}?mode=rw"
    connection = sqlite3.connect(location, uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("pragma foreign_keys = on")
    except BaseException:
        connection.close()
        raise
    return connection
