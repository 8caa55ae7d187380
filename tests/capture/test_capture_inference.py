"""Causes told by the times of all: who is linked where nothing is left of the request, recorded or live."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.second_looks import (
    FINDINGS,
    LINKS,
    MS,
    OCCURRENCES,
    OUTCOMES,
    analyzed,
    chosen,
    end_of,
    right,
    rows,
    traffic,
)
from traceaudit.audit import Audit, AuditSettings
from traceaudit.capture import inference
from traceaudit.capture.elsewhere import Elsewhere
from traceaudit.capture.inference import LENGTH, packed_window
from traceaudit.capture.replay import moments
from traceaudit.correlation.records import Call, Request
from traceaudit.correlation.windows import Window
from traceaudit.exchange import Confidence, Exchange
from traceaudit.store.writer import AuditWriter

FILES = (LINKS, OUTCOMES, FINDINGS, OCCURRENCES)


def test_times_tell_most_causes_where_presence_tells_few(tmp_path: Path) -> None:
    exchanges, truth = traffic(400, every_ms=12)
    analyzed(tmp_path / "present.db", exchanges, infer=False)
    analyzed(tmp_path / "timed.db", exchanges)
    present, timed = chosen(tmp_path / "present.db"), chosen(tmp_path / "timed.db")
    assert right(present, truth) < 0.9
    assert right(timed, truth) > 0.97
    sure = {id_: link for id_, link in timed.items() if link[1] >= 0.95}
    assert len(sure) > 0.8 * len(truth)
    assert right(sure, truth) > 0.99
    proven = "select count(*) from links where method = 'timing' and probability >= 0.999"
    assert rows(tmp_path / "timed.db", proven) == [(0,)]


def test_what_was_accused_is_accused_as_surely_and_of_the_route_that_did_it(tmp_path: Path) -> None:
    exchanges, truth = traffic(400, every_ms=12)
    analyzed(tmp_path / "present.db", exchanges, infer=False)
    audit = analyzed(tmp_path / "timed.db", exchanges)
    for name in ("present.db", "timed.db"):
        found = rows(tmp_path / name, FINDINGS)
        assert {row[1] for row in found} == {"proven"}
        assert sum(int(str(row[3])) for row in found) == len(truth)
        assert len(rows(tmp_path / name, OCCURRENCES)) == len(truth)
        assert rows(tmp_path / name, "pragma foreign_key_check") == []
    assert {each.edge.inbound_route for each in audit.findings} == {"GET /cart", "GET /checkout"}
    assert len(rows(tmp_path / "timed.db", FINDINGS)) == len(audit.findings)
    assert min(each.occurrences for each in audit.findings) > 100


def test_every_window_knows_its_requests_however_many_there_were() -> None:
    """All that are over are forgotten at once now and then, those of a window not before it is taken."""
    exchanges, _ = traffic(4000, every_ms=3)
    audit = Audit(AuditSettings(infer=True))
    looks = []
    for exchange, begins in moments(exchanges):
        audit.begin(exchange) if begins else audit.end(exchange)
        while audit.looks:
            looks.append(audit.looks.popleft())
    audit.finish()
    looks += audit.looks
    assert len(looks) > 1
    for look in looks:
        assert look.inbounds.keys() == {each.id for each in look.window.requests}


def test_nothing_is_asked_where_identifiers_survive(tmp_path: Path) -> None:
    exchanges, truth = traffic(50, every_ms=12, forwarding=True)
    audit = Audit(AuditSettings(infer=True))
    for exchange, begins in moments(exchanges):
        audit.begin(exchange) if begins else audit.end(exchange)
    audit.finish()
    assert not audit.looks
    analyzed(tmp_path / "audit.db", exchanges)
    assert right(chosen(tmp_path / "audit.db"), truth) == 1


def test_the_engine_is_not_imported_where_nothing_is_asked() -> None:
    script = """
