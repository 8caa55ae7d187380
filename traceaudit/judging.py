"""Accuses one call of what it would break under each of its possible causes, with the share of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from traceaudit.correlation import Attribution
from traceaudit.findings import WORTH_SAYING, Accusation, Finding
from traceaudit.rules import Call, Rule, Violation, tp022_context_frozen
from traceaudit.verdicts import went_on
from traceaudit.weighing import INSTEAD_OF_FROZEN


def accusations(
    rules: Iterable[Rule],
    calls: Sequence[tuple[Call, float]],
    attribution: Attribution,
    *,
    frozen: bool,
    former: Sequence[tuple[Finding, Accusation]] | None = None,
) -> Iterator[Accusation]:
    """What a call is accused of, given as it would be under each of its possible causes, with their shares.

    ``former``: what it was accused of at first, by presence alone, if it was judged before.
    """
    caused = sum(probability for _, probability in calls)
    anyway = None if former is None else {each.rule.code: each.given_caused for _, each in former}
    broken: dict[str, tuple[Rule, Violation, Call, float]] = {}
    for call, probability in calls:
        for rule, violation in _broken(rules, call, frozen):
            _, said, likeliest, so_far = broken.get(rule.code, (rule, violation, call, 0.0))
            broken[rule.code] = (rule, said, likeliest, so_far + probability)
    for rule, violation, call, probability in broken.values():
        if probability >= WORTH_SAYING:
            yield Accusation(
                rule,
                violation,
                call.outbound.id,
                call.inbound.id,
                call.outbound.started_ns,
                probability,
                probability / caused,
                attribution.kind,
                attribution.unseen if anyway is None else attribution.alone,
                1.0 if anyway is None else anyway.get(rule.code, 0.0),
                contradicted=attribution.unseen > 0,
            )


def _broken(rules: Iterable[Rule], call: Call, frozen: bool) -> Iterator[tuple[Rule, Violation]]:
    """The rules that a call breaks if its cause is the one supposed."""
    if went_on(call):
        return
    for rule in rules:
        if frozen and rule.code in INSTEAD_OF_FROZEN:
            continue
        check = tp022_context_frozen.frozen if frozen and rule is tp022_context_frozen.RULE else rule.check
        if (violation := check(call)) is not None:
            yield rule, violation
