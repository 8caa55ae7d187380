"""Remembers which inbound request brought which identifier, so that a surviving one names the cause of a call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from traceaudit.exchange import Exchange
from traceaudit.formats import Context, Format, Malformed, same_trace

type Contexts = Mapping[Format, Context | Malformed]

MEMORY = 4096
"""Ended requests that are remembered: hours of a developer's traffic, and the bound of what the audit holds."""

_COMPARED = frozenset(Format) - {Format.BAGGAGE, Format.OT_SPAN}
"""Formats whose ids name one request; baggage is meant to be shared."""


@dataclass(slots=True)
class Inbound:
    """An inbound request as the correlation keeps it."""

    exchange: Exchange
    contexts: Contexts
    route: str
    ended_ns: int | None = None

    @property
    def id(self) -> str:
        """The exchange's id."""
        return self.exchange.id


class Identifiers:
    """An index from identifiers to the requests that brought them; the oldest are forgotten beyond a bound."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._requests: OrderedDict[str, Inbound] = OrderedDict()
        self._carriers: dict[tuple[str, str], dict[str, Inbound]] = {}

    def add(self, inbound: Inbound) -> None:
        """Remembers a request's identifiers, and forgets the oldest ended request when there are too many."""
        self._requests[inbound.id] = inbound
        for key in _keys(inbound.contexts):
            self._carriers.setdefault(key, {})[inbound.id] = inbound
        if len(self._requests) > self._memory:
            self._forget()

    def _forget(self) -> None:
        oldest = next((each for each in self._requests.values() if each.ended_ns is not None), None)
        if oldest is None:
            return  # All are in flight: what is in flight is never forgotten.
        del self._requests[oldest.id]
        for key in _keys(oldest.contexts):
            carriers = self._carriers[key]
            carriers.pop(oldest.id, None)
            if not carriers:
                del self._carriers[key]

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


def _keys(contexts: Contexts) -> Iterator[tuple[str, str]]:
    seen: set[tuple[str, str]] = set()
    for format_, context in contexts.items():
        if format_ in _COMPARED and isinstance(context, Context) and context.trace_id is not None:
            key = _key(format_, context.trace_id)
            if key not in seen:
                seen.add(key)
                yield key


def _key(format_: Format, trace_id: str) -> tuple[str, str]:
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
