"""Notices a context that stays the same on an edge while the requests change: what one call alone can never show.

Theory of operation: each time a call carries a trace that is not of the request it is made for, the requests that it
may have been made for are remembered under the edge and the trace. Three times, each time other requests, and the
context is frozen: one of a batch of late work would be seen with the same requests, or while there are none.
"""

from __future__ import annotations

from collections import OrderedDict

OCCASIONS = 3
"""So often, each with other requests; two may be a retry that lost its request."""

_MEMORY = 1024
"""Contexts that are remembered; the longest unseen are forgotten."""


class FrozenContexts:
    """The foreign contexts of each edge and the requests they were seen with."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], tuple[int, set[str]]] = OrderedDict()

    def see(self, edge: str, trace_id: str, requests: frozenset[str]) -> bool:
        """Counts an occasion if these requests are all new to this context; whether it is frozen by now."""
        occasions, before = self._seen.pop((edge, trace_id), (0, set()))
        if occasions < OCCASIONS and requests and before.isdisjoint(requests):
            occasions += 1
            before |= requests
        self._seen[edge, trace_id] = (occasions, before)
        if len(self._seen) > _MEMORY:
            self._seen.popitem(last=False)
        return occasions >= OCCASIONS
