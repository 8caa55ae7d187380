"""The call carries `baggage` that its specification does not allow.

## What it means

What a receiver does with invalid baggage is undefined: it may drop the bad member, or all of it. The message says which
member or character is wrong.

It is not reported when the request itself brought the invalid members, be there others of the service's own beside them
or not.

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
from collections.abc import Sequence

from traceaudit.exchange import Severity
from traceaudit.formats import baggage
from traceaudit.formats.context import Context, Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import combined, malformation, own_malformation, parts


def check(call: Call) -> Violation | None:
    """Broken when ``baggage`` on the call is invalid and the request did not bring it so."""
    fault = own_malformation(call, [Format.BAGGAGE])
    if fault is None or _came_so(parts(combined(call.inbound, "baggage")), parts(fault.value)):
        return None
    return malformation(call, fault)


def _came_so(before: Sequence[str], now: Sequence[str]) -> bool:
    """Whether all members that are wrong were so on the request: those of the service's own are valid."""
    own = [member for member in now if member not in before]
    wrong = len(own) < len(now) and len(now) <= max(baggage.MOST_MEMBERS, len(before))
    return wrong and (not own or isinstance(baggage.parse([",".join(own)]), Context))


RULE = Rule(
    code="WC007",
    slug="baggage-malformed",
    severity=Severity.WARNING,
    summary="The call carries baggage that its specification does not allow.",
    check=check,
    family="baggage",
    page=inspect.cleandoc(__doc__ or ""),
)
