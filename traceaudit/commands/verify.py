"""`traceaudit verify`: asks the service again, one request at a time, where a run could not decide."""

from __future__ import annotations

import asyncio
import http.client
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from traceaudit.commands.options import audit_options, capture_options, settings_from
from traceaudit.commands.reading import NO_RUN, opened, run_of
from traceaudit.commands.sending import Request, send
from traceaudit.commands.status import Status
from traceaudit.exchange import Exchange
from traceaudit.formats import FORMAT_OF_HEADER
from traceaudit.listeners import Address
from traceaudit.safe import safe
from traceaudit.store.reader import REDACTED, AuditReader, Run

TIMES = 3
"""How often each request is sent: what one request makes may be chance, what three make is not."""

MOST = 20
"""Requests that are sent again, of as many routes as there are."""

_SAFE = ("GET", "HEAD")

_NOT_AGAIN = frozenset({
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "tracestate", "x-b3-flags",
})  # fmt: skip
"""Headers that belong to a connection, to a body that was not kept, or to the trace of the first time."""

_EPILOG = """\b
Examples:
  traceaudit verify audit.db --inbound 15006:8080 -- ./my-service
  traceaudit verify --inbound 15006:8080            (a service that runs already)

\b
Only requests without a body can be sent again, since bodies are not kept;
others than GET and HEAD only with --unsafe. Redacted headers are left out."""


@click.command("verify", epilog=_EPILOG)
@click.option("--of-run", "run_id", type=int, metavar="N", help="The run to settle.  [default: the latest]")
@click.option("--unsafe", is_flag=True, help="Send requests again that may change something, too.")
@capture_options
@audit_options
@click.argument("service", nargs=-1, type=click.UNPROCESSED, metavar="[DB] [-- COMMAND…]")
def command(*, service: Sequence[str], run_id: int | None, unsafe: bool, **options: Any) -> None:
    """Send the requests behind a run's ambiguous calls again, one at a time, and audit what they do.

    The answers are a run of their own in the same audit database.
    """
    if service and not options["db"] and service[0].endswith((".db", ".sqlite", ".sqlite3")):
        options["db"], service = Path(service[0]), service[1:]
    settings = replace(settings_from(**options), isolate=True)
    with opened(settings.db) as reader:
        run = run_of(reader, run_id)
        if run is None:
            click.echo(NO_RUN, err=True)
            sys.exit(Status.INCONCLUSIVE)
        requests = in_doubt(reader, run, unsafe=unsafe)
    if not requests:
        click.echo(
            f"nothing to verify: no call of run {run.id} is in doubt that a safe request may have caused", err=True
        )
        sys.exit(Status.OK)
    from traceaudit.commands import live  # noqa: PLC0415  (imports mitmproxy: seconds that --help must not take)

    async def work(stage: live.Stage) -> None:
        for request in requests * TIMES:
            await asyncio.to_thread(_send, stage.inbound, request)
        # The gate lets nothing in before the last one's calls are done; after that the service is watched idle.
        await asyncio.sleep(settings.grace_ms / 1000 + 1)

    click.echo(f"sending {len(requests)} requests {TIMES} times, one at a time", err=True)
    plan = live.plan_of(settings, service)
    live.listen_to_the_proxy()
    sys.exit(live.conclude(plan, live.audit(plan, work)))


def in_doubt(reader: AuditReader, run: Run, *, unsafe: bool) -> list[Exchange]:
    """The requests that may have caused calls in doubt, one of a route first, then others."""
    by_route: dict[str, list[Exchange]] = {}
    for id_ in reader.in_doubt(run.id):
        request = reader.exchange(id_)
        if request is None or (request.method not in _SAFE and not unsafe) or _had_body(request):
            continue
        by_route.setdefault(f"{request.method} {request.path.partition('?')[0]}", []).append(request)
    found = [requests[0] for requests in by_route.values()]
    found += [request for requests in by_route.values() for request in requests[1:]]
    return found[:MOST]


def _had_body(request: Exchange) -> bool:
    names = {name.lower(): value.strip() for name, value in request.request_headers}
    return "transfer-encoding" in names or names.get("content-length", "0") != "0"


def _send(inbound: Address, request: Exchange) -> None:
    """Sends a request as it was, but in a trace of its own, which the sidecar gives it."""
    headers = [
        (name, value)
        for name, value in request.request_headers
        if name.lower() not in _NOT_AGAIN and name.lower() not in FORMAT_OF_HEADER and value != REDACTED
    ]
    try:
        send(inbound, Request(request.method, request.path, request.authority, headers))
    except (OSError, http.client.HTTPException, ValueError) as error:
        click.echo(f"warning: {request.method} {safe(request.path)} was not answered: {safe(str(error))}", err=True)
