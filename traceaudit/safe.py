"""Makes text that came over the wire harmless at every sink: terminal, report, SVG, XML, notification.

Neither markup-free text objects nor ``markup=False`` stop a terminal escape: a header value has renamed a terminal
pane. A character is kept if :meth:`str.isprintable` says so and it is no backslash; all others become their Python
escape (ESC ``\\x1b``, bidi and zero-width ``\\u202e``, lone surrogates ``\\udc80``, the backslash itself ``\\\\``), so
that what is shown can be read back to the byte. What is left is valid in XML too, once ``&<>`` are escaped.
"""

from __future__ import annotations

LIMIT = 4096
"""Characters shown of one text: 8,190 bytes is a common server's limit for a whole header line (httpd's
``LimitRequestFieldSize``), and half of that still fits a screen."""


def safe(text: str, limit: int | None = LIMIT) -> str:
    """``text`` with everything escaped that is not printable, and one line.

    Of a text longer than ``limit`` characters the beginning is shown, and how many characters were left out; ``None``:
    show all. Reading back what was shown whole gives the text again: ``shown.encode("latin-1",
    "backslashreplace").decode("unicode_escape")`` for characters below U+0100.
    """
    rest = 0
    if limit is not None and len(text) > limit:
        rest = len(text) - limit
        text = text[:limit]
    if not text.isprintable() or "\\" in text:
        text = "".join(map(_escaped, text))
    return f"{text}… ({rest:,} more)" if rest else text


def _escaped(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    return character.encode("unicode_escape").decode("ascii")
