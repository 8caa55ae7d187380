"""What each tracer of Envoy does with a call's headers: joins the request's trace, starts another, or loses it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from traceaudit.envoy import Result, verdicts
from traceaudit.formats import read
from traceaudit.safe import safe
from traceaudit.store.reader import HeaderRow
from traceaudit_tui.signs import ERROR, GOOD, MUTED, WARNING, Part
from traceaudit_tui.widgets.lines import Lines, rule, wrapped

SIGNS: dict[Result, Part] = {
    Result.JOINED: ("✓", GOOD),
    Result.RESTARTED: ("↻", ERROR),
    Result.LOST: ("✘", ERROR),
    Result.UNSAMPLED: ("≠", WARNING),
}
UNSURE: Part = ("?", MUTED)


class EnvoyVerdicts(Lines):
    """One line for all tracers that come to the same result for the same reason."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[tuple[Part, str, str]] = []

    def show(self, carried: Sequence[HeaderRow], sent: Sequence[HeaderRow] | None) -> None:
        """Another call's headers beside its request's; ``sent`` None: there is no call."""
        self._lines = []
        if sent is not None:
            ours, theirs = _pairs(carried), _pairs(sent)
            same: dict[tuple[Result, str], list[str]] = {}
            for each in verdicts(read(ours), read(theirs), theirs):
                same.setdefault((each.result, each.reason), []).append(each.tracer.value)
            for (result, reason), tracers in same.items():
                words = f"{result.value} by {', '.join(tracers)}"
                self._lines.append((SIGNS.get(result, UNSURE), words, f": {safe(reason)}" if reason else ""))
        self.changed()

    def lines(self, width: int) -> list[Content]:
        """Nothing where there is no call."""
        if not self._lines:
            return []
        result = [Content(""), rule("what Envoy does with it", width)]
        for sign, words, reason in self._lines:
            body = wrapped([(words, ""), (reason, MUTED)], width, 4)
            result += [Content.assemble("  ", sign, " ", body[0][4:]), *body[1:]] if body else []
        return result


def _pairs(headers: Sequence[HeaderRow]) -> list[tuple[str, str]]:
    return [(each.name, each.value) for each in headers if not each.redacted]
