"""`traceaudit probe`: sends the service requests alone, then many at one moment, to provoke contexts that leak."""

from __future__ import annotations

import asyncio
import shlex
import sys
from dataclasses import replace
from typing import Any

import click

from traceaudit.commands.options import audit_options, capture_options, settings_from
from traceaudit.commands.requested import body_of, requests_of
from traceaudit.commands.sending import TIMEOUT_S
from traceaudit.commands.status import Status, UsageFailure

_SAFE = ("GET", "HEAD", "OPTIONS")

MOST = 20_000
"""Requests of one probe: what the audit remembers several times over, and some minutes."""

_SERVICE = "service"
_EPILOG = """\b
Examples:
  traceaudit probe http://localhost:8080/orders/17 -- ./my-service
  traceaudit probe http://localhost:8080/orders/17 http://localhost:8080/cart
  traceaudit probe --inbound 15006:8080 --together 64 /orders/17 -- ./my-service
  traceaudit probe --unsafe -H 'Content-Type: application/json' -d '{"item": 17}' http://localhost:8080/orders

\b
Without a COMMAND, the service runs already, and calls through this audit's
proxy (--outbound); end a `traceaudit run` around it first. Every request has a trace of its own, and says which
it is in User-Agent and tracestate. Several URLs are mixed: give those that
call the same upstreams with different paths.

\b
Exit status: 0 nothing at or above --fail-on; 1 findings; 2 wrong usage;
3 inconclusive: too little was seen to say that all is well."""


class _BeforeService(click.Command):
    """A command whose arguments end at `--`; what follows starts the service."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keeps what follows `--` for the command."""
        if "--" in args:
            at = args.index("--")
            args, ctx.meta[_SERVICE] = args[:at], args[at + 1 :]
        return super().parse_args(ctx, args)


@click.command("probe", cls=_BeforeService, epilog=_EPILOG)
@click.option(
    "--serial",
    type=click.IntRange(3, 1000),
    default=20,
    show_default=True,
    help="How often each URL is requested alone: one request after another, each until its calls are done.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="How often requests are released together.",
)
@click.option(
    "--together",
    type=click.IntRange(2, 256),
    default=16,
    show_default=True,
    help="Requests released at one moment, at most; rounds differ.",
)
@click.option("-X", "--method", metavar="METHOD", help="The requests' method.  [default: GET; with --data POST]")
@click.option("--unsafe", is_flag=True, help="Allow methods that may change something: many requests are sent.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of every request.")
@click.option("-d", "--data", metavar="DATA", help="The body of every request; @FILE: what is in a file.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long a response is waited for.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing while it runs; the findings are printed all the same.")
@capture_options
@audit_options
@click.argument("urls", nargs=-1, required=True, metavar="URL… [-- COMMAND…]")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    urls: tuple[str, ...],
    serial: int,
    rounds: int,
    together: int,
    method: str | None,
    unsafe: bool,
    headers: tuple[str, ...],
    data: str | None,
    timeout: float,
    quiet: bool,
    **options: Any,
) -> None:
    """Request each URL alone, then many together, and show what goes wrong only together.

    The service is audited meanwhile, as by `traceaudit run`. A header map, a client or a variable that requests share
    does no harm while there is one request; with many in it at one moment, their contexts mix.
    """
    service: list[str] | None = ctx.meta.get(_SERVICE)
    if service == []:
        raise UsageFailure("what starts the service? Name the command after --, or leave -- out if the service runs")
    settings = replace(settings_from(**options), gate="off")  # The gate would keep apart what is to be together.
    if settings.isolate:
        raise UsageFailure(f"{settings.sources['isolate']}: probe needs requests to be together; use --no-isolate")
    method = (method or ("GET" if data is None else "POST")).upper()
    if method not in _SAFE and not unsafe:
        raise UsageFailure(
            f"{method} may change something, and is sent {serial + rounds * together} times: say --unsafe if it may"
        )
    if (number := serial * len(urls) + rounds * together) > MOST:
        raise UsageFailure(
            f"that would be {number:,} requests, more than {MOST:,}: lower --serial, --rounds or --together"
        )
    settings, requests = requests_of(settings, urls, method, headers, body_of(data))
    from traceaudit.commands import live  # noqa: PLC0415  (imports mitmproxy: seconds that --help must not take)
    from traceaudit.commands.probing import Load  # noqa: PLC0415  (as above)
    from traceaudit.supervisor import answers  # noqa: PLC0415  (as above)

    plan = live.plan_of(settings, service or (), quiet=quiet)
    if not service and plan.target is not None and not asyncio.run(answers(plan.target)):
        raise UsageFailure(
            f"nothing listens on {plan.target}: start the service, or name the command that starts it after --"
        )
    load = Load(requests, settings, serial=serial, rounds=rounds, together=together, timeout_s=timeout, quiet=quiet)
    plan.judge = load.judge
    plan.said = shlex.join(["traceaudit", "probe", *urls, *(["--", *service] if service else [])])
    live.listen_to_the_proxy()
    status = live.conclude(plan, live.audit(plan, load.work), load.tell)
    sys.exit(status if load.complete or status is not Status.OK else Status.INCONCLUSIVE)
