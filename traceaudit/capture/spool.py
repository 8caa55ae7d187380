"""Puts the exchanges of a recording aside until all have been read, and gives them back in the order of time.

Theory of operation. Every exchange is packed into a few hundred bytes. As long as these are few they stay in memory;
beyond :data:`ROOM` they go to a temporary file of SQLite's, which sorts what does not fit into memory and is gone with
the process. Header values may be secrets, and no secret is to reach the disk: what is written there is enciphered with
a key that is nowhere but in this process.
"""

from __future__ import annotations

import marshal
import secrets
import sqlite3
from collections.abc import Iterator
from hashlib import shake_256
from operator import attrgetter

from traceaudit.exchange import Direction, Exchange
from traceaudit.formats.context import Format

ROOM = 8 * 1024 * 1024
"""Bytes of packed exchanges that are kept in memory."""

_TABLE = """create table spooled (number integer primary key, id blob not null unique, started_ns integer not null,
    packed blob not null)"""

_FIELDS = (
    "id", "started_ns", "method", "authority", "path", "request_headers", "scheme", "http_version",
    "response_started_ns", "ended_ns", "status", "error", "connection_id", "client_address", "server_address",
    "response_headers",
)  # fmt: skip
_VALUES = attrgetter(*_FIELDS)


class SpoolError(OSError):
    """The temporary file cannot be written or read; the message is for people."""


class Spool:
    """Exchanges in any order; :meth:`in_order` gives them by their starts, and by their ids where those are alike."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._waiting: dict[str, tuple[int, bytes]] = {}
        """By id, the start and the packed exchange of what is not in the file yet."""
        self._bytes = 0
        self._file: sqlite3.Connection | None = None
        self._key = secrets.token_bytes(32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, id_: str) -> bool:
        if id_ in self._waiting:
            return True
        if self._file is None:
            return False
        try:
            found = self._file.execute("select 1 from spooled where id = ?", (_sortable(id_),))
            return found.fetchone() is not None
        except sqlite3.Error as error:
            raise _told(error) from error

    def add(self, exchange: Exchange) -> bool:
        """Takes an exchange; ``False``: one of its id is here already, and this one is not taken."""
        if exchange.id in self:
            return False
        packed = marshal.dumps(
            (exchange.direction.value, [format_.value for format_ in exchange.minted], _VALUES(exchange))
        )
        self._waiting[exchange.id] = exchange.started_ns, packed
        self._bytes += len(packed)
        self._count += 1
        if self._bytes > self._room:
            self._write()
        return True

    def in_order(self) -> Iterator[Exchange]:
        """Every exchange; may be asked again."""
        if self._file is None:
            for _, (_, packed) in sorted(self._waiting.items(), key=lambda item: (item[1][0], item[0])):
                yield _unpacked(packed)
            return
        self._write()
        try:
            rows = self._file.execute("select number, packed from spooled order by started_ns, id")
            for number, packed in rows:
                yield _unpacked(self._ciphered(packed, number))
        except sqlite3.Error as error:
            raise _told(error) from error

    def _write(self) -> None:
        try:
            if self._file is None:
                # The empty name: a file of its own, in the directory for such. https://www.sqlite.org/tempfiles.html
                self._file = sqlite3.connect("", isolation_level=None)
                for pragma in ("journal_mode = off", "synchronous = off", "temp_store = file"):
                    self._file.execute(f"pragma {pragma}")
                self._file.execute(_TABLE)
            self._file.execute("begin")
            first = self._count - len(self._waiting)
            self._file.executemany(
                "insert into spooled values (?, ?, ?, ?)",
                [
                    (number, _sortable(id_), started_ns, self._ciphered(packed, number))
                    for number, (id_, (started_ns, packed)) in enumerate(self._waiting.items(), first)
                ],
            )
            self._file.execute("commit")
        except sqlite3.Error as error:
            raise _told(error) from error
        self._waiting.clear()
        self._bytes = 0

    def _ciphered(self, text: bytes, number: int) -> bytes:
        """The text enciphered, or the other way: a stream made of the key and of the number, which is never the same
        for two, is added to it.
        """
        size = len(text)
        stream = shake_256(self._key + number.to_bytes(8)).digest(size)
        return (int.from_bytes(text) ^ int.from_bytes(stream)).to_bytes(size)


def _unpacked(packed: bytes) -> Exchange:
    direction, minted, values = marshal.loads(packed)  # noqa: S302  (what this process has packed)
    fields = dict(zip(_FIELDS, values, strict=True))
    return Exchange(direction=Direction(direction), minted=[Format(name) for name in minted], **fields)


def _sortable(id_: str) -> bytes:
    """Bytes that sort as the text does; a lone surrogate is no text to SQLite."""
    return id_.encode("utf-8", "surrogatepass")


def _told(error: sqlite3.Error) -> SpoolError:
    return SpoolError(
        f"the recording is not in the order of time, and sorting it needs room: {error}; "
        "name a directory that has it with SQLITE_TMPDIR"
    )
