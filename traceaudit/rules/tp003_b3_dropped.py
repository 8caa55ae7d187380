"""The call carries neither `b3` nor `x-b3-*`, although the request that caused it did.

## What it means

Envoy's Zipkin tracer, Istio's oldest, speaks B3. The request brought a B3 context in one of its two forms, the single
header `b3` or the headers `x-b3-traceid`, `x-b3-spanid`, `x-b3-parentspanid`, `x-b3-sampled` and `x-b3-flags`, and
neither form is on the call, or a sampling state alone is left of it. Changing one form into the other is fine; dropping
both ends the trace.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | new root; whether it is sampled is decided anew, from `x-request-id` |
| Zipkin with W3C | joined if `traceparent` is on the call, else a new root |
| OpenTelemetry | unchanged: it reads `traceparent` |
| Datadog | unchanged: it reads `x-datadog-*` and `traceparent` |
| SkyWalking | unchanged: it reads `sw8` |

## What usually causes it in Go

- No context is handed to the call, as for TP001.
- OpenTelemetry with `propagation.TraceContext{}` alone: `traceparent` comes through, B3 does not.
- A list of headers to copy that names `x-b3-*` and not `b3`, where the caller sends the single header.
- OpenTelemetry Go's B3 propagator with a context that holds no span: it writes a lone `b3: 0` or `x-b3-sampled: 0`.
- The headers of the wrong request are read.

## How to fix it

Copy what is there, both forms, and skip what is absent (an empty header is worse than none, see WC006):

```go
package example

import "net/http"

var b3Headers = []string{
    "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags",
}

func forwardB3(in, out http.Header) {
    for _, name := range b3Headers {
        if value := in.Get(name); value != "" {
            out.Set(name, value)
        }
    }
}
```

With OpenTelemetry add the B3 propagator, `go.opentelemetry.io/contrib/propagators/b3`, to the composite one:

```go
package example

import (
    "go.opentelemetry.io/contrib/propagators/b3"
    "go.opentelemetry.io/otel"
    "go.opentelemetry.io/otel/propagation"
)

func setUpPropagation() {
    otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(
        propagation.TraceContext{},
        propagation.Baggage{},
        b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader)),
    ))
}
```

Or let the mesh meet the service: since Istio 1.28 a Zipkin provider with
`traceContextOption: USE_B3_WITH_W3C_PROPAGATION` falls back to `traceparent`.

## References

- https://github.com/openzipkin/b3-propagation
- https://istio.io/latest/docs/tasks/observability/distributed-tracing/overview/
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/zipkin/span_context_extractor.cc
- https://istio.io/latest/news/releases/1.28.x/announcing-1.28/change-notes/
- https://pkg.go.dev/go.opentelemetry.io/contrib/propagators/b3
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Outcome, Severity
from traceaudit.formats.context import Format, Malformed
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import B3_FAMILY, because, expected, header_names, listed, shown


def check(call: Call) -> Violation | None:
    """Broken when a B3 form was dropped and no ids in B3 are left on the call, not even broken ones."""
    dropped = [format_ for format_ in B3_FAMILY if call.outcome(format_) is Outcome.DROPPED]
    if not dropped or any(_is_left(call, format_) for format_ in B3_FAMILY):
        return None
    brought = listed("x-b3-*" if len(header_names(format_)) > 1 else "b3" for format_ in dropped)
    states = [format_ for format_ in B3_FAMILY if format_ in call.sent]
    remains = "has a sampling state and no ids" if states else "has neither b3 nor x-b3-*"
    return Violation(
        header="b3",
        message=f"the request brought {brought}, the call {remains}{because(call, dropped)}",
        expected=expected(call, dropped[0]),
        observed=", ".join(shown(call.outbound, format_) for format_ in states) or "no b3, no x-b3-*",
    )


def _is_left(call: Call, format_: Format) -> bool:
    context = call.sent.get(format_)
    return isinstance(context, Malformed) or (context is not None and context.trace_id is not None)


RULE = Rule(
    code="TP003",
    slug="b3-dropped",
    severity=Severity.ERROR,
    summary="The call carries neither b3 nor x-b3-*, although the request that caused it did.",
    check=check,
    family="b3",
    page=inspect.cleandoc(__doc__ or ""),
)
