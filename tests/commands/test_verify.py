"""What a run under load could not decide, the same requests decide one at a time."""

from __future__ import annotations

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.live import UPSTREAM_NAME, run, traceaudit
from tests.services import LOOPBACK, build, free_port, running


def test_calls_in_doubt_are_settled_by_asking_again_one_at_a_time(tmp_path: Path) -> None:
    """Two routes drop everything, ten requests at once: whose call is whose cannot be said."""
    with running("upstream") as upstream:
        options = ["--gate", "off"]  # It would let them in one by one.
        with run(tmp_path, "nethttp", upstream=upstream, options=options) as live, ThreadPoolExecutor(10) as clients:
            paths = ["/drop/17?sleep_ms=120", "/drop/list?sleep_ms=120"] * 5
            assert list(clients.map(live.get, paths)) == [200] * 10
        connection = sqlite3.connect(live.database)
        assert (
            connection.execute("select max(probability) from links where inbound_id is not null").fetchone()[0] < 0.95
        )
        port = free_port()
        done = traceaudit(
            "verify", "audit.db", "--inbound", f"{free_port()}:{port}", "--outbound", "0",
            "--route", f"{UPSTREAM_NAME}={LOOPBACK}:{upstream.port}", "--",
            build(["nethttp"])["nethttp"], "-listen", f"{LOOPBACK}:{port}", "-upstream", f"http://{UPSTREAM_NAME}",
            cwd=tmp_path,
        )  # fmt: skip
    sent = re.search(r"sending (\d+) requests 3 times, one at a time", done.stderr)
    assert sent
    settled = connection.execute(
        "select links.method, count(*) from links join exchanges on exchanges.id = outbound_id"
        " where run_id = 2 and rank = 1 and inbound_id is not null and probability >= 0.95 group by links.method"
    ).fetchall()
    assert settled == [("isolated", 3 * int(sent[1]))]
    edges = {row[0] for row in connection.execute("select inbound_route from edges where run_id = 2")}
    assert edges == {"GET /drop/{id}", "GET /drop/list"}
    connection.close()


def test_where_nothing_is_in_doubt_nothing_is_sent(tmp_path: Path) -> None:
    with running("upstream") as upstream, run(tmp_path, "nethttp", upstream=upstream) as live:
        assert live.get("/forward/17") == 200
    done = traceaudit("verify", "audit.db", "--inbound", f"0:{free_port()}", "--outbound", "0", cwd=tmp_path)
    assert "nothing to verify" in done.stderr
