"""The call carries a `tracestate` that its specification does not allow.

## What it means

One invalid member is enough for a receiver to throw the whole `tracestate` away, and OpenTelemetry Go does; the trace
goes on without it. The message says which member or character is wrong.

It is not reported when the request itself brought the invalid members, be there a valid one of the service's own beside
them or not: the W3C leaves it to the service whether to discard or to pass on what it cannot parse.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | unchanged: it reads B3 |
| Zipkin with W3C | joined; it does not read `tracestate` |
| OpenTelemetry | joined; Envoy passes `tracestate` on without looking into it |
| Datadog | joined; it looks for `dd=` and passes the rest on |
| SkyWalking | unchanged: it reads `sw8` |

The next service that parses it loses all members, its own too.

## What usually causes it in Go

- A value taken from elsewhere (a user's name, JSON, base64 with `=` at the end) put into a member as it is.
- `fmt.Sprintf("%s,%s", mine, theirs)` where `mine` has no `=`.
- Upper-case letters in a key.
- More than 32 members: members are added at each hop, and the old one of the same key is never removed.

## How to fix it

Have the library check it, and keep what was there when it says no:

```go
package example

import "go.opentelemetry.io/otel/trace"

// withMember puts a member on the left, in place of the one of that key.
func withMember(state trace.TraceState, key, value string) trace.TraceState {
    changed, err := state.Insert(key, value)
    if err != nil {
        return state
    }
    return changed
}
```

## References

- https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values
- https://www.w3.org/TR/trace-context-2/#a-traceparent-is-received
- https://pkg.go.dev/go.opentelemetry.io/otel/trace#TraceState.Insert
- https://github.com/open-telemetry/opentelemetry-go/blob/main/trace/tracestate.go
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/span_context_extractor.cc
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from traceaudit.exchange import Severity
from traceaudit.formats import tracestate
from traceaudit.formats.context import Format, Malformed, TraceState
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import clip, combined, parts, valid


def check(call: Call) -> Violation | None:
    """Broken when ``tracestate`` beside a valid ``traceparent`` is invalid and the request did not bring it so."""
    context = valid(call.sent, Format.TRACEPARENT)
    state = context.tracestate if context else None
    if not isinstance(state, Malformed):
        return None
    brought = combined(call.inbound, "tracestate")
    if _came_so(parts(brought), parts(state.value)):
        return None
    return Violation(
        header="tracestate",
        message=f"the call carries an invalid tracestate: {clip(state.value)} ({state.clause.rstrip('.')})",
        expected=f"tracestate {clip(brought)}" if brought else "a valid tracestate, or none",
        observed=f"tracestate {clip(state.value)}".rstrip(),
    )


def _came_so(before: Sequence[str], now: Sequence[str]) -> bool:
    """Whether all that is wrong was wrong on the request: its members are there, beside others that are valid.

    "Vendors MAY validate the tracestate header. If the tracestate header cannot be parsed the vendor MAY discard the
    entire header." https://www.w3.org/TR/trace-context-2/#tracestate-header
    """
    own = [member for member in now if member not in before]
    too_many = len(now) > max(tracestate.MOST_MEMBERS, len(before))
    return not too_many and isinstance(tracestate.parse([",".join(own)]), TraceState)


RULE = Rule(
    code="WC002",
    slug="tracestate-malformed",
    severity=Severity.ERROR,
    summary="The call carries a tracestate that its specification does not allow.",
    check=check,
    family="traceparent",
    page=inspect.cleandoc(__doc__ or ""),
)
