"""`traceaudit run`: starts a service with its calls captured, audits it, prints the findings."""

from __future__ import annotations

import sys
from typing import Any

import click

from traceaudit.commands.options import audit_options, capture_options, settings_from, tui_option

_EPILOG = """\b
Examples:
  traceaudit run --inbound 15006:8080 -- ./my-service --port 8080
  traceaudit run --tui --inbound 15006:8080 -- ./my-service
  traceaudit run --inbound 15006:8080 --upstream inventory=9101:9001 -- ./my-service
  sudo traceaudit run --capture redirect --inbound 15006:8080 -- ./my-service
  traceaudit run --inbound 15006:8080 --route pricing=127.0.0.1:9002 -- go run .

The service gets HTTP_PROXY and HTTPS_PROXY. Go sends no call to localhost through a proxy: give each upstream on
localhost a listener of its own with --upstream, and let the service call that. Or let the kernel send every connection
of the service through the audit, as in a mesh: --capture redirect (Linux; best as root)."""


@click.command("run", epilog=_EPILOG)
@capture_options
@audit_options
@tui_option
@click.option("-q", "--quiet", is_flag=True, help="Say nothing while it runs; the findings are printed all the same.")
@click.argument("service", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND…")
def command(service: tuple[str, ...], quiet: bool, tui: bool, **options: Any) -> None:
    """Start a service with its calls captured, audit it until it ends or Ctrl-C, and print the findings."""
    settings = settings_from(**options)
    from traceaudit.commands import live  # noqa: PLC0415  (imports mitmproxy: seconds that --help must not take)

    plan = live.plan_of(settings, service, quiet=quiet)
    live.listen_to_the_proxy()
    if tui:
        from traceaudit.commands import inspecting  # noqa: PLC0415  (as above)

        sys.exit(inspecting.audited(plan))
    sys.exit(live.conclude(plan, live.audit(plan)))
