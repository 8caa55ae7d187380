"""The inputs of the W3C's and OpenTelemetry's suites, sent to real services under audit: what each input makes of them.

Every input goes through the inbound listener as it is written; what is to be found follows from what the specification
says of the input (`spec_valid`, `spec_tracestate_valid`) and from what the service does, by the functions below.
"""

from __future__ import annotations

import http.client
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live import Live, run
from tests.services import LOOPBACK, Service, running

REQUIRED = ("--require", "traceparent,x-request-id")
MINTED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
"""What the sidecar makes where no traceparent comes, but for the digits."""

_VALID = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True)
class Input:
    """One input; ``state`` are the members of a valid tracestate."""

    id: int
    headers: Sequence[tuple[str, str]]
    lines: tuple[str, ...]
    valid: bool
    state: tuple[str, ...]
    of_the_w3c: bool

    @property
    def can_be_sent(self) -> bool:
        """Whether HTTP/1.1 can carry it: https://www.rfc-editor.org/rfc/rfc9110#section-5.5"""
        return all(_TOKEN.fullmatch(name) and _FIELD_VALUE.fullmatch(value) for name, value in self.headers)


def suite() -> list[Input]:
    path = Path(__file__).parent / "formats" / "header_cases.json"
    inputs = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        if row["format"] != "w3c":
            continue
        lines = [value.strip() for name, value in row["headers"] if name.lower() == "traceparent"]
        text = ",".join(value for name, value in row["headers"] if name.lower() == "tracestate")
        inputs.append(
            Input(
                row["id"],
                [(name, value) for name, value in row["headers"]],
                tuple(lines or [MINTED]),
                row["spec_valid"] or not lines,
                tuple(member for each in text.split(",") if (member := each.strip()))
                * bool(row["spec_tracestate_valid"]),
                "w3c/trace-context" in row["source"],
            )
        )
    return inputs


INPUTS = [each for each in suite() if each.can_be_sent]


def is_valid(traceparent: str) -> bool:
    return _VALID.fullmatch(traceparent) is not None and (len(traceparent) == 55 or not traceparent.startswith("00"))


# --- what each service makes of an input ------------------------------------------------------------------------------


def instead(each: Input, now: str, broken: set[str]) -> set[str]:
    """Where the first line goes out changed: what that breaks if it was valid, and if not, what it is now."""
    if each.valid:
        return broken
    return set() if is_valid(now) or [now] == [*each.lines] else {"WC001"}


def field_set(each: Input, position: int, text: str) -> str:
    """The first line with one of its fields set, where it has as many as a traceparent."""
    fields = each.lines[0].split("-")
    if len(fields) >= 4:
        fields[position] = text
    return "-".join(fields)


def duplicated(each: Input) -> set[str]:
    return {"WC005"} if len(each.lines) == 1 and each.lines[0] else set()


def renamed(each: Input) -> set[str]:
    return {"TP001"} if each.valid else set()


def unsampled(each: Input) -> set[str]:
    was_sampled = each.valid and int(each.lines[0][53:55], 16) & 1
    return instead(each, field_set(each, 3, "00"), {"TP013"} if was_sampled else set())


def restarted(each: Input) -> set[str]:
    return instead(each, field_set(each, 1, "0af7651916cd43dd8448eb211c80319c"), {"TP011"})


def in_capitals(each: Input) -> set[str]:
    now = each.lines[0].upper()
    return instead(each, now, {"WC001"} if now != each.lines[0] else set())


def without_state(each: Input) -> set[str]:
    return {"TP002"} if each.valid and each.state else set()


def state_reversed(each: Input) -> set[str]:
    return {"TP015"} if each.valid and each.state != each.state[::-1] else set()


PATHS: dict[str, Callable[[Input], set[str]]] = {
    "/wrong/duplicate": duplicated,
    "/wrong/rename": renamed,
    "/wrong/flags-zero": unsampled,
    "/wrong/new-trace-id": restarted,
    "/wrong/upper-case": in_capitals,
    "/wrong/tracestate-dropped": without_state,
    "/wrong/tracestate-reversed": state_reversed,
}


