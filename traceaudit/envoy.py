"""What Envoy's tracers make of one outbound call: which trace its next span joins, if it gets one at all.

Theory of operation. A call leaves the service through a sidecar, whose tracer reads the call's headers and starts a
span. Each tracer is written down here as a *reader*: it takes what is on the call and gives a trace to join, a root, or
nothing (Envoy's ``NullSpan``: no span is reported, and the headers go on as they are). The same reader, fed with what
the request brought, gives the trace the call ought to join. Envoy reads the first line of a header only.

- Zipkin: ``b3`` if it is there, whatever it holds, else ``x-b3-traceid`` with ``x-b3-spanid``. A state alone, or a
  missing id, makes a root. What cannot be parsed makes a null span; ids are parsed as numbers, so that upper-case and
  short ones pass. The decision comes from ``b3`` or ``x-b3-sampled`` (``1`` and ``true``; ``x-b3-flags`` is not read).
  https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/zipkin/span_context_extractor.cc
  https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/zipkin/zipkin_tracer_impl.cc
- Zipkin with W3C (``USE_B3_WITH_W3C_PROPAGATION``): the same, then ``traceparent`` where B3's ids are absent; an
  unreadable ``traceparent`` makes a root here.
- OpenTelemetry: ``traceparent`` alone. Absent: a root. Not exactly 55 characters, not four parts of hex (in any case),
  or an id of zeros: a null span. The version is not looked at.
  https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/span_context_extractor.cc
  https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/opentelemetry_tracer_impl.cc
- Datadog: ``x-datadog-*``, then ``traceparent``. A broken ``x-datadog-*`` is an error, which makes a root without
  asking ``traceparent``; a broken ``traceparent`` is passed over.
  https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/datadog/tracer.cc
  https://github.com/DataDog/dd-trace-cpp/blob/main/src/datadog/tracer.cpp
- SkyWalking: ``sw8`` alone, its sampling field ignored. Absent or broken: a root, or a null span where Envoy decides
  not to sample.
  https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/skywalking/skywalking_tracer_impl.cc
  https://github.com/SkyAPM/cpp2sky/blob/main/source/propagation_impl.cc

Where the headers leave the decision open, Envoy decides from ``x-request-id``: never to sample when its first eight
characters are not a hex number.
https://github.com/envoyproxy/envoy/blob/main/source/common/http/conn_manager_utility.cc
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from traceaudit.exchange import Header
from traceaudit.formats import read
from traceaudit.formats.context import Context, Fault, Format, Malformed, same_trace

type Contexts = Mapping[Format, Context | Malformed]


class Tracer(StrEnum):
    """The tracers of Envoy that Istio can be told to use."""

    ZIPKIN = "Zipkin"
    ZIPKIN_W3C = "Zipkin with W3C"
    OPENTELEMETRY = "OpenTelemetry"
    DATADOG = "Datadog"
    SKYWALKING = "SkyWalking"


class Result(StrEnum):
    """What becomes of the request's trace at this call.

    - ``joined``: the span is a part of the trace of the request;
    - ``restarted``: the span is the root of a new trace, or a part of another one than the request's;
    - ``lost``: there is no span for this hop, because Envoy gives up on what it reads;
    - ``unsampled``: the decision is not to report, so this hop is on no dashboard;
    - ``untested``: neither the request nor the call has anything that this tracer reads, so nothing was shown.
    """

    JOINED = "joined"
    RESTARTED = "restarted"
    LOST = "lost"
    UNSAMPLED = "unsampled"
    UNTESTED = "untested"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one tracer does at one call, and one sentence why."""

    tracer: Tracer
    result: Result
    reason: str


@dataclass(frozen=True, slots=True)
class _Join:
    """A trace to join. ``sampled`` ``None``: the headers leave it open."""

    trace_id: str
    sampled: bool | None
    source: str


