"""Tells from how calls are spread over requests that their contexts were exchanged, where every call looks right.

Theory of operation. A service that keeps one context for all requests sends whole ones: each call names one request in
every header, and nothing about it shows that it was made for another. But the numbers show it. Where each request by
itself makes so many calls of a kind, and many together make exactly as many as all of them should, yet one request's
context is on too many and another's on too few, contexts were exchanged between them.

What else moves numbers does not keep their sum: a cache or `singleflight` saves calls, a retry or a hedge adds some.
So nothing is said of an edge unless its calls were as many for each request alone, and in every round as many as they
should be; nor unless all requests of a URL were answered alike; nor where a call names nobody or is somebody else's.
A service that both saves and adds may keep the sum for once, or whenever as many requests are together. It takes rounds
of several sizes to tell it from one that mixes contexts up.

Calls of an edge are counted by their exact targets, which show an exchange of one for one, too; where targets vary, all
together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from traceaudit.audit import Audit
from traceaudit.correlation import Attribution, Cause, Inbound
from traceaudit.exchange import Exchange, Method
from traceaudit.formats import Context, read
from traceaudit.judging import accusations
from traceaudit.outcomes import judge
from traceaudit.rules import Call, tp021_context_leaked
from traceaudit.verdicts import Decided, Revision, Verdict, outcomes

BY_CHANCE = 0.5
"""The probability, high enough, that what saves calls and what adds some keep the sum in rounds of one size."""

MOST = 0.99
"""The highest probability; no number of rounds proves how a service is made."""

ALONE = 3
"""Requests of a URL alone from which on what it does is known."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request of ours; ``url`` is the same for all that are alike, ``round`` is ``None`` when it was alone."""

    id: str
    url: int
    round: int | None
    status: int | None


@dataclass(frozen=True, slots=True)
class Made:
    """A call; ``owner`` is the one request whose context it carries (``None``: there is no such), in ``formats``."""

    id: str
    at_ns: int
    authority: str
    target: str
    """Method, path and query."""
    route: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class Mixed:
    """A call that carries the context of ``owner``, who has too many; ``cause``, of the same round, has too few."""

    call: Made
    cause: Sent
    owner: Sent
    usual: int
    """Such calls that a request like ``cause`` makes alone."""
    lacking: int
    """Of these, those that ``cause`` lacks."""
    beyond: int
    """Such calls that carry the context of ``owner`` beyond its own."""
    rounds: int
    """Rounds in which contexts were exchanged."""
    sizes: int
    """Sizes that these rounds had: such calls that they should make."""

    @property
    def probability(self) -> float:
        """How sure it is."""
        return min(MOST, 1 - BY_CHANCE**self.sizes)


class LeftOut(StrEnum):
    """Why nothing can be told from the numbers of an edge's calls."""

    OWNERS = "some of these calls carry no request's context, or several requests'"
    ALONE = "these calls are not as many for every request alone"
    TOGETHER = "these calls are more or fewer when requests are together (a cache, retries)"


@dataclass(slots=True)
class Comparison:
    """What the numbers tell: calls beyond those that their owners make, each with a request that lacks one."""

    mixed: list[Mixed] = field(default_factory=list)
    left_out: dict[tuple[str, str], LeftOut] = field(default_factory=dict)
    """By authority and route, the edges of which nothing can be told."""
    answered_alike: bool = True
    """False: a URL's requests were not all answered alike, and nothing can be told at all."""


def compare(sent: Sequence[Sent], calls: Sequence[Made]) -> Comparison:
    """Compares what requests did together with what they did alone."""
    comparison = Comparison(answered_alike=_answered_alike(sent))
    if not comparison.answered_alike:
        return comparison
    edges: defaultdict[tuple[str, str], list[Made]] = defaultdict(list)
    for call in calls:
        edges[call.authority, call.route].append(call)
    ours = {each.id for each in sent}
    for edge, made in edges.items():
        if any(call.owner not in ours for call in made):
            comparison.left_out[edge] = LeftOut.OWNERS
            continue
        targets: defaultdict[str, list[Made]] = defaultdict(list)
        for call in made:
            targets[call.target].append(call)
        spreads = _spreads(sent, targets.values())
        if isinstance(spreads, LeftOut):
            spreads = _spreads(sent, [made])
        if isinstance(spreads, LeftOut):
            comparison.left_out[edge] = spreads
            continue
        sizes = len({spread.expected[round_] for spread in spreads for round_ in spread.over})
        for spread in spreads:
            comparison.mixed += _pairs(spread, sizes)
    return comparison


def _answered_alike(sent: Sequence[Sent]) -> bool:
    """Whether load changed nothing about the answers; where it did, it may have changed the calls as well."""
    statuses: defaultdict[int, set[int | None]] = defaultdict(set)
    for each in sent:
        statuses[each.url].add(each.status)
    return all(len(each) == 1 and None not in each for each in statuses.values())


