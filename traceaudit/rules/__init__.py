"""Every rule there is, in the order of their codes, and how a user names some of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from traceaudit.rules.cp001_upstream_bypasses_proxy import RULE as CP001
from traceaudit.rules.cp002_upstream_unobserved import RULE as CP002
from traceaudit.rules.cp003_route_unexercised import RULE as CP003
from traceaudit.rules.rule import Call, Contexts, Rule, Violation
from traceaudit.rules.tp001_traceparent_dropped import RULE as TP001
from traceaudit.rules.tp002_tracestate_dropped import RULE as TP002
from traceaudit.rules.tp003_b3_dropped import RULE as TP003
from traceaudit.rules.tp004_request_id_dropped import RULE as TP004
from traceaudit.rules.tp005_baggage_dropped import RULE as TP005
from traceaudit.rules.tp006_vendor_context_dropped import RULE as TP006
from traceaudit.rules.tp007_b3_partly_dropped import RULE as TP007
from traceaudit.rules.tp011_trace_restarted import RULE as TP011
from traceaudit.rules.tp012_request_id_regenerated import RULE as TP012
from traceaudit.rules.tp013_sampling_changed import RULE as TP013
from traceaudit.rules.tp014_trace_id_truncated import RULE as TP014
from traceaudit.rules.tp015_tracestate_damaged import RULE as TP015
from traceaudit.rules.tp016_contexts_disagree import RULE as TP016
from traceaudit.rules.tp021_context_leaked import RULE as TP021
from traceaudit.rules.tp022_context_frozen import RULE as TP022
from traceaudit.rules.wc001_traceparent_malformed import RULE as WC001
from traceaudit.rules.wc002_tracestate_malformed import RULE as WC002
from traceaudit.rules.wc003_b3_malformed import RULE as WC003
from traceaudit.rules.wc004_request_id_not_uuid import RULE as WC004
from traceaudit.rules.wc005_trace_header_duplicated import RULE as WC005
from traceaudit.rules.wc006_trace_header_empty import RULE as WC006
from traceaudit.rules.wc007_baggage_malformed import RULE as WC007
from traceaudit.rules.wc011_invalid_context_forwarded import RULE as WC011

__all__ = ["RULES", "Call", "Contexts", "Rule", "Violation", "find", "select"]

RULES: tuple[Rule, ...] = (
    CP001,
    CP002,
    CP003,
    TP001,
    TP002,
    TP003,
    TP004,
    TP005,
    TP006,
    TP007,
    TP011,
    TP012,
    TP013,
    TP014,
    TP015,
    TP016,
    TP021,
    TP022,
    WC001,
    WC002,
    WC003,
    WC004,
    WC005,
    WC006,
    WC007,
    WC011,
)

_ALL = "ALL"


def find(code_or_slug: str) -> Rule:
    """The rule of a code or a slug, in any case; ``KeyError`` names the close matches."""
    wanted = code_or_slug.strip().lower()
    for rule in RULES:
        if wanted in (rule.code.lower(), rule.slug):
            return rule
    raise KeyError(_unknown("rule", code_or_slug, [name for rule in RULES for name in (rule.code, rule.slug)]))


def select(select: Sequence[str], ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The rules that stay when some are selected and some ignored, as ruff does it.

    A selector is ``ALL``, a prefix of a code (``TP``, ``TP0``) or a whole code. The longest one that fits a rule
    decides about it; between a selection and an ignore of the same length the ignore wins.
    https://docs.astral.sh/ruff/settings/#lint_select

    Raises ``ValueError`` for a selector that fits no rule; its message names the close matches.
    """
    chosen = [_selector(text) for text in select]
    ignored = [_selector(text) for text in ignore]
    return tuple(rule for rule in RULES if _specificity(rule, chosen) > _specificity(rule, ignored))


def _selector(text: str) -> str:
    """The prefix a selector stands for; the empty one fits every code, and is the least specific."""
    prefix = text.strip().upper()
    if prefix == _ALL:
        return ""
    if prefix and any(rule.code.startswith(prefix) for rule in RULES):
        return prefix
    by_slug = [rule.code for rule in RULES if rule.slug == text.strip().lower()]
    if by_slug:
        raise ValueError(f"rules are selected by their codes: write {by_slug[0]} for {text.strip()!r}")
    raise ValueError(_unknown("selector", text, [_ALL, *_prefixes(), *(rule.code for rule in RULES)]))


def _prefixes() -> list[str]:
    return sorted({rule.code[:2] for rule in RULES})


def _specificity(rule: Rule, prefixes: Sequence[str]) -> int:
    """The length of the longest prefix that fits; -1: none does."""
    return max((len(prefix) for prefix in prefixes if rule.code.startswith(prefix)), default=-1)


def _unknown(what: str, text: str, names: Sequence[str]) -> str:
    spelled = {name.lower(): name for name in names}
    close = [spelled[name] for name in difflib.get_close_matches(text.strip().lower(), spelled, n=3, cutoff=0.6)]
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(_prefixes())} and {_ALL}"
    return f"unknown {what} {text!r}: {hint}"
