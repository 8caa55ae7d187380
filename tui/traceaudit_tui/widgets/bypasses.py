"""Below the calls without a cause: where the service went round the audit, so that there are no calls to be listed."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.message import Message

from traceaudit_tui.rows import Finding
from traceaudit_tui.signs import ERROR, MUTED, Part, name, short_authority, short_count
from traceaudit_tui.widgets.lines import Lines, flowed, rule

MOST = 12  # named one by one


class Bypasses(Lines):
    """Hidden where nothing did. A click opens the finding."""

    class Clicked(Message):
        """The finding is asked for."""

    def __init__(self) -> None:
        super().__init__(classes="preview")
        self.display = False
        self._findings: Sequence[Finding] = ()

    def show(self, findings: Sequence[Finding]) -> None:
        """Other findings; none: nothing went round the audit."""
        self._findings = findings
        self.display = bool(findings)
        self.changed()

    def lines(self, width: int) -> list[Content]:
        """The upstreams, and how many connections were seen to each."""
        chunks: list[list[Part]] = []
        for each in self._findings[:MOST]:
            upstream = name(short_authority(each.edge.outbound_authority)) if each.edge else name(each.header)
            times = f" {short_count(each.occurrences)}×" if each.occurrences else ""
            chunks.append([(f"! {upstream}", f"bold {ERROR}"), (times, MUTED)])
        if len(self._findings) > MOST:
            chunks.append([(f"and {len(self._findings) - MOST} more", MUTED)])
        return [rule("went round the audit: b shows why", width), *flowed(chunks, width)]

    def on_click(self, event: events.Click) -> None:
        """As its key."""
        event.stop()
        self.post_message(self.Clicked())
