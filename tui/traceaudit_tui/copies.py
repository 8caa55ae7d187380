"""Forms in which an exchange or a finding is copied: a curl command, its headers, Markdown. All of it is harmless text.

What came over the wire is quoted for the shell so that it can do nothing there, and whatever is not printable becomes
an escape: a clipboard is a sink like any other.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from traceaudit.exchange import Confidence
from traceaudit.safe import safe
from traceaudit.store.reader import HeaderRow
from traceaudit_tui.rows import Exchange, Finding
from traceaudit_tui.signs import clock, edge_text, probability_text, request_text

HOP_BY_HOP = frozenset(
    ("connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
     "upgrade")
)  # fmt: skip
"""What curl makes for itself. https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1"""


def shell_word(text: str) -> str:
    """One word to a shell, of printable characters only. $'…' is bash's, zsh's and POSIX's of 2024."""
    if text.isprintable():
        return shlex.quote(text)
    # One character of a header stands for one byte; beyond that, UTF-8 is what a terminal sends.
    try:
        raw = text.encode("latin-1") if max(map(ord, text)) <= 0xFF else text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "backslashreplace")
    printed = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and chr(byte) not in "'\\" else f"\\x{byte:02x}" for byte in raw if byte
    )
    return f"$'{printed}'"


def command(words: Sequence[str]) -> str:
    """Words as one line for a shell."""
    return " ".join(map(shell_word, words))


def quoted(text: str) -> str:
    """A text as a filter's value."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def curl(exchange: Exchange, headers: Sequence[HeaderRow]) -> str:
    """The request again; headers that curl makes for itself and those that were not recorded are left out."""
    lines = ["curl -i" + ("" if exchange.method == "GET" else f" -X {shell_word(exchange.method)}")]
    for header in headers:
        if header.redacted or header.name.lower() in HOP_BY_HOP:
            continue
        # A header without a value is sent with `;`. https://curl.se/docs/manpage.html#-H
        text = f"{header.name}: {header.value}" if header.value else f"{header.name};"
        lines.append(f"  -H {shell_word(text)}")
    lines.append(f"  {shell_word(f'http://{exchange.authority}{exchange.path}')}")
    return " \\\n".join(lines)


def header_lines(headers: Sequence[HeaderRow]) -> str:
    """``name: value`` a line."""
    return "\n".join(
        f"{safe(each.name, None)}: {'[redacted]' if each.redacted else safe(each.value, None)}" for each in headers
    )


def exchange_markdown(exchange: Exchange, headers: Sequence[HeaderRow]) -> str:
    """For an issue or a chat."""
    status = exchange.error or str(exchange.status or "no answer")
    title = f"**{_code(request_text(exchange))}** {_code(exchange.id)} at {clock(exchange.started_ns)} UTC"
    return f"{title}: {_text(status)}\n\n{_fence(header_lines(headers))}\n"


def finding_markdown(finding: Finding) -> str:
    """For an issue or a chat."""
    sure = f"{finding.confidence}, {probability_text(finding.probability)}"
    if finding.confidence == Confidence.PROVEN:
        sure = finding.confidence
    lines = [
        f"**{_text(finding.code)} {_text(finding.slug)}** ({_text(finding.severity)}, {_text(sure)}) "
        f"{_code(edge_text(finding.edge))}, {finding.occurrences:,}×",
        "",
        _text(finding.message),
        "",
    ]
    judged = (("expected", finding.expected), ("observed", finding.observed))
    lines += [f"- {name}: {_code(text)}" for name, text in judged if text]
    if finding.location:
        lines.append(f"- at: {_code(finding.location)} {_text(finding.function)}".rstrip())
    lines.append(f"- how to fix it: `traceaudit rule {_text(finding.code)}`")
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """Text that is not read as Markdown or HTML. https://spec.commonmark.org/0.31.2/#backslash-escapes"""
    return re.sub(r"([`*_{}\[\]<>#+!|~&])", r"\\\1", safe(text, None))


def _code(text: str) -> str:
    """A code span that whatever is in it cannot end. https://spec.commonmark.org/0.31.2/#code-spans"""
    shown = safe(text, None)
    ticks = "`" * (_longest_run(shown) + 1)
    return f"{ticks} {shown} {ticks}" if "`" in shown else f"`{shown}`"


def _fence(text: str) -> str:
    ticks = "`" * max(3, _longest_run(text) + 1)
    return f"{ticks}http\n{text}\n{ticks}"


def _longest_run(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
