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
from functools import cache

BIN = 0.12
"""Width of a bin in natural logarithms: 12 % of the gap."""

LOWEST = math.log(500.0)
"""The first bin begins at half a microsecond; no proxy tells shorter gaps from none."""

BINS = 1 + int((math.log(600e9) - LOWEST) / BIN)
"""The last bin ends at ten minutes, past which no reaction is expected."""

BROAD_COUNT = 2.0
"""Weight, in observations, of each broad share."""

EVEN_LEAST = 0.001
"""The evenly spread share never falls below this, however many observations there are."""

NOTHING = 0.02
"""So small a part of one observation shows nothing."""

WIDE, WIDE_LEAST = 1.0, 0.01
"""At least this share reaches out by factors of e from what was seen: a slow reaction is slow by a factor."""


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
    if total <= NOTHING:
        return [broad] * BINS
    width = max(0.6, 0.9 * _spread(histogram, total) * (total + 1.0) ** -0.2)
    near, far = _blurred(histogram, width), _blurred(histogram, max(2 * width, WIDE / BIN))
    even = max(EVEN_LEAST, BROAD_COUNT / (total + BROAD_COUNT))
    wide = max(WIDE_LEAST, BROAD_COUNT / (total + BROAD_COUNT)) * (1.0 - even)
    narrow = 1.0 - even - wide
    return [
        (narrow * close + wide * distant) / (total * BIN) + even * broad
        for close, distant in zip(near, far, strict=True)
    ]


def _blurred(histogram: Sequence[float], width: float) -> list[float]:
    """The histogram under a Gaussian kernel of a width in bins."""
    reach, kernel = _kernel(max(1, round(width * 20)))
    padded = [0.0] * (BINS + 2 * reach)
    for position, count in enumerate(histogram):
        if count > 0.0:
            end = position + 2 * reach + 1
            padded[position:end] = [
                before + count * share for before, share in zip(padded[position:end], kernel, strict=True)
            ]
    return padded[reach : reach + BINS]


@cache
def _kernel(twentieths: int) -> tuple[int, list[float]]:
    """How far a Gaussian kernel reaches to either side, and the kernel; its width is in twentieths of a bin."""
    width = twentieths / 20
    reach = math.ceil(3 * width)
    kernel = [math.exp(-0.5 * (offset / width) ** 2) for offset in range(-reach, reach + 1)]
    total = sum(kernel)
    return reach, [each / total for each in kernel]


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


def quantiles(density: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """The gaps in nanoseconds below which these shares of a density lie."""
    found = []
    for share in (low, high):
        seen, position = 0.0, 0
        while position < BINS - 1 and seen + density[position] * BIN < share:
            seen += density[position] * BIN
            position += 1
        found.append(math.exp(LOWEST + (position + 0.5) * BIN))
    return found[0], found[1]
