"""The call carries the request's trace with another sampling decision.

## What it means

Whether a trace is kept is decided once, at its beginning, and every hop obeys. A service that copies headers must not
touch the decision. One that takes part in the trace may change it under W3C, with a new parent id, but then the spans
behind it are missing from the trace, or are there without those before it.

Reported once a call, with all formats whose decision changed; the detail says how, `sampled 1 → 0` for instance. When
`x-b3-sampled` is merely missing among `x-b3-*` that are there, it is TP007.

## What the mesh then does

| Tracer | The call |
| --- | --- |
| Zipkin | obeys `x-b3-sampled` or the state in `b3`: unsampled at `0`, reported at `1`; without, it decides anew |
| Zipkin with W3C | likewise, from B3, else from the flags of `traceparent` |
| OpenTelemetry | obeys the flags of `traceparent`, unless a sampler is configured in Envoy: unsampled at `00` |
| Datadog | obeys `x-datadog-sampling-priority`, or the flags of `traceparent` |
| SkyWalking | ignores the sampling field of `sw8`: joined and reported |

Envoy's Zipkin tracer does not read `x-b3-flags`: debug alone, without `x-b3-sampled`, decides nothing there.

## What usually causes it in Go

- A sampler that does not ask the parent: `trace.TraceIDRatioBased(0.1)` or `trace.NeverSample()` on its own.
- A list of headers to copy that forgets `x-b3-sampled`, beside code that sets it.
- Hand-written `traceparent` with fixed flags: `fmt.Sprintf("00-%s-%s-00", …)`.
- A missing decision turned into `0`: absent means "not decided yet", not "no".
- OpenTelemetry Go's B3 propagator with a context that holds no span: it writes the state `0`.

## How to fix it

Wrap the sampler, so that it is asked for roots only:

```go
package example

import "go.opentelemetry.io/otel/sdk/trace"

func provider() *trace.TracerProvider {
    return trace.NewTracerProvider(
        trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(0.1))),
    )
}
```

Where headers are copied, copy the decision as it is, and leave out what is absent:

```go
package example

import "net/http"

func forwardDecision(in, out http.Header) {
    for _, name := range []string{"x-b3-sampled", "x-b3-flags"} {
        if value := in.Get(name); value != "" {
            out.Set(name, value)
        }
    }
}
```

## References

- https://www.w3.org/TR/trace-context-2/#sampled-flag
- https://github.com/openzipkin/b3-propagation#sampling-state
- https://pkg.go.dev/go.opentelemetry.io/otel/sdk/trace#ParentBased
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/zipkin/span_context_extractor.cc
- https://github.com/envoyproxy/envoy/blob/main/source/extensions/tracers/opentelemetry/tracer.cc
- https://github.com/SkyAPM/cpp2sky/blob/main/source/propagation_impl.cc
- https://github.com/open-telemetry/opentelemetry-go-contrib/blob/main/propagators/b3/b3_propagator.go
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.formats.context import Format
from traceaudit.outcomes import Alteration
from traceaudit.rules.rule import Call, Rule, Violation
from traceaudit.rules.wire import TRACE_FORMATS, because, labels, listed, shown, valid


def _lost_with_others(call: Call, format_: Format) -> bool:
    """Whether the decision is merely missing among the ``x-b3-*`` that are left, which is TP007."""
    context = valid(call.sent, format_)
    return call.altered(format_, Alteration.PARTLY_DROPPED) and context is not None and context.sampled is None


def check(call: Call) -> Violation | None:
    """Broken when a sampling decision changed on a call that still names the same trace."""
    changed = [
        format_
        for format_ in TRACE_FORMATS
        if call.altered(format_, Alteration.SAMPLING) and not _lost_with_others(call, format_)
    ]
    if not changed:
        return None
    return Violation(
        header=labels(changed),
        message=(
            f"the sampling decision in {listed(format_.value for format_ in changed)} changed on the way"
            f"{because(call, changed)}"
        ),
        expected=", ".join(shown(call.inbound, format_) for format_ in changed),
        observed=", ".join(shown(call.outbound, format_) for format_ in changed),
    )


RULE = Rule(
    code="TP013",
    slug="sampling-changed",
    severity=Severity.ERROR,
    summary="The call carries the request's trace with another sampling decision.",
    check=check,
    page=inspect.cleandoc(__doc__ or ""),
)
