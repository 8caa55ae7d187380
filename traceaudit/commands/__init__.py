"""The command line. Each command is a module of its own, imported only when it is asked for.

Importing mitmproxy or Textual takes seconds; `traceaudit check` and `--help` must not pay for them.
"""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

import click

from traceaudit import __version__
from traceaudit.commands.status import Status

_EPILOG = """\b
Examples:
  traceaudit demo
  traceaudit run --inbound 15006:8080 -- ./my-service
  traceaudit check audit.db

Exit status: 0 nothing at or above --fail-on; 1 findings; 2 wrong usage or configuration; 3 inconclusive; 4 bad input;
130 interrupted before anything was audited."""


class _Commands(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    SUMMARIES: ClassVar[dict[str, str]] = {
        "run": "Start a service with its calls captured, and audit it.",
        "proxy": "Audit around a service that someone else starts.",
        "analyze": "Audit recorded exchanges.",
        "verify": "Ask the service again where a run could not decide.",
        "probe": "Request URLs alone and many at once, to provoke contexts that leak.",
        "check": "Give the verdict for CI.",
        "report": "Show the findings, for people and machines.",
        "export": "Write the audit database in another form.",
        "tui": "Browse an audit database in the terminal.",
        "rule": "Show a rule's page, or list the rules.",
        "config": "Show the settings and where each came from.",
        "doctor": "Say what this machine has of what an audit needs.",
        "demo": "Audit a small Go shop with planted faults.",
    }

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; Ctrl-C ends it with 130, where click would say 1, which means findings here."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            ctx.exit(Status.INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(self.SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (click's signature)
        if cmd_name not in self.SUMMARIES:
            return None
        module = importlib.import_module(f"traceaudit.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  (click's)
        with formatter.section("Commands"):
            formatter.write_dl(list(self.SUMMARIES.items()))


@click.group(cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="traceaudit", message="%(prog)s %(version)s")
def main() -> None:
    """Find where a service drops, changes or mixes up trace headers, before it goes into a service mesh."""
