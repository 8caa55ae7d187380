"""Folds a method and path into a route: `GET /orders/17?full=1` becomes `GET /orders/{id}`.

Theory of operation: :func:`route_of` folds what shows by its shape that it varies. :class:`Routes` learns the rest,
names and slugs, from the traffic: where one place in a path has taken many values and none of them often, its values
are folded to `{name}`. A fold is never undone, and it holds for what came before, too: :meth:`Routes.refold` renames a
route that was given earlier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

_LONGEST_SEGMENT = 64
"""A segment longer than this names a thing and not a place; Go's own `http.ServeMux` patterns stay far below."""

_VARIABLE = re.compile(
    r"""
    (?P<id>\d+)
    |(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})
    |(?P<date>\d{4}-\d{2}-\d{2}(?:t[\d:.]+z?)?)
    |(?P<ulid>[0-7][0-9a-hjkmnp-tv-z]{25})
    |(?P<hex>(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,})
    """,
    re.VERBOSE | re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def route_of(method: str, path: str) -> str:
    """The route of a request: the method, and the path without query in which variable segments are named.

    Numbers become ``{id}``; UUIDs, dates, ULIDs and hex strings of eight digits and more are named by their shape.
    gRPC paths (`/package.Service/Method`) stay as they are.
    """
    if path.startswith(("http://", "https://")):
        path = urlsplit(path).path or "/"
    bare = path.partition("?")[0].partition("#")[0]
    return f"{method} {'/'.join(_folded(segment) for segment in bare.split('/'))}"


def _folded(segment: str) -> str:
    if segment.isdecimal():
        return "{id}"
    if not segment or segment.isalpha():
        return segment if len(segment) <= _LONGEST_SEGMENT else "{long}"
    if match := _VARIABLE.fullmatch(segment):
        return f"{{{match.lastgroup}}}"
    return "{long}" if len(segment) > _LONGEST_SEGMENT else segment


MANY = 24
"""Values in one place from which on it may vary: more than the handlers that a prefix has in most services."""

_OFTEN = 8
"""Times a value comes on average from which on it is rather a place: handlers come again and again, things seldom."""

_TOO_MANY = 400
"""Values in one place from which on it does vary, however often each comes."""

NAME = "{name}"

_GRPC = re.compile(r"POST /[^/]*\.[^/]*/[^/]+")
"""`/package.Service/Method` names places alone. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md"""


@dataclass(slots=True)
class _Place:
    """One place in the paths of a service or upstream: what was seen there, and what follows it."""

    seen: dict[str, int] = field(default_factory=dict)
    """How often each value came; empty once they are folded."""
    after: dict[str, _Place] = field(default_factory=dict)
    folded: bool = False

    def varies(self) -> bool:
        """Whether these are names of things and not of places: many, and none of them often."""
        values = len(self.seen)
        return values >= _TOO_MANY or (values >= MANY and sum(self.seen.values()) <= _OFTEN * values)

    def fold(self) -> None:
        """Puts all values seen here into one; what follows them is put together."""
        into = self.after.setdefault(NAME, _Place())
        for value in self.seen:
            if (after := self.after.pop(value, None)) is not None:
                into.take(after)
        self.seen.clear()
        self.folded = True

    def take(self, other: _Place) -> None:
        """Adds what another place has seen."""
        self.folded = self.folded or other.folded
        for value, times in other.seen.items():
            self.seen[value] = self.seen.get(value, 0) + times
        for value, after in other.after.items():
            if value in self.after:
                self.after[value].take(after)
            else:
                self.after[value] = after
        if self.folded and self.seen:
            self.fold()


type _Walk = tuple[str, list[tuple[dict[str, int], str]]]
"""What a route is called, and where each of its segments is counted."""

_WALKS = 4096
"""Walks that are kept in mind."""


MOST_SCOPES = 10_000
"""Upstreams whose paths are learned; a service calls dozens, a crawler any number."""


class Routes:
    """Learns the routes of a run; ``version`` counts the folds."""

    def __init__(self) -> None:
        self._scopes: dict[str, _Place] = {}
        self._walks: dict[tuple[str, str], _Walk] = {}
        """Of the present version, what has been walked: there, a value comes once more, which makes nothing vary."""
        self.version = 0

    def route(self, scope: str, method: str, path: str) -> str:
        """The route of a request, from which is learned; a scope (an authority, the service) has paths of its own."""
        route = route_of(method, path)
        if (walked := self._walks.get((scope, route))) is not None:
            for seen, segment in walked[1]:
                seen[segment] += 1
            return walked[0]
        version = self.version
        name, counted = self._walk(scope, route)
        if self.version != version:
            self._walks.clear()
        elif len(self._walks) < _WALKS:
            self._walks[scope, route] = name, counted
        return name

    def _walk(self, scope: str, route: str) -> _Walk:
        verb, _, shape = route.partition(" ")
        if _GRPC.fullmatch(route):
            return route, []
        if scope not in self._scopes and len(self._scopes) >= MOST_SCOPES:
            return route, []
        place = self._scopes.setdefault(scope, _Place())
        folded: list[str] = []
        counted: list[tuple[dict[str, int], str]] = []
        for segment in shape.split("/")[1:]:
            value = segment
            if segment and not segment.startswith("{"):
                if not place.folded:
                    place.seen[segment] = place.seen.get(segment, 0) + 1
                    if place.varies():
                        place.fold()
                        self.version += 1
                if place.folded:
                    value = NAME
                else:
                    counted.append((place.seen, segment))
            folded.append(value)
            place = place.after.setdefault(value, _Place())
        return "/".join([f"{verb} ", *folded]) if folded else route, counted

    def refold(self, scope: str, route: str) -> str:
        """What a route that was given before is called now."""
        verb, _, shape = route.partition(" ")
        place = self._scopes.get(scope)
        folded: list[str] = []
        for segment in shape.split("/")[1:]:
            value = segment
            if place is not None:
                if place.folded and segment and not segment.startswith("{"):
                    value = NAME
                place = place.after.get(value)
            folded.append(value)
        return "/".join([f"{verb} ", *folded]) if folded else route
