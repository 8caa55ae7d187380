"""Recognises the calls by which a service reports its own traces, metrics and logs.

Exporters gather what requests leave behind and send it in batches, while there is traffic; no request causes such a
call, and it carries no trace on purpose.
"""

from __future__ import annotations

import re

_PATHS = re.compile(
    r"""
    (?:/[^?]*)?/v1/(?:traces|metrics|logs)              # OTLP over HTTP
    |/opentelemetry\.proto\.collector\.[^/]+/Export     # OTLP over gRPC
    |(?:/[^?]*)?/api/v[12]/spans                        # Zipkin
    |(?:/[^?]*)?/api/traces                             # Jaeger's collector
    |/jaeger\.api_v2\.CollectorService/PostSpans
    |/v0\.\d/(?:traces|stats)                           # the Datadog agent
    |/v3/segments?                                      # SkyWalking over HTTP
    |/skywalking\.v3\.TraceSegmentReportService/[^/]+
    |/loki/api/v1/push
    |/api/v1/(?:write|push)                             # Prometheus remote write, Mimir
    """,
    re.VERBOSE,
)


def is_telemetry(method: str, path: str) -> bool:
    """Whether a call is an exporter's.

    https://opentelemetry.io/docs/specs/otlp/#otlphttp-request, https://zipkin.io/zipkin-api/
    """
    return method in ("POST", "PUT") and _PATHS.fullmatch(path.partition("?")[0]) is not None
