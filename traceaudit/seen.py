"""Remembers in a fixed room that something was there, not what it was (Bloom's filter).

Of what it was told it never says that it was not. Of what it was not told it says so hardly ever: with room for
64 bits each, of one in 70,000; with ten bits each, of one in a hundred; told far too much, of everything. So the answer
"it was not there" is always right, and one that leans on it accuses nobody wrongly.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct

ROOM = 16 * 1024 * 1024
"""Bytes: a million things with next to no mistake, and ten million with one in two hundred."""

_PLACES = Struct("<4I").unpack


class Seen:
    """Things by their names; ``room`` is in bytes, a power of two up to 512 MiB."""

    def __init__(self, room: int = ROOM) -> None:
        self._bits = bytearray(room)  # Pages that nothing was written to take no memory.
        self._mask = room * 8 - 1

    def add(self, name: str) -> bool:
        """Remembers it; whether it was there before, or looks like it."""
        bits, mask, there = self._bits, self._mask, True
        for place in _PLACES(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()):
            at, bit = (place & mask) >> 3, 1 << (place & 7)
            if not bits[at] & bit:
                there = False
                bits[at] |= bit
        return there

    def __contains__(self, name: str) -> bool:
        """Whether it was added, or looks like it."""
        bits, mask = self._bits, self._mask
        for place in _PLACES(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()):
            if not bits[(place & mask) >> 3] & 1 << (place & 7):
                return False
        return True
