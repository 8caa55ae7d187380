"""The call carries no `x-request-id`, although the request that caused it did.

## What it means

`x-request-id` is Envoy's own identifier of a request. Access logs along the way are joined by it, and the decision to
sample is written into it: the character at index 14 of the UUID is `9`, `a` or `b` in a sampled request and `4` in one
that is not. Istio asks every application to forward it, whatever the tracer.

## What the mesh then does

The next sidecar generates a new id, so the logs of the two hops can no longer be joined, and decides about sampling
from it alone.

| Tracer | The call |
| --- | --- |
| Zipkin | joined and sampled as B3 on the call says; a root, or B3 without a decision, is sampled anew |
| Zipkin with W3C | likewise, from B3, else from `traceparent` |
| OpenTelemetry | joined by `traceparent`; since Envoy #45830 unsampled whenever the new id is not sampled |
| Datadog | joined; a decision in `x-datadog-sampling-priority` or `traceparent` is kept, else made anew |
| SkyWalking | joined and reported if `sw8` is on the call; a root is reported only when the new id is sampled |

## What usually causes it in Go

- Instrumentation carries `traceparent` or B3 and nothing else: `x-request-id` belongs to no tracing standard, so no
  propagator of OpenTelemetry knows it.
- The id is read into the log context, and never written to the outgoing request.

## How to fix it

Keep the id in the context, and let the client's transport write it:

```go
package example

import (
    "context"
    "net/http"
)

type requestIDKey struct{}

// Middleware keeps the id of the request for the calls it causes.
func Middleware(next http.Handler) http.Handler {
    return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
        ctx := context.WithValue(r.Context(), requestIDKey{}, r.Header.Get("x-request-id"))
        next.ServeHTTP(w, r.WithContext(ctx))
    })
}

// Transport forwards it.
type Transport struct{ Base http.RoundTripper }

func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
    if id, _ := r.Context().Value(requestIDKey{}).(string); id != "" {
        r = r.Clone(r.Context())
        r.Header.Set("x-request-id", id)
    }
    return t.Base.RoundTrip(r)
}
```

## References

- https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-request-id
- https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/request_id/uuid/v3/uuid.proto
- https://github.com/envoyproxy/envoy/blob/main/source/common/http/conn_manager_utility.cc
- https://github.com/envoyproxy/envoy/pull/45830
- https://istio.io/latest/docs/tasks/observability/distributed-tracing/overview/
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Outcome, Severity
from traceaudit.formats.context import Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import because, expected


def check(call: Call) -> Violation | None:
    """Broken when ``x-request-id`` was dropped."""
    if call.outcome(Format.REQUEST_ID) is not Outcome.DROPPED:
        return None
    return Violation(
        header="x-request-id",
        message=f"the request brought an x-request-id, the call has none{because(call, [Format.REQUEST_ID])}",
        expected=expected(call, Format.REQUEST_ID),
        observed="no x-request-id",
    )


RULE = Rule(
    code="TP004",
    slug="request-id-dropped",
    severity=Severity.ERROR,
    summary="The call carries no x-request-id, although the request that caused it did.",
    check=check,
    family="x-request-id",
    page=inspect.cleandoc(__doc__ or ""),
)
