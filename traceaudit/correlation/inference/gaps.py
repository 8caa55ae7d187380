"""How long a service takes to react: densities of gaps, learned as histograms over the logarithm of time.

Reaction times span six orders of magnitude, from a microsecond between sibling calls to a minute before a retry, so a
bin is a constant ratio wide. A gap is lengthened by the clock's resolution before its logarithm is taken: two events
with the same time stamp are then one tick apart, not infinitely close.

A little of every density is spread evenly over the whole axis. What the log has not shown yet stays possible, at a
price that falls as the evidence grows; without that share one slow request would be "impossible" and its neighbours
would be accused with certainty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BIN = 0.12
"""Width of a bin in natural logarithms: 12 % of the gap."""

LOWEST = math.log(500.0)
"""The first bin begins at half a microsecond; no proxy tells shorter gaps from none."""

BINS = 1 + int((math.log(600e9) - LOWEST) / BIN)
"""The last bin ends at ten minutes, past which no reaction is expected."""

BROAD_COUNT = 2.0
"""Weight, in observations, of the share that is spread evenly."""

BROAD_LEAST = 0.002
"""The evenly spread share never falls below this, however many observations there are."""


def bin_of(gap_ns: float, tick_ns: float) -> int:
    """The bin of a gap; gaps beyond either end fall into the outermost bins."""
    position = int((math.log(gap_ns + tick_ns) - LOWEST) / BIN)
    return 0 if position < 0 else min(position, BINS - 1)


def smoothed(histogram: Sequence[float]) -> list[float]:
    """A density per unit of log time from weighted counts, one value a bin.

    The Gaussian kernel's width follows Silverman's rule with the interquartile range, so that a sharp reaction stays
    sharp however long its tail.
    """
    total = sum(histogram)
    broad = 1.0 / (BINS * BIN)
    if total <= 0.0:
        return [broad] * BINS
    width = max(0.6, 0.9 * _spread(histogram, total) * (total + 1.0) ** -0.2)
    reach = math.ceil(3 * width)
    kernel = [math.exp(-0.5 * (offset / width) ** 2) for offset in range(reach + 1)]
    scale = 1.0 / (kernel[0] + 2.0 * sum(kernel[1:]))
    density = [0.0] * BINS
    for position, count in enumerate(histogram):
        if count <= 0.0:
            continue
        for other in range(max(0, position - reach), min(BINS, position + reach + 1)):
            density[other] += count * scale * kernel[abs(other - position)]
    share = max(BROAD_LEAST, BROAD_COUNT / (total + BROAD_COUNT))
    return [(1.0 - share) * value / (total * BIN) + share * broad for value in density]


def _spread(histogram: Sequence[float], total: float) -> float:
    """The interquartile range in bins, as a standard deviation."""
    seen, low, high = 0.0, 0, len(histogram) - 1
    for position, count in enumerate(histogram):
        if seen < 0.25 * total <= seen + count:
            low = position
        if seen < 0.75 * total <= seen + count:
            high = position
            break
        seen += count
    return (high - low + 1) / 1.349
