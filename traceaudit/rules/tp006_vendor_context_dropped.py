"""The call lacks a vendor's trace headers, although the request that caused it brought them.

## What it means

Somebody before this service traces with a vendor's own headers, and behind it they are gone: `uber-trace-id` (Jaeger),
`x-datadog-*`, `x-cloud-trace-context` and `grpc-trace-bin` (Google), `x-ot-span-context` (Lightstep), `sw8`
(SkyWalking) or `x-amzn-trace-id` (AWS X-Ray). Whether that matters depends on who reads them; a mesh that uses none
of them is a reason to ignore this rule.

Reported once a call, with all formats that were dropped.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | unchanged: it reads B3 |
| Zipkin with W3C | unchanged: it reads B3 and `traceparent` |
| OpenTelemetry | unchanged: it reads `traceparent` |
| Datadog | without `x-datadog-*`: joined if `traceparent` is on the call, else a new root |
| SkyWalking | without `sw8`: new root; where Envoy decides not to sample it, no span at all |

## What usually causes it in Go

- Instrumentation with OpenTelemetry speaks W3C only, unless a propagator is added.
- A list of headers to copy that was written for another tracer.
- gRPC: `grpc-trace-bin` is metadata, and incoming metadata does not go out by itself.

## How to fix it

Copy them as they are. Nothing has to be understood for that:

```go
package example

import (
    "net/http"
    "strings"
)

var vendorHeaders = []string{
    "uber-trace-id", "x-cloud-trace-context", "grpc-trace-bin", "x-ot-span-context", "sw8", "x-amzn-trace-id",
}

func forwardVendor(in, out http.Header) {
    for _, name := range vendorHeaders {
        if value := in.Get(name); value != "" {
            out.Set(name, value)
        }
    }
    for name, values := range in {
        if strings.HasPrefix(strings.ToLower(name), "x-datadog-") {
            out[name] = append([]string(nil), values...)
        }
    }
}
```

A service that is instrumented should rather take the propagator of the vendor into its composite one, so that the
headers name its own span: see `go.opentelemetry.io/contrib/propagators`.

## References

- https://istio.io/latest/docs/tasks/observability/distributed-tracing/overview/
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/skywalking/skywalking_tracer_impl.cc
- https://github.com/DataDog/dd-trace-cpp/blob/main/include/datadog/tracer_config.h
- https://pkg.go.dev/go.opentelemetry.io/contrib/propagators
- https://github.com/grpc/grpc-go/issues/6010
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Outcome, Severity
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import VENDORS, because, labels, listed, shown


def check(call: Call) -> Violation | None:
    """Broken when any vendor's format was dropped."""
    dropped = [format_ for format_ in VENDORS if call.outcome(format_) is Outcome.DROPPED]
    if not dropped:
        return None
    return Violation(
        header=labels(dropped),
        message=(
            f"the request brought {listed(format_.value for format_ in dropped)}, the call does not have "
            f"{'it' if len(dropped) == 1 else 'them'}{because(call, dropped)}"
        ),
        expected=", ".join(shown(call.inbound, format_) for format_ in dropped),
        observed=", ".join(f"no {format_.value}" for format_ in dropped),
    )


RULE = Rule(
    code="TP006",
    slug="vendor-context-dropped",
    severity=Severity.WARNING,
    summary="The call lacks a vendor's trace headers, although the request that caused it brought them.",
    check=check,
    page=inspect.cleandoc(__doc__ or ""),
)
