"""Many unrelated calls carry one and the same old context.

## What it means

The service took the headers of one request, or of none, once, and has sent them with every call since. One trace on
the dashboard grows without end and holds the calls of everybody, while the requests that really made them show none.

One call cannot show it: the audit compares the calls of a route over time, and reports the context that stays the same
while the requests change.

## What the mesh then does

| Tracer | The calls |
| --- | --- |
| Zipkin | all joined to the one old trace, if B3 is frozen |
| Zipkin with W3C | likewise, or if `traceparent` is and there is no B3 |
| OpenTelemetry | all joined to the one old trace, if `traceparent` is frozen |
| Datadog | all joined to the one old trace, if `x-datadog-*` or `traceparent` is frozen |
| SkyWalking | all joined to the one old trace, if `sw8` is frozen |

All of them are sampled, or none, as the old context says. A frozen `x-request-id` samples all calls alike as well.

## What usually causes it in Go

- A client, a `sync.Once` or a package variable that is set up inside the first request, with that request's headers or
  context in it.
- A context with a span that is made in `main` and used for everything.
- Headers in an API client's defaults, copied from a `curl` command that worked.
- A gRPC stream: metadata is sent when it is opened, and never again.

## How to fix it

Set up clients without a request, and give each call the context of its own:

```go
package example

import (
    "context"
    "net/http"
    "sync"
    "time"
)

var client = sync.OnceValue(func() *http.Client {
    return &http.Client{Timeout: 5 * time.Second} // no headers, no context in here
})

func call(ctx context.Context, url string) (*http.Response, error) {
    request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
    if err != nil {
        return nil, err
    }
    return client().Do(request)
}
```

Work that no request causes, a poller for instance, starts a trace of its own each time round:

```go
package example

import (
    "context"
    "time"

    "go.opentelemetry.io/otel"
    "go.opentelemetry.io/otel/trace"
)

func poll(ctx context.Context, every time.Duration, once func(context.Context) error) {
    tracer := otel.Tracer("poller")
    for range time.Tick(every) {
        spanCtx, span := tracer.Start(ctx, "poll", trace.WithNewRoot())
        _ = once(spanCtx)
        span.End()
    }
}
```

## References

- https://pkg.go.dev/go.opentelemetry.io/otel/trace#WithNewRoot
- https://pkg.go.dev/sync#OnceValue
- https://www.w3.org/TR/trace-context-2/#mutating-the-traceparent-field
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Outcome, Severity
from traceaudit.formats.context import Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import decided_elsewhere, expected, labels, listed, shown


def frozen(call: Call) -> Violation | None:
    """What is to be said of a call whose foreign context was seen on too many others; the audit has counted them."""
    foreign = [format_ for format_ in Format if call.outcome(format_) in (Outcome.RESTARTED, Outcome.LEAKED)]
    if not foreign:
        return None
    return Violation(
        header=labels(foreign),
        message=(
            f"{listed(format_.value for format_ in foreign)} on the call "
            f"{'is' if len(foreign) == 1 else 'are'} the same as on earlier calls for other requests"
        ),
        expected=expected(call, foreign[0]),
        observed=", ".join(shown(call.outbound, format_) for format_ in foreign),
    )


RULE = Rule(
    code="TP022",
    slug="context-frozen",
    severity=Severity.ERROR,
    summary="Many unrelated calls carry one and the same old context.",
    check=decided_elsewhere,
    page=inspect.cleandoc(__doc__ or ""),
)