@dataclass(frozen=True, slots=True)
class _Root:
    """A new trace. ``sampled`` ``None``: the headers leave it open."""

    why: str
    sampled: bool | None = None


@dataclass(frozen=True, slots=True)
class _Null:
    """Envoy's ``NullSpan``."""

    why: str


type _Reading = _Join | _Root | _Null


@dataclass(frozen=True, slots=True)
class _Wire:
    """One request as a tracer finds it: the parsed contexts and, where they are at hand, the header lines."""

    contexts: Contexts
    headers: Sequence[Header]

    def has(self, format_: Format) -> bool:
        return format_ in self.contexts

    def context(self, format_: Format) -> Context | None:
        found = self.contexts.get(format_)
        return found if isinstance(found, Context) else None

    def line(self, name: str) -> str | None:
        """The first line of a header; ``None``: it is not there, or the lines are not at hand."""
        return next((value.strip(" \t") for sent, value in self.headers if sent.lower() == name), None)

    def whole(self, format_: Format) -> str | None:
        """The value of a format that is one header, as sent; ``None``: not at hand."""
        line = self.line(format_.value)
        found = self.contexts.get(format_)
        return found.value.strip(" \t") if line is None and isinstance(found, Malformed) else line


def verdicts(carried: Contexts, sent: Contexts, headers: Sequence[Header] = ()) -> tuple[Verdict, ...]:
    """What each tracer does at a call, given what the request brought and what the call carries.

    ``headers`` are the header lines of the call. They matter only where Envoy is laxer than a specification: without
    them, ``x-b3-*`` that are malformed and headers that come twice count as unreadable.
    """
    if any(isinstance(found, Malformed) and found.fault is Fault.DUPLICATED for found in sent.values()) and headers:
        headers = _first_lines(headers)
        sent = read(headers)
    request, call = _Wire(carried, ()), _Wire(sent, headers)
    return tuple(_verdict(tracer, request, call) for tracer in Tracer)


def _first_lines(headers: Sequence[Header]) -> list[Header]:
    """ "This is an implicitly untrusted header, so only the first value is used", of the extractors in Envoy."""
    first: dict[str, Header] = {}
    for name, value in headers:
        first.setdefault(name.lower(), (name, value))
    return list(first.values())


def _verdict(tracer: Tracer, request: _Wire, call: _Wire) -> Verdict:
    read, formats = _READERS[tracer]
    if not any(wire.has(format_) for wire in (request, call) for format_ in formats):
        names = " or ".join(_NAMES.get(format_, format_.value) for format_ in formats)
        return Verdict(tracer, Result.UNTESTED, f"neither the request nor the call carries {names}")
    reading, origin = read(call), read(request)
    never = _never_sampled(call)
    match reading:
        case _Null(why):
            return Verdict(tracer, Result.LOST, f"no span is reported for this hop: {why}")
        case _Root():
            return _rooted(tracer, reading, never)
        case _Join(trace_id, sampled, source):
            if isinstance(origin, _Join) and not same_trace(trace_id, origin.trace_id):
                return Verdict(tracer, Result.RESTARTED, f"{source} names another trace than the request's")
            return _joined(tracer, sampled, source, never)


def _rooted(tracer: Tracer, root: _Root, never: str | None) -> Verdict:
    if root.sampled is False:
        return Verdict(tracer, Result.UNSAMPLED, f"a new root that is not sampled: {root.why}")
    if root.sampled is None and never:
        return Verdict(tracer, Result.UNSAMPLED, f"a new root ({root.why}), never sampled: {never}")
    return Verdict(tracer, Result.RESTARTED, f"a new root: {root.why}")


