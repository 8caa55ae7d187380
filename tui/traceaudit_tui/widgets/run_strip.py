"""The lines on top of every screen: which run, what it amounts to, and the views to go to."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from traceaudit.safe import safe
from traceaudit_tui.rows import Summary
from traceaudit_tui.signs import MUTED, SERVICE_LIMIT, Part, day_and_clock, duration, service_text
from traceaudit_tui.verdict import tallies, verdict
from traceaudit_tui.widgets.lines import parts_length


@dataclass(frozen=True, slots=True)
class View:
    """One of the inspector's main views: the key that goes there, and its mode's name."""

    key: str
    mode: str
    title: str


VIEWS = (
    View("1", "matrix", "Matrix"),
    View("2", "findings", "Findings"),
    View("3", "requests", "Requests"),
    View("4", "exchanges", "Exchanges"),
    View("5", "uncaused", "Uncaused"),
    View("6", "coverage", "Coverage"),
)


SHORT_SERVICE = 20  # characters of the service's command where there is little room


def spread(left: list[Part], right: list[Part], width: int) -> Content:
    """Two ends of one line; where both do not fit, the left gives way."""
    rest = parts_length(right)
    start = Content.assemble(*left).truncate(max(0, width - rest - 1), ellipsis=True)
    return Content.assemble(start, " " * max(1, width - rest - start.cell_length), *right)


class Line(Widget):
    """One line made for the width it has."""

    ALLOW_SELECT = False

    def render(self) -> Content:
        """What it shows."""
        raise NotImplementedError


class RunLine(Line):
    """The run, and whether it is followed."""

    def __init__(self) -> None:
        super().__init__()
        self.summary = Summary()
        self.paused = False

    def render(self) -> Content:
        """``traceaudit  shop · run 1 of 2 · started … · took …``."""
        run, runs = self.summary.run, self.summary.runs
        ended = run is not None and run.ended_ns is not None
        right: Part = ("● following ", "$text-success") if not ended else ("■ ended ", MUTED)
        if self.paused:
            right = ("‖ paused ", "bold $text-warning")
        left: list[Part] = [(" traceaudit ", "bold $primary")]
        if run is None:
            return spread(left, [right], self.size.width)
        number = f"run {run.id} · " if runs > 1 else ""
        began = day_and_clock(run.started_ns)
        took = "not ended"
        if run.ended_ns is not None and run.started_ns is not None:
            took = duration(run.ended_ns - run.started_ns)
        room = self.size.width - parts_length([right]) - 1
        for service, facts in (
            (SERVICE_LIMIT, f"{number}{began} · {took}"),
            (SHORT_SERVICE, f"{number}{began} · {took}"),
            (SHORT_SERVICE, f"{number}{began}"),
            (SHORT_SERVICE, number.removesuffix(" · ")),
        ):
            shown = service_text(run.service, service) or "unnamed service"
            line: list[Part] = [*left, (f" {shown}", "bold"), (f"  {facts}", MUTED)]
            if parts_length(line) <= room:
                break
        return spread(line, [right], self.size.width)


class VerdictLine(Line):
    """What the run amounts to."""

    def __init__(self) -> None:
        super().__init__()
        self.summary = Summary()
        self.read = False

    def render(self) -> Content:
        """The sentence, and as much of what was seen as fits."""
        if not self.read:
            return Content.assemble((" reading…", MUTED))
        verdict_ = verdict(self.summary)
        left: list[Part] = [(f" {verdict_.sign} {safe(verdict_.sentence)}", verdict_.style)]
        room = self.size.width - parts_length(left) - 4
        right = next((parts for parts in tallies(self.summary) if parts_length(parts) <= room), [])
        return spread(left, [*right, (" ", "")], self.size.width)


class ViewTabs(Line):
    """The views, each with its key; a click goes there."""

    class Chosen(Message):
        """A view was clicked."""

        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.findings = 0

    def _tabs(self) -> list[tuple[View, Content]]:
        tabs: list[tuple[View, Content]] = []
        for view in VIEWS:
            here = view.mode == self.mode
            count = f" {self.findings}" if view.mode == "findings" and self.findings else ""
            style = "bold $foreground on $panel" if here else MUTED
            text = Content.assemble(
                (f" {view.key} ", "$text-primary"), (f"{view.title}{count} ", "underline" if here else "")
            )
            tabs.append((view, text.stylize_before(style)))
        return tabs

    def render(self) -> Content:
        """All of them in a row."""
        return Content.assemble(*(tab for _, tab in self._tabs()))

    def on_click(self, event: events.Click) -> None:
        """Goes to the view under the pointer."""
        x = 0
        for view, tab in self._tabs():
            x += tab.cell_length
            if event.x < x:
                self.post_message(self.Chosen(view.mode))
                return


class RunStrip(Vertical):
    """The three lines together."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.run_line = RunLine()
        self.tabs = ViewTabs(mode)
        self.verdict_line = VerdictLine()

    def compose(self) -> ComposeResult:
        """Run, verdict, views."""
        yield self.run_line
        yield self.verdict_line
        yield self.tabs

    def show(self, summary: Summary, *, paused: bool, read: bool = True) -> None:
        """Shows a run at another moment; ``read`` False: nothing has been read yet."""
        self.verdict_line.read = read
        self.run_line.summary = self.verdict_line.summary = summary
        self.run_line.paused = paused
        self.tabs.findings = len(summary.findings)
        for line in (self.run_line, self.verdict_line, self.tabs):
            line.refresh()
