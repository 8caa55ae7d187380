"""Whatever the inspector is pointed at, it says what is the case and gives the right exit status."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sample
from driving import settle

from traceaudit.store.opening import NotAnAuditError, open_audit
from traceaudit_tui.app import Inspector, run
from traceaudit_tui.queries import Audit


def empty(path: Path) -> None:
    path.touch()


def words(path: Path) -> None:
    path.write_text("id,method\n1,GET\n" * 50)


def short(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00")


def directory(path: Path) -> None:
    path.mkdir()


def no_tables(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("create table t (id)")
        db.execute("drop table t")
    db.close()


def other_tables(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("create table people (id, name)")
    db.close()


def older(path: Path) -> None:
    sample.build(path)
    with sqlite3.connect(path) as db:
        db.execute("drop view propagation_matrix")
        db.execute("drop view findings_for_people")
        db.execute("alter table findings drop column function")
        db.execute("alter table headers rename column redacted to hidden")
    db.close()


def truncated(path: Path) -> None:
    sample.build(path)
    with path.open("r+b") as file:
        file.truncate(20_000)


def overwritten(path: Path) -> None:
    sample.build(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3996)


BAD = [
    (empty, "is empty"),
    (words, "is no SQLite file"),
    (short, "is truncated"),
    (directory, "is not a file"),
    (no_tables, "has no tables"),
    (other_tables, "not an audit database"),
    (older, "another version of traceaudit: headers.redacted, findings.function, propagation_matrix are missing"),
    (truncated, "is truncated"),
    (overwritten, "cannot be read as an audit database"),
]


@pytest.mark.parametrize(("make", "expected"), BAD, ids=[make.__name__ for make, _ in BAD])
def test_what_is_no_audit_database_is_named_and_ends_with_4(
    make: Callable[[Path], None], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.db"
    make(path)
    assert run(path) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("traceaudit: ")
    assert expected in err
    assert err.count("\n") == 1


def test_a_missing_file_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "nowhere" / "audit.db") == 2
    assert "There is no file" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_a_file_name_cannot_speak_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "\x1b]0;owned\x07.db") == 2
    assert "\x1b" not in capsys.readouterr().err


def test_without_a_terminal_it_says_so_and_ends_with_2(audit_db: Path) -> None:
    command = [sys.executable, "-c", "import sys; from pathlib import Path; from traceaudit_tui.app import run; "
               "sys.exit(run(Path(sys.argv[1])))", str(audit_db)]  # fmt: skip
    result = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=60, check=False, env=_environment()
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert "needs a terminal" in result.stderr


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(path for path in sys.path if path)}


@pytest.mark.parametrize("name", ["100% ready?.db", "a#b.db", "with space.db", "[bold]x.db"])
def test_any_file_name_is_opened(audit_db: Path, name: str) -> None:
    audit = Audit.open(audit_db.rename(audit_db.with_name(name)))
    assert len(audit.summary().findings) == 6
    audit.close()


def test_a_database_whose_writer_has_only_its_log_so_far_is_opened(tmp_path: Path) -> None:
    shop = sample.Shop(tmp_path / "audit.db")
    shop.db.execute("pragma wal_autocheckpoint = 0")
    shop.run()
    audit = Audit.open(tmp_path / "audit.db")
    run = audit.summary().run
    assert run is not None
    assert run.service == "shop"
    audit.close()
    shop.close()


def test_nothing_can_be_written(audit_db: Path) -> None:
    connection, _ = open_audit(audit_db)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("delete from findings")
    connection.close()


def test_text_that_is_no_utf8_is_kept_and_escaped(audit_db: Path) -> None:
    with sqlite3.connect(audit_db) as db:
        db.execute("update findings set message = cast(x'41ff42' as text)")
    db.close()
    audit = Audit.open(audit_db)
    assert audit.findings(1)[0].message == "A\udcffB"
    audit.close()


def test_another_process_holding_it_is_no_reason_to_fail(audit_db: Path) -> None:
    writer = sqlite3.connect(audit_db, isolation_level=None)
    writer.execute("begin exclusive")
    audit = Audit.open(audit_db)
    assert len(audit.summary().findings) == 6
    audit.close()
    writer.close()


async def test_a_file_that_goes_bad_while_it_is_shown_ends_with_4_and_words(audit_db: Path) -> None:
    app = Inspector(audit_db)
    async with app.run_test() as pilot:
        await settle(pilot)
        with sqlite3.connect(audit_db) as db:
            db.execute("drop table finding_occurrences")
        db.close()
        await pilot.press("4")
        await pilot.pause()
    assert app.return_code == 4
    assert "can no longer be read: no such table: finding_occurrences." in app.fault


async def test_a_file_that_is_deleted_while_it_is_shown_ends_with_4_and_words(audit_db: Path) -> None:
    app = Inspector(audit_db)
    async with app.run_test() as pilot:
        await settle(pilot)
        for path in audit_db.parent.glob("audit.db*"):
            path.unlink()
        await pilot.press("4")
        await pilot.pause()
    assert app.return_code == 4
    assert "can no longer be read" in app.fault


def test_opening_raises_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no file"):
        Inspector(tmp_path / "x.db")
    words(tmp_path / "x.db")
    with pytest.raises(NotAnAuditError, match="no SQLite file"):
        Inspector(tmp_path / "x.db")


def test_an_immutable_copy_of_a_database_is_opened(built: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(built, tmp_path / "audit.db"))
    copy.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        audit = Audit.open(copy)
        with audit.apart() as other:
            assert len(other.summary().findings) == 6
        audit.close()
    finally:
        tmp_path.chmod(0o700)
