"""The documents are true: links lead somewhere, commands and options exist, and all of these are described."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from traceaudit.commands import main
from traceaudit.config import KEYS, Settings, load
from traceaudit.rules import RULES

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CONTEXT = click.Context(main)
COMMANDS = {name: main.get_command(CONTEXT, name) for name in main.list_commands(CONTEXT)}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def commands_in(page: Path) -> list[list[str]]:
    """Every `traceaudit …` in a code span or block of a page, as its words."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:sh|text)?\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    found = []
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            match = re.match(
                r"(?:.*[|;&] *)?(?:\.venv/bin/)?traceaudit ((?:[a-z]+)(?: .*)?)$", line.partition("  #")[0].strip()
            )
            if match:
                found.append(shlex.split(match[1]))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_a_page_exist_with_their_options(page: Path) -> None:
    for name, *words in commands_in(page):
        assert name in COMMANDS, f"{page}: traceaudit {name}"
        command = COMMANDS[name]
        assert command is not None
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        ours = words[: words.index("--")] if "--" in words else words
        for word in ours:
            if word.startswith("-") and word != "-":
                assert word.partition("=")[0] in {*known, "--help", "-h"}, f"{page}: traceaudit {name} {word}"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_summed_up_alike_in_both_helps_and_shows_examples(name: str) -> None:
    command = COMMANDS[name]
    assert command is not None
    assert command.help
    assert "Examples:" in str(command.epilog)
    assert all(parameter.help for parameter in command.params if isinstance(parameter, click.Option))


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_of_a_help_can_be_parsed(name: str) -> None:
    command = COMMANDS[name]
    assert command is not None
    for line in str(command.epilog).splitlines():
        match = re.match(rf" +traceaudit {name}\b(.*?)(?: &&.*|  .*)?$", line)
        if match:
            command.make_parser(click.Context(command)).parse_args(shlex.split(match[1].partition(" > ")[0]))


def test_the_settings_of_the_readme_are_settings(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "traceaudit.toml").write_text(block, encoding="utf-8")
    settings = load({}, directory=tmp_path, environ={})
    assert settings.inbound == "15006:8080"
    assert settings.routes["pricing"] == "127.0.0.1:9002"
    assert set(KEYS) <= set(Settings.__annotations__)


def test_every_rule_is_in_the_index_and_the_changelog_names_the_ranges() -> None:
    index = (ROOT / "docs/rules/README.md").read_text(encoding="utf-8")
    assert all(f"[{rule.code}]({rule.code}.md)" in index for rule in RULES)
