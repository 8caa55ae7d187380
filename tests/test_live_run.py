"""`traceaudit run` as a process: what it leaves behind when it ends, when it is killed, and when it cannot begin."""

from __future__ import annotations

import http.client
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live import Live, environment, run, traceaudit
from tests.services import LOOPBACK, Service, build, free_port, running


@pytest.fixture(scope="module")
def upstream() -> Iterator[Service]:
    with running("upstream") as service:
        yield service


def load(live: Live, answered: list[str], enough: threading.Event) -> None:
    """Sends requests with ids of their own until nobody answers; what was answered is noted at once."""
    connection = http.client.HTTPConnection(LOOPBACK, live.inbound, timeout=30)
    try:
        while True:
            id_ = f"{threading.get_ident()}-{len(answered)}"
            connection.request("GET", "/forward/17", headers={"X-Request-Id": id_})
            if connection.getresponse().read():
                answered.append(id_)
            if len(answered) > 100:
                enough.set()
    except (OSError, http.client.HTTPException):
        enough.set()
    finally:
        connection.close()


@pytest.mark.parametrize("attempt", range(5))
def test_what_was_answered_survives_a_kill_under_load(attempt: int, upstream: Service, tmp_path: Path) -> None:
    enough = threading.Event()
    answers: list[list[str]] = [[] for _ in range(8)]
    with run(tmp_path, "nethttp", upstream=upstream) as live:
        threads = [threading.Thread(target=load, args=(live, answered, enough)) for answered in answers]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        live.process.kill()
        for thread in threads:
            thread.join()
    answered = {id_ for each in answers for id_ in each}
    assert len(answered) > 100
    connection = sqlite3.connect(live.database)
    recorded = dict(
        connection.execute(
            "select value, count(*) from headers join exchanges on exchanges.id = exchange_id"
            " where name = 'X-Request-Id' and side = 'request' and status = 200 group by value"
        )
    )
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()
    # Once on its way in, and once as the service handed it on.
    assert {id_: recorded.get(id_) for id_ in answered} == dict.fromkeys(answered, 2)
    traceaudit("check", live.database, cwd=tmp_path)


def test_a_service_does_not_outlive_a_tool_that_is_killed(upstream: Service, tmp_path: Path) -> None:
    with run(tmp_path, "nethttp", upstream=upstream) as live:
        (child,) = children(live.process.pid)
        live.process.kill()
        live.process.wait()
        while Path(f"/proc/{child}").exists() and "(zombie)" not in Path(f"/proc/{child}/status").read_text():
            pass


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_end_leaves_one_file_and_nothing_running(upstream: Service, tmp_path: Path) -> None:
    with run(tmp_path, "nethttp", upstream=upstream) as live:
        (child,) = children(live.process.pid)
        assert live.get("/forward/17") == 200
    assert live.status == 0
    assert not Path(f"/proc/{child}").exists()
    assert sorted(path.name for path in tmp_path.glob("audit.db*")) == ["audit.db"]
    assert live.database.stat().st_mode & 0o777 == 0o600
    assert "nothing found in 1 linked call" in live.output


def test_more_connections_are_borne_than_the_usual_limit_of_open_files(upstream: Service, tmp_path: Path) -> None:
    given = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, given[1]))
    with ExitStack() as stack:
        try:
            live = stack.enter_context(run(tmp_path, "nethttp", upstream=upstream))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, given)
        limit = re.search(r"Max open files +(\d+)", Path(f"/proc/{live.process.pid}/limits").read_text())
        assert limit is not None
        assert limit[1] == str(given[1])
        for _ in range(200):
            stack.enter_context(socket.create_connection((LOOPBACK, live.inbound)))
        assert live.get("/forward/17") == 200


