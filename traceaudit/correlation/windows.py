"""Gathers starts and ends into windows for the inference, which is asked only where there is something to ask.

Theory of operation. What has been seen and may still matter is *pending*. Once enough requests or calls are pending, or
the oldest call that is asked about has waited long enough, a :class:`Window` of all that is pending is made; the calls
that started before its *cut*, a settling time ago, are decided by it for good. What may still bear on later calls
stays: requests that are open or ended lately, and calls that are open. Where no call is asked about, no window is made.

Nothing here reads a clock or computes much: time is the time of the events, so that a recorded log gives the same
windows as the live run did, and this can be done beside the traffic while the windows are worked on elsewhere. Memory
is bounded: an exchange that stays open longer than the longest wait no longer holds anything up, and where more is
pending than allowed, the oldest calls are given up and stay unknown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from traceaudit.correlation.records import Call, Request, Settings

type _Open = list[Any]
"""Name, start and end; the end is filled in."""


@dataclass(frozen=True, slots=True)
class Window:
    """All that was pending at a moment. ``asked`` are the calls that it decides; ``last``: nothing comes after it."""

    requests: tuple[Request, ...]
    calls: tuple[Call, ...]
    asked: frozenset[str]
    last: bool = False


class Windows:
    """Starts and ends in, in the order of time; windows out."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.requests: dict[str, _Open] = {}
        """By id, the requests that are pending, in the order of their starts."""
        self._calls: dict[str, tuple[Call, _Open]] = {}
        self.ready: deque[Window] = deque()
        """Windows that nobody has taken yet."""
        self.given_up: list[str] = []
        """Calls that will never be decided; whoever asked empties it."""
        self._asked: dict[str, int] = {}
        self._fresh_requests = self._fresh_calls = 0
        self._not_before_ns = 0

    def request_started(self, id: str, route: str, started_ns: int) -> None:
        """An inbound request came in."""
        self.requests[id] = [route, started_ns, None]
        self._fresh_requests += 1
        self._tick(started_ns)

    def request_ended(self, id: str, ended_ns: int) -> None:
        """Its response was sent; one that was let go already is ignored."""
        request = self.requests.get(id)
        if request is not None:
            request[2] = ended_ns

    def call_started(self, call: Call, *, asked: bool) -> None:
        """The service made a call; ``asked``: its cause is wanted."""
        self._calls[call.id] = (call, ["", call.started_ns, None])
        self._fresh_calls += 1
        if asked:
            self._asked[call.id] = call.started_ns
        self._tick(call.started_ns)

    def call_ended(self, id: str, ended_ns: int) -> None:
        """A call was answered; one that was let go already is ignored."""
        call = self._calls.get(id)
        if call is not None:
            call[1][2] = ended_ns

    def finish(self) -> None:
        """Makes the last window, of all that is pending; nothing more will come."""
        if self._asked:
            self.ready.append(self._window(frozenset(self._asked), last=True))
        self.requests, self._calls, self._asked = {}, {}, {}

    @property
    def pending(self) -> int:
        """How many exchanges are held in memory."""
        return len(self.requests) + len(self._calls)

    def _tick(self, now_ns: int) -> None:
        """Makes a window when there is enough, or when the oldest call has waited long enough; asked at every start."""
        settings = self.settings
        waited = bool(self._asked) and now_ns - next(iter(self._asked.values())) >= settings.patience_ns
        many = self._fresh_requests >= settings.window_requests or self._fresh_calls >= settings.window_calls
        if waited or (many and now_ns >= self._not_before_ns):
            self._cut(now_ns - settings.settle_ns)
            self._not_before_ns = now_ns + settings.settle_ns
        if self.pending > settings.most_pending:
            self._give_up(now_ns)

    def _cut(self, cut_ns: int) -> None:
        asked = frozenset(id for id, started_ns in self._asked.items() if started_ns < cut_ns)
        if asked:
            self.ready.append(self._window(asked))
            for id in asked:
                del self._asked[id]
        self._let_go(cut_ns)

    def _window(self, asked: Iterable[str], *, last: bool = False) -> Window:
        requests = tuple(Request(id, *request) for id, request in self.requests.items())
        calls = tuple(replace(call, ended_ns=open_[2]) for call, open_ in self._calls.values())
        return Window(requests, calls, frozenset(asked), last)

    def _let_go(self, cut_ns: int) -> None:
        """Forgets the requests that no later call can belong to, and the calls before the cut that are over.

        Whose the decided ones were, the inference remembers.
        """
        settings = self.settings
        ended_ns, opened_ns = cut_ns - settings.late_ns, cut_ns - settings.longest_ns
        self.requests = {
            id: request
            for id, request in self.requests.items()
            if (request[1] > opened_ns if request[2] is None else request[2] > ended_ns)
        }
        self._calls = {
            id: (call, open_)
            for id, (call, open_) in self._calls.items()
            if call.started_ns >= cut_ns
            or (open_[2] is None and call.started_ns > opened_ns)
            or (call.known is not None and call.known[0] in self.requests)
        }
        self._fresh_requests = self._fresh_calls = 0

    def _give_up(self, now_ns: int) -> None:
        """Frees memory: what is too much is not decided."""
        keep_ns, half = now_ns - self.settings.settle_ns, self.settings.most_pending // 2
        for id, (call, _) in list(self._calls.items()):
            if call.started_ns < keep_ns or len(self._calls) > half:
                del self._calls[id]
                if self._asked.pop(id, None) is not None:
                    self.given_up.append(id)
        while len(self.requests) > half:
            del self.requests[next(iter(self.requests))]
