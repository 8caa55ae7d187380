"""Gives an inbound request the trace headers that it lacks, as the sidecar would."""

from __future__ import annotations

import os
from collections.abc import Iterable

from mitmproxy.http import HTTPFlow

from traceaudit.exchange import Header
from traceaudit.formats import FORMAT_OF_HEADER, Format, minting

_SIDECARS = (Format.TRACEPARENT, Format.B3, Format.B3MULTI, Format.REQUEST_ID)
"""What a sidecar mints."""


def headers_of(fields: tuple[tuple[bytes, bytes], ...]) -> list[Header]:
    """Raw header fields as text, one character a byte."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]


def mint(flow: HTTPFlow, wanted: frozenset[Format]) -> list[Format]:
    """Adds what is missing to a request; the formats that were added."""
    minted = minting.missing(headers_of(flow.request.headers.fields), wanted, os.urandom)
    if minted:
        flow.request.headers.fields += tuple(
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in minted
        )
    return list(dict.fromkeys(FORMAT_OF_HEADER[name] for name, _ in minted))


def formats_to_mint(require: Iterable[str], how: str) -> frozenset[Format]:
    """The formats to give, by the families that are required: `b3` stands for both of its encodings."""
    if how == "never":
        return frozenset()
    wanted = set(require)
    if Format.B3.value in wanted:
        wanted.add(Format.B3MULTI.value)
    return frozenset(format_ for format_ in _SIDECARS if format_.value in wanted)
