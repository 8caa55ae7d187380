"""`traceaudit run` on a gRPC service in Go: what it drops is found, on both of its sides."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.addons.test_cleartext_http2 import packed, unpacked
from tests.live import UPSTREAM_NAME, run
from tests.services import LOOPBACK, Service, running

WAIT_S = 30


@pytest.fixture(scope="module")
def upstream() -> Iterator[Service]:
    with running("grpc") as service:
        yield service


def test_a_grpc_service_has_the_findings_of_its_methods(upstream: Service, tmp_path: Path) -> None:
    """The Go service makes its calls through HTTPS_PROXY, the one variable that grpc-go goes by."""
    with (
        run(tmp_path, "grpc", upstream=upstream, url=f"{UPSTREAM_NAME}:50051") as live,
        grpc.insecure_channel(f"{LOOPBACK}:{live.inbound}") as channel,
    ):
        for name in ("Forward", "Drop") * 3:
            call = channel.unary_unary(f"/shop.v1.Shop/{name}", packed, unpacked)
            assert call("tea", timeout=WAIT_S) == "re: tea"
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/shop.v1.Shop/Fail", packed, unpacked)("5", timeout=WAIT_S)
    database = sqlite3.connect(live.database)
    exchanges = set(database.execute("select direction, authority, path, http_version, status from exchanges"))
    findings = set(database.execute("select code, inbound_route, outbound_authority from findings_for_people"))
    database.close()
    inbound, outbound = f"{LOOPBACK}:{live.inbound}", f"{UPSTREAM_NAME}:50051"
    assert exchanges == {
        ("inbound", inbound, "/shop.v1.Shop/Forward", "HTTP/2.0", 0),
        ("inbound", inbound, "/shop.v1.Shop/Drop", "HTTP/2.0", 0),
        ("inbound", inbound, "/shop.v1.Shop/Fail", "HTTP/2.0", 5),
        ("outbound", outbound, "/shop.v1.Shop/Echo", "HTTP/2.0", 0),
    }
    assert findings == {
        (code, f"POST /shop.v1.Shop/{name}", outbound)
        for name, codes in {"Forward": ("TP003", "TP004"), "Drop": ("TP001", "TP003", "TP004")}.items()
        for code in codes
    }
    assert live.status == 0


def test_contexts_that_mix_on_grpc_calls_are_found(upstream: Service, tmp_path: Path) -> None:
    """What otelgrpc sends is taken from a context, and it may be another call's."""
    with (
        run(tmp_path, "grpc", upstream=upstream, url=f"{UPSTREAM_NAME}:50051") as live,
        grpc.insecure_channel(f"{LOOPBACK}:{live.inbound}") as channel,
    ):
        for name in ("Mixed", "Forward"):
            for _ in range(6):
                call = channel.unary_unary(f"/shop.v1.Shop/{name}", packed, unpacked)
                assert call("tea", timeout=WAIT_S) == "re: tea"
    database = sqlite3.connect(live.database)
    mixed = set(
        database.execute("select code, inbound_route, confidence from findings_for_people where code like 'TP02%'")
    )
    database.close()
    assert mixed == {("TP022", "POST /shop.v1.Shop/Mixed", "proven")}
