"""The formats on the call name different traces.

## What it means

`traceparent` on the call names one trace and B3, or a vendor's header, another, although they agreed on the request.
Two parts of the service write headers and do not know of each other. Which trace the call joins depends on what the
next hop reads: half of the tools show one picture, half the other.

One cause is reported once:

- when one format carries the request's trace and another was started anew, it is this rule and not TP011;
- when all were started anew, it is TP011 alone;
- when one is another request's, it is TP021 alone;
- when one has lost half of the trace id, it is TP014 alone.

A format that was invalid on the request is left out of the comparison, because starting a trace is right then; so are
two formats that disagreed on the request already. `sw8` is never compared: SkyWalking's ids are its own.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | joins the trace that B3 names: `b3` first, then `x-b3-*` |
| Zipkin with W3C | joins the trace that B3 names, and `traceparent`'s only where there is no B3 |
| OpenTelemetry | joins the trace that `traceparent` names |
| Datadog | joins the trace that `x-datadog-*` names, else `traceparent`'s |
| SkyWalking | joins the trace that `sw8` names |

## What usually causes it in Go

- A transport that copies a list of headers from the request, around or inside one that injects its own span.
- A propagator that reads one family and writes two: it extracts W3C, finds nothing, starts a trace, and writes that as
  `traceparent` beside the `x-b3-*` that were copied by hand.
- Two instrumentation libraries in one process, `dd-trace-go` and OpenTelemetry for instance.

## How to fix it

Let one hand write. With OpenTelemetry: all families in one composite propagator, for both ways, and no copying of
trace headers besides (`x-request-id` may be copied, it names no trace):

```go
package example

import (
    "net/http"

    "go.opentelemetry.io/contrib/propagators/b3"
    "go.opentelemetry.io/otel"
    "go.opentelemetry.io/otel/propagation"
)

func setUpPropagation() {
    otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(
        b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader)),
        propagation.TraceContext{}, // extracted last, so it wins where both are there
        propagation.Baggage{},
    ))
}

// Set by hand what the propagator does not know, and nothing else.
func copyRequestID(in, out http.Header) {
    if id := in.Get("x-request-id"); id != "" {
        out.Set("x-request-id", id)
    }
}
```

## References

- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/zipkin/span_context_extractor.cc
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/datadog/tracer.cc
- https://github.com/DataDog/dd-trace-cpp/blob/main/src/datadog/tracer.cpp
- https://pkg.go.dev/go.opentelemetry.io/otel/propagation#NewCompositeTextMapPropagator
"""

from __future__ import annotations

import inspect
from itertools import combinations

from traceaudit.exchange import Outcome, Severity
from traceaudit.formats.context import Format, same_trace
from traceaudit.outcomes import Alteration
from traceaudit.rules.rule import Call, Contexts, Rule, Violation
from traceaudit.rules.wire import TRACE_FORMATS, carried_trace_id, clip, labels, malformed, valid

_COMPARED = tuple(format_ for format_ in TRACE_FORMATS if format_ is not Format.SW8)


def _disagree(contexts: Contexts, left: Format, right: Format) -> bool:
    one, other = valid(contexts, left), valid(contexts, right)
    if one is None or other is None or one.trace_id is None or other.trace_id is None:
        return False
    return not same_trace(one.trace_id, other.trace_id)


def check(call: Call) -> Violation | None:
    """Broken when two formats on the call name different traces, and nothing else explains it."""
    if any(call.outcome(format_) is Outcome.LEAKED for format_ in _COMPARED):
        return None
    fair = [
        format_
        for format_ in _COMPARED
        if malformed(call.carried, format_) is None and not call.altered(format_, Alteration.TRUNCATED)
    ]
    for left, right in combinations(fair, 2):
        if (
            _disagree(call.sent, left, right)
            and not _disagree(call.carried, left, right)
            and not _both_restarted(call, left, right)
        ):
            return _violation(call, left, right)
    return None


def _both_restarted(call: Call, left: Format, right: Format) -> bool:
    """Whether a trace came in and neither format carries it on: one cause, which TP011 names."""
    outcomes = {call.outcome(left), call.outcome(right)}
    return outcomes == {Outcome.RESTARTED} and carried_trace_id(call) is not None


def _violation(call: Call, left: Format, right: Format) -> Violation:
    named = [
        f"{format_.value} names trace {clip(context.trace_id)}"
        for format_ in (left, right)
        if (context := valid(call.sent, format_)) is not None and context.trace_id is not None
    ]
    trace_id = carried_trace_id(call)
    return Violation(
        header=labels((left, right)),
        message=f"the formats on the call disagree: {', '.join(named)}",
        expected=f"both name trace {trace_id}" if trace_id else "both name one trace",
        observed=", ".join(named),
    )


RULE = Rule(
    code="TP016",
    slug="contexts-disagree",
    severity=Severity.ERROR,
    summary="The formats on the call name different traces.",
    check=check,
    page=inspect.cleandoc(__doc__ or ""),
)
