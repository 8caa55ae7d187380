"""A route that is known to be there saw no request.

## What it means

The settings name a route of the service (`known-routes`, `--known-route`), and in the whole run no request came to it.
The calls that it makes were not looked at, and a green run says nothing about them.

## What the mesh then does

| Tracer | The calls |
| --- | --- |
| Zipkin | not known: none was seen |
| Zipkin with W3C | not known: none was seen |
| OpenTelemetry | not known: none was seen |
| Datadog | not known: none was seen |
| SkyWalking | not known: none was seen |

## What usually causes it in Go

- The tests that drive the service cover the main path alone: error paths, retries and admin routes forward as badly.
- The route is registered under another prefix or method.
- A redirect or a middleware answers before the handler is reached.

## How to fix it

Send it a request: a table of all routes, walked once, is enough for a first audit.

```go
package example

import (
    "context"
    "net/http"
)

// walk sends a request to every route of a table such as {"GET /orders/17", …}; base is the inbound listener.
func walk(ctx context.Context, base string, paths []string) error {
    for _, path := range paths {
        request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
        if err != nil {
            return err
        }
        response, err := http.DefaultClient.Do(request)
        if err != nil {
            return err
        }
        response.Body.Close()
    }
    return nil
}
```

## References

- https://pkg.go.dev/net/http#hdr-Patterns-ServeMux
- https://istio.io/latest/docs/tasks/observability/distributed-tracing/overview/
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.rules.rule import Rule, Violation
from traceaudit.rules.wire import decided_elsewhere


def unexercised(route: str) -> Violation:
    """What is to be said of a known route to which no request came."""
    return Violation(
        header="",
        message=f"no request came to {route}: nothing is known of the calls that it makes",
        expected=f"a request to {route}",
        observed="none",
    )


RULE = Rule(
    code="CP003",
    slug="route-unexercised",
    severity=Severity.NOTE,
    summary="A route that is known to be there saw no request.",
    check=decided_elsewhere,
    page=inspect.cleandoc(__doc__ or ""),
)
