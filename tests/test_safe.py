"""What `safe` keeps and what it escapes: the one gate between the wire and every sink."""

import unicodedata
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceaudit.safe import LIMIT, safe

CASES = [
    ("plain text is kept", "00-4bf9-00f0-01", "00-4bf9-00f0-01"),
    ("spaces are kept, also at the ends", " a  b ", " a  b "),
    ("markup is text like any other", "[bold]x[/] [/", "[bold]x[/] [/"),
    ("html is the sink's to quote", "<b>&amp;", "<b>&amp;"),
    ("latin-1 letters are kept", "café", "café"),
    ("wide characters are kept", "追踪", "追踪"),
    ("ESC", "\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
    ("C1 CSI", "\x9b31m", "\\x9b31m"),
    ("NUL", "a\x00b", "a\\x00b"),
    ("line ends and tabs", "a\r\n\tb", "a\\r\\n\\tb"),
    ("DEL", "\x7f", "\\x7f"),
    ("bidi override", "\u202egnp.exe", "\\u202egnp.exe"),
    ("bidi isolate", "\u2066x\u2069", "\\u2066x\\u2069"),
    ("zero-width", "a\u200bb\u200db\ufeff", "a\\u200bb\\u200db\\ufeff"),
    ("line separator", "\u2028", "\\u2028"),
    ("no-break space is no space", "a\xa0b", "a\\xa0b"),
    ("soft hyphen", "a\xadb", "a\\xadb"),
    ("lone surrogate", "\udc80", "\\udc80"),
    ("outside the basic plane", "\U000e0041", "\\U000e0041"),
    ("a backslash cannot pass for an escape", "\\x1b", "\\\\x1b"),
    ("nothing", "", ""),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_keeps_what_is_printable_and_escapes_the_rest(text: str, expected: str) -> None:
    assert expected == safe(text)


def test_a_long_text_is_cut_and_says_by_how_much() -> None:
    shown = safe("x" * 70_000)
    assert shown == "x" * LIMIT + "… (65,904 more)"


def test_a_text_of_exactly_the_limit_is_whole() -> None:
    assert safe("abcd", limit=4) == "abcd"
    assert safe("abcd", limit=3) == "abc… (1 more)"
    assert safe("x" * 70_000, limit=None) == "x" * 70_000


def test_the_cut_is_made_before_escaping_so_that_no_escape_is_halved() -> None:
    assert safe("\x1b\x1b\x1b", limit=1) == "\\x1b… (2 more)"


@given(st.text(st.characters(codec=None)))
def test_no_control_format_or_surrogate_character_survives(text: str) -> None:
    shown = safe(text)
    assert shown.isprintable()
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]
    shown.encode("utf-8")
    assert shown == (ElementTree.fromstring(f"<t>{escape(shown)}</t>").text or "")


@given(st.binary())
def test_bytes_can_be_read_back_from_what_was_shown(wire: bytes) -> None:
    text = wire.decode("latin-1")
    assert text == safe(text, limit=None).encode("latin-1", "backslashreplace").decode("unicode_escape")
