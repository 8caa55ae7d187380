"""Rules are found by code or slug, and selected by prefixes as in ruff."""

from __future__ import annotations

import pytest

from traceaudit.exchange import Severity
from traceaudit.rules import RULES, find, select

# DESIGN 6
DESIGNED = {
    "CP001": ("upstream-bypasses-proxy", "error"),
    "CP002": ("upstream-unobserved", "note"),
    "CP003": ("route-unexercised", "note"),
    "TP001": ("traceparent-dropped", "error"),
    "TP002": ("tracestate-dropped", "warning"),
    "TP003": ("b3-dropped", "error"),
    "TP004": ("request-id-dropped", "error"),
    "TP005": ("baggage-dropped", "warning"),
    "TP006": ("vendor-context-dropped", "warning"),
    "TP007": ("b3-partly-dropped", "warning"),
    "TP011": ("trace-restarted", "error"),
    "TP012": ("request-id-regenerated", "error"),
    "TP013": ("sampling-changed", "error"),
    "TP014": ("trace-id-truncated", "warning"),
    "TP015": ("tracestate-damaged", "warning"),
    "TP016": ("contexts-disagree", "error"),
    "TP021": ("context-leaked", "error"),
    "TP022": ("context-frozen", "error"),
    "WC001": ("traceparent-malformed", "error"),
    "WC002": ("tracestate-malformed", "error"),
    "WC003": ("b3-malformed", "error"),
    "WC004": ("request-id-not-uuid", "warning"),
    "WC005": ("trace-header-duplicated", "error"),
    "WC006": ("trace-header-empty", "warning"),
    "WC007": ("baggage-malformed", "warning"),
    "WC011": ("invalid-context-forwarded", "warning"),
}
FAMILIES = {"traceparent", "b3", "x-request-id", "baggage", None}


def codes(*args: list[str]) -> list[str]:
    return [rule.code for rule in select(*args)]


def test_codes_slugs_and_severities_are_those_of_the_design() -> None:
    assert {rule.code: (rule.slug, rule.severity.value) for rule in RULES} == DESIGNED


def test_rules_stand_in_the_order_of_their_codes_and_each_once() -> None:
    assert [rule.code for rule in RULES] == sorted(DESIGNED)
    assert len({rule.slug for rule in RULES}) == len(RULES)


def test_families_are_names_that_require_knows() -> None:
    assert {rule.family for rule in RULES} <= FAMILIES
    assert find("TP005").severity.lowered() is Severity.NOTE


@pytest.mark.parametrize("name", ["TP001", "tp001", " TP001 ", "traceparent-dropped", "Traceparent-Dropped"])
def test_a_rule_is_found_by_code_and_by_slug(name: str) -> None:
    assert find(name).code == "TP001"


def test_an_unknown_rule_is_answered_with_the_close_ones() -> None:
    with pytest.raises(KeyError, match="traceparent-dropped"):
        find("traceparent-droped")


ALL = sorted(DESIGNED)
TP = [code for code in ALL if code.startswith("TP")]


@pytest.mark.parametrize(
    ("selected", "ignored", "expected"),
    [
        (["ALL"], [], ALL),
        (["all"], [], ALL),
        (["TP"], [], TP),
        (["tp"], [], TP),
        (["TP02", "WC001"], [], ["TP021", "TP022", "WC001"]),
        (["ALL"], ["TP"], [code for code in ALL if code not in TP]),
        (["ALL"], ["ALL"], []),
        (["TP"], ["TP"], []),
        (["TP"], ["TP0"], []),
        (["TP001"], ["TP"], ["TP001"]),
        (["TP", "TP001"], ["TP00"], ["TP001", "TP011", "TP012", "TP013", "TP014", "TP015", "TP016", "TP021", "TP022"]),
        (["TP01"], ["ALL"], ["TP011", "TP012", "TP013", "TP014", "TP015", "TP016"]),
        (["WC001", "TP001"], [], ["TP001", "WC001"]),
        ([], [], []),
    ],
)
def test_the_longest_prefix_decides(selected: list[str], ignored: list[str], expected: list[str]) -> None:
    assert expected == codes(selected, ignored)


@pytest.mark.parametrize(
    ("selected", "ignored", "hint"),
    [
        (["TP999"], [], "TP999"),
        (["TP01", "TPO1"], [], "TPO1"),
        (["ALL"], ["WX001"], "WC001"),
        (["traceparent-dropped"], [], "write TP001"),
        ([""], [], "unknown selector ''"),
        (["nonsense"], [], "CP, TP, WC and ALL"),
    ],
)
def test_an_unknown_selector_is_named_with_what_is_close(selected: list[str], ignored: list[str], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        select(selected, ignored)
