"""The service has a connection to an upstream that the audit does not see.

## What it means

The service opened a TCP connection that came through none of the audit's listeners. Whatever goes over it is missing
here: a call in it may drop every header, and nothing would be said. So a run in which this is found is never green: it
ends *inconclusive*, whatever else was found.

Connections to the audit's own listeners, those that the service accepted, those among its own processes, and what is
known to be a database, a broker or an exporter of telemetry (by its port, or by the address that the environment gives
it) are not meant; the report lists the latter as *not HTTP*.

A connection over TLS that passes the audit unread is meant, too: the upstream asks for the client's certificate (mutual
TLS), its certificate is not trusted by the roots that the service was started with, or the service trusts only
certificates of its own choice. It is left as it is, because what the audit did to it would break it.

## What the mesh then does

Nothing is wrong with the call in the mesh: there, the sidecar catches every connection, without the service's doing.
What is unknown is what it will find in it.

| Tracer | The call |
| --- | --- |
| Zipkin | captured, and judged by headers that were not looked at here |
| Zipkin with W3C | captured, and judged by headers that were not looked at here |
| OpenTelemetry | captured, and judged by headers that were not looked at here |
| Datadog | captured, and judged by headers that were not looked at here |
| SkyWalking | captured, and judged by headers that were not looked at here |

## What usually causes it in Go

- The upstream is on `localhost` or a loopback address: `http.ProxyFromEnvironment` never sends that through a proxy.
- `&http.Transport{…}` without `Proxy`: only `http.DefaultTransport` has it set.
- grpc-go with only `HTTP_PROXY`: it honours `HTTPS_PROXY` alone, and nothing at all with `grpc.WithContextDialer` or
  `grpc.WithNoProxy`.
- `NO_PROXY` that covers the upstream, set by a script between `traceaudit run` and the service.
- A process that was started without the environment: `env -i`, `sudo`, a process manager.
- A client with certificates or roots of its own: `tls.Config{Certificates: …}`, `RootCAs`, `VerifyPeerCertificate`.
- The service dials the address of a Pod or a database of its own (`net.Dial`), which no proxy setting concerns.

## How to fix it

On Linux, let the kernel redirect every connection, as Istio's init container does; nothing has to be changed:

```sh
traceaudit run --capture redirect --inbound 15006:8080 -- ./my-service
```

Or give the upstream a listener of its own, and let the service call that:

```sh
traceaudit run --inbound 15006:8080 --upstream inventory=9101:127.0.0.1:9001 -- ./my-service
```

Or let the client honour the environment, as Go's default client does:

```go
package example

import (
    "net/http"
    "time"
)

var client = &http.Client{
    Timeout: 5 * time.Second,
    Transport: &http.Transport{
        Proxy:               http.ProxyFromEnvironment, // without this line, no proxy
        MaxIdleConnsPerHost: 100,
    },
}
```

For an upstream that is called over TLS with certificates of its own, call it without TLS here: in the mesh, mutual TLS
is the sidecars' part. Where only the roots are special, let the client take them from `SSL_CERT_FILE`, by leaving
`RootCAs` out.

A connection that is no call at all is exempted by its address, with the reason (`rules = "CP001"`,
`edge = "* -> 10.0.0.7:7000*"`).

## References

- https://pkg.go.dev/net/http#ProxyFromEnvironment
- https://pkg.go.dev/google.golang.org/grpc#WithNoProxy
- https://github.com/golang/go/issues/28866
- https://istio.io/latest/docs/ops/deployment/application-requirements/
"""

from __future__ import annotations

import inspect

from traceaudit.exchange import Severity
from traceaudit.rules.rule import Rule, Violation
from traceaudit.rules.wire import decided_elsewhere


def bypass(remote: str, owner: str, why: str, remedy: str) -> Violation:
    """What is to be said of a connection to an address, made by a process, with the guess why and the remedy."""
    return Violation(
        header="",
        message=f"the service is connected to {remote} and the audit does not see it: {why}",
        expected=f"a connection through the audit: {remedy}",
        observed=f"a TCP connection to {remote}, made by {owner}",
    )


def undecrypted(authority: str, why: str, remedy: str) -> Violation:
    """What is to be said of calls over TLS that pass as they are, with the reason and the remedy."""
    return Violation(
        header="",
        message=f"calls to {authority} over TLS pass, and the audit does not see into them: {why}",
        expected=f"a connection that the audit can read: {remedy}",
        observed=f"a connection over TLS to {authority}, left as it was",
    )


RULE = Rule(
    code="CP001",
    slug="upstream-bypasses-proxy",
    severity=Severity.ERROR,
    summary="The service has a connection to an upstream that the audit does not see.",
    check=decided_elsewhere,
    page=inspect.cleandoc(__doc__ or ""),
)
