"""A small shop's audit: dropped, restarted and clean calls, one that is ambiguous and one that nobody caused."""

from __future__ import annotations

from pathlib import Path

from tests.builders import b3multi, inbound, outbound, record, request_id, trace_headers, traceparent
from traceaudit.exchange import Exchange, Header
from traceaudit.formats.context import Format

HOSTILE = "\x1b[31mred\x1b]0;t\x07 \x9b1m [bold]x[/] \u202e\u200b\x7f <b>&amp;</b> =1+1 \\n\r\n\udc80"
"""Escapes for terminals, markup of several languages, a formula, invisible and unprintable characters."""


def _checkout(number: int, at_ms: float) -> list[Exchange]:
    """Forwards the request id alone to the inventory, and starts a new trace towards the payment."""
    client: list[Header] = [("Host", "shop"), ("x-request-id", request_id(number)), ("Authorization", "Bearer secret")]
    minted = [traceparent(number), *b3multi(number)]
    return [
        inbound(
            f"i{number}",
            at_ms,
            60,
            request=f"GET /checkout?cart={number}",
            headers=[*client, *minted],
            minted=[Format.TRACEPARENT, Format.B3MULTI],
        ),
        outbound(
            f"s{number}",
            at_ms + 4,
            request=f"GET /stock/{number + 17}?w=2",
            authority="inventory.default.svc:80",
            headers=[("Host", "inventory"), ("X-Request-Id", request_id(number))],
        ),
        outbound(
            f"p{number}",
            at_ms + 18,
            request="POST /charge",
            authority="payment:8080",
            headers=[
                ("Host", "payment"),
                traceparent(number + 500),
                *b3multi(number),
                ("X-Request-Id", request_id(number)),
            ],
            status=201,
        ),
    ]


def _product(number: int, at_ms: float) -> list[Exchange]:
    """Forwards everything, as Istio asks."""
    headers = trace_headers(number)
    return [
        inbound(f"i{number}", at_ms, request=f"GET /products/{number}", headers=headers),
        outbound(f"c{number}", at_ms + 1, request=f"GET /items/{number}", authority="catalog:9090", headers=headers),
    ]


def exchanges() -> list[Exchange]:
    """Two checkouts, two products, a poll that nobody caused, and a mail without headers that somebody may have."""
    poll = outbound("u0", 90, request="GET /flags", authority="config:7000", headers=[("Host", "config")])
    mail = outbound("m0", 130, request="POST /send", authority="mail:2525", headers=[("Host", "mail")])
    return [poll, *_checkout(0, 100), mail, *_checkout(1, 200), *_product(100, 300), *_product(101, 330)]


def build(path: Path) -> Path:
    """The shop's audit database. The run ends before much idle time has passed, so the mail stays in doubt."""
    record(path, exchanges(), until_ms=345)
    return path


def build_hostile(path: Path) -> Path:
    """An audit in which every text that a client or an upstream chooses is hostile."""
    header = ("x-request-id", HOSTILE)
    record(
        path,
        [
            inbound(
                f"i{HOSTILE}",
                100,
                request=f"GET /{HOSTILE}/a",
                headers=[traceparent(1), header, ("tracestate", HOSTILE)],
            ),
            outbound(
                f"o{HOSTILE}",
                104,
                request=f"GET /{HOSTILE}/b",
                authority=f"evil{HOSTILE}",
                headers=[("traceparent", HOSTILE), header, ("b3", HOSTILE), ("baggage", "A" * 70_000)],
                error=HOSTILE,
            ),
            outbound("u1", 5_000, request=f"GET /{HOSTILE}", authority=HOSTILE),
        ],
        service=HOSTILE,
        command=HOSTILE,
        until_ms=6_500,
    )
    return path
