"""Where reports go: a stream that can say what they say."""

from __future__ import annotations

from typing import TextIO


def printable(stream: TextIO) -> None:
    """Lets a stream whose encoding (ASCII, a code page) has no character for something replace it: no error."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None and (stream.encoding or "").lower().replace("-", "") not in ("utf8", "utf16"):
        reconfigure(errors="replace")
