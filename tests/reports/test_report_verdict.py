"""What a run amounts to: its exit status and its words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from traceaudit.commands.status import Status
from traceaudit.exchange import Confidence, Severity
from traceaudit.reports.verdict import sentences, severity, verdict
from traceaudit.store.reader import FindingRow, Run

RUN = Run(1, 0, 1, "", "shop", 10, 20, linked=18, uncaused=2, ambiguous=0, dropped=0, audit_errors=0)
FINDING = FindingRow(
    1, "TP001", "traceparent-dropped", "error", "proven", 0.9999, "GET /a", "b:80", "GET /b", "traceparent", "m", "e",
    "o", "i0", "o0", 3, 1, 2, None, None,
)  # fmt: skip
UNLINKED = replace(RUN, linked=0)


def found(severity: str = "error", confidence: str = "proven", code: str = "TP001") -> FindingRow:
    return replace(FINDING, severity=severity, confidence=confidence, code=code)


CASES: list[tuple[Run, list[FindingRow], str | None, Status]] = [
    (RUN, [], "error", Status.OK),
    (RUN, [found()], "error", Status.FINDINGS),
    (RUN, [found(confidence="probable")], "error", Status.FINDINGS),
    (RUN, [found(confidence="ambiguous")], "error", Status.OK),
    (RUN, [found("warning")], "error", Status.OK),
    (RUN, [found("warning")], "warning", Status.FINDINGS),
    (RUN, [found("note")], "warning", Status.OK),
    (RUN, [found("note")], "note", Status.FINDINGS),
    (RUN, [found()], "never", Status.OK),
    (RUN, [found()], None, Status.OK),
    (RUN, [found("a word of a later version")], "error", Status.FINDINGS),
    (UNLINKED, [], "error", Status.INCONCLUSIVE),
    (UNLINKED, [], "never", Status.INCONCLUSIVE),
    (UNLINKED, [found()], "error", Status.FINDINGS),
    (UNLINKED, [found(confidence="ambiguous")], "error", Status.INCONCLUSIVE),
    (replace(RUN, dropped=1), [], "error", Status.INCONCLUSIVE),
    (replace(RUN, audit_errors=1), [], "error", Status.INCONCLUSIVE),
    (replace(RUN, dropped=1), [found()], "error", Status.FINDINGS),
    (RUN, [found(code="CP001")], "never", Status.INCONCLUSIVE),
]


@pytest.mark.parametrize(("run", "findings", "fail_on", "expected"), CASES)
def test_the_exit_status(run: Run, findings: list[FindingRow], fail_on: str | None, expected: Status) -> None:
    assert verdict(run, findings, fail_on) is expected


def test_a_severity_is_as_good_as_its_name() -> None:
    assert verdict(RUN, [found()], Severity.ERROR) is Status.FINDINGS


def test_a_misspelt_severity_is_a_wrong_call() -> None:
    with pytest.raises(ValueError, match="eror"):
        verdict(RUN, [], "eror")


WORDS: list[tuple[Run, list[FindingRow], list[str]]] = [
    (RUN, [], ["nothing found in 18 linked calls"]),
    (replace(RUN, linked=1, outbound=3), [], ["nothing found in 1 linked call"]),
    (
        replace(RUN, linked=15, ambiguous=3),
        [],
        ["nothing found in 15 linked calls; 3 calls were not linked surely enough to be judged"],
    ),
    (
        RUN,
        [found("note"), found(), found("warning"), found("warning"), found(confidence=Confidence.AMBIGUOUS)],
        ["found 1 error, 2 warnings, 1 note; 1 ambiguous finding not counted"],
    ),
]


@pytest.mark.parametrize(("run", "findings", "expected"), WORDS)
def test_the_words(run: Run, findings: list[FindingRow], expected: list[str]) -> None:
    assert sentences(run, findings) == expected


REMEDIES: list[tuple[Run, str]] = [
    (replace(UNLINKED, inbound=0, outbound=0), "send the service requests through the inbound listener"),
    (replace(UNLINKED, outbound=0), "no outbound call was seen, only 10 requests: Go ignores HTTP_PROXY for localhost"),
    (replace(UNLINKED, inbound=0), "20 calls went out, but no request came in"),
    (UNLINKED, "none of 20 calls could be linked to a request (2 uncaused, 0 ambiguous): send the requests one at"),
    (replace(RUN, dropped=2), "2 exchanges were dropped before they could be recorded: free the disk"),
    (replace(RUN, audit_errors=1), "1 error happened inside the audit"),
]


@pytest.mark.parametrize(("run", "words"), REMEDIES)
def test_an_inconclusive_run_says_what_to_do(run: Run, words: str) -> None:
    [sentence] = sentences(run, [])
    assert sentence.startswith("inconclusive: ")
    assert words in sentence


GRAVEST: list[tuple[Run, list[FindingRow], str]] = [
    (RUN, [], "clean"),
    (UNLINKED, [], "inconclusive"),
    (UNLINKED, [found("note")], "note"),
    (RUN, [found("note"), found("warning")], "warning"),
    (RUN, [found("warning"), found()], "error"),
    (RUN, [found(confidence="ambiguous")], "clean"),
    (RUN, [found("a word of a later version")], "error"),
]


@pytest.mark.parametrize(("run", "findings", "expected"), GRAVEST)
def test_the_colour_of_the_verdict(run: Run, findings: list[FindingRow], expected: str) -> None:
    assert severity(run, findings) == expected


def test_findings_are_said_before_doubts() -> None:
    first, second = sentences(UNLINKED, [found()])
    assert first == "found 1 error"
    assert second.startswith("inconclusive: ")
