"""The call carries a new `x-request-id` instead of that of the request that caused it.

## What it means

The service makes its own request id and sends that. The id that the sidecar gave the request is lost, and with it the
join between the access logs of this hop and the next, and the sampling decision that Envoy keeps in the id (the
character at index 14). Between what a service gets and what it sends, the id must be equal to the byte.

## What the mesh then does

The next sidecar keeps the id it is given, and decides about sampling from the new one: in a fresh UUID of version 4
that character is `4`, "not sampled yet", so the dice are rolled again.

| Tracer | The call |
| --- | --- |
| Zipkin | joined and sampled as B3 on the call says; a root, or B3 without a decision, is sampled anew |
| Zipkin with W3C | likewise, from B3, else from `traceparent` |
| OpenTelemetry | joined by `traceparent`; since Envoy #45830 unsampled whenever the new id is not sampled |
| Datadog | joined; a decision in `x-datadog-sampling-priority` or `traceparent` is kept, else made anew |
| SkyWalking | joined and reported if `sw8` is on the call; a root is reported only when the new id is sampled |

## What usually causes it in Go

- Request-id middleware that never looks at the incoming header, or that reads another name such as `x-correlation-id`.
- A client library that sets `x-request-id` on every call, an SDK of a cloud service for instance.
- Middleware on both sides: the server's keeps the id, the client's makes another.

## How to fix it

Take what comes, generate only what is missing:

```go
package example

import (
    "context"
    "crypto/rand"
    "fmt"
    "net/http"
)

type requestIDKey struct{}

// RequestID keeps the id that the sidecar gave, and makes one only outside the mesh.
func RequestID(next http.Handler) http.Handler {
    return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
        id := r.Header.Get("x-request-id")
        if id == "" {
            id = newUUID()
        }
        next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
    })
}

func newUUID() string {
    var b [16]byte
    _, _ = rand.Read(b[:])
    b[6] = b[6]&0x0f | 0x40
    b[8] = b[8]&0x3f | 0x80
    return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
```

## References

- https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-request-id
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/request_id/uuid/config.cc
- https://github.com/envoyproxy/envoy/blob/main/source/common/http/conn_manager_utility.cc
- https://github.com/envoyproxy/envoy/pull/45830
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Outcome, Severity
from traceaudit.formats.context import Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import because, expected, shown


def check(call: Call) -> Violation | None:
    """Broken when the request id on the call is a new one."""
    if call.outcome(Format.REQUEST_ID) is not Outcome.RESTARTED:
        return None
    return Violation(
        header="x-request-id",
        message=f"the call has an x-request-id of its own{because(call, [Format.REQUEST_ID])}",
        expected=expected(call, Format.REQUEST_ID),
        observed=shown(call.outbound, Format.REQUEST_ID),
    )


RULE = Rule(
    code="TP012",
    slug="request-id-regenerated",
    severity=Severity.ERROR,
    summary="The call carries a new x-request-id instead of that of the request that caused it.",
    check=check,
    family="x-request-id",
    page=inspect.cleandoc(__doc__ or ""),
)
