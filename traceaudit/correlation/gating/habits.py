"""Learns what the service does next: which outputs follow upon what it was shown, and how soon.

Theory of operation. What the proxy shows the service is a stimulus: a request, or the answer to a call. What the
service then does before the next stimulus of the same request is its reaction: a handful of calls, a response, or
nothing, where siblings are still to be answered. A habit counts the reactions to one kind of stimulus. From what was
seen of a reaction so far, it tells what may still follow, and whether that may be all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log
from typing import NamedTuple

RESPONSE = ""
"""The response to the request, among the outputs; every other output is a call, named by its edge."""

FEW = 7
"""Reactions after which those to come are taken to be like them, though nothing is claimed by that yet."""

ENOUGH = 12
"""Reactions after which a habit is known."""

_RARE = 0.02
"""The share of reactions up to which one is not waited for."""

_MOST_REACTIONS = 48
"""Different reactions to one kind of stimulus beyond which there is no habit."""

_MOST_HABITS = 4096
"""Kinds of stimuli that are remembered; those not met for longest are forgotten."""

_GAPS = 1024
_ANEW = 64
"""Gaps after which their quantiles are worked out again."""

_ALIKE = 1.1
"""Times as long or as short, and a gap is about as long as another."""


class Occasion(NamedTuple):
    """One kind of stimulus."""

    route: str
    answered: str
    """The edge of the call that was answered; empty: it is the request itself."""
    alone: bool
    """No other call of the same request is still to be answered."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What may still follow."""

    chances: Mapping[str, float]
    """The share of such reactions in which an edge is still called."""
    usual: frozenset[str]
    """Edges that are called so often that they are waited for."""
    responds: bool
    """The response may follow."""
    may_end: bool
    """This may be all."""
    sure: bool = True
    """Enough has been seen for that."""
    anything: bool = False
    """It is not known what follows."""

    @property
    def one_way(self) -> bool:
        """Whether it has always gone on in the same way."""
        return not self.anything and not self.responds and all(chance == 1 for chance in self.chances.values())

    @property
    def silent(self) -> bool:
        """Whether no call can follow."""
        return self.sure and not self.chances


ANYTHING = Prospect({}, frozenset(), responds=True, may_end=True, sure=False, anything=True)


