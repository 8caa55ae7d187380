"""An upstream that was configured or expected was never called.

## What it means

The settings name an upstream (`--upstream`, `--route` or `--expect`), and in the whole run no call went to it. Either
the traffic never led there, or the calls go round the audit (then CP001 says so), or the name is spelled otherwise.
Nothing can be said about its headers.

An upstream that `--expect` names makes the run *inconclusive*, exit status 3: what was to be looked at was not there.

## What the mesh then does

| Tracer | The calls |
| --- | --- |
| Zipkin | not known: none was seen |
| Zipkin with W3C | not known: none was seen |
| OpenTelemetry | not known: none was seen |
| Datadog | not known: none was seen |
| SkyWalking | not known: none was seen |

## What usually causes it in Go

- The requests that were sent reach none of the handlers that call it.
- The address is configured elsewhere, and the service calls another name: what it did call is in the report's matrix.
- A cache or a circuit breaker answers instead.
- The client is made with its own `Transport` and goes round the proxy.

## How to fix it

Send a request that needs the upstream, and let the service take its address from where the run can set it:

```go
package example

import (
    "os"
    "strings"
)

// inventoryURL is `http://inventory` in the mesh and under audit, and whatever a developer says elsewhere.
func inventoryURL() string {
    if url := os.Getenv("INVENTORY_URL"); url != "" {
        return strings.TrimSuffix(url, "/")
    }
    return "http://inventory"
}
```

An upstream that is no longer called is better taken out of the settings.

## References

- https://istio.io/latest/docs/ops/configuration/traffic-management/dns/
- https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.rules.rule import Rule, Violation
from traceaudit.rules.wire import decided_elsewhere


def unobserved(name: str, setting: str) -> Violation:
    """What is to be said of an upstream that a setting names and no call went to."""
    return Violation(
        header="",
        message=f"{name} was never called: nothing is known of the calls to it",
        expected=f"a call to {name}, which {setting} names",
        observed="none",
    )


RULE = Rule(
    code="CP002",
    slug="upstream-unobserved",
    severity=Severity.NOTE,
    summary="An upstream that was configured or expected was never called.",
    check=decided_elsewhere,
    page=inspect.cleandoc(__doc__ or ""),
)
