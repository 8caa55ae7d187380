"""The call carries some of the `x-b3-*` headers that the request brought, and lacks others.

## What it means

B3 in several headers is one context. Without `x-b3-sampled` the next hop decides about sampling by itself, without
`x-b3-parentspanid` the place of the span in the tree is unknown to tracers that share a span between client and server,
and without `x-b3-flags` a debug trace is an ordinary one.

What is left is still valid; where it is not (a trace id without a span id), WC003 is reported instead.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | joined; without `x-b3-sampled` it samples as Envoy decides, which may differ from the trace |
| Zipkin with W3C | likewise: `traceparent` is not asked when B3's ids are there |
| OpenTelemetry | unchanged: it reads `traceparent` |
| Datadog | unchanged: it reads `x-datadog-*` and `traceparent` |
| SkyWalking | unchanged: it reads `sw8` |

## What usually causes it in Go

- A list of headers to copy with a name left out or misspelt: `x-b3-parentspan-id`, `x-b3-parent-spanid`.
- Only the ids are taken over, because they are what the logs need.

OpenTelemetry Go's B3 propagator never writes `x-b3-parentspanid`; a span of its own makes that right.

## How to fix it

Copy all five, and only those that are there:

```go
package example

import "net/http"

var b3Headers = [...]string{"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"}

func forwardB3(in, out http.Header) {
    for _, name := range b3Headers {
        if value := in.Get(name); value != "" {
            out.Set(name, value)
        }
    }
}
```

Or send the single header, which cannot come apart.

## References

- https://github.com/openzipkin/b3-propagation#multiple-headers
- https://github.com/openzipkin/b3-propagation#why-is-parentspanid-propagated
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/zipkin/span_context_extractor.cc
- https://github.com/open-telemetry/opentelemetry-go-contrib/blob/main/propagators/b3/b3_propagator.go
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.formats.context import Format
from traceaudit.outcomes import Alteration
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import because, header_names, lines, listed, shown


def check(call: Call) -> Violation | None:
    """Broken when some of ``x-b3-*`` were lost and the rest names the same trace."""
    if not call.altered(Format.B3MULTI, Alteration.PARTLY_DROPPED):
        return None
    lost = [
        name for name in header_names(Format.B3MULTI) if lines(call.inbound, name) and not lines(call.outbound, name)
    ]
    what = listed(lost) if lost else f"part of x-b3-*{because(call, [Format.B3MULTI])}"
    return Violation(
        header=", ".join(lost) or "b3multi",
        message=f"{what} of the request {'are' if len(lost) > 1 else 'is'} not on the call, the rest of x-b3-* is",
        expected=shown(call.inbound, Format.B3MULTI),
        observed=shown(call.outbound, Format.B3MULTI),
    )


RULE = Rule(
    code="TP007",
    slug="b3-partly-dropped",
    severity=Severity.WARNING,
    summary="The call carries some of the x-b3-* headers that the request brought, and lacks others.",
    check=check,
    family="b3",
    page=inspect.cleandoc(__doc__ or ""),
)
