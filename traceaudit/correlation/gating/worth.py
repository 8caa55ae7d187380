"""Watches whether the gate is worth what it costs, and lets it rest where it is not."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_MS = 1_000_000

_LOOK = 512
"""Stimuli after which it is looked at."""

_LOOK_NS = 10_000 * _MS
"""The time after which it is, at the soonest: there is nothing to show until habits are known."""

_LEAST_CLAIMED = 0.25
"""The share of the calls whose cause the gate must show."""

_MOST_COST = 0.25
"""The share of the time of a request that its stimuli may be held."""

_LOOKS_UNSURE = 12
"""How often in all it goes on because what the service does is not known yet."""

_REST_NS = 10_000 * _MS
_LONGEST_REST_NS = 600_000 * _MS


_REMEMBERED = 65_536


@dataclass(frozen=True, slots=True)
class Work:
    """What a gate has done so far, for a person."""

    calls: int
    """Calls that did not say themselves whose they were."""
    claimed: int
    """Those of them whose request the gate has shown."""
    stimuli: int
    held_ms: tuple[float, float]
    """How long half of the stimuli, and 99 in a hundred, were held at most."""


class Worth:
    """Calls that were claimed against time that was held. Each rest is twice as long as the last."""

    def __init__(self) -> None:
        self._all_calls = self._all_claimed = self._all_stimuli = 0
        self._held: deque[int] = deque(maxlen=_REMEMBERED)
        self._until_ns = 0
        self._since_ns: int | None = None
        self._rest_ns = _REST_NS
        self._looks_unsure = 0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._stimuli = self._held_ns = self._calls = self._unsure = self._claimed = self._requests = (
            self._in_service_ns
        ) = 0

    def delivered(self, held_ns: int, budget_ns: int) -> None:
        """A stimulus was delivered after it had been held so long; what was beyond the budget was for learning."""
        self._stimuli += 1
        self._all_stimuli += 1
        self._held.append(held_ns)
        self._held_ns += min(held_ns, budget_ns)

    def called(self, *, claimed: bool, sure: bool) -> None:
        """A call came that did not say itself whose it was, while it was known of every request what it does or not."""
        self._calls += 1
        self._unsure += not sure
        self._claimed += claimed
        self._all_calls += 1
        self._all_claimed += claimed

    def passed(self) -> None:
        """Such a call came while nobody was followed."""
        self._all_calls += 1

    @property
    def work(self) -> Work:
        """What was done so far."""
        held = sorted(self._held) or [0]
        half, most = (held[int(share * (len(held) - 1))] / _MS for share in (0.5, 0.99))
        return Work(self._all_calls, self._all_claimed, self._all_stimuli, (half, most))

    def responded(self, in_service_ns: int) -> None:
        """A request was answered, so long after it had been delivered."""
        self._requests += 1
        self._in_service_ns += in_service_ns

    def resting(self, now_ns: int) -> bool:
        """Whether the gate stands open for now."""
        if now_ns < self._until_ns:
            return True
        if self._since_ns is None:
            self._since_ns = now_ns
        if self._stimuli < _LOOK or now_ns - self._since_ns < _LOOK_NS:
            return False
        unclaimed = self._calls > 0 and self._claimed < _LEAST_CLAIMED * self._calls
        if unclaimed and self._unsure > self._calls // 2 and self._looks_unsure < _LOOKS_UNSURE:
            # While it rests, it does not learn.
            self._looks_unsure += 1
            unclaimed = False
        costly = self._held_ns > _MOST_COST * self._in_service_ns
        # What costs next to nothing may go on without use: it may be of use later.
        if (unclaimed and self._held_ns > self._stimuli * _MS // 10) or costly:
            self._until_ns = now_ns + self._rest_ns
            self._rest_ns = min(2 * self._rest_ns, _LONGEST_REST_NS)
        self._begin_anew()
        self._since_ns = max(now_ns, self._until_ns)
        return now_ns < self._until_ns
