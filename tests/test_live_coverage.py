"""`traceaudit run` and `proxy` on services whose calls go round the audit, and on those that only seem to."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live import Live, environment, run, traceaudit
from tests.services import LOOPBACK, Service, build, free_port, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="connections are looked at in /proc")

BYPASS = "error     CP001 upstream-bypasses-proxy"
REQUESTS = 8000
"""How often a service is asked for what is seen by chance."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Service]:
    with running("upstream") as service:
        yield service


@contextmanager
def audited(
    folder: Path, upstream: str, *options: str, command: str = "run", service: Sequence[str] | None = None
) -> Iterator[Live]:
    """A run on a service that calls ``upstream``; what it says goes into ``said`` as it comes."""
    inbound, port = free_port(), free_port()
    words = [sys.executable, "-m", "traceaudit", command, "--db", "audit.db", "--outbound", "0"]
    words += ["--inbound", f"{inbound}:{port}", *options]
    started = [
        *(service or [str(build(["nethttp"])["nethttp"])]),
        "-listen",
        f"{LOOPBACK}:{port}",
        "-upstream",
        upstream,
    ]
    process = subprocess.Popen(
        [*words, "--", *started],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    live = Live(inbound, folder / "audit.db", process, [])
    try:
        until(live, "audit ")
        yield live
        process.send_signal(signal.SIGINT)
        live.output, rest = process.communicate(timeout=60)
        live.said.append(rest)
        live.status = process.returncode
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def until(live: Live, beginning: str) -> str:
    """The next line that begins so; the run's end is a failure."""
    assert live.process.stderr is not None
    for line in live.process.stderr:
        live.said.append(line)
        if line.startswith(beginning):
            return line
    raise AssertionError(f"the run ended with status {live.process.wait()}: {''.join(live.said)}")


def findings(folder: Path) -> list[tuple[str, str, str]]:
    report = json.loads(traceaudit("report", "audit.db", "--format", "json", cwd=folder, check=None).stdout)
    return [(each["code"], each["message"], each["observed"]) for each in report["findings"]]


def test_a_call_to_localhost_is_said_to_bypass_the_audit_at_once(upstream: Service, tmp_path: Path) -> None:
    address = f"{LOOPBACK}:{upstream.port}"
    with audited(tmp_path, f"http://localhost:{upstream.port}", "--route", f"inventory={address}") as live:
        assert live.get("/forward/17") == 200
        said = until(live, BYPASS)
    assert f"connected to {address}" in said
    assert "Go sends nothing to localhost" in said
    assert said.rstrip().endswith("It is where inventory leads")
    assert live.status == 3
    assert "some of the service's connections bypass the audit" in live.output
    assert [code for code, _, _ in findings(tmp_path)] == ["CP001", "CP002"]
    traceaudit("check", "audit.db", cwd=tmp_path, check=1)
    traceaudit("check", "audit.db", "--ignore", "CP001", cwd=tmp_path, check=3)


def test_a_process_without_the_environment_is_found_out(upstream: Service, tmp_path: Path) -> None:
    with (
        audited(
            tmp_path,
            f"http://{LOOPBACK}:{upstream.port}",
            service=["env", "-i", str(build(["nethttp"])["nethttp"])],
        ) as live,
    ):
        assert live.get("/forward/17") == 200
        assert "runs without HTTP_PROXY" in until(live, BYPASS)


def test_a_service_whose_calls_are_captured_has_no_bypass(upstream: Service, tmp_path: Path) -> None:
    """Through the explicit proxy and a listener; and whoever connects to the service directly is no upstream of it."""
    with run(tmp_path, "nethttp", upstream=upstream, options=["--expect", "upstream.test"]) as live:
        assert [live.get("/forward/17") for _ in range(5)] == [200] * 5
    assert live.status == 0
    assert findings(tmp_path) == []


def test_an_expected_upstream_that_is_not_called_makes_a_run_inconclusive(upstream: Service, tmp_path: Path) -> None:
    options = ["--expect", "upstream.test", "--expect", "pricing", "--known-route", "GET /drop/{id}"]
    with run(tmp_path, "nethttp", upstream=upstream, options=options) as live:
        assert live.get("/forward/17") == 200
    assert live.status == 3
    assert "pricing was expected and never called" in live.output
    assert [code for code, _, _ in findings(tmp_path)] == ["CP002", "CP003"]
    traceaudit("check", "audit.db", cwd=tmp_path, check=3)
    traceaudit("check", "audit.db", "--ignore", "CP", cwd=tmp_path, check=3)


def test_a_database_is_listed_and_not_accused(upstream: Service, tmp_path: Path) -> None:
    """The service's wrapper holds a connection to what its environment calls a database."""
    wrapper = (
        "import os, socket, subprocess, sys;"
        "kept = socket.create_connection(('127.0.0.1', int(os.environ['DB_PORT'])));"
        "sys.exit(subprocess.call(sys.argv[1:]))"
    )
    with socket.create_server((LOOPBACK, 0)) as database, pytest.MonkeyPatch.context() as patch:
        port = database.getsockname()[1]
        patch.setenv("DB_PORT", str(port))
        patch.setenv("DATABASE_URL", f"postgres://shop@{LOOPBACK}:{port}/shop")
        service = [sys.executable, "-c", wrapper, str(build(["nethttp"])["nethttp"])]
        route = f"upstream.test={LOOPBACK}:{upstream.port}"
        with audited(tmp_path, "http://upstream.test", "--route", route, service=service) as live:
            assert live.get("/forward/17") == 200
    assert findings(tmp_path) == []
    assert f"{LOOPBACK}:{port}  PostgreSQL (database), 1 connection" in live.output
    assert live.status == 0


def test_a_service_that_somebody_else_started_is_watched_too(upstream: Service, tmp_path: Path) -> None:
    with running("nethttp", "-upstream", upstream.url) as service:
        inbound = free_port()
        words = [sys.executable, "-m", "traceaudit", "proxy", "--db", "audit.db", "--outbound", "0"]
        process = subprocess.Popen(
            [*words, "--inbound", f"{inbound}:{service.port}"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        live = Live(inbound, tmp_path / "audit.db", process, [])
        try:
            until(live, "audit ")
            assert live.get("/forward/17") == 200
            until(live, BYPASS)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            assert process.returncode == 3
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def test_clients_that_go_to_the_service_directly_are_not_its_upstreams(upstream: Service, tmp_path: Path) -> None:
    route = f"upstream.test={LOOPBACK}:{upstream.port}"
    with audited(tmp_path, "http://upstream.test", "--route", route) as live:
        port = int(next(line for line in live.said if line.startswith("inbound")).split(":")[-2].split(":")[0])
        with socket.create_connection((LOOPBACK, port)):
            threads = [threading.Thread(target=live.get, args=("/forward/17?sleep_ms=150",)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert findings(tmp_path) == []
    assert live.status == 0


def test_calls_that_are_over_at_once_are_seen_while_they_last(upstream: Service, tmp_path: Path) -> None:
    """A Go client without keep-alive: each of its connections is closed within a millisecond or two."""
    port = free_port()
    service = [str(build(["callers"])["callers"])]
    with audited(tmp_path, upstream.url, "--known-route", "GET /call", service=service) as live:
        said = threading.Thread(target=until, args=(live, BYPASS), daemon=True)
        said.start()
        # One at a time: thousands of closed connections make each look longer than what is looked for.
        for _ in range(REQUESTS):
            assert live.get(f"/call?with=brief&to={upstream.url}/cell") == 200
            said.join(timeout=0.01)
            if not said.is_alive():
                break
        assert not said.is_alive(), "never seen"
        assert live.get(f"/call?with=brief&to=http://{LOOPBACK}:{port}/nobody-listens") == 502
    assert f"connected to {LOOPBACK}:{upstream.port}" in live.said[-2]
    assert [code for code, _, _ in findings(tmp_path)] == ["CP001"]
    assert live.status == 3