def _joined(tracer: Tracer, sampled: bool | None, source: str, never: str | None) -> Verdict:
    if tracer is Tracer.SKYWALKING:
        return Verdict(tracer, Result.JOINED, f"{source} names the request's trace; its sampling field is not read")
    if sampled is False:
        return Verdict(tracer, Result.UNSAMPLED, f"{source} names the request's trace and says not to sample it")
    if sampled is None and never:
        return Verdict(tracer, Result.UNSAMPLED, f"{source} leaves sampling open, and Envoy never samples: {never}")
    if tracer is Tracer.OPENTELEMETRY and never:
        # "make otel tracer respect envoy tracing decision": https://github.com/envoyproxy/envoy/pull/45830
        reason = f"Envoy decides not to sample, which this tracer obeys since envoyproxy/envoy#45830: {never}"
        return Verdict(tracer, Result.UNSAMPLED, reason)
    left_open = "; sampling is decided anew" if sampled is None else ""
    return Verdict(tracer, Result.JOINED, f"{source} names the request's trace{left_open}")


def _never_sampled(call: _Wire) -> str | None:
    """Why Envoy's own decision can only be no; ``None``: it is open.

    ``getInteger`` needs eight hex digits in front, and without them ``mutateTracingRequestHeader`` gives up.
    https://github.com/envoyproxy/envoy/blob/main/source/extensions/request_id/uuid/config.cc
    """
    context = call.context(Format.REQUEST_ID)
    value = context.trace_id if context else call.whole(Format.REQUEST_ID)
    if not value or (len(value) >= 8 and _number(value[:8]) is not None):
        return None  # a missing id is generated by the sidecar
    return "x-request-id does not begin with eight hex digits"


# Zipkin

_YES = ("1", "true")

_SINGLE = re.compile(
    r"(?P<trace>(?:[0-9a-f]{16}){1,2})-[0-9a-f]{16}(?:-(?P<state>[01d])(?:-[0-9a-f]{16})?)?", re.IGNORECASE
)


def _zipkin(wire: _Wire) -> _Reading:
    if wire.has(Format.B3):
        return _single(wire)
    if wire.has(Format.B3MULTI):
        return _multi(wire)
    return _Root("there is neither b3 nor x-b3-*")


def _zipkin_w3c(wire: _Wire) -> _Reading:
    reading = _zipkin(wire)
    # "extract B3 headers first, falling back to W3C": the state alone in b3 is B3 all the same.
    if not isinstance(reading, _Root) or wire.has(Format.B3) or not wire.has(Format.TRACEPARENT):
        return reading
    found = _traceparent(wire)
    return found if isinstance(found, _Join) else _Root("there are no B3 ids, and traceparent cannot be read")


def _single(wire: _Wire) -> _Reading:
    context = wire.context(Format.B3)
    if context is not None:
        if context.trace_id is None:
            return _Root("b3 holds a sampling state and no ids", context.sampled)
        return _Join(context.trace_id, context.sampled, "b3")
    value = wire.whole(Format.B3) or ""
    # The lengths and positions of extractSpanContextFromB3SingleFormat, which allows hex digits in any case.
    form = _SINGLE.fullmatch(value)
    if form is None or form["state"] == "D":
        return _Null("b3 cannot be parsed")
    return _Join(form["trace"].lower(), None if form["state"] is None else form["state"] != "0", "b3")


def _multi(wire: _Wire) -> _Reading:
    context = wire.context(Format.B3MULTI)
    if context is not None:
        # x-b3-flags is not read: a debug trace without x-b3-sampled is undecided.
        decision = dict(context.extra).get("sampled")
        sampled = context.sampled if not context.debug else None if decision is None else decision in _YES
        if context.trace_id is None:
            return _Root("x-b3-* hold a sampling state and no ids", sampled)
        return _Join(context.trace_id, sampled, "x-b3-*")
    if not wire.headers:
        return _Null("x-b3-* are malformed")
    state = wire.line("x-b3-sampled")
    sampled = None if state is None else state in _YES
    trace_id, span_id = wire.line("x-b3-traceid"), wire.line("x-b3-spanid")
    if trace_id is None or span_id is None:
        return _Root(f"x-b3-{'traceid' if trace_id is None else 'spanid'} is missing", sampled)
    halves = [trace_id[:16], trace_id[16:]] if len(trace_id) == 32 else [trace_id]
    numbers = [_number(half) for half in halves]
    parent_id = wire.line("x-b3-parentspanid") or "0"
    if None in numbers or _number(span_id) is None or _number(parent_id) is None:
        return _Null("an id in x-b3-* is not a hex number of 64 bits")
    return _Join("".join(f"{number or 0:016x}" for number in numbers), sampled, "x-b3-*")


