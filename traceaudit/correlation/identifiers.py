"""Remembers which inbound request brought which identifier, so that a surviving one names the cause of a call.

Theory of operation. Requests are remembered as long as they are open, and many that have ended; those that calls still
name stay, the others are forgotten, the longest unnamed first. What a forgotten request brought is nobody's any more,
but it is not new either: a call that carries it must not be accused of an identifier that it made up. So a mark of each
stays (:class:`traceaudit.seen.Seen`), in a fixed room, and :meth:`Identifiers.forgot` says of a call that nothing can
be said.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from traceaudit.exchange import Exchange
from traceaudit.formats import Context, Format, Malformed, same_trace
from traceaudit.seen import Seen

type Contexts = Mapping[Format, Context | Malformed]
type _Key = tuple[str, str]

MEMORY = 4096
"""Ended requests that are remembered: hours of a developer's traffic, and the bound of what the audit holds."""

_COMPARED = frozenset(Format) - {Format.BAGGAGE, Format.OT_SPAN}
"""Formats whose ids name one request; baggage is meant to be shared."""

_LOOKED_AT = 8
"""Requests that are looked at to find one that has ended: were all open, looking at all would never end either."""


@dataclass(slots=True, eq=False)
class Inbound:
    """An inbound request as the correlation keeps it."""

    exchange: Exchange
    contexts: Contexts
    route: str
    ended_ns: int | None = None
    keys: tuple[_Key, ...] = ()
    """What it is found by among the identifiers, as long as these remember it."""
    tokens: dict[int, str] | None = None
    """Its distinctive values, once somebody has asked for them; see :mod:`traceaudit.correlation.values`."""

    @property
    def id(self) -> str:
        """The exchange's id."""
        return self.exchange.id


class Identifiers:
    """An index from identifiers to the requests that brought them; the longest unnamed are forgotten beyond a bound."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._requests: OrderedDict[str, Inbound] = OrderedDict()
        self._carriers: dict[_Key, dict[str, Inbound]] = {}
        self._by_contexts: dict[int, Inbound] = {}
        """By the identity of what was read of its headers, the last request that brought it."""
        self._forgotten: Seen | None = None

    def add(self, inbound: Inbound) -> None:
        """Remembers a request's identifiers, and forgets the longest unnamed that has ended when there are too many."""
        id_ = inbound.id
        self._requests[id_] = inbound
        inbound.keys = tuple(_keys(inbound.contexts))
        for key in inbound.keys:
            carriers = self._carriers.get(key)
            if carriers is None:
                self._carriers[key] = {id_: inbound}
            else:
                carriers[id_] = inbound
        self._by_contexts[id(inbound.contexts)] = inbound
        if len(self._requests) > self._memory:
            self._forget()

    def _forget(self) -> None:
        for _ in range(_LOOKED_AT):
            id_, oldest = next(iter(self._requests.items()))
            if oldest.ended_ns is None:
                self._requests.move_to_end(id_)  # What is in flight is never forgotten.
                continue
            del self._requests[id_]
            if self._forgotten is None:
                self._forgotten = Seen()
            for key in oldest.keys:
                self._forgotten.add(key[1])
                carriers = self._carriers[key]
                carriers.pop(id_, None)
                if not carriers:
                    del self._carriers[key]
            if self._by_contexts.get(id(oldest.contexts)) is oldest:
                del self._by_contexts[id(oldest.contexts)]
            if len(self._requests) <= self._memory:
                return

    def get(self, id_: str) -> Inbound | None:
        """A request that is remembered; ``None``: it is not."""
        return self._requests.get(id_)

    def rename(self, route: Callable[[str], str]) -> None:
        """Gives the requests that are remembered the names that their routes have now."""
        for inbound in self._requests.values():
            inbound.route = route(inbound.route)

    def carriers(self, context: Context) -> dict[str, Inbound]:
        """The requests that brought the identifier which a context names, by id; empty: none that is remembered."""
        if context.trace_id is None or context.format not in _COMPARED:
            return {}
        found = self._carriers.get(_key(context.format, context.trace_id), {})
        if context.format is Format.REQUEST_ID:
            return found
        return {id_: inbound for id_, inbound in found.items() if _brought(inbound.contexts, context.trace_id)}

    def named(self, inbound: Inbound) -> None:
        """A call has named a request: it is remembered the longer."""
        if inbound.ended_ns is not None and inbound.id in self._requests:
            self._requests.move_to_end(inbound.id)

    def sole(self, sent: Contexts) -> Inbound | None:
        """The request that brought what a call sends, every identifier of it being that request's alone; ``None``:
        there is none, or that cannot be seen so quickly. Whether the call sends all of it is not looked at.
        """
        inbound = self._by_contexts.get(id(sent))
        if inbound is None or inbound.contexts is not sent:
            inbound = self._first_named(sent)
        if inbound is None or not inbound.keys:
            return None
        carriers = self._carriers
        for key in inbound.keys:
            if len(carriers.get(key, ())) != 1:
                return None
        return inbound

    def _first_named(self, sent: Contexts) -> Inbound | None:
        """The only request that brought the first identifier of a call."""
        for format_, context in sent.items():
            if format_ in _COMPARED and isinstance(context, Context) and context.trace_id is not None:
                carriers = self._carriers.get(_key(format_, context.trace_id), {})
                return next(iter(carriers.values())) if len(carriers) == 1 else None
        return None

    def forgot(self, sent: Contexts) -> bool:
        """Whether a call may carry an identifier of a request that is not remembered: then nothing can be said of it.

        ``False`` is certain.
        """
        forgotten = self._forgotten
        if forgotten is None:
            return False
        return any(key not in self._carriers and key[1] in forgotten for key in _keys(sent))


def _keys(contexts: Contexts) -> Iterator[_Key]:
    seen: set[_Key] = set()
    for format_, context in contexts.items():
        if format_ in _COMPARED and isinstance(context, Context) and context.trace_id is not None:
            key = _key(format_, context.trace_id)
            if key not in seen:
                seen.add(key)
                yield key


def _key(format_: Format, trace_id: str) -> _Key:
    # The right-most 64 bits: a 128-bit id and its 64-bit half name one trace (B3, Datadog).
    return ("id", trace_id) if format_ is Format.REQUEST_ID else ("trace", trace_id[-16:].rjust(16, "0"))


def _brought(contexts: Contexts, trace_id: str) -> bool:
    return any(
        isinstance(context, Context)
        and format_ is not Format.REQUEST_ID
        and context.trace_id is not None
        and same_trace(context.trace_id, trace_id)
        for format_, context in contexts.items()
    )