def test_it_says_what_listens_and_what_the_service_was_given(upstream: Service, tmp_path: Path) -> None:
    with run(tmp_path, "nethttp", upstream=upstream) as live:
        variables = Path(f"/proc/{children(live.process.pid)[0]}/environ").read_bytes().split(b"\0")
    said = "".join(live.said)
    assert f"inbound   http://{LOOPBACK}:{live.inbound} → service on" in said
    proxy = next(line.split()[1].rstrip(":") for line in live.said if line.startswith("outbound"))
    given = dict(each.decode().split("=", 1) for each in variables if b"=" in each)
    assert {given[name] for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")} == {proxy}
    assert (given["NO_PROXY"], given["no_proxy"]) == ("", "")


def test_a_run_that_saw_no_call_is_inconclusive(upstream: Service, tmp_path: Path) -> None:
    with run(tmp_path, "nethttp", upstream=upstream) as live:
        assert live.get("/healthz") == 200
    assert live.status == 3
    assert "inconclusive: no outbound call was seen" in live.output
    traceaudit("check", live.database, cwd=tmp_path, check=3)


def test_a_run_that_is_ended_before_anything_came_is_an_interruption(upstream: Service, tmp_path: Path) -> None:
    with run(tmp_path, "nethttp", upstream=upstream) as live:
        pass
    assert live.status == 130


def test_secrets_never_reach_the_disk(upstream: Service, tmp_path: Path) -> None:
    secrets = {name: f"s3cret-{name}" for name in ("Authorization", "Cookie", "X-Api-Key", "X-Session")}
    with run(tmp_path, "nethttp", upstream=upstream, options=["--redact", "x-session"]) as live:
        live.get("/forward/17", secrets)
        journal = live.database.with_name("audit.db-wal").read_bytes()
        assert b"s3cret" not in journal
        assert b"X-Session" in journal
    assert b"s3cret" not in live.database.read_bytes()
    assert b"s3cret" not in traceaudit("export", live.database, cwd=tmp_path).stdout.encode()


def test_a_named_upstream_is_captured_where_go_uses_no_proxy(upstream: Service, tmp_path: Path) -> None:
    """Go sends nothing to localhost through a proxy; a listener of its own catches it."""
    listen, port, inbound = free_port(), free_port(), free_port()
    command = [sys.executable, "-m", "traceaudit", "run", "--db", "audit.db", "--outbound", "0"]
    command += ["--inbound", f"{inbound}:{port}", "--upstream", f"inventory={listen}:{upstream.port}", "--"]
    command += [
        str(build(["nethttp"])["nethttp"]),
        "-listen",
        f"{LOOPBACK}:{port}",
        "-upstream",
        f"http://localhost:{listen}",
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while not process.stderr.readline().startswith("audit "):
        assert process.poll() is None
    live = Live(inbound, tmp_path / "audit.db", process, [])
    assert live.get("/drop/17") == 200
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    shown = traceaudit("check", "audit.db", cwd=tmp_path, check=1).stdout
    assert "TP001 traceparent-dropped  GET /drop/{id} → inventory GET /drop/{id}" in shown


def test_two_runs_share_a_file_and_the_later_one_is_shown(upstream: Service, tmp_path: Path) -> None:
    for path in ("/drop/17", "/forward/17"):
        with run(tmp_path, "nethttp", upstream=upstream) as live:
            live.get(path)
    traceaudit("check", live.database, cwd=tmp_path, check=0)
    traceaudit("check", live.database, "--run", "1", cwd=tmp_path, check=1)


# --- what cannot begin ------------------------------------------------------------------------------------------------


def fails(tmp_path: Path, *arguments: str, status: int = 2) -> str:
    done = traceaudit(*arguments, cwd=tmp_path, check=status)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_service_that_ends_at_once_is_reported_with_what_it_said(tmp_path: Path) -> None:
    script = "import sys; sys.exit('panic: no DATABASE_URL')"
    said = fails(
        tmp_path, "run", "--inbound", f"0:{free_port()}", "--outbound", "0", "--", sys.executable, "-c", script
    )
    assert "ended with status 1 before it listened on 127.0.0.1:" in said
    assert said.rstrip().endswith("panic: no DATABASE_URL")


def test_a_port_that_is_taken_is_named_with_the_option_to_change(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        said = fails(tmp_path, "run", "--inbound", f"{port}:{free_port()}", "--outbound", "0", "--", "./service")
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another port with --inbound" in said


def test_a_service_port_that_answers_already_is_no_service_of_ours(upstream: Service, tmp_path: Path) -> None:
    said = fails(tmp_path, "run", "--inbound", f"0:{upstream.port}", "--outbound", "0", "--", "./service")
    assert f"something listens on 127.0.0.1:{upstream.port} already" in said
    assert "traceaudit proxy" in said


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, and longer than a header of SQLite " * 10)
    before = (tmp_path / "notes.txt").read_bytes()
    arguments = ("run", "--inbound", f"0:{free_port()}", "--outbound", "0", "--db", "notes.txt", "--", "./service")
    assert "notes.txt is not an audit database" in fails(tmp_path, *arguments, status=4)
    assert (tmp_path / "notes.txt").read_bytes() == before


def test_without_a_word_on_the_inbound_listener_the_remedy_is_said(tmp_path: Path) -> None:
    assert "--inbound 15006:8080" in fails(tmp_path, "run", "--", "./service")
