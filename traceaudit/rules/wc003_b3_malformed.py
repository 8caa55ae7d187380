"""The call carries B3 headers that their specification does not allow.

## What it means

`b3`, or the set of `x-b3-*`, cannot be read: an id of the wrong length or not in lower-case hex, a sampling state that
is none, a trace id without a span id. The message says which clause is broken.

It is not reported when the request itself brought the very same invalid value. An empty header is WC006, a duplicated
one WC005, and an `x-b3-*` set that is still valid without what was lost is TP007.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | lost: no span is reported for this hop, and the invalid headers go on; without a span id: new root |
| Zipkin with W3C | lost as well where B3 is unreadable; `traceparent` is asked only where B3's ids are absent |
| OpenTelemetry | unchanged: it reads `traceparent` |
| Datadog | unchanged: it reads `x-datadog-*` and `traceparent` |
| SkyWalking | unchanged: it reads `sw8` |

`b3` wins over `x-b3-*` in Envoy: an invalid single header makes a valid set of the others worthless. Ids are parsed as
numbers there, so that upper-case and short ones in `x-b3-*` pass; other tracers refuse them.

## What usually causes it in Go

- `strconv.FormatUint(id, 16)` and `%x`: leading zeros are gone, the id has 15 digits now and then.
- A UUID, or a decimal number, used as a trace id.
- A decision in words, `x-b3-sampled: yes`. (`true` and `false` are an old form that receivers may accept.)
- Only `x-b3-traceid` is copied.

## How to fix it

Copy what came, untouched. Where ids are made, pad them:

```go
package example

import (
    "fmt"
    "net/http"
)

func setB3(h http.Header, high, low, span uint64, sampled bool) {
    state := "0"
    if sampled {
        state = "1"
    }
    h.Set("x-b3-traceid", fmt.Sprintf("%016x%016x", high, low))
    h.Set("x-b3-spanid", fmt.Sprintf("%016x", span))
    h.Set("x-b3-sampled", state)
}
```

## References

- https://github.com/openzipkin/b3-propagation
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/zipkin/span_context_extractor.cc
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/zipkin/zipkin_tracer_impl.cc
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import B3_FAMILY, malformation, own_malformation


def check(call: Call) -> Violation | None:
    """Broken when ``b3`` or ``x-b3-*`` on the call is invalid and the request did not bring it so."""
    fault = own_malformation(call, B3_FAMILY)
    return malformation(call, fault) if fault else None


RULE = Rule(
    code="WC003",
    slug="b3-malformed",
    severity=Severity.ERROR,
    summary="The call carries B3 headers that their specification does not allow.",
    check=check,
    family="b3",
    page=inspect.cleandoc(__doc__ or ""),
)
