"""`traceaudit demo`: a small Go shop with planted faults, traffic, and its audit."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import click

from traceaudit.commands.status import UsageFailure
from traceaudit.demo.building import BuildError, build
from traceaudit.demo.toolchain import find_go

_EPILOG = """\b
Examples:
  traceaudit demo
  traceaudit demo --db /tmp/demo.db && traceaudit tui /tmp/demo.db"""

_NAMES = ("inventory", "pricing", "mail", "recommendations", "search-index", "accounts")


@click.command("demo", epilog=_EPILOG)
@click.option("--db", default="demo.db", show_default=True, type=click.Path(path_type=Path), help="The audit database.")
def command(db: Path) -> None:
    """Audit a small Go shop with five planted faults: the product in half a minute."""
    go = find_go()
    if go is None:
        raise UsageFailure("the demo needs Go to build its shop: install Go, or `pip install 'traceaudit[demo]'`")
    click.echo(f"building the shop with {go.name} …", err=True)
    try:
        shop = build(go)
    except (BuildError, OSError) as error:
        raise UsageFailure(f"the shop could not be built: {error}") from error
    sys.exit(_audit(shop, db))


def _audit(shop: Path, db: Path) -> int:
    from traceaudit import listeners  # noqa: PLC0415  (all of these: mitmproxy takes seconds, --help must not)
    from traceaudit.commands import live  # noqa: PLC0415
    from traceaudit.config import load  # noqa: PLC0415
    from traceaudit.demo import traffic  # noqa: PLC0415
    from traceaudit.listeners import Address  # noqa: PLC0415
    from traceaudit.supervisor import Service  # noqa: PLC0415

    service, upstreams = _free_port(), _free_port()
    settings = load(
        {
            "db": db,
            "inbound": f"0:{service}",
            "outbound": "0",
            "routes": dict.fromkeys(_NAMES, f"{listeners.LOOPBACK}:{upstreams}"),
            "grace_ms": 100,
        },
        directory=shop.parent,
        environ={},
    )

    async def work(stage: live.Stage) -> None:
        backstage = await Service.start(
            [str(shop), "upstreams", "--listen", f"{listeners.LOOPBACK}:{upstreams}"], os.environ, lambda _: None
        )
        try:
            await backstage.wait_until_ready(Address(listeners.LOOPBACK, upstreams), settings.ready_timeout)
            await traffic.drive(stage.inbound)
        finally:
            await backstage.stop()

    plan = live.plan_of(settings, [str(shop), "serve", "--listen", f"{listeners.LOOPBACK}:{service}"])
    live.listen_to_the_proxy()
    status = live.conclude(plan, live.audit(plan, work))
    # As it was called, when that was by a path; a name was found on the PATH and will be again.
    program = "traceaudit" if Path(sys.argv[0]).is_absolute() else sys.argv[0]
    click.echo(
        f"\nBrowse it:  {program} tui {db}\nThe fixes:  {program} rule TP001\n"
        f"Your own:   {program} run --inbound 15006:8080 -- ./my-service",
        err=True,
    )
    return status


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
