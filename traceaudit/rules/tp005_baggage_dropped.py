"""The call carries no `baggage`, although the request that caused it did.

## What it means

`baggage` carries what the application wants to know further down: a tenant, an experiment, a priority. Who reads it
behind this service reads nothing. The trace itself is whole.

The W3C says that a service should send on the baggage it received; it may remove members. Removing all of them on
purpose, at the border to somebody else's network for instance, is a reason to ignore this rule on that call edge.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | unchanged: it does not read `baggage` |
| Zipkin with W3C | unchanged |
| OpenTelemetry | unchanged |
| Datadog | unchanged |
| SkyWalking | unchanged |

Routing by baggage, and telemetry that takes attributes from it, lose what they look at.

## What usually causes it in Go

- `otel.SetTextMapPropagator(propagation.TraceContext{})`: baggage needs a propagator of its own.
- A list of headers to copy without `baggage`.
- No context handed to the call, as for TP001.

## How to fix it

```go
package example

import (
    "go.opentelemetry.io/otel"
    "go.opentelemetry.io/otel/propagation"
)

func setUpPropagation() {
    otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(
        propagation.TraceContext{}, propagation.Baggage{}))
}
```

A service that copies headers adds `baggage` to its list, all lines of it:

```go
package example

import (
    "net/http"
    "strings"
)

func forwardBaggage(in, out http.Header) {
    if value := strings.Join(in.Values("baggage"), ","); value != "" {
        out.Set("baggage", value)
    }
}
```

## References

- https://www.w3.org/TR/baggage/#mutating-baggage
- https://pkg.go.dev/go.opentelemetry.io/otel/propagation#Baggage
- https://opentelemetry.io/docs/concepts/signals/baggage/
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Outcome, Severity
from traceaudit.formats.context import Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import because, clip, combined


def check(call: Call) -> Violation | None:
    """Broken when ``baggage`` was dropped."""
    if call.outcome(Format.BAGGAGE) is not Outcome.DROPPED:
        return None
    return Violation(
        header="baggage",
        message=f"the request brought baggage, the call has none{because(call, [Format.BAGGAGE])}",
        expected=f"baggage {clip(combined(call.inbound, 'baggage'))}",
        observed="no baggage",
    )


RULE = Rule(
    code="TP005",
    slug="baggage-dropped",
    severity=Severity.WARNING,
    summary="The call carries no baggage, although the request that caused it did.",
    check=check,
    family="baggage",
    page=inspect.cleandoc(__doc__ or ""),
)