def _number(text: str) -> int | None:
    """What ``StringUtil::atoull`` makes of hex digits; ``None``: it refuses them. (It takes a sign, a prefix too.)"""
    if re.fullmatch(r"\s*\+?(?:0[xX])?[0-9a-fA-F]+", text) is None:
        return None
    number = int(text, 16)
    return number if number < 1 << 64 else None


# OpenTelemetry


def _opentelemetry(wire: _Wire) -> _Reading:
    return _traceparent(wire) if wire.has(Format.TRACEPARENT) else _Root("there is no traceparent")


def _traceparent(wire: _Wire) -> _Reading:
    context, value = wire.context(Format.TRACEPARENT), wire.whole(Format.TRACEPARENT)
    if context is not None and context.trace_id is not None:
        if "rest" in dict(context.extra):
            return _Null("traceparent is of a later version and longer than 55 characters, which Envoy refuses")
        return _Join(context.trace_id, context.sampled, "traceparent")
    form = re.fullmatch(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", value or "", re.I)
    if form is None or not form[1].strip("0") or not form[2].strip("0"):
        return _Null("traceparent cannot be parsed")
    return _Join(form[1].lower(), bool(int(form[3], 16) & 1), "traceparent")


# Datadog


def _datadog(wire: _Wire) -> _Reading:
    if wire.has(Format.DATADOG):
        context = wire.context(Format.DATADOG)
        if context is None:
            return _Root("x-datadog-* cannot be parsed, so traceparent is not asked either")
        if context.trace_id is not None:
            return _Join(context.trace_id, context.sampled, "x-datadog-*")
    if wire.has(Format.TRACEPARENT):
        found = _datadog_traceparent(wire)
        return found or _Root("traceparent cannot be parsed, and there is no x-datadog-trace-id")
    return _Root("there is neither x-datadog-* nor traceparent")


def _datadog_traceparent(wire: _Wire) -> _Join | None:
    """Later versions of any length pass here, and hex in any case; version ``ff`` does not."""
    context = wire.context(Format.TRACEPARENT)
    if context is not None and context.trace_id is not None:
        return _Join(context.trace_id, context.sampled, "traceparent")
    found = _traceparent(wire)
    version = (wire.whole(Format.TRACEPARENT) or "ff")[:2]
    return found if isinstance(found, _Join) and version != "ff" else None


# SkyWalking


def _skywalking(wire: _Wire) -> _Reading:
    context = wire.context(Format.SW8)
    if context is not None and context.trace_id is not None:
        return _Join(context.trace_id, None, "sw8")
    return _Root("sw8 cannot be parsed" if wire.has(Format.SW8) else "there is no sw8")


_NAMES = {Format.B3MULTI: "x-b3-*", Format.DATADOG: "x-datadog-*"}

_READERS: dict[Tracer, tuple[Callable[[_Wire], _Reading], tuple[Format, ...]]] = {
    Tracer.ZIPKIN: (_zipkin, (Format.B3, Format.B3MULTI)),
    Tracer.ZIPKIN_W3C: (_zipkin_w3c, (Format.B3, Format.B3MULTI, Format.TRACEPARENT)),
    Tracer.OPENTELEMETRY: (_opentelemetry, (Format.TRACEPARENT,)),
    Tracer.DATADOG: (_datadog, (Format.DATADOG, Format.TRACEPARENT)),
    Tracer.SKYWALKING: (_skywalking, (Format.SW8,)),
}
