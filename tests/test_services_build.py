"""The Go services of the tests are what the tests take them for: they start, call, forward, spoil and end as told."""

from __future__ import annotations

import http.client
import json
import queue
import re
import signal
import subprocess
import threading
import venv
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.services import LOOPBACK, NAMES, Service, build, free_port, running

REPOSITORY = Path(__file__).parent.parent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
UUID = "0b52b7f7-8a2d-4c1b-9c0e-3f2f1b7d6a55"

TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
B3 = f"{TRACE}-{SPAN}-1"
SENT = {
    "X-Request-Id": UUID,
    "Traceparent": TRACEPARENT,
    "Tracestate": "a=1,b=2",
    "B3": B3,
    "X-B3-Traceid": TRACE,
    "X-B3-Spanid": SPAN,
    "X-B3-Sampled": "1",
}
W3C = {name: SENT[name] for name in ("X-Request-Id", "Traceparent", "Tracestate")}

Headers = dict[str, list[str]]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Service]:
    with running("upstream") as service:
        yield service


def get(service: Service, path: str, headers: dict[str, str] | None = None) -> object:
    """The JSON that a service answers; urllib would ask a proxy of the environment."""
    connection = http.client.HTTPConnection(LOOPBACK, service.port, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        body = response.read().decode()
        assert response.status == 200, body
        return json.loads(body)
    finally:
        connection.close()


def health(service: Service) -> str:
    connection = http.client.HTTPConnection(LOOPBACK, service.port, timeout=10)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def echoing(upstream: Service) -> list[str]:
    """Has a service call the upstream's /echo; a service puts its own path behind what it takes for a base URL."""
    return ["-upstream", f"{upstream.url}/echo?for="]


def by_name(pairs: object) -> Headers:
    """The trace headers of what /echo answers."""
    assert isinstance(pairs, list)
    found: Headers = {}
    for name, value in pairs:
        if name not in ("Accept-Encoding", "User-Agent"):
            found.setdefault(name, []).append(value)
    return found


def called(service: Service, path: str, sent: dict[str, str]) -> list[Headers]:
    """The trace headers of each call that a request makes."""
    answer = get(service, path, sent)
    assert isinstance(answer, list)
    return [by_name(pairs) for pairs in answer]


def lines(headers: dict[str, str]) -> Headers:
    return {name: [value] for name, value in headers.items()}


ROUTES = [
    ("nethttp", ["/forward", "/forward/a/b?c=d", "/drop", "/wrong/rename"]),
    ("gin", ["/forward", "/forward/a/b?c=d", "/drop"]),
    ("participant", ["/call", "/call/a/b?c=d"]),
    ("otelhttp", ["/call", "/call/a/b?c=d"]),
    ("zipkin", ["/call", "/call/a/b?c=d"]),
    ("sharing", ["/own/17", "/current/17", "/current-trace/17", "/pooled/17", "/once/17", "/cached/17", "/again/17"]),
]


def test_the_table_of_routes_names_every_service_there_is() -> None:
    assert {name for name, _ in ROUTES} | {"upstream", "backends", "callers"} <= set(NAMES)


@pytest.mark.parametrize(("name", "paths"), ROUTES)
def test_a_service_starts_calls_its_upstream_and_ends_in_order(name: str, paths: list[str], upstream: Service) -> None:
    with running(name, "-upstream", upstream.url) as service:
        assert health(service) == "ok\n"
        for path in paths:
            assert get(service, path) == [{"path": path.partition("?")[0]}]
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) == 0


@pytest.mark.parametrize(("name", "paths"), ROUTES)
def test_a_service_calls_through_the_proxy_that_the_environment_names(
    name: str, paths: list[str], upstream: Service
) -> None:
    # The upstream's name leads nowhere: an answer can only have come by the proxy, for which the upstream stands in.
    environment = {"HTTP_PROXY": upstream.url, "NO_PROXY": "", "no_proxy": ""}
    with running(name, "-upstream", "http://upstream.invalid", env=environment) as service:
        for path in paths:
            assert get(service, path) == [{"path": path.partition("?")[0]}]


@pytest.mark.parametrize("name", ["nethttp", "gin"])
def test_forward_hands_on_every_header_and_drop_none(name: str, upstream: Service) -> None:
    with running(name, *echoing(upstream)) as service:
        assert called(service, "/forward", SENT) == [lines(SENT)]
        assert called(service, "/drop", SENT) == [{}]


