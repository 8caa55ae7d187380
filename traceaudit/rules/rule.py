"""What a rule is: a code that never changes meaning, a page for people, and a check of one call.

A rule is checked against a :class:`Call`: one outbound call under the hypothesis that one particular inbound request
caused it. The audit checks every candidate and sums the probabilities, so a check never thinks about links: given this
cause, is the rule broken, yes or no? A rule's page is the docstring of its module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from traceaudit.exchange import Exchange, Outcome, Severity
from traceaudit.formats.context import Context, Format, Malformed
from traceaudit.outcomes import Alteration, Judgement

type Contexts = Mapping[Format, Context | Malformed]


@dataclass(frozen=True, slots=True)
class Call:
    """One outbound call, supposed to be caused by ``inbound``."""

    inbound: Exchange
    outbound: Exchange
    carried: Contexts
    """What the inbound request carried; a format that it did not carry is not in it."""
    sent: Contexts
    """What the call carries."""
    judgements: Mapping[Format, Judgement]
    participant: bool | None = None
    """True: the service takes part in the trace; False: it copies headers; None: not known yet."""

    def outcome(self, format_: Format) -> Outcome:
        """What became of a format; absent when neither side has it."""
        judgement = self.judgements.get(format_)
        return judgement.outcome if judgement else Outcome.ABSENT

    def altered(self, format_: Format, alteration: Alteration) -> bool:
        """Whether a format was altered in this way."""
        judgement = self.judgements.get(format_)
        return judgement is not None and alteration in judgement.alterations


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule broken by one call: the header at fault, what was expected and what was observed, as a person says it."""

    header: str
    message: str
    expected: str
    observed: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``family`` is the name in ``--require`` that governs it; None: every mesh needs it."""

    code: str
    slug: str
    severity: Severity
    summary: str
    check: Callable[[Call], Violation | None]
    family: str | None = None
    page: str = field(default="", compare=False)
