"""`traceaudit config`: the settings as they hold here, and where each came from."""

from __future__ import annotations

import json

import click

from traceaudit.commands.options import settings_from
from traceaudit.config import KEYS

_EPILOG = """\b
Examples:
  traceaudit config
  TRACEAUDIT_REQUIRE=traceparent traceaudit config --format json"""


@click.command("config", epilog=_EPILOG)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="The form."
)
def command(form: str) -> None:
    """Show the settings and where each came from: a file, a variable, or the default."""
    settings = settings_from()
    values = settings.as_json()
    if form == "json":
        shown = {key: {"value": values[key], "source": settings.sources[key]} for key in KEYS}
        click.echo(json.dumps(shown, indent=2))
        return
    for key in KEYS:
        click.echo(f"{key.replace('_', '-'):14} {json.dumps(values[key]):48} # {settings.sources[key]}")
