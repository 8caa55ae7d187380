"""The call carries 64 bits of the request's 128-bit trace id.

## What it means

The left half of the trace id was cut. B3 says that ids of both widths are compatible, by the right half, so Zipkin can
be told to join them; other backends look for the whole id and find two traces.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | goes on with the short id; one trace only where Zipkin's storage is set to `strictTraceId(false)` |
| Zipkin with W3C | likewise |
| OpenTelemetry | unchanged unless `traceparent` was cut: a left half of zeros is another trace to it |
| Datadog | unchanged unless `traceparent` was cut |
| SkyWalking | unchanged: it reads `sw8` |

## What usually causes it in Go

- `strconv.ParseUint(id[16:], 16, 64)`: an id of 128 bits does not fit into a `uint64`.
- A tracer for 64-bit ids between others with 128: the old zipkin-go-opentracing throws the left half away.
- A database column or a log field of 16 characters, from which the id is taken again.

## How to fix it

Keep ids as text, and never parse what is only passed on. Where both halves are needed:

```go
package example

import (
    "encoding/hex"
    "fmt"
    "strings"
)

// parseTraceID takes 16 or 32 digits; the short form stands for a left half of zeros.
func parseTraceID(s string) (id [16]byte, err error) {
    if len(s) != 16 && len(s) != 32 {
        return id, fmt.Errorf("trace id of %d digits", len(s))
    }
    _, err = hex.Decode(id[:], []byte(strings.Repeat("0", 32-len(s))+s))
    return id, err
}
```

## References

- https://github.com/openzipkin/b3-propagation#traceid
- https://github.com/openzipkin-contrib/zipkin-go-opentracing/pull/30
- https://zipkin.io/zipkin/2.11.3/zipkin/zipkin2/storage/InMemoryStorage.Builder.html
- https://www.w3.org/TR/trace-context-2/#trace-id
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.outcomes import Alteration
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import TRACE_FORMATS, because, labels, listed, shown


def check(call: Call) -> Violation | None:
    """Broken when a 128-bit trace id arrived with 64."""
    cut = [format_ for format_ in TRACE_FORMATS if call.altered(format_, Alteration.TRUNCATED)]
    if not cut:
        return None
    return Violation(
        header=labels(cut),
        message=(
            f"the trace id in {listed(format_.value for format_ in cut)} was cut on the way from 128 bits to 64"
            f"{because(call, cut)}"
        ),
        expected=", ".join(shown(call.inbound, format_) for format_ in cut),
        observed=", ".join(shown(call.outbound, format_) for format_ in cut),
    )


RULE = Rule(
    code="TP014",
    slug="trace-id-truncated",
    severity=Severity.WARNING,
    summary="The call carries 64 bits of the request's 128-bit trace id.",
    check=check,
    page=inspect.cleandoc(__doc__ or ""),
)
