"""`traceaudit report`: its forms, where they go, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.builders import record
from tests.reports import shop
from tests.reports.goldens import assert_golden
from traceaudit.commands import main


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return shop.build(tmp_path / "audit.db")


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


@pytest.mark.parametrize(
    ("options", "golden"),
    [
        ([], "shop.txt"),
        (["--format", "text"], "shop.txt"),
        (["--format", "matrix"], "matrix.txt"),
        (["--format", "json"], "shop.json"),
    ],
)
def test_each_form_goes_to_standard_output(database: Path, options: list[str], golden: str) -> None:
    result = report(database, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert_golden(golden, result.stdout)


@pytest.mark.parametrize(("form", "golden"), [("text", "shop.txt"), ("matrix", "matrix.txt"), ("json", "shop.json")])
def test_each_form_goes_into_a_file(database: Path, tmp_path: Path, form: str, golden: str) -> None:
    result = report(database, "--format", form, "--output", tmp_path / "report")
    assert (result.exit_code, result.output) == (0, "")
    assert_golden(golden, (tmp_path / "report").read_text(encoding="utf-8"))


def test_it_fails_only_when_asked_to(database: Path) -> None:
    assert report(database).exit_code == 0
    assert report(database, "--fail-on", "error").exit_code == 1
    assert report(database, "--fail-on", "error", "--select", "TP004").exit_code == 0


def test_only_the_chosen_findings_are_shown(database: Path) -> None:
    text = report(database, "--select", "TP016").stdout
    assert "TP016" in text
    assert "TP001" not in text
    found = json.loads(report(database, "--format", "json", "--ignore", "TP00").stdout)["findings"]
    assert [each["code"] for each in found] == ["TP016"]


def test_an_inconclusive_run_is_shown_and_ends_with_3(tmp_path: Path) -> None:
    record(tmp_path / "audit.db")
    result = report(tmp_path / "audit.db")
    assert result.exit_code == 3
    assert "No call was judged" in result.stdout
    assert "? inconclusive: nothing came through the proxy" in result.stdout
    assert json.loads(report(tmp_path / "audit.db", "--format", "json").stdout)["verdict"] == "inconclusive"


def test_a_run_that_does_not_exist_ends_with_2(database: Path) -> None:
    assert report(database, "--run", "2").exit_code == 2


def test_wrong_files_end_as_they_do_everywhere(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database")
    assert report(tmp_path / "nowhere.db").exit_code == 2
    assert report(tmp_path / "notes.txt").exit_code == 4


def test_the_database_is_not_overwritten_by_its_own_report(database: Path) -> None:
    result = report(database, "--output", database)
    assert result.exit_code == 2
    assert "is the audit database itself" in result.stderr
    assert report(database).exit_code == 0


def test_a_file_that_cannot_be_written_ends_with_2(database: Path, tmp_path: Path) -> None:
    result = report(database, "--output", tmp_path / "no" / "such" / "folder")
    assert result.exit_code == 2
    assert "cannot write" in result.stderr
