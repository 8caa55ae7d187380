"""The call carries a new trace instead of that of the request that caused it.

## What it means

The headers are there and valid, but they name a trace that no request brought: the service has begun a new one. On the
dashboard there are two traces, a short one that ends in this service and one that begins here out of nothing.

Reported once a call, with all formats that were restarted. It is not reported when

- the request brought no valid trace in any format: starting one is right then, as the W3C demands for an invalid
  `traceparent`;
- another format on the same call still carries the request's trace: the formats disagree then, which is TP016;
- only `x-request-id` is new, which is TP012.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | joins the service's new trace if B3 was restarted; the trace of the request ends |
| Zipkin with W3C | likewise, from B3, else from `traceparent` |
| OpenTelemetry | joins the service's new trace if `traceparent` was restarted |
| Datadog | joins the service's new trace, from `x-datadog-*`, else from `traceparent` |
| SkyWalking | joins the service's new trace if `sw8` was restarted |

The new trace is sampled as the service's own sampler says, not as the mesh decided.

## What usually causes it in Go

- `context.Background()` or `context.TODO()` where the request's context belongs, most often in a goroutine.
- A handler without `otelhttp.NewHandler` (or without `Extract`): the client side starts a span that has no parent.
- The server side extracts with one propagator and the client injects with another: B3 comes in, W3C goes out.
- OpenTelemetry Go ignores a version 00 `traceparent` whose flags have bits other than the two that are defined, and
  starts a trace. `traceaudit` accepts these flags, as the specification does.

## How to fix it

Work that goes on after the response needs the trace but not the deadline: `context.WithoutCancel`, since Go 1.21.

```go
package example

import (
    "context"
    "net/http"
    "time"
)

func notify(ctx context.Context, url string) error {
    ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
    defer cancel()
    request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
    if err != nil {
        return err
    }
    response, err := http.DefaultClient.Do(request)
    if err != nil {
        return err
    }
    return response.Body.Close()
}

func order(w http.ResponseWriter, r *http.Request) {
    ctx := context.WithoutCancel(r.Context()) // not context.Background()
    go func() { _ = notify(ctx, "http://mail/sent") }()
    w.WriteHeader(http.StatusAccepted)
}
```

A handler that is not wrapped by `otelhttp.NewHandler` extracts by hand:

```go
package example

import (
    "net/http"

    "go.opentelemetry.io/otel"
    "go.opentelemetry.io/otel/propagation"
)

func traced(next http.Handler) http.Handler {
    return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
        ctx := otel.GetTextMapPropagator().Extract(r.Context(), propagation.HeaderCarrier(r.Header))
        next.ServeHTTP(w, r.WithContext(ctx))
    })
}
```

## References

- https://www.w3.org/TR/trace-context-2/#a-traceparent-is-received
- https://pkg.go.dev/context#WithoutCancel
- https://github.com/golang/go/issues/40221
- https://github.com/open-telemetry/opentelemetry-go/blob/main/propagation/trace_context.go
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/opentelemetry_tracer_impl.cc
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Outcome, Severity
from traceaudit.rules import tp016_contexts_disagree
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import TRACE_FORMATS, because, carried_trace_id, expected, labels, listed, shown


def check(call: Call) -> Violation | None:
    """Broken when a trace format was restarted, unless the formats on the call disagree for it."""
    restarted = [format_ for format_ in TRACE_FORMATS if call.outcome(format_) is Outcome.RESTARTED]
    if not restarted or carried_trace_id(call) is None:
        return None
    if tp016_contexts_disagree.check(call) is not None:
        return None
    return Violation(
        header=labels(restarted),
        message=(
            f"{listed(format_.value for format_ in restarted)} on the call "
            f"{'names' if len(restarted) == 1 else 'name'} a trace that no request brought: "
            f"the service started a new one{because(call, restarted)}"
        ),
        expected=expected(call, restarted[0]),
        observed=", ".join(shown(call.outbound, format_) for format_ in restarted),
    )


RULE = Rule(
    code="TP011",
    slug="trace-restarted",
    severity=Severity.ERROR,
    summary="The call carries a new trace instead of that of the request that caused it.",
    check=check,
    page=inspect.cleandoc(__doc__ or ""),
)
