"""Folds a method and path into a route: `GET /orders/17?full=1` becomes `GET /orders/{id}`."""

from __future__ import annotations

import re
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
    if not segment:
        return segment
    if match := _VARIABLE.fullmatch(segment):
        return f"{{{match.lastgroup}}}"
    return "{long}" if len(segment) > _LONGEST_SEGMENT else segment
