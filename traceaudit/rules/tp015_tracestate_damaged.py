"""The call carries the request's `tracestate` in a way that is not allowed to it.

## What it means

A service that takes part in the trace may add a member of its own on the left, change or delete its own, and must leave
the others in their order. One that copies `traceparent` unchanged must leave `tracestate` unchanged too. Here members
of somebody else are missing, changed or in another order; the detail says which.

What is on the call is still a valid `tracestate`; an invalid one is WC002, a missing one TP002.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | unchanged: it reads B3 |
| Zipkin with W3C | joined; it does not read `tracestate` |
| OpenTelemetry | joined; the first `tracestate` line goes on as it is |
| Datadog | joined; it looks for `dd=`, and goes without when that is damaged |
| SkyWalking | unchanged: it reads `sw8` |

## What usually causes it in Go

- `in.Header.Get("tracestate")` where the state came in several lines: `Get` gives the first. OpenTelemetry Go's
  propagator does the same.
- Members kept in a `map[string]string`: the order of a Go map is random.
- A limit of one's own: the state cut after n characters instead of after whole members.

## How to fix it

Join the lines, touch nothing else:

```go
package example

import (
    "net/http"
    "strings"
)

func forwardState(in, out http.Header) {
    if state := strings.Join(in.Values("tracestate"), ","); state != "" {
        out.Set("tracestate", state)
    }
}

// With OpenTelemetry Go: join the lines before the propagator sees them.
func joinStates(next http.Handler) http.Handler {
    return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
        if lines := r.Header.Values("tracestate"); len(lines) > 1 {
            r = r.Clone(r.Context())
            r.Header.Set("tracestate", strings.Join(lines, ","))
        }
        next.ServeHTTP(w, r)
    })
}
```

## References

- https://www.w3.org/TR/trace-context-2/#mutating-the-tracestate-field
- https://www.w3.org/TR/trace-context-2/#tracestate-limits
- https://github.com/open-telemetry/opentelemetry-go/blob/main/propagation/trace_context.go
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/span_context_extractor.cc
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.formats.context import Format
from traceaudit.outcomes import Alteration
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import because, clip, combined


def check(call: Call) -> Violation | None:
    """Broken when ``tracestate`` was changed in a way it may not."""
    if not call.altered(Format.TRACEPARENT, Alteration.TRACESTATE_DAMAGED):
        return None
    return Violation(
        header="tracestate",
        message=f"tracestate was damaged on the way{because(call, [Format.TRACEPARENT])}",
        expected=f"tracestate {clip(combined(call.inbound, 'tracestate'))}",
        observed=f"tracestate {clip(combined(call.outbound, 'tracestate'))}",
    )


RULE = Rule(
    code="TP015",
    slug="tracestate-damaged",
    severity=Severity.WARNING,
    summary="The call carries the request's tracestate in a way that is not allowed to it.",
    check=check,
    family="traceparent",
    page=inspect.cleandoc(__doc__ or ""),
)
