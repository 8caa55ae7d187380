"""The call carries an invalid `traceparent` that the service had to ignore.

## What it means

The request brought a `traceparent` that is invalid, twice there for instance, and the service passed it on as it was.
For one that only copies headers that is fine: it does not read them. This one takes part in the trace (its other calls
carry span ids of its own), and the W3C has such a service ignore an invalid `traceparent` and start a new trace. So the
broken header goes further, and no hop mends it.

Only `traceparent` is meant: the W3C leaves it to the service whether an invalid `tracestate` is passed on, and the B3
specification is silent.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | unchanged: it reads B3 |
| Zipkin with W3C | joined if B3 is on the call, else a new root |
| OpenTelemetry | lost: no span is reported for this hop, and the invalid header goes on to the upstream |
| Datadog | ignored: joined by `x-datadog-*` if those are there, else a new root |
| SkyWalking | unchanged: it reads `sw8` |

## What usually causes it in Go

- Instrumentation and a copy of the headers, side by side: the copy comes last, and puts the invalid header in the place
  of the one that the propagator wrote.
- A reverse proxy, `httputil.ReverseProxy`, in an instrumented service: all headers go through unless its transport
  replaces them.

## How to fix it

Take trace headers off before the instrumentation writes its own:

```go
package example

import "net/http"

// Clean goes around the instrumented transport: what that one writes is then all there is.
type Clean struct{ Base http.RoundTripper }

func (c Clean) RoundTrip(r *http.Request) (*http.Response, error) {
    r = r.Clone(r.Context())
    r.Header.Del("traceparent")
    r.Header.Del("tracestate")
    return c.Base.RoundTrip(r)
}
```

## References

- https://www.w3.org/TR/trace-context-2/#a-traceparent-is-received
- https://www.w3.org/TR/trace-context-2/#versioning-of-traceparent
- https://github.com/open-telemetry/opentelemetry-go/blob/main/propagation/trace_context.go
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/opentelemetry_tracer_impl.cc
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.formats.context import Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import brought, clip, malformed, shown


def check(call: Call) -> Violation | None:
    """Broken when a participant sends the invalid ``traceparent`` that the request brought."""
    if call.participant is not True:
        return None
    fault = malformed(call.sent, Format.TRACEPARENT)
    if fault is None or not brought(call, fault):
        return None
    return Violation(
        header="traceparent",
        message=f"the service passed on an invalid traceparent: {clip(fault.value)} ({fault.clause.rstrip('.')})",
        expected="a traceparent of a new trace, or none",
        observed=shown(call.outbound, Format.TRACEPARENT),
    )


RULE = Rule(
    code="WC011",
    slug="invalid-context-forwarded",
    severity=Severity.WARNING,
    summary="The call carries an invalid traceparent that the service had to ignore.",
    check=check,
    family="traceparent",
    page=inspect.cleandoc(__doc__ or ""),
)
