"""The call carries a trace header twice that may be there once.

## What it means

With two values there is no telling which is meant. The W3C has a receiver of two `traceparent` headers begin a new
trace; proxies take the first, or join both with a comma into something invalid.

`tracestate` and `baggage` may come in several lines and are not meant here. It is not reported when the request itself
brought the header twice.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | the first `b3`, or the first of each `x-b3-*`, decides |
| Zipkin with W3C | likewise, and the first `traceparent` where there is no B3 |
| OpenTelemetry | the first `traceparent` decides; a `traceparent` joined by a comma is too long: lost |
| Datadog | the first of each of its headers decides |
| SkyWalking | the first `sw8` decides |

Envoy asks for one value of a header and is given the first. Whether that is the right one is chance.

## What usually causes it in Go

- `Header.Add` where `Header.Set` is meant, most often on a retry: the request is reused and gets one more each time.
- Middleware that copies the headers of the request, and instrumentation that sets its own beside it, under another
  spelling of the name: `h["traceparent"] = …` makes a second entry next to `h["Traceparent"]`.
- Two layers of instrumentation around one client, with carriers that add.

## How to fix it

`Set` replaces; and a request that is sent again is cloned first:

```go
package example

import (
    "context"
    "net/http"
)

func withRetry(ctx context.Context, template *http.Request, traceparent string, times int) (*http.Response, error) {
    var err error
    for range times {
        attempt := template.Clone(ctx) // headers of its own
        attempt.Header.Set("traceparent", traceparent)
        var response *http.Response
        if response, err = http.DefaultClient.Do(attempt); err == nil {
            return response, nil
        }
    }
    return nil, err
}
```

## References

- https://www.w3.org/TR/trace-context-2/#traceparent-header
- https://github.com/openzipkin/b3-propagation#multiple-headers
- https://pkg.go.dev/net/http#Header.Set
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/zipkin/span_context_extractor.cc
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/span_context_extractor.cc
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.formats.context import Fault, Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import clip, lines, own_faults


def check(call: Call) -> Violation | None:
    """Broken when a header that may come once is on the call more often, and was not on the request."""
    faults = [fault for fault in own_faults(call, Fault.DUPLICATED) if fault.format is not Format.BAGGAGE]
    if not faults:
        return None
    fault = faults[0]
    values = lines(call.outbound, fault.header.lower())
    observed = ", ".join(f"{fault.header} {clip(value)}".rstrip() for value in values)
    return Violation(
        header=", ".join(dict.fromkeys(other.header for other in faults)),
        message=f"the call carries {fault.header} {len(values) or 'several'} times; it may be there once",
        expected=f"one {fault.header}",
        observed=observed or f"{fault.header} {clip(fault.value)}".rstrip(),
    )


RULE = Rule(
    code="WC005",
    slug="trace-header-duplicated",
    severity=Severity.ERROR,
    summary="The call carries a trace header twice that may be there once.",
    check=check,
    page=inspect.cleandoc(__doc__ or ""),
)
