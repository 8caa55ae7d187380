"""The gate before a Go service that drops every header, and tells in its answers, too late for a guess, the truth."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.live import Live, run, traceaudit
from tests.services import LOOPBACK, build, running

_TRUTH = "select value from headers where exchange_id = {} and side = 'response' and lower(name) = 'x-truth'"
LINKS = f"""select method, probability, ({_TRUTH.format("inbound_id")}) is ({_TRUTH.format("outbound_id")}), evidence
    from links where rank = 1"""
ALL_LINKS = "select outbound_id, inbound_id, method, probability, rank, evidence from links order by outbound_id, rank"
FINDINGS = """select code, probability, occurrences, inbound_route, outbound_route
    from findings join edges on edges.id = edge_id order by code, inbound_route, outbound_route"""


def rows(database: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


def load(live: Live, requests: int, clients: int) -> None:
    hidden = str(build(["hidden"])["hidden"])
    arguments = ["-mode", "load", "-upstream", f"http://{LOOPBACK}:{live.inbound}"]
    arguments += ["-requests", str(requests), "-clients", str(clients)]
    subprocess.run([hidden, *arguments], check=True, capture_output=True, timeout=120)


@pytest.mark.parametrize("mode", ["sequence", "parallel"])
def test_what_the_gate_shows_is_true_and_an_analysis_of_the_recording_says_the_same(tmp_path: Path, mode: str) -> None:
    with (
        running("hidden", "-mode", "upstream", "-took", "20ms") as upstream,
        run(tmp_path, "hidden", "-mode", mode, upstream=upstream) as live,
    ):
        load(live, 400, 2)
    links = rows(live.database, LINKS)
    gated = [link for link in links if link[0] == "gated"]
    # On a machine that is busy with other things, calls at once may never be told apart in so short a run.
    assert gated or mode == "parallel"
    for _, probability, right, evidence in gated:
        assert right
        assert float(str(probability)) >= 0.999
        assert json.loads(str(evidence))["such_reactions"] >= 12
    said = "".join(live.said)
    assert re.search(rf"gate +shows the request behind {len(gated)} of 1200 calls", said)

    log = tmp_path / "log.jsonl"
    log.write_text(traceaudit("export", live.database, "--format", "jsonl", cwd=tmp_path).stdout)
    traceaudit("analyze", log, "--db", tmp_path / "again.db", cwd=tmp_path, check=None)
    for sql in (ALL_LINKS, FINDINGS):
        assert rows(tmp_path / "again.db", sql) == rows(live.database, sql)


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    with (
        running("hidden", "-mode", "upstream", "-took", "1ms") as upstream,
        run(tmp_path, "hidden", upstream=upstream, options=["--gate", "off"]) as live,
    ):
        load(live, 60, 2)
    assert not [method for method, *_ in rows(live.database, LINKS) if method == "gated"]
    assert "gate " not in "".join(live.said)
