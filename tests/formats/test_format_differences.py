"""The page that says where we side with a specification against an implementation names every such case."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("header_cases.json").read_text(encoding="utf-8"))
PAGE = Path(__file__).parents[2] / "docs" / "specification-differences.md"


def differs(case: dict[str, Any]) -> bool:
    headers = case["spec_valid"] is not None and case["valid"] != case["spec_valid"]
    verdicts = (case["tracestate_valid"], case.get("spec_tracestate_valid"))
    return headers or (None not in verdicts and verdicts[0] != verdicts[1])


DIFFERENT = [case for case in CASES if differs(case)]


def lines_by_row() -> dict[int, str]:
    """The table lines by the ids in their first cell."""
    found: dict[int, str] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if re.match(r"\| \d", line):
            found |= {int(number): line for number in re.findall(r"\d+", line.split("|")[1])}
    return found


@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: str(case["id"]))
def test_a_case_in_which_suite_and_specification_differ_is_named_with_both_sources(case: dict[str, Any]) -> None:
    line = lines_by_row()[case["id"]]
    repository, revision, path, number = re.match(r"([^@]+)@([^:]+):([^:]+):(\d+)", case["source"]).groups()
    assert f"https://github.com/{repository}/blob/{revision}/{path}#L" in line
    assert re.search(rf"\b{number}\b", line)
    specification = line.split("|")[-2]
    assert re.search(r"https://(www\.w3\.org|w3c\.github\.io|github\.com/openzipkin/b3-propagation)", specification)
    # what the page says of it is what the test of the case asserts
    verdict = case["spec_valid"] if case["valid"] != case["spec_valid"] else case["spec_tracestate_valid"]
    assert specification.strip().startswith("valid:" if verdict else "malformed:")


def test_the_page_names_no_case_in_which_they_agree() -> None:
    assert sorted(lines_by_row()) == [case["id"] for case in DIFFERENT]
