"""From a call to the finding it is an occurrence of: what several screens offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traceaudit_tui.rows import Finding

if TYPE_CHECKING:
    from traceaudit_tui.app import Inspector
    from traceaudit_tui.screens.base import AuditScreen


def first_finding(app: Inspector, call_id: str) -> tuple[Finding, str] | None:
    """The gravest finding about a call, with the call; None: there is none."""
    ids = set(app.audit.findings_of(call_id))
    finding = next((each for each in app.summary.findings if each.id in ids), None)
    return None if finding is None else (finding, call_id)


def open_finding(screen: AuditScreen, found: tuple[Finding, str] | None) -> None:
    """Shows a finding at this call, or says that there is none."""
    from traceaudit_tui.screens.finding import FindingScreen  # noqa: PLC0415 -- which opens the screens that open it

    if found is None:
        screen.notify("No finding is about this.", markup=False)
    else:
        finding, call_id = found
        screen.app.push_screen(FindingScreen(finding, call_id))
