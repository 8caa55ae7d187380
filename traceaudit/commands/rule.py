"""`traceaudit rule`: a rule's page, or the list of them."""

from __future__ import annotations

import json
import sys

import click

from traceaudit.commands.status import UsageFailure
from traceaudit.reports.output import printable
from traceaudit.rules import RULES, Rule, find, pages

_EPILOG = """\b
Examples:
  traceaudit rule
  traceaudit rule TP001
  traceaudit rule traceparent-dropped --format json"""


@click.command("rule", epilog=_EPILOG)
@click.argument("code", required=False)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="The form."
)
def command(code: str | None, form: str) -> None:
    """Show the page of the rule CODE (or slug): what it means and how to fix it in Go. Without CODE, list the rules."""
    rule = _found(code) if code is not None else None
    if form == "json":
        click.echo(json.dumps(_record(rule) if rule else [_record(each) for each in RULES], indent=2))
    elif rule is None:
        _list()
    else:
        _show(pages.files()[f"{rule.code}.md"])


def _found(code: str) -> Rule:
    try:
        return find(code)
    except KeyError as error:
        raise UsageFailure(str(error.args[0])) from error


def _record(rule: Rule) -> dict[str, object]:
    return {
        "code": rule.code,
        "slug": rule.slug,
        "severity": rule.severity.value,
        "family": rule.family,
        "summary": rule.summary,
        "page": rule.page,
    }


def _list() -> None:
    printable(sys.stdout)
    slug = max(len(rule.slug) for rule in RULES)
    for rule in RULES:
        click.echo(f"{rule.code}  {rule.slug:<{slug}}  {rule.severity.value:<7}  {rule.summary}")


def _show(page: str) -> None:
    """Rendered in a terminal; in a pipe the Markdown source, which is as readable."""
    printable(sys.stdout)
    if not sys.stdout.isatty():
        click.echo(page, nl=False)
        return
    from rich.console import Console  # noqa: PLC0415  (a list or a pipe does without)
    from rich.markdown import Markdown  # noqa: PLC0415

    console = Console()
    console.print(Markdown(page, code_theme="ansi_dark", hyperlinks=False), width=min(console.width, 120))
