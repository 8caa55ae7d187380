"""Every rule has its page, the generated files are up to date, and the Go on the pages compiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from traceaudit.demo.toolchain import find_go
from traceaudit.rules import RULES, Rule
from traceaudit.rules.pages import files, main

ROOT = Path(__file__).parents[2]
MODULE = Path(__file__).parent / "pages_module"
SECTIONS = [
    "What it means",
    "What the mesh then does",
    "What usually causes it in Go",
    "How to fix it",
    "References",
]
TRACERS = ["Zipkin", "Zipkin with W3C", "OpenTelemetry", "Datadog", "SkyWalking"]

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)


def section(rule: Rule, title: str) -> str:
    return rule.page.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def go_blocks(rule: Rule) -> list[str]:
    return re.findall(r"^```go\n(.*?)^```$", rule.page, re.DOTALL | re.MULTILINE)


@each_rule
def test_a_page_has_all_its_sections_in_order(rule: Rule) -> None:
    assert re.findall(r"^## (.*)$", rule.page, re.MULTILINE) == SECTIONS


@each_rule
def test_a_page_opens_with_one_plain_sentence(rule: Rule) -> None:
    first = rule.page.splitlines()[0]
    assert first.endswith(".")
    assert rule.summary == first.replace("`", "")


@each_rule
def test_a_page_says_what_every_tracer_does(rule: Rule) -> None:
    rows = re.findall(r"^\| (.*?) \| .+ \|$", section(rule, "What the mesh then does"), re.MULTILINE)
    assert ["Tracer", "---", *TRACERS] == rows


@each_rule
def test_a_page_shows_go_code_and_names_its_sources(rule: Rule) -> None:
    assert go_blocks(rule)
    references = [line for line in section(rule, "References").splitlines() if line]
    assert len(references) >= 2
    assert all(line.startswith("- https://") for line in references)


def test_the_documentation_is_what_the_rules_say() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "rules").glob("*.md")}
    assert files() == written, "run: python -m traceaudit.rules.pages docs/rules"


def test_the_index_links_every_page() -> None:
    index = files()["README.md"]
    assert all(f"[{rule.code}]({rule.code}.md) | {rule.slug} |" in index for rule in RULES)


def test_pages_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    assert main([str(tmp_path / "new")]) == 0
    assert set(files()) == {path.name for path in (tmp_path / "new").iterdir()}


def test_without_a_directory_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_the_go_code_of_all_pages_compiles_and_passes_vet(tmp_path: Path) -> None:
    go = find_go()
    assert go is not None, "the pages' Go needs a toolchain: `make test` brings one"
    for name in ("go.mod", "go.sum"):
        shutil.copy(MODULE / name, tmp_path)
    subprocess.run([go, "mod", "download"], cwd=tmp_path, check=True)
    for rule in RULES:
        for number, block in enumerate(go_blocks(rule), start=1):
            package = tmp_path / f"{rule.code.lower()}_{number}"
            package.mkdir()
            (package / "page.go").write_text(block, encoding="utf-8")
    vet = subprocess.run([go, "vet", "./..."], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert vet.returncode == 0, vet.stderr