@dataclass(frozen=True, slots=True)
class _Spread:
    """How calls of one kind are spread over requests."""

    made: dict[str, list[Made]]
    usual: dict[int, int]
    """By URL, such calls of a request alone."""
    expected: Counter[int]
    """By round, the calls that there should be, and are."""
    over: dict[int, list[Sent]]
    """By round, those with too many."""
    under: dict[int, list[Sent]]


def _spreads(sent: Sequence[Sent], kinds: Iterable[Sequence[Made]]) -> list[_Spread] | LeftOut:
    """The spread of each kind, or why that of one tells nothing."""
    spreads = []
    for calls in kinds:
        spread = _spread(sent, calls)
        if isinstance(spread, LeftOut):
            return spread
        spreads.append(spread)
    return spreads


def _spread(sent: Sequence[Sent], calls: Sequence[Made]) -> _Spread | LeftOut:
    made: dict[str, list[Made]] = {each.id: [] for each in sent}
    for call in calls:
        assert call.owner is not None
        made[call.owner].append(call)
    usual = _usual(sent, made)
    if usual is None:
        return LeftOut.ALONE
    over: defaultdict[int, list[Sent]] = defaultdict(list)
    under: defaultdict[int, list[Sent]] = defaultdict(list)
    expected, beyond = Counter[int](), Counter[int]()
    for each in sent:
        if each.round is not None:
            difference = len(made[each.id]) - usual[each.url]
            beyond[each.round] += difference
            expected[each.round] += usual[each.url]
            if difference:
                (over if difference > 0 else under)[each.round].append(each)
    return LeftOut.TOGETHER if any(beyond.values()) else _Spread(made, usual, expected, over, under)


def _pairs(spread: _Spread, sizes: int) -> Iterator[Mixed]:
    made, usual = spread.made, spread.usual
    for round_, owners in spread.over.items():
        lacking = [each for each in spread.under[round_] for _ in range(usual[each.url] - len(made[each.id]))]
        for owner in owners:
            beyond = len(made[owner.id]) - usual[owner.url]
            for call in sorted(made[owner.id], key=lambda call: (call.at_ns, call.id))[-beyond:]:
                cause = lacking.pop(0)
                lacks = usual[cause.url] - len(made[cause.id])
                yield Mixed(call, cause, owner, usual[cause.url], lacks, beyond, len(spread.over), sizes)


def _usual(sent: Sequence[Sent], made: Mapping[str, list[Made]]) -> dict[int, int] | None:
    """Such calls that each URL makes alone; ``None``: not always as many, or that is not known."""
    numbers: defaultdict[int, list[int]] = defaultdict(list)
    for each in sent:
        if each.round is None:
            numbers[each.url].append(len(made[each.id]))
    if {each.url for each in sent} - numbers.keys():
        return None
    if any(len(each) < ALONE or len(set(each)) > 1 for each in numbers.values()):
        return None
    return {url: each[0] for url, each in numbers.items()}


def revision(audit: Audit, each: Mixed, outbound: Exchange, cause: Exchange, owner: Exchange) -> Revision | None:
    """The verdict on such a call in place of the first one, which took its context at its word.

    The exchanges are those of the call and of the two requests. ``None``: what was recorded of their headers does not
    show the context.
    """
    sent, of_cause, of_owner = (read(one.request_headers) for one in (outbound, cause, owner))
    causes = [Inbound(one, contexts, audit.route_of(one)) for one, contexts in ((cause, of_cause), (owner, of_owner))]
    ids = {context.trace_id for context in of_owner.values() if isinstance(context, Context)} - {None}

    def owner_of(context: Context) -> str | None:
        return owner.id if context.trace_id in ids else None

    suppositions = [
        (causes[0], judge(of_cause, sent, owner_of), each.probability),
        (causes[1], judge(of_owner, sent, lambda _: None), 1 - each.probability),
    ]
    calls = [
        (Call(inbound.exchange, outbound, inbound.contexts, sent, judgements), share)
        for inbound, judgements, share in suppositions
    ]
    evidence: dict[str, object] = {
        "calls_alone": each.usual,
        "calls_missing": each.lacking,
        "calls_beyond": each.beyond,
        "rounds_mixed": each.rounds,
    }
    attribution = Attribution(
        (Cause(causes[0], each.probability), Cause(causes[1], 1 - each.probability)), Method.TIMING, evidence
    )
    edge = audit.findings.edge(causes[0].route, outbound.authority, audit.route_of(outbound))
    accused = list(accusations([tp021_context_leaked.RULE], calls, attribution, frozen=False))
    if not accused:
        return None
    made = [(audit.findings.add(edge, one), one) for one in accused]
    decided = Decided(attribution.links(outbound.id), outcomes(calls))
    return Revision(Verdict(outbound.id, decided, edge, made), [], [])
