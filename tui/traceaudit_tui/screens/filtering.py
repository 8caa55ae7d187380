"""What every view that can be filtered has: the prompt's question, the filter, its line, and the keys for them."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from traceaudit.filters import FIELDS, Filter, FilterError, parse
from traceaudit.safe import safe
from traceaudit_tui.screens.base import AuditScreen
from traceaudit_tui.screens.reading import TextScreen
from traceaudit_tui.widgets.filter_line import FilterLine
from traceaudit_tui.widgets.prompt import Question

HINT = 'code:TP001 edge:"* -> inventory*" status>=500 outcome:dropped since:5m text'


def question(value: str = "") -> Question:
    """What asks for a filter."""
    return Question("filter", "/", HINT, check, value, [f"{name}:" for name in FIELDS])


def check(text: str) -> tuple[bool, str]:
    """What a filter would do, or why it means nothing."""
    try:
        filter_ = parse(text)
    except FilterError as error:
        return False, safe(str(error))
    return True, "looks at every exchange's headers, links or outcomes: may take a while" if filter_.slow else "fine"


class FilteredScreen(AuditScreen):
    """A view with a filter. Subclasses use ``filter`` in ``update_view``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="filter.edit", key_display="/"),
        Binding("n", "match(1)", "Next match", id="filter.next", show=False),
        Binding("N", "match(-1)", "Previous match", id="filter.previous", show=False),
        Binding("a", "show_all", "All, or only what matches", id="filter.all", show=False),
        Binding("S", "sql", "The filter's SQL", id="filter.sql", show=False),
    ]

    FINDS: ClassVar[str] = "exchanges"
    """What its filter means: exchanges or findings."""

    def __init__(self) -> None:
        super().__init__()
        self.filter: Filter | None = None
        self.given: Filter | None = None
        """The filter that it was opened with; None: without one."""
        self.showing_all = False

    def set_filter(self, text: str) -> None:
        """Another filter; an empty text: none."""
        filter_ = parse(text)
        self.filter = filter_ if filter_ else None
        if self.given is not None and self.given == filter_:
            self.filter = self.given
        self.showing_all = False
        self.query_one(FilterLine).show(self.filter, "…")
        self.filter_changed()

    def filter_changed(self) -> None:
        """Shows what the filter means."""
        self.update_view()

    def action_filter(self) -> None:
        """Asks for a filter."""
        self.ask(question(self.filter.text if self.filter else ""))

    def on_filter_line_clicked(self) -> None:
        """As its key."""
        self.action_filter()

    def answered(self, kind: str, text: str) -> None:
        """Takes the filter."""
        if kind == "filter":
            self.set_filter(text)
        else:
            super().answered(kind, text)

    def action_back(self) -> None:
        """Back to the filter that it was opened with first, or to none; then to the screen below."""
        if self.filter is not self.given:
            self.set_filter(self.given.text if self.given else "")
        else:
            super().action_back()

    def action_show_all(self) -> None:
        """Everything with the matches marked, or the matches alone."""
        if self.filter is None:
            self.notify("There is no filter: press / for one.", markup=False)
            return
        self.showing_all = not self.showing_all
        self.filter_changed()

    def action_match(self, by: int) -> None:
        """The next or previous match."""
        raise NotImplementedError

    def action_sql(self) -> None:
        """Shows what the filter means in SQL."""
        run = self.inspector.summary.run
        if self.filter is None or run is None:
            self.notify("There is no filter: press / for one.", markup=False)
            return
        latest_ns = self.inspector.audit.latest_ns(run.id)
        if self.FINDS == "findings":
            where = self.filter.findings(latest_ns).shown()
            sql = (
                "select findings.* from findings\nleft join edges on edges.id = findings.edge_id\n"  # noqa: S608 -- to be read
                f"where findings.run_id = {run.id}\nand {where}"
            )
        else:
            where = self.filter.exchanges(latest_ns).shown()
            sql = f"select * from exchanges\nwhere run_id = {run.id}\nand {where}\norder by started_ns"  # noqa: S608 -- as above
        self.app.push_screen(TextScreen("The filter's SQL", sql + ";"))
