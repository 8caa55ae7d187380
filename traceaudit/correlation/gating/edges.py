"""What is known of the calls on each edge: whether they come by themselves, and whether they say whose they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

_MS = 1_000_000

_WATCHED = 64
"""Calls in a row that carried the identifiers of their request, after which an edge is not gated."""

_FEW = 32
"""Calls that did not say whose they are, up to which nothing is held: there is nothing to show yet."""

_BY_THEMSELVES = 0.1
"""The share of edges on which calls are taken to come by themselves as well, too seldom to have been met yet."""

OPTIONAL = 0.9
"""The share of a kind of reactions up to which a call in them is optional."""

_POLLED = 0.1
"""The share of optional calls that are scattered from which on none of them is claimed."""

_SCATTERED = 2
"""So many late optional calls in each of two kinds of reactions of a route, and who made them may call at any time."""

_SUSPECTED_NS = 60_000 * _MS
"""How long nothing is claimed on an edge after a call that nobody was about to make; each time twice as long."""

_MOST_DOUBLED = 10

MOST_EDGES = 10_000
"""Edges that are remembered; on others nothing is claimed."""


@dataclass(slots=True)
class Edge:
    """One of them."""

    strays: int = 0
    """Calls that nothing in flight was about to make."""
    suspected_until_ns: int = 0
    owed_ns: int = 0
    """How long somebody was about to make one."""
    named: int = 0
    """Calls with the identifiers of their request since the last one without."""
    idle: bool = False
    """Such calls come while nothing is in flight."""
    scattered: int = 0
    """Late calls that came now here, now there in the course of requests: as what calls by itself comes.

    While a request is always there, these are taken for calls that it makes now and then, with every step of it.
    """
    optional: int = 0
    """Calls that not every reaction of their kind has, late or soon."""
    _late: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Optional ones, by the route and what they were a reaction to."""

    @property
    def is_polled(self) -> bool:
        """Whether so many optional calls came late that likely all of them come by themselves."""
        return self.scattered > _POLLED * self.optional

    def made_late(self, route: str, answered: str, chance: float) -> None:
        """A call came late in a reaction to an answer (or to the request); so many of such reactions still have one."""
        if chance < OPTIONAL:
            kinds = self._late[route]
            before = _of_any_kind(kinds)
            kinds[answered] += 1
            self.scattered += _of_any_kind(kinds) - before

    def stray(self, now_ns: int) -> None:
        """A call came that nobody was about to make: so others may."""
        self.strays += 1
        self.suspected_until_ns = now_ns + (_SUSPECTED_NS << min(self.strays - 1, _MOST_DOUBLED))

    def by_itself(self, gap_ns: int, watched_ns: int) -> float:
        """The probability that a call came by itself in a gap, of a time in which that would have been noticed."""
        return (_BY_THEMSELVES + self.strays + self.scattered) * gap_ns / max(1, watched_ns - self.owed_ns)


def _of_any_kind(kinds: Counter[str]) -> int:
    """How many calls were made, if they came in several kinds of reactions."""
    return kinds.total() if sum(times >= _SCATTERED for times in kinds.values()) > 1 else 0


class Edges:
    """All of them."""

    def __init__(self) -> None:
        self._edges: dict[str, Edge] = {}
        self._named_in_a_row = self._nameless = 0

    def get(self, edge: str) -> Edge:
        """What is known of one; of one too many, that it is not to be claimed."""
        known = self._edges.get(edge)
        if known is None:
            if len(self._edges) >= MOST_EDGES:
                return Edge(idle=True)
            known = self._edges[edge] = Edge()
        return known

    def named(self, edge: Edge) -> None:
        """A call said itself whose it was."""
        edge.named += 1
        self._named_in_a_row += 1

    def nameless(self, edge: Edge) -> None:
        """A call did not say."""
        self._nameless += 1
        edge.named = self._named_in_a_row = 0

    def wake(self) -> None:
        """A call did not say, of which no more is known."""
        self._named_in_a_row = 0

    def need_gate(self, edge: str) -> bool:
        """Whether the calls on an edge do not show by themselves whose they are."""
        known = self._edges.get(edge)
        return known is None or known.named < _WATCHED

    def contradicted_by(self, stray: Edge, now_ns: int) -> bool:
        """Whether a call that nobody was about to make may be one of many by a request that nobody has seen come.

        What calls by itself does so on one edge, again and again: that is known after the first time.
        """
        suspected = [each for each in self._edges.values() if now_ns < each.suspected_until_ns]
        return len(suspected) != 1 or suspected[0] is not stray

    @property
    def few_nameless(self) -> bool:
        """Whether there is too little to show for anybody to wait for it."""
        return self._nameless < _FEW

    @property
    def all_named(self) -> bool:
        """Whether everything has shown by itself whose it is for long enough."""
        return self._named_in_a_row >= _WATCHED