def test_nethttp_makes_several_calls_with_the_same_headers(upstream: Service) -> None:
    with running("nethttp", *echoing(upstream)) as service:
        assert called(service, "/twice", SENT) == [lines(SENT)] * 2
        assert called(service, "/parallel", SENT) == [lines(SENT)] * 3


def other_trace(headers: Headers) -> Headers:
    """The new trace id replaced by a word, once it is seen to be one and the same everywhere."""
    trace = headers["X-B3-Traceid"][0]
    assert re.fullmatch("[0-9a-f]{32}", trace)
    assert trace != TRACE
    return {name: [value.replace(trace, "NEW") for value in values] for name, values in headers.items()}


def other_id(pattern: str) -> Callable[[Headers], Headers]:
    def replaced(headers: Headers) -> Headers:
        (value,) = headers["X-Request-Id"]
        assert value != UUID
        return headers | {"X-Request-Id": ["NEW" if re.fullmatch(pattern, value) else value]}

    return replaced


def as_they_are(headers: Headers) -> Headers:
    return headers


WRONG: list[tuple[str, Headers, Callable[[Headers], Headers]]] = [
    ("duplicate", {"Traceparent": [TRACEPARENT, TRACEPARENT]}, as_they_are),
    ("rename", {"Traceparent": [], "Trace-Parent": [TRACEPARENT]}, as_they_are),
    (
        "flags-zero",
        {"Traceparent": [f"00-{TRACE}-{SPAN}-00"], "B3": [f"{TRACE}-{SPAN}-0"], "X-B3-Sampled": ["0"]},
        as_they_are,
    ),
    ("tracestate-reversed", {"Tracestate": ["b=2,a=1"]}, as_they_are),
    ("tracestate-dropped", {"Tracestate": []}, as_they_are),
    (
        "new-trace-id",
        {"Traceparent": [f"00-NEW-{SPAN}-01"], "B3": [f"NEW-{SPAN}-1"], "X-B3-Traceid": ["NEW"]},
        other_trace,
    ),
    ("id-cut", {"B3": [f"{TRACE[16:]}-{SPAN}-1"], "X-B3-Traceid": [TRACE[16:]]}, as_they_are),
    ("upper-case", {"Traceparent": [TRACEPARENT.upper()]}, as_they_are),
    ("empty", {"X-B3-Parentspanid": [""]}, as_they_are),
    ("request-id", {"X-Request-Id": ["NEW"]}, other_id("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")),
    ("request-id-text", {"X-Request-Id": ["NEW"]}, other_id("req-[0-9a-f]{12}")),
]


def test_each_wrong_route_spoils_one_thing_and_no_other(upstream: Service) -> None:
    with running("nethttp", *echoing(upstream)) as service:
        found = {name: seen(called(service, f"/wrong/{name}", SENT)[0]) for name, _, seen in WRONG}
    expected = {
        name: {header: values for header, values in (lines(SENT) | spoilt).items() if values}
        for name, spoilt, _ in WRONG
    }
    assert found == expected


def skeleton(headers: Headers) -> Headers:
    """The header lines with a word for each id: the trace's, the caller's span, a span of the service's own."""

    def word(match: re.Match[str]) -> str:
        return {TRACE: "TRACE", SPAN: "SPAN"}.get(match[0], "OWN" if len(match[0]) == 16 else "NEW")

    pattern = r"\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b"
    return {name: [re.sub(pattern, word, value) for value in values] for name, values in headers.items()}


OWN_MULTI = {"X-B3-Traceid": "TRACE", "X-B3-Spanid": "OWN", "X-B3-Sampled": "1"}


@pytest.mark.parametrize(
    ("name", "args", "sent", "expected"),
    [
        ("participant", [], W3C, {"Traceparent": "00-TRACE-OWN-01", "Tracestate": "a=1,b=2", "X-Request-Id": UUID}),
        ("otelhttp", [], SENT, {"Traceparent": "00-TRACE-OWN-01", "Tracestate": "a=1,b=2"}),
        ("otelhttp", ["-propagator", "w3c"], {"Baggage": "k=v"}, {"Traceparent": "00-NEW-OWN-01", "Baggage": "k=v"}),
        ("otelhttp", ["-propagator", "b3"], SENT, {"B3": "TRACE-OWN-1"}),
        ("otelhttp", ["-propagator", "b3multi"], SENT, OWN_MULTI),
        ("otelhttp", ["-propagator", "none"], SENT, {}),
        ("zipkin", [], SENT, OWN_MULTI | {"X-B3-Parentspanid": "SPAN"}),
    ],
)
def test_an_instrumented_service_sends_a_span_of_its_own_in_the_formats_it_knows(
    name: str, args: Sequence[str], sent: dict[str, str], expected: dict[str, str], upstream: Service
) -> None:
    with running(name, *args, *echoing(upstream)) as service:
        assert [skeleton(headers) for headers in called(service, "/call", sent)] == [lines(expected)]


