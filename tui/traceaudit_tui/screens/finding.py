"""One finding: what was expected and observed, both requests side by side, and why they are said to belong together."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget

from traceaudit.safe import safe
from traceaudit_tui.copies import quoted
from traceaudit_tui.rows import Exchange, Finding
from traceaudit_tui.screens.base import Subject
from traceaudit_tui.screens.rule import RulePage, RuleScreen
from traceaudit_tui.screens.searching import SearchedScreen
from traceaudit_tui.signs import (
    MUTED,
    Part,
    clock,
    confidence_sign,
    edge_text,
    name,
    outcome_part,
    probability_text,
    severity_sign,
)
from traceaudit_tui.widgets.envoy import EnvoyVerdicts
from traceaudit_tui.widgets.evidence import Evidence
from traceaudit_tui.widgets.finding_facts import facts
from traceaudit_tui.widgets.header_comparison import HeaderComparison
from traceaudit_tui.widgets.lines import Lines, flowed, wrapped
from traceaudit_tui.widgets.pager import Pager
from traceaudit_tui.widgets.run_strip import spread


class FindingHead(Lines):
    """The finding's first lines, and which of its occurrences is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.finding: Finding | None = None
        self.place = ""
        self.occurrence: list[list[Part]] = []
        self.note: str | None = None
        """What a person has noted on it, perhaps nothing; None: it is not marked."""

    def lines(self, width: int) -> list[Content]:
        """Title, edge, facts, occurrence."""
        finding = self.finding
        if finding is None:
            return [Content.assemble(("This finding is no longer there: the audit has changed its mind.", MUTED))]
        severity, confidence = severity_sign(finding.severity), confidence_sign(finding.confidence)
        title: list[Part] = [
            (f"{severity.sign} {name(finding.code)} {name(finding.slug)}", severity.style),
            (f"  {confidence.sign} {name(finding.confidence)}", confidence.style),
            (f" {probability_text(finding.probability)}", MUTED),
        ]
        lines = [spread(title, [(self.place, MUTED)], width)]
        lines += wrapped([(edge_text(finding.edge), "bold")], width)
        lines += facts(finding, width)
        if self.note is not None:
            lines += wrapped([("* ", "bold $text-warning"), (safe(self.note) or "marked", "italic")], width)
        if self.occurrence:
            lines += flowed(self.occurrence, width)
        return [*lines, Content("")]


