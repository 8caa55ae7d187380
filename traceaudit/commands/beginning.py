"""What a live audit looks at before it begins: ports that are taken, a service that is there already, the database."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from traceaudit.commands.status import BadInputFailure, UsageFailure
from traceaudit.listeners import Address, Kind, Listener
from traceaudit.store.writer import AuditWriter
from traceaudit.supervisor import answers
from traceaudit_addons.recorder import LOCK_PATIENCE_MS

if TYPE_CHECKING:
    from traceaudit.commands.live import Plan


def looked_at(plan: Plan) -> Plan:
    """The plan with a real port for every listener. Says now what would go wrong later: a port that is taken, a service
    that is there already.
    """
    places: list[Listener] = []
    for each in plan.listeners:
        if each.kind is Kind.REDIRECT and places and places[-1].kind is Kind.REDIRECT:
            # IPv6 is redirected to the same port; where there is no IPv6, nothing has to be.
            with suppress(UsageFailure):
                places.append(_with_port(replace(each, listen=Address(each.listen.host, places[-1].listen.port))))
            continue
        places.append(_with_port(each))
    plan = replace(plan, listeners=places)
    if plan.command and plan.target is not None and not plan.way.in_pod and asyncio.run(answers(plan.target)):
        raise UsageFailure(
            f"something listens on {plan.target} already, so {plan.command[0]} could not; stop it, or use"
            " `traceaudit proxy` to audit what is running there"
        )
    return plan


def _with_port(listener: Listener) -> Listener:
    option = {Kind.INBOUND: "--inbound", Kind.UPSTREAM: "--upstream"}.get(listener.kind, "--outbound")
    listen = listener.listen
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            port: int = probe.getsockname()[1]
    except OSError as error:
        raise UsageFailure(
            f"cannot listen on {listen}: {error.strerror}; choose another port with {option}"
            + (" (0: any that is free)" if option == "--outbound" else "")
        ) from error
    return replace(listener, listen=Address(listen.host, port))


def writer(plan: Plan, started_ns: int) -> AuditWriter:
    """The run in the audit database. Raises UsageFailure or BadInputFailure where there can be none."""
    settings = plan.settings
    try:
        return AuditWriter(
            Path(settings.db),
            started_ns=started_ns,
            command=plan.said or " ".join(["traceaudit", *sys.argv[1:]]),
            service=" ".join(plan.command) or str(plan.target),
            settings=settings.as_json(),
            redact=settings.redact,
            patience_ms=LOCK_PATIENCE_MS,
        )
    except sqlite3.OperationalError as error:
        raise UsageFailure(f"{settings.db} cannot be written: {error}; choose another file with --db") from error
    except sqlite3.DatabaseError as error:
        raise BadInputFailure(
            f"{settings.db} is not an audit database: {error}; choose another file with --db"
        ) from error
    except OSError as error:
        raise UsageFailure(f"{settings.db} cannot be made: {error.strerror}; choose another file with --db") from error