@contextmanager
def recorder() -> Iterator[tuple[str, queue.Queue[Headers]]]:
    """An upstream of which the test sees what it was asked, for calls that nobody answers for."""
    requests: queue.Queue[Headers] = queue.Queue()

    class Recorder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.put(by_name([[name.title(), value] for name, value in self.headers.items() if name != "Host"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("nethttp", "/late", lines(SENT | {"Traceparent": "00-TRACE-SPAN-01", "B3": "TRACE-SPAN-1"})),
        (
            "nethttp",
            "/restart-late",
            lines(
                {
                    "X-Request-Id": UUID,
                    "Traceparent": "00-NEW-OWN-01",
                    "B3": "NEW-OWN-1",
                    "X-B3-Traceid": "NEW",
                    "X-B3-Spanid": "OWN",
                    "X-B3-Sampled": "1",
                }
            ),
        ),
        (
            "participant",
            "/late",
            lines({"X-Request-Id": UUID, "Traceparent": "00-TRACE-OWN-01", "Tracestate": "a=1,b=2"}),
        ),
    ],
)
def test_a_late_call_is_made_after_the_answer_even_by_a_service_that_is_told_to_end(
    name: str, path: str, expected: Headers
) -> None:
    with recorder() as (url, requests), running(name, "-upstream", url) as service:
        assert get(service, path, SENT) == []
    headers = requests.get_nowait()
    assert requests.empty()
    assert skeleton(headers) == skeleton(expected)


def test_a_restarted_trace_is_one_trace_in_all_formats() -> None:
    with recorder() as (url, requests), running("nethttp", "-upstream", url) as service:
        get(service, "/restart-late", SENT)
    headers = requests.get_nowait()
    ((trace,), (span,)) = headers["X-B3-Traceid"], headers["X-B3-Spanid"]
    assert headers["Traceparent"] == [f"00-{trace}-{span}-01"]
    assert headers["B3"] == [f"{trace}-{span}-1"]


def test_building_again_gives_the_same_binaries_to_all_who_ask_at_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        builds = list(pool.map(build, [NAMES] * 4))
    assert builds == [builds[0]] * 4
    assert list(builds[0]) == list(NAMES)
    inodes = {name: binary.stat().st_ino for name, binary in builds[0].items()}
    assert {name: binary.stat().st_ino for name, binary in build(NAMES).items()} == inodes


def test_a_service_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match=r"^no such service: flask; there are .*gin, .*zipkin$"):
        build(["flask", "gin"])


def test_a_service_that_fails_is_quoted() -> None:
    with (
        pytest.raises(RuntimeError, match=r'^otelhttp ended with status 2: .*there is no propagator "jaeger"'),
        running("otelhttp", "-propagator", "jaeger"),
    ):
        pass


def test_a_failure_beside_a_running_service_comes_with_what_the_service_wrote() -> None:
    with (
        pytest.raises(ZeroDivisionError) as failure,
        running("nethttp", "-upstream", f"http://{LOOPBACK}:{free_port()}") as service,
    ):
        get(service, "/late", SENT)
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(10)
        _ = 1 // 0
    assert re.search(r"^nethttp wrote last: .*connection refused$", failure.value.__notes__[0])


def test_go_is_found_in_the_environment_that_path_does_not_name(tmp_path: Path) -> None:
    """As after `pip install 'traceaudit[demo]'` into an environment that nobody has activated."""
    venv.create(tmp_path / "env", with_pip=False)
    scripts, elsewhere = tmp_path / "env/bin", tmp_path / "elsewhere"

    def python(code: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(elsewhere), "HOME": str(elsewhere), "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(
            [scripts / "python", "-c", code], env=environment, capture_output=True, text=True, check=False
        )

    find = "from traceaudit.demo.toolchain import find_go; print(find_go())"
    assert python(find).stdout == "None\n"
    assert (
        "RuntimeError: the test services need Go: install it"
        in python("from tests.services import build; build(['gin'])").stderr
    )
    (scripts / "go").write_text("#!/bin/sh\n")
    (scripts / "go").chmod(0o755)
    assert python(find).stdout == f"{scripts / 'go'}\n"
