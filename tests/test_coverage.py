"""What goes round the audit is accused, and nothing else is; what was named and not seen is told of."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from traceaudit.coverage import Capture, Connection, Coverage, Expectation, fits, guess, names_of, unobserved
from traceaudit.exchange import Severity
from traceaudit.findings import FindingsBook
from traceaudit.listeners import Address
from traceaudit.protocols import Kind, named_in, protocol_of
from traceaudit.rules import RULES, select

PROXY = Address("127.0.0.1", 15001)
GIVEN = {"HTTP_PROXY": "http://127.0.0.1:15001", "HTTPS_PROXY": "http://127.0.0.1:15001", "NO_PROXY": ""}


def connection(
    remote: str,
    port: int,
    *,
    local: str = "127.0.0.1",
    environ: Mapping[str, str] | None = GIVEN,
    reached: Address | None = None,
    internal: bool = False,
) -> Connection:
    return Connection(
        Address(local, 40_000), Address(remote, port), 7, "shop", environ, reached=reached, internal=internal
    )


def coverage(book: FindingsBook | None = None, **more: object) -> Coverage:
    book = FindingsBook(frozenset(), {}) if book is None else book
    return Coverage(book, RULES, listening=[PROXY], **more)  # type: ignore[arg-type]  # the tests name what there is


def accused(one: Connection, **more: object) -> bool:
    return coverage(**more).see(one, 5) is not None


@pytest.mark.parametrize(
    ("remote", "port"), [("127.0.0.1", 9001), ("::1", 9001), ("10.0.0.7", 443), ("127.0.0.1", 8086), ("10.0.0.7", 9200)]
)
def test_a_connection_that_came_through_no_listener_is_a_bypass(remote: str, port: int) -> None:
    assert accused(connection(remote, port))


@pytest.mark.parametrize(
    "one",
    [
        connection("127.0.0.1", 15001),
        connection("10.0.0.2", 15001, local="10.0.0.2"),
        connection("93.184.216.34", 443, local="10.0.0.2", reached=Address("127.0.0.1", 15001)),
        connection("127.0.0.1", 5432),
        connection("10.0.0.7", 9092),
        connection("127.0.0.1", 4317),
        connection("10.0.0.7", 9411),
        connection("10.0.0.53", 53),
        connection("127.0.0.1", 39_211, internal=True),
    ],
    ids=lambda one: f"{one.remote}{' internal' if one.internal else ''}",
)
def test_what_is_ours_or_no_upstream_is_not_accused(one: Connection) -> None:
    assert not accused(one)


def test_the_listeners_port_on_another_machine_is_not_ours() -> None:
    assert accused(connection("10.0.0.9", 15001, local="10.0.0.2"))


def test_a_connection_that_reached_us_by_redirection_is_ours() -> None:
    through = {Address("10.0.0.2", 40_000)}
    one = connection("93.184.216.34", 443, local="10.0.0.2")
    assert not accused(one, capture=Capture.REDIRECT, came_through=through.__contains__)
    assert accused(one, capture=Capture.REDIRECT)


def test_what_is_no_upstream_is_counted_by_address_and_protocol() -> None:
    it = coverage()
    for _ in range(3):
        it.see(connection("127.0.0.1", 5432), 5)
    it.see(connection("127.0.0.1", 4318), 6)
    assert [(str(each.address), each.protocol.name, each.connections) for each in it.others.values()] == [
        ("127.0.0.1:5432", "PostgreSQL", 3),
        ("127.0.0.1:4318", "OTLP", 1),
    ]


def test_connections_to_one_address_are_one_finding() -> None:
    book = FindingsBook(frozenset(), {"CP001": Severity.WARNING})
    it = coverage(book)
    for at_ns in (5, 9):
        it.see(connection("127.0.0.1", 9001), at_ns)
    (finding,) = book
    assert (finding.rule.code, finding.severity, finding.edge.outbound_authority) == (
        "CP001",
        Severity.WARNING,
        "127.0.0.1:9001",
    )
    assert (finding.occurrences, finding.first_ns, finding.last_ns, finding.probability) == (2, 5, 9, 1.0)


def test_a_rule_that_is_not_selected_says_nothing() -> None:
    book = FindingsBook(frozenset(), {})
    it = Coverage(book, select(["ALL"], ["CP"]), expectation=Expectation({"inventory": "--route"}, ["GET /x"]))
    assert it.see(connection("127.0.0.1", 9001), 5) is None
    it.settle([], [], 9)
    assert list(book) == []


@pytest.mark.parametrize(
    ("one", "capture", "why"),
    [
        (connection("127.0.0.1", 9001), Capture.ENV, "Go sends nothing to localhost"),
        (connection("::1", 9001), Capture.ENV, "Go sends nothing to localhost"),
        (connection("10.0.0.7", 80), Capture.ENV, "http.Transport without Proxy"),
        (connection("10.0.0.7", 80, environ={}), Capture.ENV, "runs without HTTP_PROXY"),
        (connection("10.0.0.7", 80, environ=None), Capture.ENV, "http.Transport without Proxy"),
        (connection("10.0.0.7", 80, environ={"HTTP_PROXY": "x"}), Capture.ENV, "only HTTP_PROXY is set"),
        (connection("10.0.0.7", 80, environ={**GIVEN, "NO_PROXY": "10.0.0.0/8"}), Capture.ENV, "NO_PROXY"),
        (connection("10.0.0.7", 80, environ={**GIVEN, "no_proxy": "*"}), Capture.ENV, "NO_PROXY"),
        (connection("10.0.0.7", 80, environ={**GIVEN, "NO_PROXY": "10.1.0.0/16,x"}), Capture.ENV, "without Proxy"),
        (connection("10.0.0.7", 80), Capture.LISTENERS, "no listener stands for it"),
        (connection("10.0.0.7", 80), Capture.REDIRECT, "before the redirection held"),
    ],
)
def test_why_it_goes_round_is_guessed_with_a_remedy(one: Connection, capture: Capture, why: str) -> None:
    said, remedy = guess(one, capture)
    assert why in said
    assert ("--capture redirect" in remedy) is (capture is not Capture.REDIRECT)


def test_a_bypass_names_the_service_that_the_settings_have_there() -> None:
    book = FindingsBook(frozenset(), {})
    it = coverage(book, expectation=Expectation(leads={Address("127.0.0.1", 9001): "inventory"}))
    finding = it.see(connection("127.0.0.1", 9001), 5)
    assert finding is not None
    assert finding.example.violation.message.endswith("It is where inventory leads")


# --- what was named ---------------------------------------------------------------------------------------------------


def test_what_was_never_called_or_requested_is_told_of() -> None:
    book = FindingsBook(frozenset(), {})
    known = ["GET /orders/{id}", "GET /cart", "POST /cart"]
    it = coverage(book, expectation=Expectation({"inventory": "--route", "pricing": "--expect"}, known))
    it.settle(["inventory.shop.svc.cluster.local:80"], ["GET /orders/{id}", "GET /cart/"], 9)
    assert [(each.rule.code, each.edge.outbound_authority, each.edge.inbound_route) for each in book] == [
        ("CP002", "pricing", ""),
        ("CP003", "", "POST /cart"),
    ]
    assert [each.occurrences for each in book] == [0, 0]


@pytest.mark.parametrize(
    ("authority", "names"),
    [
        ("inventory", ["inventory"]),
        ("Inventory:80", ["inventory:80", "inventory"]),
        (
            "inventory.shop.svc.cluster.local:80",
            [
                "inventory.shop.svc.cluster.local:80",
                "inventory.shop.svc.cluster.local",
                "inventory.shop:80",
                "inventory.shop",
                "inventory:80",
                "inventory",
            ],
        ),
        ("api.example.com", ["api.example.com"]),
        ("[::1]:80", ["::1:80", "::1"]),
    ],
)
def test_an_authority_goes_by_all_its_names(authority: str, names: list[str]) -> None:
    assert names == names_of(authority)


def test_an_expected_name_is_observed_under_any_of_them() -> None:
    assert unobserved(["Inventory", "pricing"], ["inventory.shop.svc:8080"]) == ["pricing"]


@pytest.mark.parametrize(
    ("known", "seen", "expected"),
    [
        ("GET /orders/{id}", "GET /orders/17", True),
        ("GET /orders/{number}", "GET /orders/{id}", True),
        ("/orders", "POST /orders", True),
        ("GET /files/{path...}", "GET /files/a/b/c", True),
        ("GET /orders/{id}", "GET /orders/17/lines", False),
        ("GET /orders/17", "GET /orders/18", False),
        ("GET /orders", "POST /orders", False),
    ],
)
def test_a_known_route_is_recognised_in_what_was_requested(known: str, seen: str, expected: bool) -> None:
    assert fits(known, seen) is expected


# --- protocols --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "remote", "kind"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:9999", Address("127.0.0.1", 9999), Kind.TELEMETRY),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:9999", Address("10.0.0.7", 9999), Kind.TELEMETRY),
        ("DATABASE_URL", "postgres://shop:secret@db:7777/shop", Address("10.0.0.7", 7777), Kind.DATABASE),
        ("CACHE", "redis://127.0.0.1:7000/0", Address("127.0.0.1", 7000), Kind.DATABASE),
        ("CONFIG", "debug=1 db=mysql://shop:p@ss@127.0.0.1:7000/x", Address("127.0.0.1", 7000), Kind.DATABASE),
        ("STORE", "mongodb://shop:secret@one:7001,10.0.0.8:7002/x", Address("10.0.0.8", 7002), Kind.DATABASE),
        ("QUEUE", "amqp://guest:guest@[::1]:7000", Address("::1", 7000), Kind.BROKER),
        ("DATABASE_URL", "postgres://shop@127.0.0.1:7777/shop", Address("10.0.0.7", 7777), None),
        ("INVENTORY_URL", "http://localhost:9999", Address("127.0.0.1", 9999), None),
        ("DATABASE_URL", "postgres://shop@db:99999/shop", Address("10.0.0.7", 9999), None),
    ],
)
def test_the_environment_says_what_an_address_speaks(
    variable: str, value: str, remote: Address, kind: Kind | None
) -> None:
    for named in (named_in({variable: value}), named_in({}, ["./shop", f"--x={value}"])):
        protocol = protocol_of(remote, dict(named))
        assert (protocol.kind if protocol else None) == kind or (variable.startswith("OTEL") and protocol is None)
