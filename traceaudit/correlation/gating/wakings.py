"""Notices requests that go on because of what another was shown: they wait for it inside the service.

Theory of operation. Of requests that share a flight (``golang.org/x/sync/singleflight``) one calls; the others wait for
its answer, unseen, and then go on all at once. It looks as if the one made all the calls that follow. What gives it
away is a request that does something unusual long after it was shown anything, and soon after another was. By chance
that happens now and then; the share of the time that is soon after something says how often.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

UNUSUAL = 8
"""Times the usual gap after which a reaction is late: one in two hundred is, of those that vary by a factor of two."""

SOON = 3
"""Times the usual gap up to which a reaction is soon: nine in ten are."""

_REMEMBERED = 64
"""Stimuli of which it is remembered when they were delivered."""

_ENOUGH = 16
"""Late outputs of a route's requests from which on it is clear whether something else woke them."""

_DEVIATIONS = 3.0

_WENT_ON = 4
"""How often what usually comes must have come late to be expected of every request that is late."""


@dataclass(slots=True)
class _Route:
    late: int = 0
    after_another: int = 0
    by_chance: float = 0.0
    """How many of them would have come soon after something if nothing woke them."""

    went_on: int = 0
    """How often what usually comes came late."""

    @property
    def woken(self) -> bool:
        return self.after_another > 1 + self.by_chance + _DEVIATIONS * sqrt(self.by_chance)


class Wakings:
    """What is known of it, for all routes of one service."""

    def __init__(self) -> None:
        self._shown: deque[tuple[int, object]] = deque(maxlen=_REMEMBERED)
        self._routes: dict[str, _Route] = {}

    def shown(self, token: object, now_ns: int) -> None:
        """A request was shown something."""
        self._shown.append((now_ns, token))

    def came_late(self, token: object, route: str, soon_ns: int, now_ns: int) -> bool:
        """Something unusual came late; whether something else may have brought it about, as far as is known."""
        after_another = any(now_ns - at_ns <= soon_ns and other is not token for at_ns, other in self._shown)
        known = self._routes.setdefault(route, _Route())
        known.late += 1
        known.after_another += after_another
        known.by_chance += self._share_soon_after(soon_ns, now_ns)
        return after_another and (known.woken or known.late < _ENOUGH)

    def went_on(self, route: str) -> None:
        """What usually comes came late: its request was held up (by a pool of connections, by a lock), not idle."""
        self._routes.setdefault(route, _Route()).went_on += 1

    def goes_on(self, route: str) -> bool:
        """Whether its requests, when they are late, do what they usually do."""
        known = self._routes.get(route)
        return known is not None and known.went_on >= _WENT_ON

    def waken(self, route: str) -> bool:
        """Whether its requests go on because of what others were shown."""
        known = self._routes.get(route)
        return known is not None and known.woken

    def cleared(self, route: str) -> bool:
        """Whether enough came late of its requests, and nothing but their own work delayed it."""
        known = self._routes.get(route)
        return known is not None and known.late >= _ENOUGH and not known.woken

    def _share_soon_after(self, soon_ns: int, now_ns: int) -> float:
        """The share of the time since the first stimulus that is remembered that was soon after one."""
        if not self._shown:
            return 0.0
        times = [*(at_ns for at_ns, _ in self._shown), now_ns]
        covered = sum(min(soon_ns, later - at) for at, later in pairwise(times))
        return covered / max(1, now_ns - times[0])
