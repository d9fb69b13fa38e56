"""Sums of costs, in a compiled loop."""

from __future__ import annotations

import numpy as np

from solvers.core import compiling, sum_kernels
from solvers.core.tables import Floats


def kept() -> bool:
    """Whether the loop was compiled before."""
    return compiling.COMPILED and compiling.kept(sum_kernels.least_sums)


def least_sums(left: Floats, right: Floats) -> Floats:
    """Do what :func:`solvers.core.knapsack.least_sums` does, to the last bit."""
    short, long = (left, right) if left.shape[1] < right.shape[1] else (right, left)
    return compiling.call(
        sum_kernels.least_sums,
        np.ascontiguousarray(short),
        np.ascontiguousarray(long),
    )
