"""Compares a report with the file that holds it byte for byte; ``TRACEAUDIT_WRITE_GOLDENS=1`` writes the files anew."""

from __future__ import annotations

import os
from pathlib import Path

DIRECTORY = Path(__file__).with_name("goldens")


def assert_golden(name: str, text: str) -> None:
    path = DIRECTORY / name
    if os.environ.get("TRACEAUDIT_WRITE_GOLDENS"):
        path.write_bytes(text.encode())
    assert text.encode().split(b"\n") == path.read_bytes().split(b"\n")