class Gaps:
    """How long after the stimulus, or after the output before it, an output came; in nanoseconds."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=_GAPS)
        self._new = 0
        self._sorted: list[int] = []

    def add(self, gaps: Iterable[int]) -> None:
        """Takes some more."""
        for gap in gaps:
            self._recent.append(gap)
            self._new += 1
        if self._new >= _ANEW or len(self._recent) < _ANEW:
            self._sorted = sorted(self._recent)
            self._new = 0

    @property
    def count(self) -> int:
        """How many are remembered."""
        return len(self._sorted)

    def later(self, gap: int) -> float:
        """The share of gaps that are longer; of those longer than any that was seen, it falls with their square."""
        if not self._sorted:
            return 1.0
        count, longest = len(self._sorted), max(1, self._sorted[-1])
        if gap >= longest:
            return (longest / gap) ** 2 / (count + 1)
        return 1 - bisect_right(self._sorted, gap) / (count + 1)

    def likely(self, gap: int) -> float:
        """How dense gaps are at this one, times its length: at most 1, and less where its like are seldom so soon.

        By the share that is about as long, or by the share that is not longer (the next among them), if that
        is more.
        """
        sooner, count = bisect_right(self._sorted, gap), len(self._sorted)
        alike = bisect_right(self._sorted, int(gap * _ALIKE)) - bisect_left(self._sorted, int(gap / _ALIKE))
        return min(1.0, max((sooner + 1) / (count + 1), alike / (count + 1) / (2 * log(_ALIKE))))

    def quantile(self, share: float) -> int:
        """The gap that this share of the gaps does not exceed; 0 where there are none."""
        if not self._sorted:
            return 0
        return self._sorted[min(len(self._sorted) - 1, int(share * len(self._sorted)))]


class Habit:
    """The reactions to one kind of stimulus."""

    def __init__(self) -> None:
        self._reactions: Counter[tuple[str, ...]] = Counter()
        self._with: Counter[tuple[str, int]] = Counter()
        self._total = 0
        self._prospects: dict[tuple[str, ...], Prospect] = {}
        self.gaps = Gaps()

    @property
    def seen(self) -> int:
        """How many reactions were learned from."""
        return self._total

    @property
    def one_way(self) -> bool:
        """Whether all of them were alike."""
        return len(self._reactions) <= 1

    def seen_with(self, output: str, times: int = 1) -> int:
        """How many of them had an output so many times at least."""
        return self._with[output, times]

    @property
    def known(self) -> bool:
        """Whether something can be said of what follows."""
        return self._total >= FEW and len(self._reactions) <= _MOST_REACTIONS

    def learn(self, outputs: Iterable[str], gaps: Iterable[int]) -> bool:
        """Takes one reaction that is over; whether there was none like it."""
        reaction = tuple(sorted(outputs))
        new = reaction not in self._reactions
        if new and len(self._reactions) > _MOST_REACTIONS:
            return True
        self._reactions[reaction] += 1
        for output, times in Counter(reaction).items():
            self._with.update((output, time) for time in range(1, times + 1))
        self._total += 1
        self.gaps.add(gaps)
        # What is rare changes slowly: it is looked at anew when the number of reactions has doubled.
        if new or self._total == ENOUGH or self._total & (self._total - 1) == 0:
            self._prospects.clear()
        return new

    def prospect(self, outputs: Iterable[str]) -> Prospect:
        """What may follow after these outputs."""
        if not self.known:
            return ANYTHING
        seen = tuple(sorted(outputs))
        found = self._prospects.get(seen)
        if found is None:
            found = self._prospects[seen] = self._prospect(seen)
        return found

    def total(self, outputs: Iterable[str]) -> tuple[str, ...] | None:
        """The one reaction that will have been complete, sorted; ``None``: it is not known, or there are several."""
        if not self.known:
            return None
        so_far = Counter(outputs)
        possible = {each: times for each, times in self._reactions.items() if not so_far - Counter(each)}
        likeliest = max(possible, key=lambda each: possible[each], default=None)
        if likeliest is None or possible[likeliest] < (1 - _RARE) * sum(possible.values()):
            return None
        return likeliest

    def _prospect(self, seen: tuple[str, ...]) -> Prospect:
        so_far = Counter(seen)
        times_left: Counter[str] = Counter()
        total = ended = 0
        for reaction, times in self._reactions.items():
            further = Counter(reaction)
            if so_far - further:
                continue
            total += times
            left = further - so_far
            if not left:
                ended += times
            for output in left:
                times_left[output] += times
        if not total:
            return ANYTHING
        responds = times_left.pop(RESPONSE, 0) > 0
        chances = {edge: times / total for edge, times in times_left.items()}
        usual = frozenset(edge for edge, chance in chances.items() if chance > _RARE)
        return Prospect(chances, usual, responds=responds, may_end=ended > 0, sure=self._total >= ENOUGH)


class Habits:
    """The habits of a service, by the kind of stimulus."""

    def __init__(self) -> None:
        self._habits: OrderedDict[Occasion, Habit] = OrderedDict()
        self.gaps = Gaps()
        """Of all of them, for those that are not known yet."""
        self.one_way = True
        """All reactions to each kind of stimulus were alike so far: no call was among them that came by itself."""
        self._foreseen = self._unforeseen = 0

    def __len__(self) -> int:
        return len(self._habits)

    def get(self, occasion: Occasion) -> Habit:
        """The habit upon one kind of stimulus."""
        habit = self._habits.get(occasion)
        if habit is None:
            habit = self._habits[occasion] = Habit()
            if len(self._habits) > _MOST_HABITS:
                self._habits.popitem(last=False)
        else:
            self._habits.move_to_end(occasion)
        return habit

    def learn(self, habit: Habit, outputs: Iterable[str], gaps: list[int]) -> None:
        """Takes one reaction that is over."""
        if habit.known:
            self._foreseen += 1
            self._unforeseen += habit.learn(outputs, gaps)
        else:
            habit.learn(outputs, gaps)
        self.one_way = self.one_way and habit.one_way
        self.gaps.add(gaps)

    @property
    def novelty(self) -> float:
        """The share of reactions that go on as none of their kind did before (after Good and Turing)."""
        return (self._unforeseen + 1) / (self._foreseen + 1)
