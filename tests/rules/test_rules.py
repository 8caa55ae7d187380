"""Each rule accuses what it is for, and nothing else does: the cases are exact."""

from __future__ import annotations

import pytest

from tests.rules.calls import (
    B3,
    B3MULTI,
    BAD_TRACEPARENT,
    NEW_TRACEPARENT,
    OTHER_TRACE,
    TRACE,
    TRACEPARENT,
    call,
)
from tests.rules.cases import CASES, Case
from traceaudit.exchange import Outcome
from traceaudit.formats.context import Format
from traceaudit.outcomes import Judgement
from traceaudit.rules import RULES, Rule, Violation, find
from traceaudit.rules.wire import decided_elsewhere


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_call_breaks_exactly_the_rules_that_its_case_names(case: Case) -> None:
    subject = call(case.carried, case.sent, case.judgements, participant=case.participant)
    assert case.expect == {rule.code for rule in RULES if rule.check(subject)}


@pytest.mark.parametrize("case", [case for case in CASES if case.about in case.expect], ids=str)
def test_a_violation_says_what_was_expected_and_what_was_seen(case: Case) -> None:
    found = find(case.about).check(call(case.carried, case.sent, case.judgements, participant=case.participant))
    assert found is not None
    assert all([found.header, found.message, found.expected, found.observed])
    assert found.expected != found.observed
    assert "\n" not in found.message


@pytest.mark.parametrize("rule", [each for each in RULES if not each.code.startswith("CP")], ids=lambda rule: rule.code)
def test_every_rule_has_a_firing_and_a_silent_case(rule: Rule) -> None:
    cases = [case for case in CASES if case.about == rule.code]
    assert [case for case in cases if rule.code not in case.expect]
    if rule.check is not decided_elsewhere:
        assert [case for case in cases if rule.code in case.expect]


def violation(code: str, *args: object, **kwargs: object) -> Violation:
    found = find(code).check(call(*args, **kwargs))  # type: ignore[arg-type]  # passed through as given
    assert found is not None
    return found


def test_a_dropped_traceparent_is_told_with_the_trace_it_should_name() -> None:
    found = violation("TP001", [TRACEPARENT], [], {Format.TRACEPARENT: Outcome.DROPPED})
    assert f"traceparent 00-{TRACE}-…" == found.expected
    assert found.observed == "no traceparent"


def test_what_the_judgement_adds_is_passed_on() -> None:
    judgement = Judgement(Format.TRACEPARENT, Outcome.DROPPED, detail="b3 still carries the trace")
    found = violation("TP001", [TRACEPARENT, B3], [B3], {Format.TRACEPARENT: judgement})
    assert "(b3 still carries the trace)" in found.message


def test_a_restart_names_all_formats_in_one_violation() -> None:
    outcomes = {Format.TRACEPARENT: Outcome.RESTARTED, Format.B3: Outcome.RESTARTED}
    found = violation("TP011", [TRACEPARENT, B3], [NEW_TRACEPARENT, ("b3", NEW_TRACEPARENT[1][3:-3] + "-1")], outcomes)
    assert found.header == "traceparent, b3"
    assert OTHER_TRACE in found.observed


def test_a_leak_says_whose_context_it_is() -> None:
    judgement = Judgement(Format.TRACEPARENT, Outcome.LEAKED, owner_id="i7")
    found = violation("TP021", [TRACEPARENT], [NEW_TRACEPARENT], {Format.TRACEPARENT: judgement})
    assert "belongs to request i7" in found.message


def test_lost_b3_headers_are_named() -> None:
    found = next(
        find("TP007").check(call(case.carried, case.sent, case.judgements))
        for case in CASES
        if case.name == "the parent is lost"
    )
    assert found is not None
    assert found.header == "x-b3-parentspanid"


def test_a_malformed_value_is_shown_with_the_clause_it_breaks() -> None:
    found = violation("WC001", [TRACEPARENT], [BAD_TRACEPARENT], {Format.TRACEPARENT: Outcome.MALFORMED})
    assert BAD_TRACEPARENT[1] in found.message
    assert f"traceparent 00-{TRACE}-…" == found.expected


def test_a_long_value_is_shortened() -> None:
    endless = ("traceparent", "0" * 100_000)
    found = violation("WC001", [TRACEPARENT], [endless], {Format.TRACEPARENT: Outcome.MALFORMED})
    assert len(found.message) < 1000
    assert len(found.observed) < 1000


def test_a_duplicate_is_shown_with_all_its_values() -> None:
    found = violation("WC005", [TRACEPARENT], [TRACEPARENT, NEW_TRACEPARENT], {})
    assert TRACEPARENT[1] in found.observed
    assert NEW_TRACEPARENT[1] in found.observed


def test_an_empty_header_that_was_absent_is_expected_to_be_absent() -> None:
    found = violation("WC006", B3MULTI[:2], [*B3MULTI[:2], ("X-B3-Parentspanid", "")], {})
    assert found.expected == "no x-b3-parentspanid"
    assert found.header == "x-b3-parentspanid"
