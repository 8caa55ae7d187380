"""Reads a request's propagation headers: every format present, parsed, or malformed with the place that is wrong.

One file a format; each has ``parse`` and ``render``, and ``mint`` where a sidecar makes one. ``minting`` says which
header fields a sidecar would add. This package imports nothing else of `traceaudit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from traceaudit.formats import (
    amzn_trace_id,
    b3,
    b3multi,
    baggage,
    cloud_trace,
    datadog,
    grpc_trace,
    ot_span,
    request_id,
    sw8,
    traceparent,
    tracestate,
    uber_trace_id,
)
from traceaudit.formats.context import Context, Fault, Format, Malformed, TraceState, same_trace

__all__ = [
    "FORMAT_OF_HEADER",
    "HEADER_NAMES",
    "Context",
    "Fault",
    "Format",
    "Malformed",
    "TraceState",
    "read",
    "render",
    "same_trace",
]

HEADER_NAMES: Mapping[Format, tuple[str, ...]] = MappingProxyType(
    {
        Format.TRACEPARENT: (traceparent.HEADER, tracestate.HEADER),
        Format.B3: (b3.HEADER,),
        Format.B3MULTI: b3multi.HEADERS,
        Format.REQUEST_ID: (request_id.HEADER,),
        Format.BAGGAGE: (baggage.HEADER,),
        Format.UBER: (uber_trace_id.HEADER,),
        Format.DATADOG: datadog.HEADERS,
        Format.CLOUD_TRACE: (cloud_trace.HEADER,),
        Format.GRPC_TRACE: (grpc_trace.HEADER,),
        Format.OT_SPAN: (ot_span.HEADER,),
        Format.SW8: (sw8.HEADER,),
        Format.AMZN: (amzn_trace_id.HEADER,),
    }
)
"""The header names of each format, lower case, the one that makes the format first."""

FORMAT_OF_HEADER: Mapping[str, Format] = MappingProxyType(
    {name: format_ for format_, names in HEADER_NAMES.items() for name in names}
)
"""The format of each header, by its lower-case name."""

_ONE_HEADER: Mapping[str, tuple[Format, Callable[[Sequence[str]], Context | Malformed]]] = {
    b3.HEADER: (Format.B3, b3.parse),
    request_id.HEADER: (Format.REQUEST_ID, request_id.parse),
    baggage.HEADER: (Format.BAGGAGE, baggage.parse),
    uber_trace_id.HEADER: (Format.UBER, uber_trace_id.parse),
    cloud_trace.HEADER: (Format.CLOUD_TRACE, cloud_trace.parse),
    grpc_trace.HEADER: (Format.GRPC_TRACE, grpc_trace.parse),
    ot_span.HEADER: (Format.OT_SPAN, ot_span.parse),
    sw8.HEADER: (Format.SW8, sw8.parse),
    amzn_trace_id.HEADER: (Format.AMZN, amzn_trace_id.parse),
}
"""The formats of one header each, by its name."""

_SEVERAL_HEADERS: Mapping[str, tuple[Format, Callable[[Mapping[str, Sequence[str]]], Context | Malformed]]] = {
    **dict.fromkeys(b3multi.HEADERS, (Format.B3MULTI, b3multi.parse)),
    **dict.fromkeys(datadog.HEADERS, (Format.DATADOG, datadog.parse)),
}
"""The formats of several headers, by each of their names."""

_NAMES = frozenset(FORMAT_OF_HEADER)

_RENDER: Mapping[Format, Callable[[Context], list[tuple[str, str]]]] = {
    Format.TRACEPARENT: traceparent.render,
    Format.B3: b3.render,
    Format.B3MULTI: b3multi.render,
    Format.REQUEST_ID: request_id.render,
    Format.BAGGAGE: baggage.render,
    Format.UBER: uber_trace_id.render,
    Format.DATADOG: datadog.render,
    Format.CLOUD_TRACE: cloud_trace.render,
    Format.GRPC_TRACE: grpc_trace.render,
    Format.OT_SPAN: ot_span.render,
    Format.SW8: sw8.render,
    Format.AMZN: amzn_trace_id.render,
}


_MOST_LISTS = 1024
"""Lists of names that are kept in mind; a longer list is somebody's who makes names up."""

_READINGS = 4096
"""Readings that are kept in mind: a call that carries what its request brought needs no second one."""

_LONG = 2048
"""Characters of names, and of values, from which on they are not kept."""


def read(headers: Sequence[tuple[str, str]]) -> Mapping[Format, Context | Malformed]:
    """Every format among one request's header fields, names in any case, lines in the order sent.

    A format without a header is not in the answer, nor is a `tracestate` without a `traceparent`. A malformed
    `tracestate` is in the ``tracestate`` of a context that is valid without it. Equal fields may have the same answer,
    which is not to be changed.
    """
    names, places = _OURS[tuple([name for name, _ in headers])]
    values = tuple([headers[place][1] for place in places])
    return _kept(names, values) if sum(map(len, values)) <= _LONG else _read(names, values)


type _Ours = tuple[tuple[str, ...], tuple[int, ...]]
"""Which of a list of names are looked at, in lower case, and their places in the list."""


class _Lists(dict[tuple[str, ...], "_Ours"]):
    """Lists of names as they were sent, and what is looked at of them. Services use the same few dozen.

    A dictionary that fills itself, since the headers of every request are looked up.
    """

    def __missing__(self, sent: tuple[str, ...]) -> _Ours:
        found = [(lower, place) for place, name in enumerate(sent) if (lower := name.lower()) in _NAMES]
        found.sort()  # Lines of one name keep their order; that of names says nothing.
        ours = tuple([name for name, _ in found]), tuple([place for _, place in found])
        if len(self) < _MOST_LISTS and sum(map(len, sent)) <= _LONG:
            self[sent] = ours
        return ours


_OURS = _Lists()


def _read(names: tuple[str, ...], values: tuple[str, ...]) -> dict[Format, Context | Malformed]:
    lines: dict[str, list[str]] = {}
    for name, value in zip(names, values, strict=True):
        if name in lines:
            lines[name].append(value)
        else:
            lines[name] = [value]
    found: dict[Format, Context | Malformed] = {}
    for name, sent in lines.items():
        if (one := _ONE_HEADER.get(name)) is not None:
            found[one[0]] = one[1](sent)
        elif (several := _SEVERAL_HEADERS.get(name)) is not None:
            if several[0] not in found:
                found[several[0]] = several[1](lines)
        elif name == traceparent.HEADER:
            # "If a tracestate header is received without an accompanying traceparent header, it is invalid and MUST be
            # discarded." https://www.w3.org/TR/trace-context-2/#no-traceparent-received
            found[Format.TRACEPARENT] = traceparent.parse(sent, lines.get(tracestate.HEADER, ()))
    return found


_kept = lru_cache(_READINGS)(_read)


def render(context: Context) -> list[tuple[str, str]]:
    """The header fields that say a context, in its format's order, names in lower case."""
    return _RENDER[context.format](context)
