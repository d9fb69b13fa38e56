"""What compiling the loops of the path bound brings.

``python -m tests.benchmarks.path_bound``: CPU time of one evaluation of the bound, with
the loops in numpy and compiled by numba, in turn; medians, and their ratio.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from solvers.bounds import path_gains, path_network
from solvers.bounds.path_bound import Relaxation, relaxation
from solvers.core.tables import Floats, Tables
from tests.instances.cases import CASES, make

NAMES = (
    "bottom-balanced-04-static",
    "bottom-balanced-10-static",
    "own-laminar-05-upfront",
    "own-laminar-09-static",
    "releases-09-dynamic",
)
RUNS = 15


def cpu_time_s(relaxed: Relaxation, multipliers: Floats, *, compiled: bool) -> float:
    """Time one evaluation."""
    path_network.COMPILED = path_gains.COMPILED = compiled
    started = time.process_time()
    relaxed.evaluate(multipliers, relaxed.everything())
    return time.process_time() - started


def main() -> None:
    """Print a row per problem."""
    print(f"{'case':<28}{'numpy':>10}{'compiled':>10}{'ratio':>8}")
    for case in CASES:
        if case.name not in NAMES:
            continue
        relaxed = relaxation(Tables(make(case)), case.uplink)
        assert relaxed is not None
        rng = np.random.default_rng(0)
        start = relaxed.start(50)
        multipliers = start + 0.3 * rng.random(len(start)) * relaxed.scale(50)
        cpu_time_s(relaxed, multipliers, compiled=True)
        times = [
            [
                cpu_time_s(relaxed, multipliers, compiled=which)
                for which in (False, True)
            ]
            for _ in range(RUNS)
        ]
        numpy_s, compiled_s = map(statistics.median, zip(*times, strict=True))
        print(
            f"{case.name:<28}{1000 * numpy_s:>7.1f} ms{1000 * compiled_s:>7.1f} ms"
            f"{numpy_s / compiled_s:>8.1f}"
        )


if __name__ == "__main__":
    main()
