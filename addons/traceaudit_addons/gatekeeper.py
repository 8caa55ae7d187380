"""Holds requests on their way to the service, and answers to its calls, until the gate lets them go.

Theory of operation. What is held waits in a queue, answers before requests: what is in the service already comes to its
end. Whenever the service has done something, or a time has passed at which the gate wanted to be asked again, the queue
is asked from its head. The gate is told of a delivery at once, before anything else is asked, and the flow goes on when
the event loop comes to it. An error of ours opens the gate for good; it is said once, and counted.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from mitmproxy.http import HTTPFlow

from traceaudit.audit import Audit
from traceaudit.correlation.gating import Gate
from traceaudit.correlation.gating.gate import MOST_HELD
from traceaudit.correlation.telemetry import is_telemetry
from traceaudit.exchange import Direction, Exchange, Gated, Method
from traceaudit.routes import route_of
from traceaudit.verdicts import Verdict
from traceaudit_addons.directions import Directions

_TURNS = 3
"""Turns of the event loop in which a call that has arrived is read and told of; only then is quiet believed."""

_REMEMBERED = 8192
"""Requests whose exchanges are remembered; a claim may name one that has been answered."""


@dataclass(eq=False, slots=True)
class _Held:
    """Something that waits for the gate."""

    flow_id: str
    since_ns: int
    may: Callable[[int, int], int | None]
    deliver: Callable[[int, int], None]
    gone: asyncio.Future[None]


class Gatekeeper:
    """The hooks of the gate that come before an exchange is recorded; :class:`Answers` has those that come after."""

    def __init__(
        self,
        gate: Gate,
        audit: Audit,
        directions: Directions,
        now_ns: Callable[[], int],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._gate = gate
        self._audit = audit
        self._directions = directions
        self._now_ns = now_ns
        self._failed = failed
        self._open_for_good = False
        self._answers: list[_Held] = []
        self._requests: list[_Held] = []
        self._exchanges: OrderedDict[str, str] = OrderedDict()
        """Exchanges' ids by their flows'."""
        self._flows: dict[str, str] = {}
        self._wake: asyncio.TimerHandle | None = None

    # --- hooks --------------------------------------------------------------------------------------------------------

    def requestheaders(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """A request waits until it may be delivered; a call does not."""
        if self._open_for_good or self._directions.direction(flow) is Direction.OUTBOUND:
            return None
        if self._gate.dozes:
            self._tell(lambda now_ns: self._gate.begin(flow.id, "", now_ns))
            return None
        request = flow.request
        bare = route_of(request.data.method.decode("latin-1"), request.data.path.decode("latin-1"))
        route = self._audit.route_now(Direction.INBOUND, "", bare)

        def may(since_ns: int, now_ns: int) -> int | None:
            return self._gate.may_begin(route, since_ns, now_ns)

        def deliver(held_ns: int, now_ns: int) -> None:
            self._gate.begin(flow.id, route, now_ns, held_ns)

        return self._held(flow, may, deliver, self._requests)

    def responseheaders(self, flow: HTTPFlow) -> None:
        """The service answers."""
        if self._directions.direction(flow) is Direction.INBOUND:
            self._tell(lambda now_ns: self._gate.respond(flow.id, now_ns))

    def error(self, flow: HTTPFlow) -> None:
        """An exchange broke off: the service learns of it at once, or has done it itself."""
        for queue in (self._answers, self._requests):
            for held in queue:
                if held.flow_id == flow.id:
                    queue.remove(held)
                    _let_go(held)
                    return
        if self._directions.direction(flow) is Direction.INBOUND:
            self._tell(lambda now_ns: self._gate.respond(flow.id, now_ns))
        else:
            self._tell(lambda now_ns: self._gate.answer(flow.id, now_ns))

    def done(self) -> None:
        """It is over: nothing is held any more."""
        self._open()

    # --- what the recorder tells --------------------------------------------------------------------------------------

    def delivered(self, flow: HTTPFlow, exchange: Exchange) -> None:
        """A request has become an exchange."""
        self._exchanges[flow.id] = exchange.id
        self._flows[exchange.id] = flow.id
        if len(self._exchanges) > _REMEMBERED:
            _, oldest = self._exchanges.popitem(last=False)
            self._flows.pop(oldest, None)

    def called(self, flow: HTTPFlow, exchange: Exchange) -> Gated | None:
        """The service has made a call; what the gate has seen of its cause."""
        if self._open_for_good or self._gate.dozes or is_telemetry(exchange.method, exchange.path):
            return None
        named = self._audit.carrier(exchange)
        edge = f"{exchange.authority} {self._audit.route_of(exchange)}"
        found: list[Gated | None] = []

        def call(now_ns: int) -> None:
            found.append(self._gate.call(flow.id, edge, now_ns, self._flows.get(named) if named else None))

        self._tell(call)
        claim = found[0] if found else None
        if claim is None or claim.inbound_id not in self._exchanges:
            return None
        return replace(claim, inbound_id=self._exchanges[claim.inbound_id])

    def judged(self, exchange: Exchange, verdict: Verdict) -> None:
        """What was decided of a call: one that carries no request's identifiers needs the gate."""
        identified = verdict.links and verdict.links[0].method in (Method.TRACE_ID, Method.REQUEST_ID)
        if self._gate.dozes and not identified and not is_telemetry(exchange.method, exchange.path):
            self._gate.wake()

    def answered(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """The answer to a call waits until it may be delivered."""
        if self._open_for_good or self._gate.dozes:
            return None

        def may(since_ns: int, now_ns: int) -> int | None:
            return self._gate.may_answer(flow.id, since_ns, now_ns)

        def deliver(held_ns: int, now_ns: int) -> None:
            self._gate.answer(flow.id, now_ns, held_ns)

        return self._held(flow, may, deliver, self._answers)

    # --- the queue ----------------------------------------------------------------------------------------------------

    def _held(
        self,
        flow: HTTPFlow,
        may: Callable[[int, int], int | None],
        deliver: Callable[[int, int], None],
        queue: list[_Held],
    ) -> Awaitable[None] | None:
        """Puts something into the queue; ``None``: it may go at once."""
        now_ns = self._now_ns()
        held = _Held(flow.id, now_ns, may, deliver, asyncio.get_running_loop().create_future())
        queue.append(held)
        self._look()
        return None if held.gone.done() else held.gone

    def _tell(self, what: Callable[[int], None]) -> None:
        """Tells the gate of something the service has done, and looks who may go now."""
        if self._open_for_good:
            return
        try:
            what(self._now_ns())
        except Exception as error:
            self._break(error)
        else:
            self._look()

    def _look(self) -> None:
        try:
            again = self._ask(self._now_ns())
        except Exception as error:
            self._break(error)
            return
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if again is not None:
            loop = asyncio.get_running_loop()
            self._wake = loop.call_later(max(0, again - self._now_ns()) / 1e9, self._after_turns, _TURNS)

    def _ask(self, now_ns: int) -> int | None:
        """Lets go whoever may; when to ask again if nothing happens."""
        again: int | None = None
        for queue in (self._answers, self._requests):
            for held in list(queue):
                full = len(self._answers) + len(self._requests) > MOST_HELD
                until = None if full else held.may(held.since_ns, now_ns)
                if until is None:
                    queue.remove(held)
                    try:
                        held.deliver(now_ns - held.since_ns, now_ns)
                    finally:
                        _let_go(held)
                else:
                    again = until if again is None else min(again, until)
        return again

    def _after_turns(self, turns: int) -> None:
        """Asks once all that has arrived by now has been told of: the service was not quiet while we were busy."""
        loop = asyncio.get_running_loop()
        if turns:
            loop.call_soon(self._after_turns, turns - 1)
        else:
            self._wake = None
            self._look()

    def _break(self, error: Exception) -> None:
        self._failed("the gate failed and stands open from now on", error)
        self._open()

    def _open(self) -> None:
        self._open_for_good = True
        if self._wake is not None:
            self._wake.cancel()
        for queue in (self._answers, self._requests):
            for held in queue:
                _let_go(held)
            queue.clear()


class Answers:
    """The gate's hook after all others: an answer that is on the disk waits until it may be delivered."""

    def __init__(self, keeper: Gatekeeper, directions: Directions) -> None:
        self._keeper = keeper
        self._directions = directions

    def responseheaders(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """An upstream has answered."""
        if self._directions.direction(flow) is Direction.OUTBOUND:
            return self._keeper.answered(flow)
        return None


def _let_go(held: _Held) -> None:
    if not held.gone.done():
        held.gone.set_result(None)
