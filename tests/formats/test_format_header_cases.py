"""The 424 header cases of the specifications' and the implementations' test suites, judged by the specification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from traceaudit.formats import Context, Format, Malformed, TraceState, read, same_trace, tracestate

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("header_cases.json").read_text(encoding="utf-8"))

DISPUTED: dict[int, str] = {}
"""Rows whose verdict looks wrong by the specification, and why; the test asserts our answer. There are none."""

NOT_LOOKED_AT = {
    (153, "parent_span_id"): "OpenTelemetry's context has no parent span id",
    (154, "sampled"): "OpenTelemetry Go drops a decision that comes without ids",
    (160, "parent_span_id"): "OpenTelemetry's context has no parent span id",
    (161, "sampled"): "OpenTelemetry Go drops a decision that comes without ids",
    (394, "parent_span_id"): "OpenTelemetry's context has no parent span id",
}
"""Values that a suite's implementation does not surface: the row says null where the header says more."""

FORMATS = {
    "w3c": (Format.TRACEPARENT,),
    "b3single": (Format.B3,),
    "b3multi": (Format.B3MULTI,),
    "b3single+multi": (Format.B3, Format.B3MULTI),
}


def verdict(case: dict[str, Any]) -> bool:
    return case["valid"] if case["spec_valid"] is None else case["spec_valid"]


def context_of(case: dict[str, Any]) -> Context | Malformed | None:
    """The context of a case; the single B3 header wins over the others, unless it is malformed."""
    found = read([(name, value) for name, value in case["headers"]])
    candidates = [found.get(format_) for format_ in FORMATS[case["format"]]]
    return next((candidate for candidate in candidates if isinstance(candidate, Context)), candidates[-1])


def name_of(case: dict[str, Any]) -> str:
    return f"{case['id']}-{case['format']}"


def test_all_424_cases_are_there() -> None:
    assert len(CASES) == 424
    assert len({case["id"] for case in CASES}) == 424


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_case_is_valid_where_its_specification_says_so(case: dict[str, Any]) -> None:
    expected = verdict(case) is not (case["id"] in DISPUTED)
    assert isinstance(context_of(case), Context) is expected, case["source"]


@pytest.mark.parametrize("case", [case for case in CASES if verdict(case) and case["valid"]], ids=name_of)
def test_a_valid_case_has_the_ids_and_the_decision_that_its_suite_reads(case: dict[str, Any]) -> None:
    context = context_of(case)
    assert isinstance(context, Context)
    if case["trace_id"] is None:
        assert context.trace_id is None
    else:
        assert context.trace_id is not None
        assert same_trace(context.trace_id, case["trace_id"])
        # never padded or cut: the id is in the header just so
        assert any(context.trace_id in value for _, value in case["headers"])
    for name in ("span_id", "parent_span_id", "sampled", "debug"):
        if (case["id"], name) in NOT_LOOKED_AT:
            assert case[name] is None
            assert getattr(context, name) is not None
        else:
            assert getattr(context, name) == case[name], name


@pytest.mark.parametrize("case", [case for case in CASES if not verdict(case)], ids=name_of)
def test_an_invalid_case_is_malformed_at_a_place_within_the_value_or_at_its_end(case: dict[str, Any]) -> None:
    context = context_of(case)
    if context is None:
        # tracestate alone: "invalid and MUST be discarded"
        assert [name.lower() for name, _ in case["headers"]] == ["tracestate"]
        return
    assert isinstance(context, Malformed)
    assert 0 <= context.position <= len(context.value)
    assert context.clause.endswith(".")
    assert context.reference.startswith("https://")


@pytest.mark.parametrize("case", [case for case in CASES if case.get("spec_tracestate_valid") is not None], ids=name_of)
def test_the_tracestate_of_a_case_is_valid_where_the_specification_says_so(case: dict[str, Any]) -> None:
    state = tracestate.parse([value for name, value in case["headers"] if name.lower() == "tracestate"])
    assert isinstance(state, TraceState) is case["spec_tracestate_valid"], case["source"]
    context = context_of(case)
    if isinstance(context, Context):
        assert context.tracestate == state
