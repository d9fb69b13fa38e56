"""Sums of costs, in a loop."""

from __future__ import annotations

import numpy as np

from solvers.core.compiling import compiled
from solvers.core.tables import Floats


@compiled
def least_sums(short: Floats, long: Floats) -> Floats:
    """Compute the (min,+) convolution: twin of ``knapsack.least_sums``."""
    rows, count = short.shape
    length = long.shape[1]
    total = np.full((rows, length + count - 1), np.inf)
    for r in range(rows):
        for i in range(count):
            cost = short[r, i]
            for n in range(length):
                added = long[r, n] + cost
                least = total[r, n + i]
                total[r, n + i] = added if added < least else least
    return total