import sys, traceaudit.commands.analyze, traceaudit.commands.live
print("traceaudit.correlation.inference" in sys.modules)"""
    assert asyncio.run(_output(script)) == b"False\n"


async def _output(script: str) -> bytes:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said


async def watched(path: Path, exchanges: Sequence[Exchange]) -> tuple[Elsewhere, Audit, AuditWriter, list[str]]:
    """A run up to its end, as the proxy sees it: a second look may come at any time."""
    audit, writer = Audit(AuditSettings(infer=True)), AuditWriter(path, started_ns=0)
    failures: list[str] = []
    second = Elsewhere(audit, writer, writer.commit, lambda what, _: failures.append(what))
    audit.advance(0)
    for exchange, begins in moments(exchanges):
        if begins:
            writer.begin(exchange, audit.begin(exchange))
        else:
            audit.end(exchange)
            writer.change(exchange)
        second.poke()
        writer.commit()
        await asyncio.sleep(0)
    return second, audit, writer, failures


def test_a_run_and_the_analysis_of_its_recording_say_the_same(tmp_path: Path) -> None:
    """Several windows: the recording is longer than a call waits at most."""
    exchanges, _ = traffic(400, every_ms=12)
    late, _ = traffic(150, every_ms=12)
    for each in late:
        each.id = f"late-{each.id}"
        each.started_ns += 400_000_000_000
        each.ended_ns = (each.ended_ns or 0) + 400_000_000_000
    everything = [*exchanges, *late]

    async def run() -> None:
        second, audit, writer, failures = await watched(tmp_path / "live.db", everything)
        assert await second.finish(asyncio.Event())
        assert failures == []
        writer.conclude(audit, end_of(everything))

    asyncio.run(run())
    analyzed(tmp_path / "again.db", everything)
    for sql in FILES:
        assert rows(tmp_path / "live.db", sql) == rows(tmp_path / "again.db", sql)
    timed = [row for row in rows(tmp_path / "live.db", LINKS) if "reaction_ns" in str(row[5])]
    assert {"late" if str(row[0]).startswith("late") else "soon" for row in timed} == {"late", "soon"}


def test_first_verdicts_stand_where_nobody_waits_for_the_second(tmp_path: Path) -> None:
    exchanges, _ = traffic(100, every_ms=12)

    async def run() -> None:
        second, audit, writer, failures = await watched(tmp_path / "live.db", exchanges)
        enough = asyncio.Event()
        enough.set()
        assert not await second.finish(enough)
        assert failures == []
        writer.conclude(audit, end_of(exchanges))

    asyncio.run(run())
    analyzed(tmp_path / "again.db", exchanges, infer=False)
    for sql in FILES:
        assert rows(tmp_path / "live.db", sql) == rows(tmp_path / "again.db", sql)


def test_first_verdicts_stand_where_the_process_cannot_be_had(tmp_path: Path) -> None:
    exchanges, _ = traffic(100, every_ms=12)
    interpreter = sys.executable

    async def run() -> None:
        second, audit, writer, failures = await watched(tmp_path / "live.db", exchanges)
        sys.executable = "/nowhere/python"
        try:
            assert await second.finish(asyncio.Event())
        finally:
            sys.executable = interpreter
        assert len(failures) == 1
        writer.conclude(audit, end_of(exchanges))
        assert all(each.confidence is Confidence.PROVEN for each in audit.findings)

    asyncio.run(run())
    analyzed(tmp_path / "again.db", exchanges, infer=False)
    for sql in FILES:
        assert rows(tmp_path / "live.db", sql) == rows(tmp_path / "again.db", sql)


def test_windows_and_answers_survive_the_way_to_the_process_and_back() -> None:
    requests = tuple(Request(f"i{number}", "GET /\ud800", number * MS, number * MS + 800) for number in range(1, 20))
    calls = tuple(Call(f"o{number}", "pricing GET /", number * MS + 2, number * MS + 5) for number in range(1, 20))
    known = (Call("o0", "pricing GET /", 5, 6, (None,)), Call("o99", "pricing GET /", MS + 12, None, ("i1",)))
    window = Window(requests, (*calls, *known), frozenset(each.id for each in calls))
    answers = io.BytesIO()
    inference.serve(io.BytesIO(inference.packed_window(window) * 2), answers)
    packed = answers.getvalue()
    (length,) = inference.LENGTH.unpack(packed[: inference.LENGTH.size])
    first = inference.unpacked_answers(packed[inference.LENGTH.size :][:length])
    assert first.keys() == window.asked
    assert all(candidates[0].inbound_id == f"i{id_[1:]}" for id_, candidates in first.items())


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="sessions have a value of their own on Linux")
def test_the_process_lets_every_other_session_go_first() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "traceaudit.capture.inference"], stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        window = packed_window(Window((), (), frozenset()))
        process.stdin.write(window)
        process.stdin.flush()
        process.stdout.read(LENGTH.size)  # it is at work

        autogroup = Path(f"/proc/{process.pid}/autogroup").read_text(encoding="ascii")
        nice = os.getpriority(os.PRIO_PROCESS, process.pid)
        process.stdin.close()

    assert (nice, autogroup.strip().partition(" ")[2]) == (19, "nice 19")
