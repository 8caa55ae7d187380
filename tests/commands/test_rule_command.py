"""`traceaudit rule`: pages, the list, and what is said of a code that does not exist."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from traceaudit.commands import main
from traceaudit.rules import RULES, pages


def rule(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["rule", *arguments])


@pytest.mark.parametrize("wanted", ["TP001", "tp001", "traceparent-dropped"])
def test_a_pipe_gets_the_page_as_it_is_in_the_documentation(wanted: str) -> None:
    result = rule(wanted)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == pages.files()["TP001.md"]


def test_every_rule_has_its_page() -> None:
    for each in RULES:
        assert rule(each.code).stdout.startswith(f"# {each.code}: {each.slug}\n")


def test_without_a_code_all_are_listed() -> None:
    lines = rule().stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [[each.code, each.slug, each.severity] for each in RULES]


def test_one_as_json() -> None:
    found = json.loads(rule("TP003", "--format", "json").stdout)
    assert (found["code"], found["slug"], found["severity"], found["family"]) == ("TP003", "b3-dropped", "error", "b3")
    assert "```go" in found["page"]


def test_all_as_json() -> None:
    assert [each["code"] for each in json.loads(rule("--format", "json").stdout)] == [each.code for each in RULES]


def test_an_unknown_code_ends_with_2_and_the_close_ones() -> None:
    result = rule("TP0001")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "did you mean TP001" in result.stderr


def test_a_hostile_code_is_printed_escaped() -> None:
    result = rule("\x1b[31mTP")
    assert result.exit_code == 2
    assert "\x1b" not in result.stderr
