"""The call carries `baggage` that its specification does not allow.

## What it means

What a receiver does with invalid baggage is undefined: it may drop the bad member, or all of it. The message says which
member or character is wrong.

It is not reported when the request itself brought the very same invalid value.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | unchanged: it does not read `baggage` |
| Zipkin with W3C | unchanged |
| OpenTelemetry | unchanged |
| Datadog | unchanged |
| SkyWalking | unchanged |

Envoy passes it on; the next service that parses it loses members.

## What usually causes it in Go

- Values written without percent-encoding: spaces, commas, umlauts, JSON.
- `url.QueryEscape`, which makes a space a `+`: valid, and then read as a plus.
- A member without `=`, as in `baggage: vip`.

## How to fix it

Have the library write it:

```go
package example

import (
    "context"

    "go.opentelemetry.io/otel/baggage"
)

// withTenant takes any text: NewMemberRaw encodes it when it is sent.
func withTenant(ctx context.Context, tenant string) (context.Context, error) {
    member, err := baggage.NewMemberRaw("tenant", tenant)
    if err != nil {
        return ctx, err
    }
    bag, err := baggage.FromContext(ctx).SetMember(member)
    if err != nil {
        return ctx, err
    }
    return baggage.ContextWithBaggage(ctx, bag), nil
}
```

Without a library, `url.PathEscape` encodes all that must be encoded:

```go
package example

import "net/url"

func member(key, value string) string {
    return key + "=" + url.PathEscape(value)
}
```

## References

- https://www.w3.org/TR/baggage/#header-content
- https://www.w3.org/TR/baggage/#mutating-baggage
- https://pkg.go.dev/go.opentelemetry.io/otel/baggage#NewMemberRaw
- https://pkg.go.dev/net/url#PathEscape
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.formats.context import Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import malformation, own_malformation


def check(call: Call) -> Violation | None:
    """Broken when ``baggage`` on the call is invalid and the request did not bring it so."""
    fault = own_malformation(call, [Format.BAGGAGE])
    return malformation(call, fault) if fault else None


RULE = Rule(
    code="WC007",
    slug="baggage-malformed",
    severity=Severity.WARNING,
    summary="The call carries baggage that its specification does not allow.",
    check=check,
    family="baggage",
    page=inspect.cleandoc(__doc__ or ""),
)
