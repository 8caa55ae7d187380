"""HAR files, flow files and Envoy's access logs end in the same exchanges as an exchange log does."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.http import Headers, HTTPFlow, Request, Response
from mitmproxy.io import FlowWriter
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test.tflow import tclient_conn, tserver_conn

from tests.live import traceaudit
from traceaudit.capture import envoy_log, har
from traceaudit.capture.exchange_log import BadLine
from traceaudit.capture.sources import Source, recognise
from traceaudit.capture.times import duration_ns, time_ns
from traceaudit.exchange import Direction, Exchange
from traceaudit_addons import flow_file

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
REQUEST_ID = "6f1c1d9e-7e0a-4c6b-9d5e-0a1b2c3d4e5f"
START_MS = 1_774_000_000_000
LOGGED = ("traceparent", "b3", "x-request-id")

REQUEST = ("inbound", 0, 50, "shop.test", "/checkout", {"traceparent": TRACEPARENT, "x-request-id": REQUEST_ID})
FORWARDS = ("outbound", 5, 10, "inventory", "/stock/17", {"traceparent": TRACEPARENT, "x-request-id": REQUEST_ID})
DROPS = ("outbound", 20, 10, "pricing", "/quote", {"x-request-id": REQUEST_ID})
type Recorded = tuple[str, int, int, str, str, dict[str, str]]
RECORDING: list[Recorded] = [REQUEST, FORWARDS, DROPS]


def iso(ms: int) -> str:
    return datetime.fromtimestamp((START_MS + ms) / 1000, UTC).isoformat(timespec="milliseconds")


def as_har(recording: Iterable[Recorded]) -> bytes:
    entries = [
        {
            "startedDateTime": iso(at),
            "time": took,
            "request": {
                "method": "GET",
                "url": f"http://{host}{path}",
                "httpVersion": "HTTP/1.1",
                "headers": [{"name": name, "value": value} for name, value in headers.items()],
            },
            "response": {"status": 200, "headers": []},
            "timings": {"send": 0, "wait": took, "receive": 0},
        }
        for _, at, took, host, path, headers in recording
    ]
    return json.dumps(
        {"log": {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": entries}}
    ).encode()


def envoy_line(each: Recorded, **more: object) -> bytes:
    direction, at, took, host, path, headers = each
    cluster = "inbound|8080||" if direction == "inbound" else f"outbound|80||{host}.shop.svc.cluster.local"
    record = {
        "start_time": iso(at),
        "duration": took,
        "method": "GET",
        "path": path,
        "authority": host,
        "protocol": "HTTP/1.1",
        "response_code": 200,
        "upstream_cluster": cluster,
        "request_headers": {name: headers.get(name) for name in LOGGED},
        **more,
    }
    return json.dumps(record).encode() + b"\n"


def as_envoy(recording: Iterable[Recorded]) -> bytes:
    own = b"2026-03-20T10:00:00.000Z\tinfo\txdsproxy\tconnected\n"
    return own + b"".join(envoy_line(each) for each in recording)


def as_flows(recording: Iterable[Recorded]) -> bytes:
    file = io.BytesIO()
    writer = FlowWriter(file)
    for direction, at, took, host, path, headers in recording:
        client = tclient_conn()
        client.proxy_mode = ProxyMode.parse("reverse:http://127.0.0.1:8080" if direction == "inbound" else "regular")
        flow = HTTPFlow(client, tserver_conn())
        fields = Headers([(name.encode(), value.encode()) for name, value in [("Host", host), *headers.items()]])
        began, ended = (START_MS + at) / 1000, (START_MS + at + took) / 1000
        flow.request = Request(
            host, 80, b"GET", b"http", b"", path.encode(), b"HTTP/1.1", fields, b"", None, began, began
        )
        flow.response = Response(b"HTTP/1.1", 200, b"OK", Headers(), b"", None, ended, ended)
        writer.add(flow)
    return file.getvalue()


def as_log(recording: Iterable[Recorded]) -> bytes:
    lines = [
        {
            "id": f"{direction[0]}{number}",
            "direction": direction,
            "started_ns": (START_MS + at) * 10**6,
            "ended_ns": (START_MS + at + took) * 10**6,
            "method": "GET",
            "authority": host,
            "path": path,
            "status": 200,
            "request_headers": list(headers.items()),
        }
        for number, (direction, at, took, host, path, headers) in enumerate(recording)
    ]
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


@pytest.mark.parametrize("form", ["log", "har", "envoy", "flows"])
def test_every_recording_of_the_same_traffic_has_the_same_findings(form: str, tmp_path: Path) -> None:
    arguments: list[str] = []
    if form == "har":
        for direction in ("inbound", "outbound"):
            name = f"{direction}.har"
            (tmp_path / name).write_bytes(as_har(each for each in RECORDING if each[0] == direction))
            arguments += [f"--as-{direction}", name]
    else:
        content = {"log": as_log, "envoy": as_envoy, "flows": as_flows}[form](RECORDING)
        (tmp_path / "recording").write_bytes(content)
        arguments = ["recording"]
    traceaudit("analyze", *arguments, "--db", "audit.db", cwd=tmp_path)
    report = json.loads(traceaudit("report", "audit.db", "--format", "json", cwd=tmp_path).stdout)
    found = [(each["code"], each["edge"], each["confidence"]) for each in report["findings"]]
    assert found == [("TP001", "GET /checkout → pricing GET /quote", "proven")]
    lines = map(json.loads, traceaudit("export", "audit.db", cwd=tmp_path).stdout.splitlines())
    exported = [each for each in lines if "id" in each]
    assert [
        (each["direction"], each["started_ns"] // 10**6 - START_MS, each["ended_ns"] // 10**6 - START_MS, each["path"])
        for each in exported
    ] == [(direction, at, at + took, path) for direction, at, took, _, path, _ in RECORDING]


def test_a_har_file_has_to_be_told_its_side(tmp_path: Path) -> None:
    (tmp_path / "traffic.har").write_bytes(as_har(RECORDING))
    said = traceaudit("analyze", "traffic.har", cwd=tmp_path, check=2).stderr
    assert "name it with --as-inbound or --as-outbound" in " ".join(said.split())


def test_without_any_recording_the_usage_is_told(tmp_path: Path) -> None:
    assert "LOG" in traceaudit("analyze", cwd=tmp_path, check=2).stderr


@pytest.mark.parametrize(
    ("head", "source"),
    [
        (as_har([]), Source.HAR),
        (b'\xef\xbb\xbf \n{ "log" : {"version": "1.2"', Source.HAR),
        (as_flows(RECORDING), Source.FLOWS),
        (as_envoy(RECORDING), Source.ENVOY),
        (as_log(RECORDING), Source.EXCHANGE_LOG),
        (b'{"log": "a text"}', Source.EXCHANGE_LOG),
        (b"", Source.EXCHANGE_LOG),
        (b"GET / HTTP/1.1", Source.EXCHANGE_LOG),
        (b'{"run": {"started_ns": 1}}', Source.EXCHANGE_LOG),
        (b"[1, 2]", Source.EXCHANGE_LOG),
    ],
    ids=range(10),
)
def test_a_recording_is_recognised_by_how_it_begins(head: bytes, source: Source) -> None:
    assert recognise(head) is source


# --- HAR --------------------------------------------------------------------------------------------------------------


def entry(**more: object) -> dict[str, object]:
    loaded: dict[str, object] = json.loads(as_har([FORWARDS]))["log"]["entries"][0]
    return {**loaded, **more}


def read_har(*entries: object) -> list[Exchange | BadLine]:
    content = json.dumps({"log": {"entries": entries}}).encode()
    return list(har.read(content, Direction.OUTBOUND, ""))


def test_a_har_entry_keeps_what_it_says() -> None:
    headers = [
        {"name": ":authority", "value": "x"},
        {"name": "Traceparent", "value": "a"},
        {"name": "traceparent", "value": "b"},
    ]
    request = {"method": "POST", "url": "https://api.test:8443/a?b=c", "httpVersion": "h2", "headers": headers}
    (found,) = read_har(entry(request=request, connection="17", serverIPAddress="10.0.0.7"))
    assert isinstance(found, Exchange)
    assert (found.id, found.method, found.scheme, found.authority, found.path) == (
        "o1",
        "POST",
        "https",
        "api.test:8443",
        "/a?b=c",
    )
    assert found.request_headers == [("Traceparent", "a"), ("traceparent", "b")]
    assert (found.connection_id, found.server_address, found.http_version) == ("17", "10.0.0.7", "h2")


def test_a_har_entry_without_an_answer_has_an_error_and_no_status() -> None:
    (found,) = read_har(entry(response={"status": 0, "headers": [], "_error": "net::ERR_FAILED"}, time=-1))
    assert isinstance(found, Exchange)
    assert (found.status, found.error, found.ended_ns, found.response_started_ns) == (
        None,
        "net::ERR_FAILED",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"startedDateTime": "yesterday"}, "'yesterday' is no time"),
        ({"request": {"method": "GET", "url": "http://x/"}}, "headers is missing"),
        ({"request": {"method": "GET", "url": "http://x/", "headers": {}}}, "headers are no list"),
        ({"request": None}, "request is no object"),
        ({"time": "long"}, "'long' is no duration"),
    ],
)
def test_a_bad_har_entry_is_told_of_and_the_others_are_read(more: Mapping[str, object], reason: str) -> None:
    bad, good = read_har(entry(**more), entry())
    assert isinstance(bad, BadLine)
    assert bad.number == 1
    assert reason in bad.reason
    assert isinstance(good, Exchange)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"log": {}}', b'{"log": {"entries": 3}}', b"[" * 100_000, b"\xff"])
def test_what_is_no_har_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(har.NotHarError):
        list(har.read(content, Direction.INBOUND, ""))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["startedDateTime", "time", "request", "response", "timings", "connection"]), ANYTHING)
def test_nothing_in_a_har_entry_raises(key: str, value: object) -> None:
    assert len(read_har(entry(**{key: value}))) == 1


# --- Envoy ------------------------------------------------------------------------------------------------------------


def read_envoy(*lines: bytes, direction: Direction | None = None) -> list[Exchange | BadLine]:
    return list(envoy_log.read(lines, direction, ""))


def test_an_envoy_line_keeps_what_it_says() -> None:
    line = envoy_line(
        FORWARDS, protocol="HTTP/2", response_duration="7", upstream_host="10.0.0.7:8080", connection_id=9
    )
    (found,) = read_envoy(line)
    assert isinstance(found, Exchange)
    assert (found.id, found.direction, found.http_version, found.status) == ("o1", Direction.OUTBOUND, "HTTP/2.0", 200)
    assert found.response_started_ns == found.started_ns + 7_000_000
    assert found.request_headers == [("traceparent", TRACEPARENT), ("x-request-id", REQUEST_ID)]
    assert (found.server_address, found.connection_id) == ("10.0.0.7:8080", "9")


@pytest.mark.parametrize(
    ("more", "direction"),
    [
        ({"upstream_cluster": "inbound|8080||"}, Direction.INBOUND),
        ({"upstream_cluster": "InboundPassthroughCluster"}, Direction.INBOUND),
        ({"upstream_cluster": "PassthroughCluster"}, Direction.OUTBOUND),
        ({"upstream_cluster": "local", "direction": "inbound"}, Direction.INBOUND),
        ({"upstream_cluster": "outbound|80||x", "direction": "Inbound"}, Direction.INBOUND),
    ],
)
def test_the_side_is_what_the_line_says(more: Mapping[str, object], direction: Direction) -> None:
    (found,) = read_envoy(envoy_line(FORWARDS, **more))
    assert isinstance(found, Exchange)
    assert found.direction is direction


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"request_headers": None}, "it logs no request_headers"),
        ({"request_headers": {"user-agent": "x"}}, "none of the request_headers that it logs is a trace header"),
        ({"upstream_cluster": "local"}, "does not say whether it is inbound or outbound"),
        ({"start_time": "-"}, "start_time is missing"),
        ({"path": None}, "path is missing"),
        ({"duration": "soon"}, "no duration"),
    ],
)
def test_a_bad_envoy_line_is_told_of_with_its_number(more: Mapping[str, object], reason: str) -> None:
    good, bad = read_envoy(envoy_line(REQUEST), envoy_line(FORWARDS, **more))
    assert isinstance(good, Exchange)
    assert isinstance(bad, BadLine)
    assert bad.number == 2
    assert reason in bad.reason


def test_a_header_that_is_not_logged_is_not_taken_for_one_that_is_missing() -> None:
    """Else the format of one listener would look like the fault of the service."""
    good, bad = read_envoy(envoy_line(REQUEST), envoy_line(FORWARDS, request_headers={"x-request-id": REQUEST_ID}))
    assert isinstance(good, Exchange)
    assert isinstance(bad, BadLine)
    assert bad.reason == "it does not log the same request headers as the lines before: b3, traceparent"


@pytest.mark.parametrize("value", [None, "-", ""])
def test_a_header_without_a_value_is_absent(value: str | None) -> None:
    (found,) = read_envoy(envoy_line(FORWARDS, request_headers={"traceparent": value, "b3": "0"}))
    assert isinstance(found, Exchange)
    assert found.request_headers == [("b3", "0")]


@given(st.sampled_from(["start_time", "duration", "method", "path", "request_headers", "response_code"]), ANYTHING)
def test_nothing_in_an_envoy_line_raises(key: str, value: object) -> None:
    assert len(read_envoy(envoy_line(FORWARDS, **{key: value}))) == 1


# --- flow files -------------------------------------------------------------------------------------------------------


def test_a_flow_file_that_breaks_off_is_read_as_far_as_it_goes() -> None:
    content = as_flows(RECORDING)
    *good, bad = flow_file.read(io.BytesIO(content[:-40]), None)
    assert [each.path for each in good if isinstance(each, Exchange)] == ["/checkout", "/stock/17"]
    assert isinstance(bad, BadLine)
    assert bad.number == 3


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T01:00:00.5+01:00", 500_000_000),
        ("1969-12-31T19:00:00-0500", 0),
        ("1970-01-01 00:00:00,25", 250_000_000),
        ("1774000000.123456789", 1_774_000_000_123_456_789),
        ("17", 17 * 10**9),
    ],
)
def test_times_are_read_to_the_nanosecond(text: str, expected: int) -> None:
    assert expected == time_ns(text)


@pytest.mark.parametrize(
    "text", ["", "now", "1970-13-01T00:00:00Z", "1960-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "-5"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no time|before 1970|month"):
        time_ns(text)


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 10**6), ("1.5", 1_500_000), (-1, None), (None, None), ("-", None), (0, 0), (True, None)]
)
def test_durations_are_milliseconds(value: object, expected: int | None) -> None:
    assert expected == duration_ns(value)
