"""The options that several commands share, and how they become settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from traceaudit.commands.status import UsageFailure
from traceaudit.config import CAPTURE, FAIL_ON, GATE, MINT, TLS, ConfigError, Settings, load

type _Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _pairs(_: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` options as a table."""
    table: dict[str, str] = {}
    for text in values:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{text!r} is not {parameter.metavar}")
        table[name] = value
    return table


_CAPTURE = (
    click.option("--inbound", metavar="LISTEN:TARGET", help="Where clients call, and where the service listens."),
    click.option("--outbound", metavar="LISTEN", help="Where the proxy for the service's calls listens.  [15001]"),
    click.option(
        "--upstream",
        "upstreams",
        metavar="NAME=LISTEN:UPSTREAM",
        multiple=True,
        callback=_pairs,
        help="A listener in front of one upstream, for calls that Go sends through no proxy (localhost).",
    ),
    click.option(
        "--route",
        "routes",
        metavar="NAME=ADDRESS",
        multiple=True,
        callback=_pairs,
        help="Where a Service name leads, for example inventory=127.0.0.1:9001.",
    ),
    click.option(
        "--capture",
        type=click.Choice(CAPTURE),
        help="How calls are captured: by HTTP_PROXY, by --upstream alone, by the kernel (Linux), or the best"
        " that works.  [env]",
    ),
    click.option(
        "--tls",
        type=click.Choice(TLS),
        help="Decrypt calls over TLS, or let them pass unaudited; auto: where Go can be told to trust it.  [auto]",
    ),
    click.option(
        "--mint", type=click.Choice(MINT), help="Give requests the trace headers they lack, or not.  [missing]"
    ),
    click.option("--isolate/--no-isolate", default=None, help="Admit one request at a time, until its calls are done."),
    click.option(
        "--gate",
        type=click.Choice(GATE),
        help="Hold requests and answers for moments, so that it shows which request made which call.  [auto]",
    ),
    click.option("--gate-budget-ms", type=int, metavar="MS", help="How long each of them may be held at most.  [20]"),
    click.option(
        "--ready-timeout", type=float, metavar="SECONDS", help="How long the service may take to listen.  [30]"
    ),
)

_AUDIT = (
    click.option("--db", type=click.Path(path_type=Path), help="The audit database.  [audit.db]"),
    click.option("--require", multiple=True, metavar="FAMILIES", help="The families of headers that the mesh needs."),
    click.option("--select", multiple=True, metavar="CODES", help="The rules to check, as in ruff.  [ALL]"),
    click.option("--ignore", multiple=True, metavar="CODES", help="The rules to leave out."),
    click.option("--grace-ms", type=int, metavar="MS", help="How long a request's late calls are waited for.  [250]"),
    click.option(
        "--infer/--no-infer",
        default=None,
        help="Ask all times together whose a call is where nothing else tells.  [infer]",
    ),
    click.option("--redact", multiple=True, metavar="HEADER", help="A header whose values never reach the disk."),
    click.option(
        "--expect",
        multiple=True,
        metavar="HOST",
        help="An upstream without a call to which the run is inconclusive (exit status 3).",
    ),
    click.option(
        "--known-route",
        "known_routes",
        multiple=True,
        metavar="ROUTE",
        help="A route that is to see a request, for example 'GET /orders/{id}'.",
    ),
    click.option(
        "--fail-on", type=click.Choice(FAIL_ON), help="The severity from which the exit status is 1.  [never]"
    ),
)


def _all(options: Sequence[_Decorator]) -> _Decorator:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


capture_options = _all(_CAPTURE)
"""What `run` and `proxy` take."""

audit_options = _all(_AUDIT)
"""What `analyze` takes too."""

tui_option = click.option(
    "--tui", is_flag=True, help="Watch it in the inspector; leaving that ends the audit and prints the findings."
)
"""What `run` and `proxy` take besides."""


def settings_from(**options: object) -> Settings:
    """The settings with these options on top. Raises UsageFailure where something is wrong with them."""
    try:
        return load(options)
    except ConfigError as error:
        raise UsageFailure(str(error)) from error
