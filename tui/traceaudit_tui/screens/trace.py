"""From an exchange to all others that carry one of its identifiers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from traceaudit.formats import read
from traceaudit.formats.context import Context

if TYPE_CHECKING:
    from traceaudit_tui.screens.base import AuditScreen

MAX_IDENTIFIERS = 8  # of one exchange; a sane one has a trace id and a request id


_PLAIN = re.compile(r"[0-9A-Za-z_.:@/+=-]{1,200}")
"""An identifier that can be looked for; what else came in an identifier's place stands for nothing else."""


def identifiers(headers: list[tuple[str, str]]) -> list[str]:
    """The trace ids and request ids that headers name, each once."""
    found = [each.trace_id for each in read(headers).values() if isinstance(each, Context) and each.trace_id]
    return [each for each in dict.fromkeys(found) if _PLAIN.fullmatch(each)][:MAX_IDENTIFIERS]


def open_trace(screen: AuditScreen, exchange_id: str | None) -> None:
    """Shows the exchanges that carry an identifier of this one, or says that there is none."""
    from traceaudit_tui.screens.exchanges import ExchangesScreen  # noqa: PLC0415 -- which opens traces

    headers = [(each.name, each.value) for each in screen.inspector.audit.headers(exchange_id or "")]
    named = identifiers(headers)
    if not named:
        screen.notify("No trace id and no request id is in its headers.", markup=False)
        return
    screen.app.push_screen(ExchangesScreen(filter_text=" or ".join(f'trace:"{each}"' for each in named)))
