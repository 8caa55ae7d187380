"""Keeps apart the tests that look for what killed runs have left behind: one would remove what another looks at."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone() -> Iterator[None]:
    """Holds the machine's leftovers for one test."""
    with (Path(tempfile.gettempdir()) / f"traceaudit-leftovers-{os.getuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
