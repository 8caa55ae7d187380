"""The audit is made to fail around a real service: the traffic flows on, it is said once, counted, and is no pass."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.live import Live, run, traceaudit
from tests.services import Service, running

TIMES = 5


@pytest.fixture(scope="module")
def upstream() -> Iterator[Service]:
    with running("upstream") as service:
        yield service


def flows(live: Live, times: int = TIMES, path: str = "/forward/17") -> None:
    """The service answers, and has been answered by its upstream."""
    assert [live.get(path) for _ in range(times)] == [200] * times


def lines(live: Live, with_: str) -> list[str]:
    return [line for line in "".join(live.said).splitlines() if with_ in line]


def recorded(database: Path) -> tuple[int, int, int]:
    """Exchanges, and what the run says of exchanges lost and errors inside the audit."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        (exchanges,) = connection.execute("select count(*) from exchanges").fetchone()
        return exchanges, *connection.execute("select dropped_exchanges, audit_errors from runs").fetchone()


@contextmanager
def no_file_may_grow(live: Live) -> Iterator[None]:
    """What a process sees of a quota that is used up: every write beyond the end of a file fails."""
    before = resource.prlimit(live.process.pid, resource.RLIMIT_FSIZE)
    # The log may be written over from its start, and that is smaller than this.
    resource.prlimit(live.process.pid, resource.RLIMIT_FSIZE, (1, before[1]))
    yield
    resource.prlimit(live.process.pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def somebody_elses_lock(live: Live) -> Iterator[None]:
    with closing(sqlite3.connect(live.database, isolation_level=None)) as other:
        other.execute("begin immediate")
        yield
        other.execute("rollback")


FAILURES: dict[str, tuple[Callable[[Live], object], str]] = {
    "no room": (no_file_may_grow, "disk I/O error"),
    "locked": (somebody_elses_lock, "database is locked"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="another process's limits are set by Linux's prlimit")
@pytest.mark.parametrize("failure", FAILURES)
def test_what_cannot_be_written_for_a_while_is_written_later(failure: str, upstream: Service, tmp_path: Path) -> None:
    """And the run still says that something went wrong, since nobody can know what else was lost."""
    broken, why = FAILURES[failure]
    with run(tmp_path, "nethttp", upstream=upstream) as live:
        flows(live)
        with broken(live):
            flows(live)
    exchanges, lost, errors = recorded(live.database)
    assert (exchanges, lost) == (2 * 2 * TIMES, 0)
    assert errors > 0
    (said,) = lines(live, "nothing can be written to the audit database for now")
    assert why in said
    assert live.status == 3
    assert "happened inside the audit" in " ".join(live.output.split())
    traceaudit("check", live.database, cwd=tmp_path, check=3)


# --- a disk that is full, to the end ----------------------------------------------------------------------------------

DISK_KIB = 1024
_MOUNTED = f'mkdir -p "$1" && mount -t tmpfs -o size={DISK_KIB}k none "$1" && shift && exec "$@"'


def namespace() -> list[str]:
    """How a program is given mounts of its own here; empty: it cannot be."""
    for options in ("-m", "-Urm"):
        command = ["unshare", options]
        if (
            shutil.which("unshare")
            and not subprocess.run([*command, "true"], capture_output=True, check=False).returncode
        ):
            return command
    return []


needs_mounts = pytest.mark.skipif(
    "not namespace()", reason="no file system can be mounted here, not even in a namespace"
)


@needs_mounts
def test_a_disk_that_is_full_holds_nothing_up_and_is_no_pass(upstream: Service, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    program = [*namespace(), "sh", "-c", _MOUNTED, "sh", str(disk), sys.executable, "-m", "traceaudit"]
    with run(tmp_path, "nethttp", upstream=upstream, program=program, options=["--db", str(disk / "audit.db")]) as live:
        # The run's own file system, which is there for as long as this is open.
        there = os.open(f"/proc/{live.process.pid}/root{disk}", os.O_PATH)
        flows(live)
        filler = Path(f"/proc/self/fd/{there}/filler")
        filler.write_bytes(bytes(DISK_KIB // 2 * 1024))
        with pytest.raises(OSError, match="No space left"), filler.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        flows(live, 40)
    for file in Path(f"/proc/self/fd/{there}").glob("audit.db*"):
        shutil.copy(file, tmp_path)  # SQLite would look for it where the path leads from here
    os.close(there)
    exchanges, _, _ = recorded(tmp_path / "audit.db")
    assert 2 * TIMES <= exchanges < 2 * (TIMES + 40)
    assert len(lines(live, "database or disk is full")) == 2, "once while it runs, and once at the end"
    assert live.status == 3
    said = " ".join(live.output.split())
    assert "dropped before they could be recorded" in said
    assert "happened inside the audit" in said


# --- an error of our own ----------------------------------------------------------------------------------------------

BROKEN_RULE = """
import dataclasses
from traceaudit import rules

def broken(call):
    raise ZeroDivisionError("a rule with a bug in it")

rules.RULES = tuple(dataclasses.replace(each, check=broken) if each.code == "TP001" else each for each in rules.RULES)

from traceaudit.commands import main

main(prog_name="traceaudit")
"""


def test_an_exception_in_a_rule_is_said_once_and_counted(upstream: Service, tmp_path: Path) -> None:
    with run(tmp_path, "nethttp", upstream=upstream, program=[sys.executable, "-c", BROKEN_RULE]) as live:
        flows(live, path="/drop/17")
    exchanges, lost, errors = recorded(live.database)
    assert (exchanges, lost, errors) == (2 * TIMES, 0, TIMES)
    (said,) = lines(live, "a rule with a bug in it")
    assert "an exchange was recorded but not judged" in said
    assert live.status == 3
    assert f"{TIMES} errors happened inside the audit" in " ".join(live.output.split())
    traceaudit("check", live.database, cwd=tmp_path, check=3)


BROKEN_END = """
from traceaudit.audit import Audit

def settle(self, at_ns):
    raise ZeroDivisionError("a bug at the end")

Audit.settle = settle

from traceaudit.commands import main

main(prog_name="traceaudit")
"""


def test_an_exception_at_the_end_still_tells_what_was_found(upstream: Service, tmp_path: Path) -> None:
    with run(tmp_path, "nethttp", upstream=upstream, program=[sys.executable, "-c", BROKEN_END]) as live:
        assert live.get("/drop/17") == 200
    assert recorded(live.database) == (2, 0, 1)
    assert len(lines(live, "a bug at the end")) == 1
    assert "Traceback" not in "".join(live.said)
    assert "TP001" in live.output
    assert live.status == 3