class FindingScreen(SearchedScreen):
    """A finding and its occurrences, one at a time."""

    MODE = "findings"
    TITLE = "Finding"
    ABOUT = (
        "The request that came in and the call that went out, byte for byte. ✘ a trace header that is gone, ≠ one that "
        "changed (the differing part underlined), + one that was added. Below: why the one is said to have caused the "
        "other."
    )
    FOCUS = Pager
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "occurrence(1)", "Next call", id="occurrence.next", key_display="→"),
        Binding("left,h", "occurrence(-1)", "Previous call", id="occurrence.previous", show=False),
        Binding("e", "step(1)", "Next finding", id="finding.next"),
        Binding("E", "step(-1)", "Previous finding", id="finding.previous", show=False),
        Binding("w", "waterfall", "Waterfall", id="finding.waterfall"),
        Binding("r", "rule", "Rule", id="finding.rule"),
        Binding("v", "whole", "Whole values", id="finding.whole", show=False),
    ]

    def __init__(self, finding: Finding, call_id: str | None = None) -> None:
        """At one of its occurrences; ``call_id`` None: at its example."""
        super().__init__()
        self._finding = finding
        self._keys: array[int] = array("q")
        self._index = 0
        self._head = FindingHead()
        self._comparison = HeaderComparison()
        self._evidence = Evidence()
        self._envoy = EnvoyVerdicts()
        self._inbound: Exchange | None = None
        self._call_id: str | None = call_id or finding.outbound_id

    @property
    def finding(self) -> Finding:
        """The finding that is shown."""
        return self._finding

    @property
    def occurrence(self) -> int:
        """Which of its occurrences, counted from 0."""
        return self._index

    def body(self) -> Iterable[Widget]:
        """The case on the left, the rule's page beside it where there is room."""
        yield Horizontal(
            Pager(self._head, self._comparison, self._evidence, self._envoy, id="case"),
            RulePage(id="page"),
            id="finding",
        )

    def update_view(self) -> None:
        """Reads the finding anew, at the occurrence that is being looked at."""
        findings = self.inspector.summary.findings
        here = next((i for i, each in enumerate(findings) if each.identity == self._finding.identity), None)
        if here is None:
            self._head.finding = None
            self._head.changed()
            return
        self._finding = self._head.finding = findings[here]
        self._head.place = f"finding {here + 1} of {len(findings)}"
        self.query_one(RulePage).show(self._finding.code)
        self._show_call(self._call_id)
        self._read_occurrences()

    @work(exclusive=True, group="occurrences")
    async def _read_occurrences(self) -> None:
        finding = self._finding

        def read() -> array[int]:
            with self.inspector.audit.apart() as audit:
                return audit.occurrence_keys(finding.id)

        self._keys = await asyncio.to_thread(read)
        call = self.inspector.audit.exchange(self._call_id)
        if call is not None and call.key in self._keys:
            self._index = self._keys.index(call.key)
            self._say_occurrence(call)
        elif self._keys:
            self._index = min(self._index, len(self._keys) - 1)
            self._show_occurrence()

    def _show_occurrence(self) -> None:
        key = self._keys[self._index]
        call = self.inspector.audit.exchanges([key]).get(key)
        if call is not None:
            self._show_call(call.id)

    def _show_call(self, call_id: str | None) -> None:
        audit = self.inspector.audit
        self._call_id = call_id
        call = audit.exchange(call_id)
        if call is None:
            inbound = audit.exchange(self._finding.inbound_id)
            self._comparison.display = inbound is not None
            self._inbound = inbound
            self._comparison.show(inbound, None, audit.headers(inbound.id) if inbound else [], [], [])
            self._evidence.show(None, [], 0)
            self._envoy.show([], None)
            self._head.occurrence = []
            self._head.changed()
            return
        candidates, total = audit.candidates(call.id)
        self._inbound = candidates[0].inbound if candidates else None
        left = audit.headers(self._inbound.id) if self._inbound else []
        self._comparison.display = True
        right = audit.headers(call.id)
        self._comparison.show(self._inbound, call, left, right, audit.judged(call.id))
        self._evidence.show(call, candidates, total, self._finding.probability)
        self._envoy.show(left, right)
        self._say_occurrence(call)

    def _say_occurrence(self, call: Exchange) -> None:
        total = len(self._keys) or self._finding.occurrences
        place = f"{self._index + 1:,} of {total:,}" if self._keys else f"one of {total:,}"
        seen: Part = (f"← {place} →", "bold $text-primary" if total > 1 else MUTED)
        self._head.occurrence = [[seen, (f"  {clock(call.started_ns)}", MUTED)]]
        if call.id != self._finding.outbound_id and self._finding.outbound_id:
            self._head.occurrence.append([(f"the words above are of {name(self._finding.outbound_id)}", MUTED)])
        self._head.occurrence += [[outcome_part(each)] for each in self.inspector.audit.judged(call.id)]
        self._head.changed()

    def action_occurrence(self, by: int) -> None:
        """The next or previous occurrence; stops at both ends."""
        wanted = self._index + by
        if 0 <= wanted < len(self._keys):
            self._index = wanted
            self._show_occurrence()
        elif self._keys:
            self.notify("This is the last occurrence." if by > 0 else "This is the first occurrence.", markup=False)

    def action_step(self, by: int) -> None:
        """The next or previous finding of the list."""
        findings = self.inspector.summary.findings
        here = next((i for i, each in enumerate(findings) if each.identity == self._finding.identity), -1)
        if not 0 <= here + by < len(findings):
            self.notify("This is the last finding." if by > 0 else "This is the first finding.", markup=False)
            return
        self._finding = findings[here + by]
        self._call_id, self._index, self._keys = self._finding.outbound_id, 0, array("q")
        self.query_one("#case", Pager).scroll_home(animate=False)
        self.update_view()
        self.marks_changed()

    def action_waterfall(self) -> None:
        """The request with all of its calls."""
        from traceaudit_tui.screens.waterfall import WaterfallScreen  # noqa: PLC0415 -- which opens findings

        if self._inbound is None:
            self.notify("No request is known to have caused this call.", markup=False)
        else:
            self.app.push_screen(WaterfallScreen(self._inbound.id, self._call_id))

    def action_whole(self) -> None:
        """Long header values in full, or cut again."""
        self._comparison.turn_whole()

    def action_rule(self) -> None:
        """The rule's page, over the whole screen."""
        self.app.push_screen(RuleScreen(self._finding.code))

    def subject(self) -> Subject:
        """The finding."""
        return self._finding

    def marks_changed(self) -> None:
        """Shows the mark and the note."""
        self._head.note = self.inspector.marks.findings.get(self._finding.id)
        self._head.changed()

    def listed_findings(self) -> list[Finding]:
        """What is shown, to be saved."""
        return [self._finding]

    def command_words(self) -> list[str]:
        """A report of this finding."""
        words = [f"code:{self._finding.code}"]
        if self._finding.outbound_id:
            words.append(f"id:{quoted(self._finding.outbound_id)}")
        return ["report", "--where", " ".join(words)]
