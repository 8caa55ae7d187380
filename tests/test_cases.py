"""Small histories in files, each with all the findings that it is to have: too many are as wrong as too few.

A case is an exchange log. Its first line says what it is ``about`` and what to ``expect``: code and call edge of every
finding; ``TP001? …`` where it may only be ambiguous. It may give ``outcomes`` (those of a call, exactly), the times of
the ``run`` (else the service is watched from 0 to a minute after the end) and ``settings`` as the configuration has.
"""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from traceaudit.audit import Audit
from traceaudit.capture.exchange_log import read
from traceaudit.capture.replay import in_order, replay
from traceaudit.config import load
from traceaudit.exchange import Confidence, Exchange, Outcome
from traceaudit.reports import machine, matrix, text
from traceaudit.rules import RULES, Rule
from traceaudit.store.reader import AuditReader, FindingRow
from traceaudit.store.writer import AuditWriter

FOLDER = Path(__file__).parent / "cases"
AFTER_NS = 60_000_000_000


@dataclass(frozen=True)
class Case:
    path: Path

    def __str__(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"

    @cached_property
    def lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines(keepends=True)

    @cached_property
    def first(self) -> dict[str, Any]:
        first: dict[str, Any] = json.loads(self.lines[0])
        return first

    @property
    def expect(self) -> list[str]:
        expect: list[str] = self.first["expect"]
        return expect

    @property
    def codes(self) -> set[str]:
        return {each.split()[0].removesuffix("?") for each in self.expect}

    def exchanges(self) -> list[Exchange]:
        found = list(read(self.lines[1:]))
        assert all(isinstance(each, Exchange) for each in found), found
        return [each for each in found if isinstance(each, Exchange)]


CASES = [Case(path) for path in sorted(FOLDER.glob("*/*.jsonl"))]
each_case = pytest.mark.parametrize("case", CASES, ids=str)


def audited(case: Case, path: Path) -> Path:
    """The audit database of a case."""
    exchanges = case.exchanges()
    over_ns = max(each.ended_ns or each.started_ns for each in exchanges)
    run = case.first.get("run", {"started_ns": 0, "ended_ns": over_ns + AFTER_NS})
    settings = load(case.first.get("settings", {}), directory=path.parent, environ={})
    writer = AuditWriter(path, started_ns=run["started_ns"], settings=settings.as_json())
    audit = Audit(settings.audit_settings())
    replay(in_order(exchanges), audit, writer, started_ns=run["started_ns"], ended_ns=run["ended_ns"])
    return path


def said(finding: FindingRow) -> str:
    doubt = "?" if finding.confidence == Confidence.AMBIGUOUS else ""
    edge = f"{finding.inbound_route} -> {finding.outbound_authority} {finding.outbound_route}"
    return f"{finding.code}{doubt} {edge}"


@each_case
def test_a_case_has_the_findings_of_its_first_line_and_no_others(case: Case, tmp_path: Path) -> None:
    with AuditReader(audited(case, tmp_path / "audit.db")) as reader:
        run = reader.run()
        assert run is not None
        assert sorted(case.expect) == sorted(map(said, reader.findings(run.id)))


@pytest.mark.parametrize("case", [case for case in CASES if case.first.get("outcomes")], ids=str)
def test_a_call_has_the_outcomes_of_the_first_line(case: Case, tmp_path: Path) -> None:
    with closing(sqlite3.connect(audited(case, tmp_path / "audit.db"))) as database:
        for id_, expected in case.first["outcomes"].items():
            rows = database.execute("select format, outcome from outcomes where outbound_id = ?", (id_,))
            assert expected == dict(rows)


@each_case
def test_every_report_of_a_case_can_be_written(case: Case, tmp_path: Path) -> None:
    with AuditReader(audited(case, tmp_path / "audit.db")) as reader:
        run = reader.run()
        assert run is not None
        for terminal in (False, True):
            for write in (text.write, matrix.write):
                stream = io.StringIO()
                write(Console(file=stream, width=100, force_terminal=terminal), reader, run)
                assert stream.getvalue().strip()
                assert "\x1b[2J" not in stream.getvalue()
        stream = io.StringIO()
        machine.write(stream, reader, run)
        report = json.loads(stream.getvalue())
        assert len(report["findings"]) == len(case.expect)


# The rules of completeness (CP) judge a run and not its calls.
@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.code.startswith("CP")], ids=lambda rule: rule.code)
def test_every_rule_has_a_page_a_firing_case_and_a_silent_one(rule: Rule) -> None:
    cases = [case for case in CASES if case.path.parent.name == rule.slug]
    assert [str(case) for case in cases if rule.code in case.codes]
    assert [str(case) for case in cases if rule.code not in case.codes]
    assert rule.page.strip()
    assert (Path(__file__).parents[1] / "docs" / "rules" / f"{rule.code}.md").is_file()


@each_case
def test_a_case_is_named_for_what_it_shows(case: Case) -> None:
    """One in a rule's folder begins with ``fires`` or ``silent``, and does; what it is about is a sentence."""
    assert case.first["about"].endswith((".", "?"))
    rule = next((rule for rule in RULES if rule.slug == case.path.parent.name), None)
    if rule is not None:
        assert case.path.stem.split("-")[0] == ("fires" if rule.code in case.codes else "silent")


def test_every_outcome_is_shown_by_a_case() -> None:
    shown = {each for case in CASES for call in case.first.get("outcomes", {}).values() for each in call.values()}
    # A leak's cause is one of two, so that what is written is the likelier half: its rule shows it.
    assert shown == set(Outcome) - {Outcome.LEAKED}
