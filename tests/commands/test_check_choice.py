"""What of the findings counts: exempted with a reason and until a date, known from a baseline, settings."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.live import traceaudit
from traceaudit.exemptions import Exemption

TODAY = datetime.now(UTC).date()
EDGE = "GET /checkout -> pricing GET /quote"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """One call without the traceparent that its request had."""
    (tmp_path / ".git").mkdir()
    ms = 1_000_000
    carried = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("x-request-id", "a" * 36)]
    log = tmp_path / "log.jsonl"
    lines = [
        {"run": {"started_ns": 0, "ended_ns": 90_000 * ms}},
        {"id": "i1", "direction": "inbound", "started_ns": 60_000 * ms, "ended_ns": 60_010 * ms, "method": "GET",
         "authority": "shop", "path": "/checkout", "request_headers": carried},
        {"id": "o1", "direction": "outbound", "started_ns": 60_001 * ms, "ended_ns": 60_002 * ms, "method": "GET",
         "authority": "pricing", "path": "/quote", "request_headers": carried[1:]},
    ]  # fmt: skip
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    traceaudit("analyze", log, cwd=tmp_path)
    return tmp_path / "audit.db"


def exempt(folder: Path, edge: str = EDGE, rules: str = "TP001", until: date | None = None) -> None:
    lines = ["[[exemptions]]", f'rules = "{rules}"', f'edge = "{edge}"', 'reason = "the vendor refuses it"']
    if until is not None:
        lines.append(f"until = {until.isoformat()}")
    (folder / "traceaudit.toml").write_text("\n".join(lines))


def test_a_finding_that_is_exempted_does_not_count_and_the_reason_is_told(database: Path) -> None:
    traceaudit("check", cwd=database.parent, check=1)
    exempt(database.parent)
    done = traceaudit("check", cwd=database.parent, check=0)
    assert "TP001" not in done.stdout
    assert f"note: exempted: TP001 on {EDGE} (the vendor refuses it)" in done.stderr
    report = json.loads(traceaudit("report", "--format", "json", cwd=database.parent).stdout)
    assert report["findings"] == []


def test_an_exemption_holds_to_its_last_day_and_then_warns(database: Path) -> None:
    exempt(database.parent, until=TODAY + timedelta(days=1))
    traceaudit("check", cwd=database.parent, check=0)
    exempt(database.parent, until=TODAY - timedelta(days=1))
    done = traceaudit("check", cwd=database.parent, check=1)
    assert f"warning: this exemption ended on {TODAY - timedelta(days=1)}: TP001 on {EDGE}" in done.stderr
    assert "error TP001" in done.stdout


@pytest.mark.parametrize(("edge", "rules", "status"), [
    ("* -> pricing *", "TP", 0),
    ("GET /check??? -> *", "ALL", 0),
    ("* -> inventory *", "TP001", 1),
    (EDGE, "TP002", 1),
])  # fmt: skip
def test_an_exemption_covers_what_fits_it(database: Path, edge: str, rules: str, status: int) -> None:
    exempt(database.parent, edge=edge, rules=rules)
    traceaudit("check", cwd=database.parent, check=status)


WRONG = {
    'exemptions = "TP001"': "exemptions are tables",
    '[[exemptions]]\nrules = "TP001"\nedge = "*"': "an exemption needs reason",
    '[[exemptions]]\nrules = "TP9"\nedge = "*"\nreason = "x"': "unknown selector 'TP9'",
    '[[exemptions]]\nrules = "TP"\nedge = "*"\nreason = "x"\nuntil = "soon"': "until is a date without quotes",
    '[[exemptions]]\nrules = "TP"\nedge = "*"\nreason = "x"\nexpires = 2027-01-01': "'expires' is no part of",
}


@pytest.mark.parametrize("toml", WRONG)
def test_a_wrong_exemption_is_an_error_of_the_configuration(database: Path, toml: str) -> None:
    (database.parent / "traceaudit.toml").write_text(toml)
    assert WRONG[toml] in traceaudit("check", cwd=database.parent, check=2).stderr


def test_a_baseline_lets_only_new_findings_fail(database: Path) -> None:
    traceaudit("check", "--write-baseline", "known.json", cwd=database.parent, check=1)
    assert json.loads((database.parent / "known.json").read_text()) == {
        "version": 1,
        "findings": [{"code": "TP001", "edge": EDGE}],
    }
    done = traceaudit("check", "--baseline", "known.json", cwd=database.parent, check=0)
    assert "note: 1 finding known from known.json" in done.stderr
    (database.parent / "known.json").write_text('{"version": 1, "findings": []}')
    traceaudit("check", "--baseline", "known.json", cwd=database.parent, check=1)


@pytest.mark.parametrize("content", ["", "[]", '{"findings": 1}', '{"findings": [{}]}', "[" * 100_000])
def test_a_file_that_is_no_baseline_is_bad_input(database: Path, content: str) -> None:
    (database.parent / "known.json").write_text(content)
    assert "is not a baseline" in traceaudit("check", "--baseline", "known.json", cwd=database.parent, check=4).stderr


def test_a_baseline_that_is_not_there_is_wrong_usage(database: Path) -> None:
    said = traceaudit("check", "--baseline", "known.json", cwd=database.parent, check=2).stderr
    assert "--write-baseline known.json" in said


def test_the_settings_of_the_project_hold_for_check(database: Path) -> None:
    (database.parent / "traceaudit.toml").write_text('fail-on = "never"')
    traceaudit("check", cwd=database.parent, check=0)
    (database.parent / "traceaudit.toml").write_text('ignore = ["TP001"]')
    assert "TP001" not in traceaudit("check", cwd=database.parent, check=0).stdout
    (database.parent / "traceaudit.toml").write_text('db = "other.db"')
    assert "other.db" in traceaudit("check", cwd=database.parent, check=2).stderr


def test_an_exemption_without_an_end_never_ends() -> None:
    assert not Exemption("TP", "*", "because").ended(date.max)
