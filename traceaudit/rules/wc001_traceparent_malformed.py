"""The call carries a `traceparent` that its specification does not allow.

## What it means

The service wrote a `traceparent` that no receiver may use: the W3C demands that an invalid one be ignored and the trace
started anew. The message says which clause is broken.

It is not reported when the request itself brought the very same invalid value: a service that copies headers has not
made it (one that takes part in the trace should have ignored it, see WC011). An empty header is WC006, a duplicated one
WC005.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | unchanged: it reads B3 |
| Zipkin with W3C | joined if B3 is on the call, else a new root |
| OpenTelemetry | lost: no span is reported for this hop, and the invalid header goes on to the upstream |
| Datadog | ignored: joined by `x-datadog-*` if those are there, else a new root |
| SkyWalking | unchanged: it reads `sw8` |

Envoy's OpenTelemetry tracer is laxer than the specification in places (upper-case hex and version `ff` pass) and
stricter in one: a later version that is longer than 55 characters is valid, and lost there all the same.

## What usually causes it in Go

- `fmt.Sprintf("00-%s-%s-1", …)`: the flags are two digits.
- `%x` of an integer: leading zeros are gone. `%016x` keeps them.
- `%X` or `strings.ToUpper`: the ids are lower case.
- The trace id of a 64-bit tracer in a field of 32 digits, or a UUID with its dashes.
- A zero value: `trace.SpanContext{}.TraceID()` prints 32 zeros, which mean "no trace".

## How to fix it

Leave the writing to the propagator. Where there is none:

```go
package example

import (
    "encoding/hex"
    "net/http"
)

// setTraceparent writes nothing rather than something invalid.
func setTraceparent(h http.Header, traceID [16]byte, spanID [8]byte, sampled bool) {
    if traceID == [16]byte{} || spanID == [8]byte{} {
        return
    }
    flags := "00"
    if sampled {
        flags = "01"
    }
    h.Set("traceparent", "00-"+hex.EncodeToString(traceID[:])+"-"+hex.EncodeToString(spanID[:])+"-"+flags)
}
```

## References

- https://www.w3.org/TR/trace-context-2/#traceparent-header-field-values
- https://www.w3.org/TR/trace-context-2/#a-traceparent-is-received
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/span_context_extractor.cc
- https://github.com/DataDog/dd-trace-cpp/blob/main/src/datadog/w3c_propagation.cpp
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.formats.context import Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import malformation, own_malformation


def check(call: Call) -> Violation | None:
    """Broken when ``traceparent`` on the call is invalid and the request did not bring it so."""
    fault = own_malformation(call, [Format.TRACEPARENT])
    return malformation(call, fault) if fault else None


RULE = Rule(
    code="WC001",
    slug="traceparent-malformed",
    severity=Severity.ERROR,
    summary="The call carries a traceparent that its specification does not allow.",
    check=check,
    family="traceparent",
    page=inspect.cleandoc(__doc__ or ""),
)
