"""`traceaudit probe` on real services: what requests share wrongly shows only together; what is right never does."""

from __future__ import annotations

import http.server
import json
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.live import UPSTREAM_NAME, environment, traceaudit
from tests.services import LOOPBACK, build, free_port, running

FEW = ["--serial", "4", "--rounds", "6", "--grace-ms", "60"]


def probe(folder: Path, *words: str, name: str = "sharing", check: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Probes a service of tests/services; words that begin with a slash are paths."""
    with running("upstream") as upstream:
        port = free_port()
        urls = [f"http://{LOOPBACK}:{port}{word}" if word.startswith("/") else word for word in words]
        return traceaudit(
            "probe", *urls, "--outbound", "0", "--route", f"{UPSTREAM_NAME}={LOOPBACK}:{upstream.port}", "--",
            build([name])[name], "-listen", f"{LOOPBACK}:{port}", "-upstream", f"http://{UPSTREAM_NAME}",
            cwd=folder, check=check,
        )  # fmt: skip


def rows(folder: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "audit.db")) as db:
        return db.execute(sql).fetchall()


def summary(output: str) -> str:
    """What the probe itself says, with the numbers that luck decides as N."""
    return re.sub(r"[1-9]\d* of (\d+ calls) +", r"N of \1  ", output[output.index("Probe:") :])


ONLY_TOGETHER = """\
Probe: 4 requests alone, 81 together

  alone               together
  0 of 4 calls        N of 81 calls  ✘ TP021 context-leaked · only together
                                          GET /{route}/{{id}} → upstream.test GET /{route}/{{id}}

✘ 1 fault came up only together: requests share what should be each one's own
"""


@pytest.mark.parametrize(
    ("route", "confidence"), [("current", "probable"), ("pooled", "probable"), ("current-trace", "proven")]
)
def test_contexts_that_requests_share_are_found_only_together(tmp_path: Path, route: str, confidence: str) -> None:
    done = probe(tmp_path, f"/{route}/17", *FEW, "--fail-on", "error", check=1)
    joined = re.sub(r" GET\n +/", " GET /", summary(done.stdout))
    assert joined == ONLY_TOGETHER.format(route=route)
    assert rows(tmp_path, "select code, confidence from findings") == [("TP021", confidence)]


def test_contexts_that_change_places_are_found_by_the_targets_of_the_calls(tmp_path: Path) -> None:
    """Each request has one call, and each call a whole context; only that they are the wrong ones."""
    paths = [f"/exchanged/{number}" for number in (17, 18, 19)]
    done = probe(tmp_path, *paths, "--serial", "4", "--grace-ms", "60", "--fail-on", "error", check=1)
    assert "TP021 context-leaked · only together" in done.stdout
    # What was made of the calls at first is replaced: no other request's path is on any.
    wrong = """select count(*) from links join exchanges as call on call.id = outbound_id
        join exchanges as request on request.id = inbound_id where rank = 1 and call.path != request.path"""
    assert rows(tmp_path, wrong) == [(0,)]
    assert rows(tmp_path, "select distinct outcome from outcomes order by 1") == [("forwarded",), ("leaked",)]


def test_a_fault_of_every_request_is_told_with_the_numbers_of_both_phases(tmp_path: Path) -> None:
    done = probe(tmp_path, "/drop/17", *FEW, name="nethttp")
    said = summary(done.stdout)
    assert re.search(r"N of 4 calls  N of 81 calls  ✘ TP001 traceparent-dropped\n", said)
    assert "upstream.test GET /drop/{id}: some of these calls carry no request's context" in said
    assert said.endswith("• nothing came up only together, as far as could be seen\n")


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("sharing", ["/own/17", "/own/18"]),
        ("sharing", ["/once/17?sleep_ms=20", "/cached/17?sleep_ms=10", "/again/17?sleep_ms=24"]),
        ("nethttp", ["/forward/17", "/twice", "/parallel", "/late"]),
    ],
)
def test_a_right_service_is_not_accused(tmp_path: Path, name: str, paths: list[str]) -> None:
    done = probe(tmp_path, *paths, *FEW, "--fail-on", "note", name=name)
    assert re.search(r"[✓•] nothing came up only together(, as far as could be seen)?\n$", done.stdout)
    assert rows(tmp_path, "select code, message from findings") == []


@pytest.mark.parametrize(
    ("name", "families"), [("otelhttp", "traceparent"), ("participant", "traceparent,x-request-id"), ("zipkin", "b3")]
)
def test_nor_is_an_instrumented_one(tmp_path: Path, name: str, families: str) -> None:
    done = probe(tmp_path, "/call/17", "/call/18", *FEW, "--require", families, "--fail-on", "note", name=name)
    assert done.stdout.endswith("✓ nothing came up only together\n")


def test_every_request_has_a_trace_and_a_mark_of_its_own_in_what_is_required(tmp_path: Path) -> None:
    probe(tmp_path, "/own/17", *FEW, "--require", "traceparent,x-request-id", "-H", "X-Mine: 1")
    headers: dict[str, list[str]] = {}
    for name, value in rows(
        tmp_path,
        "select lower(name), value from headers join exchanges on exchanges.id = exchange_id"
        " where direction = 'inbound' and side = 'request'",
    ):
        headers.setdefault(str(name), []).append(str(value))
    sent = 4 + 81
    assert set(headers) == {"user-agent", "host", "x-mine", "traceparent", "tracestate", "x-request-id"}
    assert headers["x-mine"] == ["1"] * sent
    for name in ("user-agent", "traceparent", "tracestate", "x-request-id"):
        assert len(set(headers[name])) == sent
    assert all(value.endswith("-01") for value in headers["traceparent"])
    assert "traceaudit-probe (request 0, alone)" in headers["user-agent"]
    assert "traceaudit-probe (request 84, round 6)" in headers["user-agent"]


def test_requests_are_alone_at_first_and_then_together(tmp_path: Path) -> None:
    """The service has one request after another, then as many as a round has, all before it answers one."""
    probe(tmp_path, "/own/17?sleep_ms=100", *FEW)
    times = rows(
        tmp_path,
        "select value, started_ns, response_started_ns from exchanges join headers on exchange_id = exchanges.id"
        " where direction = 'inbound' and side = 'request' and lower(name) = 'user-agent' order by started_ns",
    )
    phases: dict[str, list[tuple[int, int]]] = {}
    for mark, started, answered in times:
        match = re.search(r", (.*)\)", str(mark))
        assert match
        phases.setdefault(match[1], []).append((int(str(started)), int(str(answered))))
    alone = phases.pop("alone")
    assert all(after[0] > before[1] for before, after in pairwise(alone))
    assert [len(each) for each in phases.values()] == [16, 15, 14, 13, 12, 11]
    assert all(max(start for start, _ in each) < min(end for _, end in each) for each in phases.values())


def test_a_service_that_ends_meanwhile_makes_it_inconclusive(tmp_path: Path) -> None:
    done = probe(tmp_path, "/fatal/17", *FEW, check=3)
    assert "service │ fatal error: concurrent map writes" in done.stderr
    assert "the service ended by itself with status 2" in done.stderr
    assert done.stdout.endswith("? inconclusive: the probe ended after 0 of 6 rounds; see why, and probe again\n")


def test_so_does_an_interruption(tmp_path: Path) -> None:
    port = free_port()
    with running("upstream") as upstream:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "traceaudit", "probe", f"{LOOPBACK}:{port}/own/17", "--outbound", "0"),
                *("--serial", "3", "--grace-ms", "60", "--rounds", "1000", "--together", "4"),
                *("--route", f"{UPSTREAM_NAME}={LOOPBACK}:{upstream.port}", "--", str(build(["sharing"])["sharing"])),
                *("-listen", f"{LOOPBACK}:{port}", "-upstream", f"http://{UPSTREAM_NAME}"),
            ],
            cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        assert any(line.startswith("together") for line in process.stderr)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert re.search(r"\? inconclusive: the probe ended after \d+ of 1,000 rounds", output)


def test_what_stands_in_headers_and_data_does_not_reach_the_disk(tmp_path: Path) -> None:
    probe(
        tmp_path, "/own/17", *FEW, "-H", "Authorization: Bearer secret-1", "-d", "secret-2", "-X", "GET",
    )  # fmt: skip
    written = b"".join(path.read_bytes() for path in tmp_path.glob("audit.db*"))
    assert b"own/17" in written
    assert b"secret-" not in written
    ((command,),) = rows(tmp_path, "select command from runs")
    assert re.fullmatch(r"traceaudit probe http://\S+/own/17 -- \S+sharing -listen .*", str(command))


def test_without_the_marks_it_says_what_it_could_not_see(tmp_path: Path) -> None:
    done = probe(tmp_path, "/current/17", *FEW, "--redact", "user-agent")
    assert "Not seen: whether whole contexts change places; what tells that was not recorded." in done.stdout
    assert done.stdout.endswith("• nothing came up only together, as far as could be seen\n")


def test_where_calls_are_saved_it_says_what_it_could_not_see(tmp_path: Path) -> None:
    done = probe(tmp_path, "/once/17?sleep_ms=50", *FEW)
    said = " ".join(done.stdout.split())
    assert "upstream.test GET /once/{id}: these calls are more or fewer when requests are together" in said


class Refusing(http.server.BaseHTTPRequestHandler):
    """A service that says what it was asked, and hangs up on some."""

    asked: Counter[tuple[str, str, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked[self.path, self.headers["Content-Type"], body] += 1
        if self.path == "/hang-up":
            return
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def refusing() -> Iterator[tuple[int, Counter[tuple[str, str, str]]]]:
    asked: Counter[tuple[str, str, str]] = Counter()
    handler = type("Handler", (Refusing,), {"asked": asked})
    with http.server.ThreadingHTTPServer((LOOPBACK, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], asked
        server.shutdown()


def test_data_is_posted_as_by_curl_to_a_service_that_runs_already(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text('{"item": 17}', encoding="utf-8")
    with refusing() as (port, asked):
        done = traceaudit(
            "probe", f"{LOOPBACK}:{port}/orders?a=b c", "--unsafe", "-d", "@order.json", *FEW, "--together", "3",
            "-H", "Content-Type: application/json", "--outbound", "0", cwd=tmp_path, check=3,
        )  # fmt: skip
    assert asked == {("/orders?a=b%20c", "application/json", json.dumps({"item": 17})): 4 + 15}
    assert "nothing can be said of requests together: the run is inconclusive" in done.stdout


def test_requests_that_are_not_answered_are_told_of(tmp_path: Path) -> None:
    with refusing() as (port, asked):
        done = traceaudit(
            "probe", f"http://{LOOPBACK}:{port}/hang-up", "--unsafe", "-X", "post", "-d", "x", *FEW, "--together", "2",
            "--outbound", "0", cwd=tmp_path, check=3,
        )  # fmt: skip
    assert asked.total() >= 4 + 12
    assert "POST /hang-up was answered 502 16 times" in done.stderr


BAD = {
    "nothing listens": (["http://127.0.0.1:{free}/"], "nothing listens on 127.0.0.1:{free}: start the service"),
    "no name": ([f"http://{'a' * 70}/"], "nothing listens on aaa"),
    "not ASCII": (["http://☃.test/"], "write the host in ASCII"),
    "no host": (["http:///x"], "there is no host in it"),
    "no place": (["/orders"], "/orders: where does the service listen? Write the whole URL"),
    "two services": (["localhost:1/", "localhost:2/"], "are of several services; probe one at a time"),
    "another service": (["--inbound", "15006:8080", "localhost:9/"], "the audit is in front of 127.0.0.1:8080"),
    "TLS": (["https://localhost:8080/"], "the service is called without TLS"),
    "no port": (["http://localhost:http/"], "write it like http://localhost:8080/orders/17"),
    "user": (["http://me:secret@localhost/"], "a name and password go into a header"),
    "unsafe": (["-X", "DELETE", "localhost:8080/"], "DELETE may change something, and is sent 180 times: say --unsafe"),
    "data": (["-d", "x", "localhost:8080/"], "POST may change something"),
    "no file": (["--unsafe", "-d", "@no\x1bfile", "localhost:8080/"], "no\\x1bfile cannot be read: No such file"),
    "method": (["--unsafe", "-X", "GET /", "localhost:8080/"], "that is no method of HTTP"),
    "header": (["-H", "nonsense", "localhost:8080/"], "is no header: write it like 'Accept: application/json'"),
    "trace": (["-H", "Traceparent: x", "localhost:8080/"], "every request of a probe is given a trace of its own"),
    "mark": (["-H", "User-Agent: x", "localhost:8080/"], "this one is the probe's own"),
    "too many": (["--rounds", "500", "--together", "200", "localhost:8080/"], "100,020 requests, more than 20,000"),
    "one together": (["--together", "1", "localhost:8080/"], "1 is not in the range 2<=x<=256"),
    "isolated": (["--isolate", "localhost:8080/"], "--isolate: probe needs requests to be together"),
    "no command": (["localhost:8080/", "--"], "what starts the service? Name the command after --"),
    "no such command": (["localhost:{free}/", "--outbound", "0", "--", "./nobody"], "cannot start ./nobody"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_usage_is_told_with_its_place_and_remedy(tmp_path: Path, name: str) -> None:
    words, told = BAD[name]
    free = free_port()
    done = traceaudit("probe", *(word.format(free=free) for word in words), cwd=tmp_path, check=2)
    assert told.format(free=free) in done.stderr
    assert done.stdout == ""
