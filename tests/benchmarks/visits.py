"""What compiling the visits of dp's backward walks brings.

``python -m tests.benchmarks.visits``: CPU time of one walk under ``static``, in numpy
and in compiled loops, in turn; medians, and their ratio. Both find the same walk.
"""

from __future__ import annotations

import statistics
import time

from solvers import compile_loops
from solvers.bounds.upper_bound import prices
from solvers.core.tables import Tables
from solvers.dp import visit_loops, visits
from solvers.dp.solver import walk_once
from tests.instances.cases import CASES, make

NAMES = ("bottom-gpu-08-static", "large-01-static", "large-04-static")
RUNS = 5


def main() -> None:
    """Print a row per problem."""
    compile_loops()
    print(f"{'case':<24}{'users':>8}{'numpy':>12}{'compiled':>12}{'ratio':>8}")
    for case in CASES:
        if case.name not in NAMES:
            continue
        tables = Tables(make(case))
        known = prices(tables, "static")
        spent: list[list[float]] = [[], []]
        for _ in range(RUNS):
            found = []
            for which, visit in enumerate((visits.visit, visit_loops.visit)):
                started = time.process_time()
                found.append(walk_once(tables, visit, known))
                spent[which].append(time.process_time() - started)
            one, other = found
            assert (one.users, one.value, one.steps) == (
                other.users,
                other.value,
                other.steps,
            )
        numpy_s, compiled_s = map(statistics.median, spent)
        print(
            f"{case.name:<24}{case.users:>8}{1000 * numpy_s:>9.0f} ms"
            f"{1000 * compiled_s:>9.0f} ms{numpy_s / compiled_s:>8.1f}"
        )


if __name__ == "__main__":
    main()
