"""`traceaudit doctor`: what an audit needs of this machine, and what to type where it is missing."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from traceaudit import doctor, redirection
from traceaudit.commands.options import capture_options, settings_from
from traceaudit.commands.status import Status, UsageFailure
from traceaudit.safe import safe

_EPILOG = """\b
Examples:
  traceaudit doctor
  traceaudit doctor --inbound 15006:8080 --outbound 15001
  sudo traceaudit doctor --fix

\b
Exit status: 0 nothing is missing that a run needs; 1 something is."""

_SIGNS = {True: ("yes", "green"), False: ("no", "red"), None: ("?", "yellow")}


@click.command("doctor", epilog=_EPILOG)
@capture_options
@click.option("--db", metavar="PATH", help="The audit database.  [audit.db]")
@click.option("--fix", is_flag=True, help="Remove the rules and cgroups that killed runs have left behind.")
def command(*, fix: bool, **options: Any) -> None:
    """Say what this machine and the service have of what an audit needs: yes or no, why, and what to type."""
    settings = settings_from(**options)
    from traceaudit import listeners  # noqa: PLC0415  (as little as possible for --help)
    from traceaudit_addons import certificates  # noqa: PLC0415

    if fix:
        _fix()
    try:
        inbound = [listeners.inbound(settings.inbound)] if settings.inbound else []
        upstreams = [listeners.upstream(name, text) for name, text in settings.upstreams.items()]
        places = [*inbound, listeners.proxy(settings.outbound), *upstreams]
    except ValueError as error:
        raise UsageFailure(str(error)) from error
    target = inbound[0].target if inbound else None
    folder = certificates.directory()
    bundle = certificates.bundle(folder, certificates.roots(os.environ)) if certificates.is_made(folder) else None
    checks = doctor.examine(settings, places, target, folder, bundle)
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    widest = max(len(each.question) for each in checks)
    for each in checks:
        word, colour = _SIGNS[each.answer]
        shown = click.style(f"{word:3}", fg=colour, bold=True) if colours else f"{word:3}"
        click.echo(f"{shown}  {each.question:{widest}}  {safe(each.why)}")
        if each.remedy and not each.answer:
            click.echo(f"     {'':{widest}}  → {safe(each.remedy)}")
    sys.exit(Status.FINDINGS if any(each.answer is False and each.vital for each in checks) else Status.OK)


def _fix() -> None:
    if sys.platform != "linux":
        return
    if os.geteuid() != 0:
        raise UsageFailure("only root can look for rules that were left behind: sudo traceaudit doctor --fix")
    for name in redirection.leftovers():
        redirection.remove(name)
        click.echo(f"removed {name}", err=True)
