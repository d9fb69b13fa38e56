"""Which modules get mutants, and the tests that mirror each."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

_JUDGE = (
    *("tests/solvers/test_verify.py", "tests/solvers/test_verify_memory.py"),
    *("tests/solvers/test_verify_tolerance.py", "tests/fuzz/test_schedules.py"),
)
_TIMES = (
    *("tests/solvers/core/test_timing.py", "tests/solvers/core/test_timing_by_hand.py"),
    *("tests/solvers/core/test_timed_schedules.py", "tests/solvers/core/test_plan.py"),
)
_MEMORY = ("tests/engine/test_memory.py", "tests/engine/test_plan.py")
_SERVER = (
    *("tests/engine/test_server.py", "tests/engine/test_worker.py"),
    *("tests/engine/test_plan.py", "tests/engine/test_faults.py"),
)

_PATH_TESTS = (
    "tests/solvers/bounds/test_path_kernels.py",
    "tests/solvers/bounds/test_path_memory.py",
    "tests/solvers/bounds/test_path_slopes.py",
    "tests/solvers/bounds/test_path_bound.py",
)
_PATHS = sorted(REPOSITORY.glob("solvers/bounds/path_*.py"))

TESTS = {
    "solvers/verify.py": _JUDGE,
    "solvers/core/timing.py": _TIMES,
    "solvers/bounds/counts.py": (
        "tests/solvers/bounds/test_counts.py",
        "tests/solvers/bounds/test_upper_bound.py",
        "tests/solvers/dp/test_flow_shop.py",
    ),
    "solvers/bounds/convex_costs.py": ("tests/solvers/bounds/test_upper_bound.py",),
    "solvers/bounds/prices.py": ("tests/solvers/bounds/test_upper_bound.py",),
    "solvers/bounds/upper_bound.py": ("tests/solvers/bounds/test_upper_bound.py",),
    "solvers/bounds/visit_prices.py": ("tests/solvers/bounds/test_upper_bound.py",),
    **{path.relative_to(REPOSITORY).as_posix(): _PATH_TESTS for path in _PATHS},
    "solvers/core/residency.py": (
        "tests/solvers/core/test_residency.py",
        "tests/measures/test_gpu_memory.py",
    ),
    "solvers/core/knapsack.py": ("tests/solvers/core/test_knapsack.py",),
    "edgesim/engine/gpu.py": _SERVER,
    "edgesim/engine/memory.py": (*_MEMORY, "tests/engine/test_server.py"),
}
"""Files of tests for each module; a mutant of it must make one of them fail."""

JUDGED = ("solvers/verify.py", "solvers/core/timing.py", "solvers/bounds/")
"""Where each mutant that survives needs a reason, in ``survivors.toml``."""

COPIED = ("edgesim", "solvers", "tests", "traces", "profiles", "pyproject.toml")
"""What the tests read."""
