"""What compiling the loops of the search brings.

``python -m tests.benchmarks.searching``: CPU time of the first iterations of the search
in numpy and in compiled loops, in turn; medians, and their ratio. Both find the same
plan.
"""

from __future__ import annotations

import math
import statistics
import time

from solvers.core.limit import UNLIMITED
from solvers.core.plan import Clock, Plan
from solvers.core.quick import choose
from solvers.core.tables import PlannedRound, Tables
from solvers.greedy.solver import solve_within
from tests.instances.cases import CASES, Case, make

NAMES = (
    "bottom-gpu-08-static",
    "mixed-07-static",
    "own-laminar-08-upfront",
    "own-crossing-08-static",
    "overlap-08-static",
    "overlap-11-static",
    "cache-08-upfront",
    "cache-10-dynamic",
    "releases-07-dynamic",
    "releases-10-dynamic",
    "large-01-static",
    "large-06-dynamic",
)
RUNS = 5
STEPS_TIMES_USERS = 20_000


def searched(
    case: Case, tables: Tables, start: list[PlannedRound], *, loops: bool
) -> tuple[float, Plan]:
    """CPU time of a search, in s, and the plan it finds."""
    some = choose(tables, work=math.inf if loops else 0).search
    search = some(Clock(tables, case.uplink), 0, len(tables.users))
    plan = search.clock.plan(start)
    started = time.process_time()
    found = search.run(plan, STEPS_TIMES_USERS // len(tables.users))
    return time.process_time() - started, found


def main() -> None:
    """Print a row per problem."""
    print(f"{'case':<28}{'numpy':>12}{'compiled':>12}{'ratio':>8}")
    for case in CASES:
        if case.name not in NAMES:
            continue
        tables = Tables(make(case))
        start = list(solve_within(tables, case.uplink, UNLIMITED, UNLIMITED).rounds)
        searched(case, tables, start, loops=True)
        runs = [
            [searched(case, tables, start, loops=which) for which in (False, True)]
            for _ in range(RUNS)
        ]
        assert all(one[1] == other[1] for one, other in runs)
        numpy_s, compiled_s = (
            statistics.median(run[which][0] for run in runs) for which in (0, 1)
        )
        print(
            f"{case.name:<28}{1000 * numpy_s:>9.0f} ms{1000 * compiled_s:>9.0f} ms"
            f"{numpy_s / compiled_s:>8.1f}"
        )


if __name__ == "__main__":
    main()
