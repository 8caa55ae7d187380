"""`traceaudit proxy`: audits around a service that someone else starts (a debugger, an editor, a container)."""

from __future__ import annotations

import sys
from typing import Any

import click

from traceaudit.commands.options import audit_options, capture_options, settings_from, tui_option

_EPILOG = """\b
Examples:
  traceaudit proxy --inbound 15006:8080 --outbound 15001
  HTTP_PROXY=http://127.0.0.1:15001 dlv debug .      (in another terminal)
  traceaudit proxy --tui --inbound 15006:8080"""


@click.command("proxy", epilog=_EPILOG)
@capture_options
@audit_options
@tui_option
@click.option("-q", "--quiet", is_flag=True, help="Say nothing while it runs; the findings are printed all the same.")
def command(quiet: bool, tui: bool, **options: Any) -> None:
    """Audit around a service that someone else starts, until Ctrl-C, and print the findings."""
    settings = settings_from(**options)
    from traceaudit.commands import live  # noqa: PLC0415  (imports mitmproxy: seconds that --help must not take)

    plan = live.plan_of(settings, quiet=quiet)
    live.listen_to_the_proxy()
    if tui:
        from traceaudit.commands import inspecting  # noqa: PLC0415  (as above)

        sys.exit(inspecting.audited(plan))
    sys.exit(live.conclude(plan, live.audit(plan)))
