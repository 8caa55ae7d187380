"""The call carries no `traceparent`, although the request that caused it did.

## What it means

The trace ends here. The sidecar saw the request come in and sees the call go out, but only the service can say that one
caused the other, and it said so by copying (or continuing) `traceparent`. Without it the call and everything behind it
is missing from the trace on the dashboard.

The message says so when another family on the same call, B3 for instance, still carries the trace.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | reads B3 only: joined if B3 is on the call, else a new root |
| Zipkin with W3C | joined if B3 is on the call, else a new root |
| OpenTelemetry | new root: it reads nothing but `traceparent`; whether it is sampled is decided anew |
| Datadog | joined if `x-datadog-*` is on the call, else a new root |
| SkyWalking | unchanged: it reads `sw8` |

## What usually causes it in Go

- `http.Get`, `http.Post` or `http.NewRequest`: no context goes in, so no header comes out.
- `http.NewRequestWithContext(context.Background(), …)`: a context, but not the request's.
- OpenTelemetry without `otel.SetTextMapPropagator`: the default propagator does nothing.
- A client without `otelhttp.NewTransport`: the span is in the context, and nobody writes it into the request.
- gRPC: the metadata of an incoming call is not the metadata of an outgoing one.

## How to fix it

A service that is instrumented sets the propagator once, and gives the request's context to every call:

```go
package example

import (
    "context"
    "net/http"

    "go.opentelemetry.io/otel"
    "go.opentelemetry.io/otel/propagation"
)

// Once, at start-up: without it OpenTelemetry Go propagates nothing.
func setUpPropagation() {
    otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(
        propagation.TraceContext{}, propagation.Baggage{}))
}

// otelhttp.NewTransport injects for you; this is what it does.
func get(ctx context.Context, url string) (*http.Response, error) {
    request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
    if err != nil {
        return nil, err
    }
    otel.GetTextMapPropagator().Inject(ctx, propagation.HeaderCarrier(request.Header))
    return http.DefaultClient.Do(request)
}
```

A service that is not instrumented copies the headers, `tracestate` along with `traceparent`:

```go
package example

import "net/http"

var traceHeaders = []string{"traceparent", "tracestate", "x-request-id"}

// call sends the request that an incoming one caused.
func call(in *http.Request, url string) (*http.Response, error) {
    out, err := http.NewRequestWithContext(in.Context(), http.MethodGet, url, nil)
    if err != nil {
        return nil, err
    }
    for _, name := range traceHeaders {
        for _, value := range in.Header.Values(name) {
            out.Header.Add(name, value)
        }
    }
    return http.DefaultClient.Do(out)
}
```

With gRPC, `otelgrpc` does it. By hand, what came in is put into what goes out:

```go
package example

import (
    "context"

    "google.golang.org/grpc/metadata"
)

func outgoing(ctx context.Context) context.Context {
    in, _ := metadata.FromIncomingContext(ctx)
    for _, name := range []string{"traceparent", "tracestate", "x-request-id"} {
        for _, value := range in.Get(name) {
            ctx = metadata.AppendToOutgoingContext(ctx, name, value)
        }
    }
    return ctx
}
```

## References

- https://www.w3.org/TR/trace-context-2/#traceparent-header
- https://istio.io/latest/docs/tasks/observability/distributed-tracing/overview/
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/opentelemetry_tracer_impl.cc
- https://github.com/open-telemetry/opentelemetry-go/blob/main/internal/global/propagator.go
- https://github.com/open-telemetry/opentelemetry-go/issues/1404
- https://github.com/grpc/grpc-go/issues/6010
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Outcome, Severity
from traceaudit.formats.context import Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import because, expected


def check(call: Call) -> Violation | None:
    """Broken when ``traceparent`` was dropped."""
    if call.outcome(Format.TRACEPARENT) is not Outcome.DROPPED:
        return None
    return Violation(
        header="traceparent",
        message=f"the request brought a traceparent, the call has none{because(call, [Format.TRACEPARENT])}",
        expected=expected(call, Format.TRACEPARENT),
        observed="no traceparent",
    )


RULE = Rule(
    code="TP001",
    slug="traceparent-dropped",
    severity=Severity.ERROR,
    summary="The call carries no traceparent, although the request that caused it did.",
    check=check,
    family="traceparent",
    page=inspect.cleandoc(__doc__ or ""),
)
