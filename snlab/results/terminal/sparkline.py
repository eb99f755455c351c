"""A curve in one line of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
GAP = " "  # where what was logged is no number
WIDE_RANGE = 50  # the largest over the least: beyond, the axis is logarithmic


def sparkline(steps: Sequence[int], values: Sequence[float], width: int) -> tuple[str, bool]:
    """The curve in at most ``width`` characters, and whether its axis is logarithmic.

    Each character is the mean over its share of the updates, or goes on as before where nothing was logged
    there. Fewer values have a character each.

    >>> sparkline([0, 10, 20, 30], [0.0, 1.0, 2.0, 7.0], 10), sparkline([0, 1, 9], [0.0, math.nan, 5.0], 3)
    (('▁▂▃█', False), ('▁▁█', False))
    """
    count = max(1, min(width, len(steps)))
    bins: list[list[float]] = [[] for _ in range(count)]
    for step, value in zip(steps, values, strict=True):
        place = int((step - steps[0]) / max(steps[-1] - steps[0], 1) * count)
        bins[min(place, count - 1)].append(value)
    means: list[float] = []
    for found in bins:
        finite = [value for value in found if math.isfinite(value)]
        before = means[-1] if means and not found else math.nan
        means.append(math.fsum(finite) / len(finite) if finite else before)
    known = [mean for mean in means if math.isfinite(mean)]
    if not known:
        return GAP * len(means), False
    low, high = min(known), max(known)
    log = low > 0 and high / low > WIDE_RANGE
    scale = math.log if log else float
    bottom, top = scale(low), scale(high)

    def block(mean: float) -> str:
        if not math.isfinite(mean):
            return GAP
        share = (scale(mean) - bottom) / (top - bottom) if top > bottom else 0.0
        return BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]

    return "".join(map(block, means)), log
