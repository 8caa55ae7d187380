"""The call carries the request's `traceparent` without the `tracestate` that came with it.

## What it means

`tracestate` is the companion of `traceparent`: vendors keep there what they need to find their own place in the trace,
and OpenTelemetry keeps its sampling threshold. The W3C says that who receives a `tracestate` must send it on, and that
it must not change at all where `traceparent` does not.

It is not reported when the whole context is gone (TP001) or new (TP011).

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | unchanged: it reads B3 |
| Zipkin with W3C | joined; it does not read `tracestate` |
| OpenTelemetry | joined; the span and everything behind it have no `tracestate` |
| Datadog | joined, but what Datadog keeps under `dd=` (priority, origin, tags) is lost |
| SkyWalking | unchanged: it reads `sw8` |

## What usually causes it in Go

- A list of headers to copy that names `traceparent` and not `tracestate`.
- OpenTelemetry Go parses `tracestate` on the way in and drops all of it when one member is invalid, by a grammar older
  than today's: a key that begins with a digit and has no `@` is one. It reads the first `tracestate` line only, so a
  state in several lines loses the rest (that is TP015).
- A tracer that writes `traceparent` by hand from a trace id.

## How to fix it

Treat the two as one:

```go
package example

import (
    "net/http"
    "strings"
)

func forwardW3C(in, out http.Header) {
    parent := in.Get("traceparent")
    if parent == "" {
        return // a tracestate alone means nothing
    }
    out.Set("traceparent", parent)
    if state := strings.Join(in.Values("tracestate"), ","); state != "" {
        out.Set("tracestate", state)
    }
}
```

## References

- https://www.w3.org/TR/trace-context-2/#mutating-the-tracestate-field
- https://www.w3.org/TR/trace-context-2/#mutating-the-traceparent-field
- https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/
- https://github.com/open-telemetry/opentelemetry-go/blob/main/propagation/trace_context.go
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/span_context_extractor.cc
- https://github.com/DataDog/dd-trace-cpp/blob/main/src/datadog/w3c_propagation.cpp
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.formats.context import Format
from traceaudit.outcomes import Alteration
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import clip, combined


def check(call: Call) -> Violation | None:
    """Broken when ``tracestate`` was dropped from a trace that goes on."""
    if not call.altered(Format.TRACEPARENT, Alteration.TRACESTATE_DROPPED):
        return None
    return Violation(
        header="tracestate",
        message="the call carries the request's trace without its tracestate",
        expected=f"tracestate {clip(combined(call.inbound, 'tracestate'))}",
        observed="no tracestate",
    )


RULE = Rule(
    code="TP002",
    slug="tracestate-dropped",
    severity=Severity.WARNING,
    summary="The call carries the request's traceparent without the tracestate that came with it.",
    check=check,
    family="traceparent",
    page=inspect.cleandoc(__doc__ or ""),
)
