"""The call carries an `x-request-id` that is not a UUID, although the request brought one that is.

## What it means

Envoy packs its sampling decision into the character at index 14 of the id, and that works for an id of 36 characters
only. In any other id the decision can neither be read nor be written; and when the first eight characters are not hex
digits, the request is never sampled.

It comes beside TP012, which says *that* the id changed: whoever changes ids on purpose and ignores that rule still has
to know that the new ones are of the wrong shape. An id that a client sent from outside in its own shape, and that the
service passed on, is not reported.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | joined and sampled as B3 on the call says; without a decision there, unsampled |
| Zipkin with W3C | likewise, from B3, else from `traceparent` |
| OpenTelemetry | joined by `traceparent`; since Envoy #45830 unsampled, whatever its flags say |
| Datadog | joined; without a decision in its headers or in `traceparent`, unsampled |
| SkyWalking | joined and reported if `sw8` is on the call; a root has no span at all |

That is for an id whose first eight characters are not hex. With eight hex digits in front each hop decides from these
digits, and does not remember what it decided.

## What usually causes it in Go

- `xid`, ULID, KSUID, Snowflake or a counter as a request id.
- A UUID without its dashes, `hex.EncodeToString(id[:])`, or with something in front: `svc-a/0b52…`.

## How to fix it

Forward the id that came; where there is none, make a UUID of version 4:

```go
package example

import (
    "crypto/rand"
    "fmt"
    "net/http"
)

func requestID(in http.Header) string {
    if id := in.Get("x-request-id"); id != "" {
        return id
    }
    var b [16]byte
    _, _ = rand.Read(b[:])
    b[6] = b[6]&0x0f | 0x40
    b[8] = b[8]&0x3f | 0x80
    return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
```

An id of another shape that logs or support need goes into a header of its own.

## References

- https://github.com/envoyproxy/envoy/blob/main/source/extensions/request_id/uuid/config.cc
- https://github.com/envoyproxy/envoy/blob/main/source/common/http/conn_manager_utility.cc
- https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/request_id/uuid/v3/uuid.proto
- https://github.com/envoyproxy/envoy/issues/12808
- https://github.com/envoyproxy/envoy/pull/45830
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.formats.context import Format
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import clip, expected, own_malformation, valid


def _is_uuid(call: Call, *, sent: bool) -> bool | None:
    """Whether a request id has the shape of a UUID; ``None``: there is none, or it cannot be told."""
    context = valid(call.sent if sent else call.carried, Format.REQUEST_ID)
    if context is None:
        return None
    return {"yes": True, "no": False}.get(dict(context.extra).get("uuid", ""))


def check(call: Call) -> Violation | None:
    """Broken when the request brought a UUID and the call carries something else as its id."""
    if _is_uuid(call, sent=False) is not True:
        return None
    fault = own_malformation(call, [Format.REQUEST_ID])
    if fault is None and _is_uuid(call, sent=True) is not False:
        return None
    context = valid(call.sent, Format.REQUEST_ID)
    value = clip(fault.value if fault else (context.trace_id or "") if context else "")
    return Violation(
        header="x-request-id",
        message=f"x-request-id on the call is not a UUID of 36 characters: {value}",
        expected=expected(call, Format.REQUEST_ID),
        observed=f"x-request-id {value}",
    )


RULE = Rule(
    code="WC004",
    slug="request-id-not-uuid",
    severity=Severity.WARNING,
    summary="The call carries an x-request-id that is not a UUID, although the request brought one that is.",
    check=check,
    family="x-request-id",
    page=inspect.cleandoc(__doc__ or ""),
)
