"""Opens an audit database for reading, or says in one sentence why it cannot be.

One that an older version has made is brought up to date first, where it can be written; where it cannot, only a table
of marks may be missing.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from traceaudit.safe import safe

RELIED_ON: dict[str, str] = {
    "runs": "id started_ns ended_ns command service version settings dropped_exchanges audit_errors",
    "exchanges": "id run_id direction started_ns response_started_ns ended_ns method scheme authority path route status"
    " http_version connection_id client_address server_address error minted",
    "headers": "exchange_id side position name value redacted",
    "links": "outbound_id inbound_id method probability rank evidence",
    "outcomes": "outbound_id inbound_id format outcome probability detail edge_id",
    "edges": "id run_id inbound_route outbound_authority outbound_route",
    "findings": "id run_id edge_id code slug severity confidence probability header message expected observed"
    " inbound_id outbound_id occurrences first_ns last_ns location function",
    "finding_occurrences": "finding_id outbound_id inbound_id probability",
    "propagation_matrix": "run_id edge_id inbound_route outbound_authority outbound_route format outcome count share",
    "uncaused_calls": "id run_id method authority path route",
    "marks": "exchange_id finding_id note marked_ns",
}
"""The tables and views that reports, exports and the inspector read, and the columns they need; DESIGN 7."""

MAGIC = b"SQLite format 3\x00"  # https://www.sqlite.org/fileformat2.html#magic_header_string
BUSY_S = 5.0  # what python's sqlite3 waits by default for another process's lock


class NotAnAuditError(ValueError):
    """The file is there, and is not an audit database that this version can read; the message is for people."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a database has to be opened. ``immutable``: nobody can write where it is, and SQLite is not to lock it.
    ``marks`` False: it has no table of marks and cannot be given one; connections see an empty one."""

    immutable: bool = False
    marks: bool = True


def connect(path: Path, *, immutable: bool = False, marks: bool = True) -> sqlite3.Connection:
    """A connection that only reads. Text that is no UTF-8 is kept as lone surrogates, which ``safe`` escapes."""
    # SQLite's mode=ro leaves an empty log behind, since it may not remove it: "rw" is for tidying up, not for writing.
    tidy = not immutable and _writable(path)
    location = f"file:{quote(str(path.absolute()))}?mode={'rw' if tidy else 'ro'}{'&immutable=1' if immutable else ''}"
    connection = sqlite3.connect(location, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    if not marks:
        connection.execute("create temp table marks (id, exchange_id, finding_id, note, marked_ns)")
    connection.execute("pragma query_only = on")
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    connection.row_factory = sqlite3.Row
    return connection


def log_of(database: Path) -> Path:
    """Where `run --tui` keeps what the service and the audit said while the inspector had the terminal."""
    return database.with_name(f"{database.name}.log")


def open_audit(path: Path) -> tuple[sqlite3.Connection, Access]:
    """A connection to a database of which it is known that it can be read, and how others are to be made.

    Raises FileNotFoundError when there is no such file and NotAnAuditError when it is something else; both carry a
    sentence for people.
    """
    shown = safe(str(path))
    try:
        if not path.exists():
            raise FileNotFoundError(f"There is no file {shown}.")
        _look_at_file(path, shown)
    except PermissionError as error:
        raise NotAnAuditError(f"{shown} cannot be read: permission denied.") from error
    try:
        return _opened(path, shown)
    except sqlite3.Error as error:
        raise NotAnAuditError(f"{shown} cannot be read as an audit database: {safe(str(error))}.") from error


def _opened(path: Path, shown: str) -> tuple[sqlite3.Connection, Access]:
    connection, immutable = connect(path), False
    try:
        try:
            connection.execute("select 1 from sqlite_schema limit 1").fetchone()
        except sqlite3.OperationalError as error:
            # A write-ahead log needs its shared memory beside it, which a read-only directory does not allow.
            if "locked" in str(error) or _log_of(path) > 0:
                raise
            connection.close()
            connection, immutable = connect(path, immutable=True), True
        missing = _missing(connection, shown)
        if missing and _is_older(connection, shown, missing):
            if _writable(path) and not immutable:
                _bring_up_to_date(path, shown)
                missing = _missing(connection, shown)
            elif missing == ["marks"]:
                connection.close()
                return connect(path, immutable=immutable, marks=False), Access(immutable, marks=False)
        if missing:
            _refuse(connection, shown, missing)
    except BaseException:
        connection.close()
        raise
    return connection, Access(immutable)


def _is_older(connection: sqlite3.Connection, shown: str, missing: list[str]) -> bool:
    """Whether this version knows how to add what is missing. Raises NotAnAuditError for a newer version's file."""
    from traceaudit.store.schema import MIGRATIONS  # noqa: PLC0415 -- sqlite-utils takes longer than opening does

    try:
        rows = connection.execute("select name from _sqlite_migrations where migration_set = ?", (MIGRATIONS.name,))
        applied = {row["name"] for row in rows}
    except sqlite3.OperationalError:
        return False
    ours = [each.name for each in MIGRATIONS._migrations]
    if applied - set(ours):
        raise NotAnAuditError(
            f"{shown} was made by a newer version of traceaudit, and this one misses {_listed(missing)} in it: "
            "install the newer one."
        )
    return bool(applied) and bool(set(ours) - applied)


