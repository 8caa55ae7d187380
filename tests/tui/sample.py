"""Makes audit databases to look at: a shop with planted faults, with hostile header values; and quiet runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from traceaudit.exchange import Confidence
from traceaudit.store.schema import MIGRATIONS

type Headers = list[tuple[str, str]]

START_NS = 1_772_445_600_000_000_000  # 2026-03-02T10:00:00Z
MS = 1_000_000

HOSTILE: Headers = [
    ("X-Esc", "\x1b[2J\x1b[31mred\x1b[0m"),
    ("X-Osc", "\x1b]0;renamed pane\x07\x1b]52;c;b3duZWQ=\x07"),
    ("X-C1", "\x9b31m\x9d0;title\x9c"),
    ("X-Bidi", "user\u202egnp.exe\u2066x\u2069"),
    ("X-Zero-Width", "pay\u200bpal\u200d\ufeff"),
    ("X-Closing-Tag", "a [/ b [/] c [/bold]"),
    ("X-Bold", "[bold]loud[/bold] [@click=app.quit]quit[/] $error [link=http://evil]x[/link]"),
    ("X-Surrogate", "\\udc80\\ud800"),  # SQLite keeps no surrogates: a log's arrive escaped
    ("X-Nul", "before\x00after"),
    ("X-Line-Ends", "a\r\nb\tc\u2028d"),
    ("X-Long", "A" * 70_000),
    ("X-Wide", "追踪ヘッダー 🚚 e\u0301"),
    ("[bold]X-Name\x1b[31m", "a name may lie too"),
]

RULES = {
    "TP001": ("traceparent-dropped", "error"),
    "TP003": ("b3-dropped", "error"),
    "TP004": ("request-id-dropped", "error"),
    "TP011": ("trace-restarted", "error"),
    "TP012": ("request-id-regenerated", "error"),
    "TP013": ("sampling-changed", "error"),
    "TP021": ("context-leaked", "error"),
    "WC004": ("request-id-not-uuid", "warning"),
    "CP003": ("route-unexercised", "note"),
}


def trace_id(number: int) -> str:
    return f"{0x4BF92F3577B34DA6A3CE929D0E0E4736 + number * 0x1000001:032x}"


def span_id(number: int) -> str:
    return f"{0x00F067AA0BA902B7 + number * 0x10001:016x}"


def request_id(number: int) -> str:
    return f"6f1c0c3e-8a51-4b9e-9a7d-{0x1D5EBEEF0000 + number:012x}"


def inbound_headers(number: int) -> Headers:
    trace, span = trace_id(number), span_id(number)
    return [
        ("Host", "shop.default.svc:8080"),
        ("User-Agent", "curl/8.7.1"),
        ("Accept", "*/*"),
        ("traceparent", f"00-{trace}-{span}-01"),
        ("tracestate", "mesh=1"),
        ("x-b3-traceid", trace),
        ("x-b3-spanid", span),
        ("x-b3-sampled", "1"),
        ("x-request-id", request_id(number)),
        ("Authorization", ""),
    ]


class Shop:
    """Writes an audit database as a run would; every method commits, so that a reader sees it at once."""

    def __init__(self, path: Path) -> None:
        self.db = Database(path)
        self.db.enable_wal()
        MIGRATIONS.apply(self.db)
        self.edges: dict[tuple[str, str, str], int] = {}
        self.insert(
            "rules",
            [
                {"code": code, "slug": slug, "severity": severity, "summary": slug.replace("-", " ")}
                for code, (slug, severity) in RULES.items()
            ],
        )
        self.run_id = 0

    def insert(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        self.db.table(table).insert_all(rows)

    def run(self, service: str = "shop", ended_ns: int | None = None) -> int:
        self.run_id += 1
        row = {"id": self.run_id, "started_ns": START_NS, "ended_ns": ended_ns, "service": service, "version": "0.1.0"}
        self.insert("runs", [{**row, "command": "run -- ./shop", "settings": "{}", "exchanges": 0}])
        return self.run_id

    def end(self, ended_ns: int) -> None:
        self.db.table("runs").update(self.run_id, {"ended_ns": ended_ns})

    def exchange(  # noqa: PLR0917 -- a record of an exchange has that many fields
        self,
        id: str,
        direction: str,
        at_ms: float,
        took_ms: float | None,
        request: str,
        route: str,
        headers: Headers,
        authority: str = "shop.default.svc:8080",
        status: int | None = 200,
        error: str | None = None,
        minted: Iterable[str] = (),
    ) -> str:
        method, path = request.split(" ", 1)
        started_ns = START_NS + round(at_ms * MS)
        ended_ns = None if took_ms is None else started_ns + round(took_ms * MS)
        row = {"id": id, "run_id": self.run_id, "direction": direction, "started_ns": started_ns, "ended_ns": ended_ns}
        row |= {"response_started_ns": ended_ns, "method": method, "scheme": "http", "authority": authority}
        row |= {"path": path, "route": route, "status": status, "http_version": "HTTP/1.1", "connection_id": "c1"}
        row |= {"client_address": "127.0.0.1:50412", "server_address": None, "error": error}
        self.insert("exchanges", [{**row, "minted": json.dumps(list(minted))}])
        self.insert(
            "headers",
            [
                {
                    "exchange_id": id,
                    "side": "request",
                    "position": position,
                    "name": name,
                    "value": value,
                    "redacted": int(name == "Authorization"),
                }
                for position, (name, value) in enumerate(headers)
            ],
        )
        return id

    def link(
        self,
        outbound: str,
        inbound: str | None,
        method: str = "trace-id",
        probability: float = 1.0,
        rank: int = 1,
        **evidence: object,
    ) -> None:
        row = {"outbound_id": outbound, "inbound_id": inbound, "method": method, "probability": probability}
        self.insert("links", [{**row, "rank": rank, "evidence": json.dumps(evidence)}])

    def edge(self, inbound_route: str, authority: str, outbound_route: str) -> int:
        key = (inbound_route, authority, outbound_route)
        if key not in self.edges:
            row = {"run_id": self.run_id, "inbound_route": inbound_route, "outbound_authority": authority}
            row |= {"outbound_route": outbound_route}
            self.edges[key] = int(self.db.table("edges").insert(row, pk="id").last_pk)
        return self.edges[key]

    def outcomes(self, outbound: str, inbound: str | None, edge_id: int, **formats: str) -> None:
        row = {"outbound_id": outbound, "inbound_id": inbound, "probability": 1.0, "edge_id": edge_id}
        self.insert(
            "outcomes",
            [
                {**row, "format": name.replace("_", "-"), "outcome": outcome, "detail": ""}
                for name, outcome in formats.items()
            ],
        )

    def finding(  # noqa: PLR0917 -- as has one of a finding
        self,
        code: str,
        edge_id: int | None,
        pairs: list[tuple[str, str | None]],
        header: str,
        message: str,
        expected: str,
        observed: str,
        probability: float = 1.0,
        location: str | None = None,
        first_ms: float = 0,
        last_ms: float = 60_000,
    ) -> int:
        slug, severity = RULES[code]
        row = {"run_id": self.run_id, "edge_id": edge_id, "code": code, "slug": slug, "severity": severity}
        row |= {"confidence": Confidence.of(probability).value, "probability": probability, "header": header}
        row |= {"message": message, "expected": expected, "observed": observed, "occurrences": len(pairs)}
        row |= {"outbound_id": pairs[0][0] if pairs else None, "inbound_id": pairs[0][1] if pairs else None}
        row |= {"first_ns": START_NS + round(first_ms * MS), "last_ns": START_NS + round(last_ms * MS)}
        row |= {"location": location, "function": "main.checkout" if location else None}
        id = int(self.db.table("findings").insert(row, pk="id").last_pk)
        self.insert(
            "finding_occurrences",
            [
                {"finding_id": id, "outbound_id": outbound, "inbound_id": inbound, "probability": probability}
                for outbound, inbound in pairs
            ],
        )
        return id

    def close(self) -> None:
        self.db.close()


def checkout(shop: Shop, number: int, at_ms: float) -> tuple[str, str, str]:
    """One request for /checkout: stock is asked for with nothing, the payment with a new trace; ids of the three."""
    first = number == 0
    inbound = shop.exchange(
        f"i{number}", "inbound", at_ms, 48 + number % 7, "GET /checkout?cart=17", "GET /checkout",
        inbound_headers(number) + (HOSTILE if first else []), minted=["traceparent", "b3multi"] if first else [],
    )  # fmt: skip
    common = [("Host", "inventory.default.svc"), ("User-Agent", "Go-http-client/1.1"), ("Accept-Encoding", "gzip")]
    stock = shop.exchange(
        f"s{number}", "outbound", at_ms + 4, 11, f"GET /stock/{number + 17}?w=2", "GET /stock/{id}",
        common + [("X-Request-Id", request_id(number))] + (HOSTILE[:2] if first else []), "inventory.default.svc:80",
    )  # fmt: skip
    pay = shop.exchange(
        f"p{number}", "outbound", at_ms + 18, 22, "POST /charge", "POST /charge",
        [
            ("Host", "payment"),
            ("User-Agent", "Go-http-client/1.1"),
            ("Content-Type", "application/json"),
            ("Traceparent", f"00-{trace_id(number + 5000)}-{span_id(number + 5000)}-00"),
            ("Tracestate", "mesh=1"),
            ("X-B3-Traceid", trace_id(number)),
            ("X-B3-Spanid", span_id(number)),
            ("X-B3-Sampled", "1"),
            ("X-Request-Id", request_id(number)),
        ],
        "payment:8080", status=201,
    )  # fmt: skip
    shop.link(stock, inbound, "request-id", 0.9996, in_flight=3, carried_by=1, uncaused_per_s=0.0004)
    shop.link(pay, inbound, "request-id", 0.9996, in_flight=3, carried_by=1, uncaused_per_s=0.0004)
    edge = shop.edge("GET /checkout", "inventory.default.svc:80", "GET /stock/{id}")
    shop.outcomes(stock, inbound, edge, traceparent="dropped", b3multi="dropped", x_request_id="forwarded")
    edge = shop.edge("GET /checkout", "payment:8080", "POST /charge")
    shop.outcomes(pay, inbound, edge, traceparent="restarted", b3multi="forwarded", x_request_id="forwarded")
    return inbound, stock, pay


def product(shop: Shop, number: int, at_ms: float) -> tuple[str, str]:
    """One request for a product, clean: the headers are forwarded as Istio asks."""
    n = number + 1000
    inbound = shop.exchange(
        f"i{n}", "inbound", at_ms, 9, f"GET /products/{number}", "GET /products/{id}", inbound_headers(n)
    )
    headers = [("Host", "catalog"), *inbound_headers(n)[3:9]]
    call = shop.exchange(
        f"c{n}", "outbound", at_ms + 1, 5, f"GET /items/{number}", "GET /items/{id}", headers, "catalog:9090"
    )
    shop.link(call, inbound, "trace-id", 1.0, carried_by=1)
    edge = shop.edge("GET /products/{id}", "catalog:9090", "GET /items/{id}")
    shop.outcomes(call, inbound, edge, traceparent="forwarded", b3multi="forwarded", x_request_id="forwarded")
    return inbound, call


def mail(shop: Shop, number: int, at_ms: float) -> tuple[str, str]:
    """One order whose mail goes out late, from a goroutine with somebody else's context, and could be either's."""
    n = number + 2000
    inbound = shop.exchange(
        f"i{n}", "inbound", at_ms, 12, "POST /orders", "POST /orders", inbound_headers(n), status=202
    )
    call = shop.exchange(
        f"m{n}", "outbound", at_ms + 40, None, "POST /send", "POST /send",
        [("Host", "mail"), ("Traceparent", f"00-{trace_id(number)}-{span_id(number)}-01")], "mail:2525",
        status=None, error="connection reset by peer \x1b[31m[/]",
    )  # fmt: skip
    shop.link(call, inbound, "timing", 0.81, in_flight=2, best_fit=-12.4)
    shop.link(call, f"i{number}", "timing", 0.15, rank=2, best_fit=-14.1)
    shop.link(call, None, "timing", 0.04, rank=3, uncaused_per_s=0.02)
    edge = shop.edge("POST /orders", "mail:2525", "POST /send")
    shop.outcomes(call, inbound, edge, traceparent="leaked", b3multi="dropped", x_request_id="dropped")
    return inbound, call


def poll_config(shop: Shop, number: int, at_ms: float) -> str:
    """One call that no request caused."""
    call = shop.exchange(
        f"u{number}", "outbound", at_ms, 3, "GET /flags", "GET /flags", [("Host", "config")], "config:7000"
    )
    shop.link(call, None, "isolated", 0.9999, idle_s=41.5)
    return call


def build(path: Path, *, checkouts: int = 12, ended: bool = True) -> Path:
    """The whole sample: some requests, five findings of every severity, two polls of a configuration."""
    shop = Shop(path)
    shop.run(ended_ns=START_NS + 62_500 * MS if ended else None)
    calls = [checkout(shop, n, 250 + 4_000.0 * n) for n in range(checkouts)]
    for n in range(30):
        product(shop, n, 90 + 1_700.0 * n)
    mails = [mail(shop, n, 252 + 4_000.0 * n) for n in range(3)]
    for n in range(2):
        poll_config(shop, n, 30_000.0 * n + 20)
    stock_edge = shop.edges["GET /checkout", "inventory.default.svc:80", "GET /stock/{id}"]
    pay_edge = shop.edges["GET /checkout", "payment:8080", "POST /charge"]
    mail_edge = shop.edges["POST /orders", "mail:2525", "POST /send"]
    stock = [(call, inbound) for inbound, call, _ in calls]
    pay = [(call, inbound) for inbound, _, call in calls]
    last = 250 + 4_000.0 * (checkouts - 1)
    shop.finding(
        "TP001", stock_edge, stock, "traceparent",
        "The request carried a traceparent, the call to inventory carries none.",
        "a traceparent of trace " + trace_id(0), "no traceparent", 0.9996, "shop/checkout.go:42", 254, last + 4,
    )  # fmt: skip
    shop.finding(
        "TP003", stock_edge, stock, "b3", "Neither b3 nor x-b3-traceid is left on the call to inventory.",
        "x-b3-traceid: " + trace_id(0), "no B3 header", 0.9996, "shop/checkout.go:42", 254, last + 4,
    )  # fmt: skip
    shop.finding(
        "TP011", pay_edge, pay[:4], "traceparent",
        "The call starts a new trace instead of going on with the request's.",
        "trace " + trace_id(0), "trace " + trace_id(5000), 0.9996, None, 268, 12_268,
    )  # fmt: skip
    shop.finding(
        "TP021", mail_edge, [(call, inbound) for inbound, call in mails], "traceparent",
        "The call carries the context of another request [bold]\x1b[31m.", "trace " + trace_id(2000),
        "trace " + trace_id(0) + ", which request i0 brought", 0.81, None, 292, 8_292,
    )  # fmt: skip
    shop.finding(
        "WC004", pay_edge, pay[:1], "x-request-id", "The x-request-id is no UUID; Envoy never samples it.",
        "36 characters of UUID v4", "36 characters, version digit 0", 1.0, None, 268, 268,
    )  # fmt: skip
    shop.finding(
        "CP003", None, [], "", "The route GET /health saw no request.", "a request", "none", 1.0, None, 0, 0,
    )  # fmt: skip
    shop.close()
    return path


def build_quiet(path: Path, *, outbound: int = 0, inbound: int = 0, linked: int = 0, runs: int = 1) -> Path:
    """A run without findings: nothing seen, nothing linked, partly linked or all clean, by the counts."""
    shop = Shop(path)
    for _ in range(runs):
        shop.run()
    for n in range(inbound):
        shop.exchange(f"i{n}", "inbound", n * 10.0, 5, "GET /", "GET /", inbound_headers(n))
    for n in range(outbound):
        call = shop.exchange(f"o{n}", "outbound", n * 10.0 + 1, 2, "GET /x", "GET /x", [("Host", "up")], "up:80")
        if n < linked:
            shop.link(call, f"i{n % inbound}", "trace-id", 1.0)
    shop.close()
    return path
