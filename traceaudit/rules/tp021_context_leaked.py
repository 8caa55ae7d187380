"""The call carries the context of another request.

## What it means

Two requests were mixed up: the call was caused by one of them and carries the trace, or the request id, of another. The
dashboard then shows a call under a request that never made it, and somebody else's request without one it did make.
Worse than a broken trace, because it looks whole. Where trace headers mix, other things kept the same way (a user, a
tenant) may mix too.

Reported once a call, with all formats that leaked and the exchange whose context it is, where that is known. TP016
(the formats of the call disagree) stands back then.

It takes several requests at once to show. `traceaudit probe URL…` sends them, and tells from the numbers, too, where
whole contexts changed places and every call looks right.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | joined, to the other request's trace, if B3 leaked |
| Zipkin with W3C | joined, to the other request's trace, if B3 leaked, or `traceparent` where there is no B3 |
| OpenTelemetry | joined, to the other request's trace, if `traceparent` leaked |
| Datadog | joined, to the other request's trace, if `x-datadog-*` leaked, or `traceparent` where there is none |
| SkyWalking | joined, to the other request's trace, if `sw8` leaked |

A leaked `x-request-id` alone leaves the trace whole and mixes the access logs.

## What usually causes it in Go

- A header map, an `http.Request` or a client with headers in it, kept in a struct or a package variable and filled by
  every handler.
- A worker or a batch that keeps the context of the first item for all.
- `singleflight` or a cache that fills itself: many requests wait, one context makes the call. Then the call has several
  causes, and whichever it names is right for one of them only.
- A loop variable or a map captured by several goroutines.

## How to fix it

Headers belong to the request. Pass them down with it, never through something shared:

```go
package example

import (
    "context"
    "net/http"
)

// Client holds nothing that belongs to one request.
type Client struct{ HTTP *http.Client }

func (c Client) Stock(ctx context.Context, in http.Header, url string) (*http.Response, error) {
    request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
    if err != nil {
        return nil, err
    }
    for _, name := range []string{"traceparent", "tracestate", "x-request-id"} {
        if value := in.Get(name); value != "" {
            request.Header.Set(name, value) // a fresh map each time, see http.NewRequest
        }
    }
    return c.HTTP.Do(request)
}
```

In a queue every item takes its own context along:

```go
package example

import "context"

type item struct {
    ctx context.Context // of the request that queued it
    url string
}

func work(items <-chan item, call func(context.Context, string) error) {
    for it := range items {
        _ = call(it.ctx, it.url)
    }
}
```

## References

- https://www.w3.org/TR/trace-context-2/#mutating-the-traceparent-field
- https://pkg.go.dev/context
- https://go.dev/doc/articles/race_detector
- https://github.com/open-telemetry/opentelemetry-go-contrib/issues/4200
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Outcome, Severity
from traceaudit.formats.context import Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import because, clip, expected, labels, listed, shown


def check(call: Call) -> Violation | None:
    """Broken when any format on the call is another request's."""
    leaked = [format_ for format_ in Format if call.outcome(format_) is Outcome.LEAKED]
    if not leaked:
        return None
    owners = dict.fromkeys(
        judgement.owner_id
        for format_ in leaked
        if (judgement := call.judgements.get(format_)) is not None and judgement.owner_id is not None
    )
    whose = f"request {listed(clip(owner) for owner in owners)}" if owners else "another request"
    return Violation(
        header=labels(leaked),
        message=f"{listed(format_.value for format_ in leaked)} on the call belongs to {whose}{because(call, leaked)}",
        expected=expected(call, leaked[0]),
        observed=", ".join(shown(call.outbound, format_) for format_ in leaked),
    )


RULE = Rule(
    code="TP021",
    slug="context-leaked",
    severity=Severity.ERROR,
    summary="The call carries the context of another request.",
    check=check,
    page=inspect.cleandoc(__doc__ or ""),
)
