"""Holds the calls whose cause presence cannot tell until the times of all have been asked, a window at a time.

Theory of operation. The audit decides a call when it starts, from what is there by then. Where that leaves several
candidates, the call is *held*: what is needed to judge it again is kept until its window is complete (see
:mod:`traceaudit.correlation.windows`), which is a matter of the events' times alone. Then there is a :class:`Look` to
be had: its window goes to the inference, wherever that runs, and the answers come back to the audit, which revises its
verdicts. What was decided at first stands until then, and for good where no answer comes.

Nothing that later first decisions lean on is changed by an answer. So it does not matter when it comes, and a live run
and the analysis of its recording decide alike.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from traceaudit.correlation.correlator import Attribution
from traceaudit.correlation.identifiers import Contexts, Inbound
from traceaudit.correlation.records import Call, Settings
from traceaudit.correlation.windows import Window, Windows
from traceaudit.exchange import Exchange
from traceaudit.findings import Accusation, Finding

MOST_LOOKS = 3
"""Windows that may wait for their answers; beyond, the oldest keeps its first verdicts."""

_REMEMBERED = 32
"""Candidates that are remembered of a call; under load there may be a thousand."""

_SPARE = 1000
"""Requests beyond twice the pending ones that are remembered before all that are over are forgotten at once."""


@dataclass(slots=True)
class Held:
    """A call that is to be judged again: what it was, and what was known when it started."""

    exchange: Exchange
    sent: Contexts
    route: str
    presence: Attribution
    participant: bool | None
    accusations: list[tuple[Finding, Accusation]]
    alone: float = 0.0
    """The share of uncaused calls among those like it, as known when its window is complete."""


@dataclass(frozen=True, slots=True)
class Look:
    """A window, the calls that it is to decide, and the requests that may have caused them."""

    window: Window
    held: dict[str, Held]
    inbounds: dict[str, Inbound]


class SecondLook:
    """Exchanges in, in the order of time; looks out."""

    def __init__(
        self,
        name: Callable[[str], str],
        edge: Callable[[str], str],
        uncaused: Callable[[str, int], float],
        settings: Settings | None = None,
    ) -> None:
        """``name`` and ``edge`` say what an inbound route and an outbound edge are called by now; ``uncaused`` what
        share of an edge's calls in a kind of time comes by itself.
        """
        self._windows = Windows(settings)
        self._name = name
        self._edge = edge
        self._uncaused = uncaused
        self._held: dict[str, Held] = {}
        self._inbounds: dict[str, Inbound] = {}
        self.looks: deque[Look] = deque()
        """What is to be had."""
        self.kept: list[Held] = []
        """Calls whose first verdict stands, because too much was held; whoever hears of it empties this."""

    def request(self, inbound: Inbound) -> None:
        """A request was delivered to the service."""
        self._inbounds[inbound.id] = inbound
        self._windows.request_started(inbound.id, inbound.route, inbound.exchange.started_ns)
        self._collect()

    def call(self, call: Call, held: Held | None) -> None:
        """The service made a call; ``held``: it is to be judged again."""
        if held is not None:
            held.presence = replace(held.presence, causes=held.presence.causes[:_REMEMBERED])
            self._held[call.id] = held
        self._windows.call_started(call, asked=held is not None)
        self._collect()

    def request_ended(self, id_: str, at_ns: int) -> None:
        """A request's response is over."""
        self._windows.request_ended(id_, at_ns)

    def call_ended(self, id_: str, at_ns: int) -> None:
        """A call was answered."""
        self._windows.call_ended(id_, at_ns)

    def finish(self) -> None:
        """Nothing more will come: what is held is to be had."""
        self._windows.finish()
        self._collect()

    def give_up(self) -> None:
        """No answer will come any more: what was decided at first stands."""
        self.kept += [held for look in self.looks for held in look.held.values()]
        self.kept += self._held.values()
        self.looks.clear()
        self._held.clear()

    def _collect(self) -> None:
        windows = self._windows
        if windows.given_up:
            self.kept += [self._held.pop(id_) for id_ in windows.given_up]
            windows.given_up.clear()
        while windows.ready:
            window = self._named(windows.ready.popleft())
            held = {each.id: self._held.pop(each.id) for each in window.calls if each.id in window.asked}
            for each in window.calls:
                if each.id in held and (kind := held[each.id].presence.kind) is not None:
                    held[each.id].alone = self._uncaused(each.edge, kind)
            self.looks.append(Look(window, held, {each.id: self._inbounds[each.id] for each in window.requests}))
            if len(self.looks) > MOST_LOOKS:
                self.kept += self.looks.popleft().held.values()
        # Not before: a window that is ready has requests that nothing later can belong to.
        if len(self._inbounds) > 2 * len(windows.requests) + _SPARE:
            self._inbounds = {id_: self._inbounds[id_] for id_ in windows.requests}

    def _named(self, window: Window) -> Window:
        """The window with the names that everything has by now."""
        routes = _renamed((each.route for each in window.requests), self._name)
        edges = _renamed((each.edge for each in window.calls), self._edge)
        if not routes and not edges:
            return window
        return replace(
            window,
            requests=tuple(replace(each, route=routes.get(each.route, each.route)) for each in window.requests),
            calls=tuple(replace(each, edge=edges.get(each.edge, each.edge)) for each in window.calls),
        )


def _renamed(names: Iterable[str], now: Callable[[str], str]) -> dict[str, str]:
    return {name: new for name in set(names) if (new := now(name)) != name}