# --- sending and reading ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def upstream() -> Iterator[Service]:
    with running("upstream") as service:
        yield service


def send(live: Live, path: str, inputs: Sequence[Input]) -> None:
    """One request an input, one after the other on one connection; the query names the input."""
    with closing(http.client.HTTPConnection(LOOPBACK, live.inbound, timeout=30)) as connection:
        for each in inputs:
            connection.putrequest("GET", f"{path}?input={each.id}")
            for name, value in each.headers:
                connection.putheader(name, value.encode("latin-1"))
            connection.endheaders()
            response = connection.getresponse()
            response.read()
            assert response.status == 200, each


def codes(database: Path, path: str) -> dict[int, set[str]]:
    """The rules that each input's call broke."""
    found: dict[int, set[str]] = {}
    with closing(sqlite3.connect(database)) as connection:
        for called, code in connection.execute(
            "select path, code from exchanges as calls"
            " left join finding_occurrences as broken on broken.outbound_id = calls.id"
            " left join findings on findings.id = broken.finding_id"
            " where direction = 'outbound' and path like ?",
            (f"{path}?input=%",),
        ):
            found.setdefault(int(called.rpartition("=")[2]), set()).update({code} - {None})
    return found


def outcomes(database: Path) -> dict[int, str]:
    """What became of each input's traceparent."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "select path, outcome from outcomes join exchanges on exchanges.id = outbound_id"
            " where format = 'traceparent'"
        )
        return {int(path.rpartition("=")[2]): outcome for path, outcome in rows}


# --- the tests --------------------------------------------------------------------------------------------------------


def test_http_can_carry_every_input_and_there_are_some_of_each_kind() -> None:
    assert [each.id for each in suite() if not each.can_be_sent] == []
    assert Counter(each.of_the_w3c for each in INPUTS) == {True: 85, False: 118}
    assert Counter(each.valid for each in INPUTS) == {True: 118, False: 85}
    assert all(is_valid(each.lines[0]) for each in INPUTS if each.valid)
    assert not any(is_valid(each.lines[0]) for each in INPUTS if not each.valid and len(each.lines) == 1)


def test_a_conformant_participant_has_no_finding(upstream: Service, tmp_path: Path) -> None:
    with run(tmp_path, "participant", upstream=upstream, options=REQUIRED) as live:
        send(live, "/call", INPUTS)
    assert codes(live.database, "/call") == {each.id: set() for each in INPUTS}
    assert outcomes(live.database) == {each.id: "continued" if each.valid else "absent" for each in INPUTS}


def test_where_the_mesh_needs_b3_a_participant_lacks_that_and_nothing_else(upstream: Service, tmp_path: Path) -> None:
    """The sidecar gives B3 to each request; a new trace in place of an invalid one stays right beside it."""
    with run(tmp_path, "participant", upstream=upstream) as live:
        send(live, "/call", INPUTS)
    assert codes(live.database, "/call") == {each.id: {"TP003"} for each in INPUTS}


def test_a_forwarder_has_no_finding_and_what_it_passes_on_is_judged_as_it_is(upstream: Service, tmp_path: Path) -> None:
    with run(tmp_path, "nethttp", upstream=upstream, options=REQUIRED) as live:
        send(live, "/forward", INPUTS)
    assert codes(live.database, "/forward") == {each.id: set() for each in INPUTS}
    assert outcomes(live.database) == {each.id: "forwarded" if each.valid else "malformed" for each in INPUTS}


def test_each_wrong_variant_breaks_its_rule_on_every_input_that_can_show_it(upstream: Service, tmp_path: Path) -> None:
    inputs = [each for each in INPUTS if each.of_the_w3c]
    with run(tmp_path, "nethttp", upstream=upstream, options=REQUIRED) as live:
        send(live, "/forward", inputs)
        for path in PATHS:
            send(live, path, inputs)
    for path, breaks in PATHS.items():
        expected = {each.id: breaks(each) for each in inputs}
        assert any(expected.values())
        assert codes(live.database, path) == expected, path
