"""One outbound call that need not have a finding: its headers beside those of the request that caused it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from traceaudit.safe import safe
from traceaudit_tui.copies import quoted
from traceaudit_tui.rows import Exchange
from traceaudit_tui.screens.base import Subject
from traceaudit_tui.screens.opening_findings import first_finding, open_finding
from traceaudit_tui.screens.searching import SearchedScreen
from traceaudit_tui.signs import MUTED, Part, clock, name, outcome_part, request_text
from traceaudit_tui.widgets.envoy import EnvoyVerdicts
from traceaudit_tui.widgets.evidence import Evidence
from traceaudit_tui.widgets.header_comparison import HeaderComparison
from traceaudit_tui.widgets.lines import Lines, flowed, wrapped
from traceaudit_tui.widgets.pager import Pager


class CallHead(Lines):
    """What the call is, what became of each format, and the findings about it."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks: list[list[Part]] = []
        self.note: str | None = None
        """What a person has noted on it, perhaps nothing; None: it is not marked."""

    def lines(self, width: int) -> list[Content]:
        """As many as it takes."""
        lines = flowed(self.chunks, width)
        if self.note is not None:
            lines += wrapped([("* ", "bold $text-warning"), (safe(self.note) or "marked", "italic")], width)
        return [*lines, Content("")]


class CallScreen(SearchedScreen):
    """A call and its cause."""

    MODE = "exchanges"
    TITLE = "Call"
    ABOUT = (
        "One call beside the request that is said to have caused it: headers byte for byte, what became of each trace "
        "header, and why the one is believed to have caused the other."
    )
    FOCUS = Pager
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f,e", "finding", "Finding", id="call.finding"),
        Binding("w", "waterfall", "Waterfall", id="finding.waterfall"),
        Binding("v", "whole", "Whole values", id="finding.whole", show=False),
    ]

    def __init__(self, call_id: str) -> None:
        super().__init__()
        self._call_id = call_id
        self._inbound: Exchange | None = None
        self._head = CallHead()
        self._comparison = HeaderComparison()
        self._evidence = Evidence()
        self._envoy = EnvoyVerdicts()

    def body(self) -> Iterable[Widget]:
        """All in one page."""
        yield Pager(self._head, self._comparison, self._evidence, self._envoy, id="case")

    def update_view(self) -> None:
        """Reads the call anew."""
        audit = self.inspector.audit
        call = audit.exchange(self._call_id)
        if call is None:
            self._head.chunks = [[("This call is not in the database.", MUTED)]]
            self._head.changed()
            return
        candidates, total = audit.candidates(call.id)
        self._inbound = candidates[0].inbound if candidates else None
        judged = audit.judged(call.id)
        self._head.chunks = [[(request_text(call), "bold"), (f"  {clock(call.started_ns)}", MUTED)]]
        self._head.chunks += [[outcome_part(each)] for each in judged]
        self._head.chunks += [[(f"finding {name(code)}", "bold $text-error")] for code in call.faults.split()]
        self._head.changed()
        left = audit.headers(self._inbound.id) if self._inbound else []
        right = audit.headers(call.id)
        self._comparison.show(self._inbound, call, left, right, judged)
        self._evidence.show(call, candidates, total)
        self._envoy.show(left, right)

    def action_finding(self) -> None:
        """The finding that the call is an occurrence of."""
        open_finding(self, first_finding(self.inspector, self._call_id))

    def action_waterfall(self) -> None:
        """The request with all of its calls."""
        from traceaudit_tui.screens.waterfall import WaterfallScreen  # noqa: PLC0415 -- which opens calls

        if self._inbound is None:
            self.notify("No request is known to have caused this call.", markup=False)
        else:
            self.app.push_screen(WaterfallScreen(self._inbound.id, self._call_id))

    def action_whole(self) -> None:
        """Long header values in full, or cut again."""
        self._comparison.turn_whole()

    def subject(self) -> Subject:
        """The call."""
        return self.inspector.audit.exchange(self._call_id)

    def marks_changed(self) -> None:
        """Shows the mark and the note."""
        call = self.subject()
        self._head.note = self.inspector.marks.exchanges.get(call.key) if isinstance(call, Exchange) else None
        self._head.changed()

    def command_words(self) -> list[str]:
        """The call in an exchange log."""
        return ["export", "--where", f"id:{quoted(self._call_id)}"]
