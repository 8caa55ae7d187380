"""What reading one exchange's headers costs, beside OpenTelemetry Python's propagators extracting the same headers.

Run from the checkout: ``python benchmarks/header_parsing.py``. Both are measured in one run, turn about, in CPU time
(user and system), the best of several rounds each. OpenTelemetry's side is given a dictionary of lower-case names that
is already made, and with a ``b3`` header it reads no ``x-b3-*``; ours starts from the raw fields and reads all formats.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from opentelemetry.propagators.b3 import B3MultiFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from traceaudit import formats
from traceaudit.formats import Context, Format, read

HEADERS = [
    ("Host", "inventory.default.svc.cluster.local:8080"),
    ("User-Agent", "Go-http-client/1.1"),
    ("Accept-Encoding", "gzip"),
    ("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("Tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
    ("B3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-05e3ac9a4f6e3b90"),
    ("X-B3-Traceid", "4bf92f3577b34da6a3ce929d0e0e4736"),
    ("X-B3-Spanid", "00f067aa0ba902b7"),
    ("X-B3-Parentspanid", "05e3ac9a4f6e3b90"),
    ("X-B3-Sampled", "1"),
    ("X-Request-Id", "0d4b2c1e-1f2a-4c3b-9d8e-7f6a5b4c3d2e"),
    ("X-Forwarded-Proto", "http"),
]
MALFORMED = [(name, f"{value}!") for name, value in HEADERS]

LIMIT_US = 60.0
LIMIT_RATIO = 1.0
CALLS = 5_000
ROUNDS = 15


def read_anew(headers: list[tuple[str, str]]) -> None:
    """Reads headers that nobody has read before: equal ones have their answer kept."""
    formats._kept.cache_clear()
    read(headers)


def cost_us(call: Callable[[], object]) -> float:
    """The CPU time of one call, in microseconds, from one round of many."""
    started = time.process_time_ns()
    for _ in range(CALLS):
        call()
    return (time.process_time_ns() - started) / CALLS / 1000


def main() -> int:
    """Print the costs and the ratio; 1 when they are above their limits."""
    propagator = CompositePropagator([TraceContextTextMapPropagator(), B3MultiFormat()])
    carrier = {name.lower(): value for name, value in HEADERS}

    contexts = read(HEADERS)
    assert set(contexts) == {Format.TRACEPARENT, Format.B3, Format.B3MULTI, Format.REQUEST_ID}
    assert all(isinstance(context, Context) for context in contexts.values())
    assert propagator.extract(carrier)

    rounds = [
        (
            cost_us(lambda: read_anew(HEADERS)),
            cost_us(lambda: propagator.extract(carrier)),
            cost_us(lambda: read_anew(MALFORMED)),
        )
        for _ in range(ROUNDS)
    ]
    ours, theirs, malformed = (min(costs) for costs in zip(*rounds, strict=True))
    ratio = ours / theirs
    print(f"traceaudit, {len(HEADERS)} header lines     {ours:7.1f} µs CPU   (at most {LIMIT_US:.0f})")
    print(f"the same, every value malformed {malformed:7.1f} µs CPU")
    print(f"OpenTelemetry, the same headers {theirs:7.1f} µs CPU")
    print(f"ratio                           {ratio:7.2f}          (at most {LIMIT_RATIO:.1f})")
    return int(ours > LIMIT_US or ratio > LIMIT_RATIO)


if __name__ == "__main__":
    sys.exit(main())
