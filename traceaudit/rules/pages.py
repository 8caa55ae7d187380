"""Writes the rules' pages as Markdown files: ``python -m traceaudit.rules.pages docs/rules``.

The pages are the docstrings of the rules' modules, so that ``traceaudit rule CODE`` and the documentation say the same.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from traceaudit.rules import RULES, Rule

_USAGE = "usage: python -m traceaudit.rules.pages DIRECTORY"


def files() -> dict[str, str]:
    """The name and the text of each file: a page a rule, and the index."""
    pages = {f"{rule.code}.md": _page(rule) for rule in RULES}
    return {"README.md": _index(), **pages}


def _page(rule: Rule) -> str:
    required = f" · family `{rule.family}`" if rule.family else ""
    return f"# {rule.code}: {rule.slug}\n\nDefault severity: {rule.severity}{required}\n\n{rule.page.strip()}\n"


def _index() -> str:
    rows = [f"| [{rule.code}]({rule.code}.md) | {rule.slug} | {rule.severity} | {rule.summary} |" for rule in RULES]
    head = [
        "# Rules",
        "",
        "Made from the rules' sources by `python -m traceaudit.rules.pages docs/rules`. Codes never change meaning.",
        "",
        "A rule of a family that `--require` does not name is reported one step lower.",
        "",
        "| Code | Name | Severity | The fault |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows]) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the files into the directory that is named; 2 for wrong usage."""
    match arguments:
        case [directory]:
            target = Path(directory)
        case _:
            sys.stderr.write(f"{_USAGE}\n")
            return 2
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (target / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
