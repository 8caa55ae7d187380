"""The call carries a trace header without a value.

## What it means

A header that is there and says nothing is not the same as one that is absent. B3 names the empty header as an example
of malformed data; some tracers fail on it, and what the other headers of the set say is lost with it.

It is not reported when the request itself brought the header empty. An empty `tracestate` is allowed.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | an empty `b3` or id: lost, no span; `x-b3-sampled`: unsampled; `x-b3-parentspanid`: joined |
| Zipkin with W3C | likewise; an empty `traceparent` is ignored |
| OpenTelemetry | an empty `traceparent`: lost, no span is reported for this hop |
| Datadog | an empty number in `x-datadog-*`: new root; an empty `traceparent` is ignored |
| SkyWalking | an empty `sw8`: new root, or no span where Envoy decides not to sample |

## What usually causes it in Go

- A blind copy: `out.Header.Set(name, in.Header.Get(name))` writes an empty header where there was none. Most requests
  have no `x-b3-parentspanid`, so it hits that one first (istio/istio#11696).
- gRPC: `metadata.Pairs("b3", "")`.

## How to fix it

Ask before copying:

```go
package example

import "net/http"

func forward(in, out http.Header, names ...string) {
    for _, name := range names {
        if value := in.Get(name); value != "" {
            out.Set(name, value)
        }
    }
}
```

## References

- https://github.com/openzipkin/b3-propagation#multiple-headers
- https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values
- https://github.com/istio/istio/issues/11696
- https://github.com/envoyproxy/envoy/pull/6263
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/zipkin/span_context_extractor.cc
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/span_context_extractor.cc
- https://github.com/DataDog/dd-trace-cpp/blob/main/src/datadog/extraction_util.cpp
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.formats.context import Fault
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import header_names, lines, listed, own_faults


def check(call: Call) -> Violation | None:
    """Broken when a trace header on the call is empty and was not so on the request."""
    faults = own_faults(call, Fault.EMPTY)
    if not faults:
        return None
    empty = [
        name
        for fault in faults
        for name in header_names(fault.format)
        if any(not value.strip() for value in lines(call.outbound, name))
    ] or [fault.header for fault in faults]
    names = list(dict.fromkeys(empty))
    return Violation(
        header=", ".join(names),
        message=f"{listed(names)} on the call {'is' if len(names) == 1 else 'are'} empty: send a value or leave it out",
        expected=", ".join(_wanted(call, name) for name in names),
        observed=", ".join(f"{name} without a value" for name in names),
    )


def _wanted(call: Call, name: str) -> str:
    brought = lines(call.inbound, name)
    return f"{name} {brought[0]}" if brought and brought[0].strip() else f"no {name}"


RULE = Rule(
    code="WC006",
    slug="trace-header-empty",
    severity=Severity.WARNING,
    summary="The call carries a trace header without a value.",
    check=check,
    page=inspect.cleandoc(__doc__ or ""),
)