def _bring_up_to_date(path: Path, shown: str) -> None:
    from sqlite_utils import Database  # noqa: PLC0415 -- as above

    from traceaudit.store.schema import MIGRATIONS  # noqa: PLC0415 -- as above

    try:
        with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection:
            MIGRATIONS.apply(Database(connection))
    except sqlite3.Error as error:
        raise NotAnAuditError(
            f"{shown} was made by an older version of traceaudit and cannot be brought up to date: {safe(str(error))}."
        ) from error


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)


def _listed(missing: list[str]) -> str:
    return ", ".join(missing[:3]) + (" and more" if len(missing) > 3 else "")


def _refuse(connection: sqlite3.Connection, shown: str, missing: list[str]) -> NoReturn:
    if _is_older(connection, shown, missing):
        raise NotAnAuditError(
            f"{shown} was made by an older version of traceaudit and cannot be brought up to date, since it cannot be "
            "written: copy it to a place of your own."
        )
    verb = "is" if len(missing) == 1 else "are"
    raise NotAnAuditError(f"{shown} was made by another version of traceaudit: {_listed(missing)} {verb} missing.")


def _log_of(path: Path) -> int:
    log = path.with_name(path.name + "-wal")
    return log.stat().st_size if log.exists() else 0


def _look_at_file(path: Path, shown: str) -> None:
    """What the first hundred bytes say. https://www.sqlite.org/fileformat2.html#the_database_header"""
    if not path.is_file():
        raise NotAnAuditError(f"{shown} is not a file.")
    with path.open("rb") as file:
        head = file.read(100)
    size = path.stat().st_size
    if not size:
        # A run that has only just started may have everything in its write-ahead log.
        if not _log_of(path):
            raise NotAnAuditError(f"{shown} is empty: nothing has been written to it yet.")
        return
    if not head.startswith(MAGIC):
        raise NotAnAuditError(f"{shown} is not an audit database: it is no SQLite file.")
    page_size = int.from_bytes(head[16:18], "big")
    page_size = 65_536 if page_size == 1 else page_size
    pages = int.from_bytes(head[28:32], "big")
    # "The in-header database size is only considered to be valid if it is non-zero and if the 4-byte change counter at
    # offset 24 exactly matches the 4-byte version-valid-for number at offset 92."
    valid = pages > 0 and head[24:28] == head[92:96]
    # While a checkpoint is copying its log's pages, the file may be shorter than its header says.
    if len(head) < 100 or (valid and size < pages * page_size and not _log_of(path)):
        raise NotAnAuditError(f"{shown} is truncated: {size:,} bytes of {max(100, pages * page_size):,} are there.")


def _missing(connection: sqlite3.Connection, shown: str) -> list[str]:
    """What of RELIED_ON is not there. Raises NotAnAuditError where hardly anything is."""
    names = {
        row["name"] for row in connection.execute("select name from sqlite_schema where type in ('table', 'view')")
    }
    if not names:
        raise NotAnAuditError(f"{shown} is an empty database: it has no tables.")
    if not names & {"exchanges", "findings", "finding_occurrences"}:
        raise NotAnAuditError(f"{shown} is a SQLite file, but not an audit database.")
    missing: list[str] = []
    for table, columns in RELIED_ON.items():
        if table not in names:
            missing.append(table)
            continue
        there = {row["name"] for row in connection.execute("select name from pragma_table_info(?)", (table,))}
        missing += [f"{table}.{column}" for column in columns.split() if column not in there]
    return missing
