"""A finding in words: the lines that its list's preview and its own screen share."""

from __future__ import annotations

from textual.content import Content

from traceaudit.safe import safe
from traceaudit_tui.rows import Finding
from traceaudit_tui.signs import ERROR, GOOD, MUTED
from traceaudit_tui.widgets.lines import wrapped


def facts(finding: Finding, width: int) -> list[Content]:
    """A finding's message, what was expected and observed, and the place in the code, if known."""
    rows: list[tuple[str, str, str]] = [
        ("", finding.message, ""),
        ("expected ", finding.expected, GOOD),
        ("observed ", finding.observed, ERROR),
    ]
    if finding.location:
        rows.append(("at       ", f"{finding.location}  {finding.function}".strip(), "bold"))
    lines: list[Content] = []
    for title, text, style in rows:
        if not text:
            continue
        indent = len(title)
        body = wrapped([(safe(text, 1000), style)], width, indent)
        if title and body:
            body[0] = Content.assemble((title, MUTED), body[0][indent:])
        lines += body
    return lines
