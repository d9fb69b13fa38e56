"""``make bench``: a table of what the machine at hand needs.

Wall times are medians of several runs; comparisons are made within one run and given
as ratios, since a busy machine slows both sides.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgesim.instances import write_instance
from solvers import UPLINKS, Problem, solve
from tests.benchmarks import figures, online
from tests.benchmarks.checkpoints import checkpoints
from tests.benchmarks.commands import measured
from tests.benchmarks.problems import campus_like
from tests.shared_data import SHARED_DATA

RUNS = 5


def _medians(*words: object) -> tuple[float, float]:
    taken = [measured(*words) for _ in range(RUNS)]
    return (
        statistics.median(one.wall_s for one in taken),
        max(one.memory_mb for one in taken),
    )


def _print(name: str, found: str, wanted: str = "") -> None:
    print(f"{name:<58}{found:>26}{wanted:>20}", flush=True)


def commands(folder: Path) -> None:
    """Time the command line, process start included."""
    wall_s, _ = _medians("--help")
    _print("edgesim --help", f"{wall_s:.2f} s", "< 0.4 s")
    rng = np.random.default_rng(0)
    write_instance(
        folder / "large.json",
        campus_like(rng, users=10_000, models=300, deadline_s=20.0, bandwidth_hz=1e8),
    )
    wall_s, memory_mb = _medians(
        *("solve", folder / "large.json", "--solver", "dp", "--uplink", "upfront"),
        *("--out", folder / "large-dp.json"),
    )
    served = json.loads((folder / "large-dp.json").read_text())["served"]
    _print(
        f"edgesim solve, dp upfront, 10,000 users, 300 models ({served})",
        f"{wall_s:.2f} s, {memory_mb:.0f} MB",
        "< 0.5 s, < 500 MB",
    )


def traces(folder: Path) -> None:
    """Time the conversion of a whole day, where the shared data is there."""
    source = SHARED_DATA / "requests" / "azure_functions_2019_sample100_inv.csv"
    if not source.is_file():
        _print("edgesim trace convert azure-functions-2019", "no shared data")
        return
    wall_s, _, memory_mb = measured(
        *("trace", "convert", "azure-functions-2019", source, folder / "day.csv"),
        *("--slo-s", 1, "--input-bytes", 120000),
    )
    _print(
        "edgesim trace convert azure-functions-2019, 666,572 calls",
        f"{wall_s:.1f} s, {memory_mb:.0f} MB",
    )


def _time_s(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ratios() -> None:
    """Compare dp with ilp on the same instances, one after the other."""
    rng = np.random.default_rng(1)
    for uplink, users, models in (("upfront", 80, 16), ("dynamic", 20, 6)):
        found = []
        for _ in range(RUNS):
            problem = campus_like(rng, users=users, models=models, deadline_s=0.5)
            fast = solve(problem, "dp", uplink=uplink)
            slow = solve(problem, "ilp", uplink=uplink, time_limit_s=60)
            if slow.status == "optimal":
                found.append(slow.runtime_s / fast.runtime_s)
        ratio = f"{statistics.median(found):.0f}" if found else "none proven"
        _print(
            f"ilp / dp, {uplink}, {users} users, {models} models",
            f"{ratio} ({len(found)} of {RUNS} proven)",
        )


def solvers() -> None:
    """Show how long the polynomial solvers take as problems grow."""
    rng = np.random.default_rng(2)
    for users, models in ((80, 16), (200, 40)):
        problem: Problem = campus_like(rng, users=users, models=models, deadline_s=1.0)
        for uplink in UPLINKS:
            for name in ("dp", "greedy"):
                wall_s = statistics.median(
                    _time_s(lambda n=name, u=uplink: solve(problem, n, uplink=u))  # noqa: B023
                    for _ in range(3)
                )
                result = solve(problem, name, uplink=uplink)
                _print(
                    f"{name} {uplink}, {users} users, {models} models",
                    f"{wall_s:.3f} s, gap {result.gap:.1%}",
                )


def large() -> None:
    """Show what ``solve`` takes, verification included, from 10,000 users on."""
    rng = np.random.default_rng(0)
    problem = campus_like(
        rng, users=10_000, models=300, deadline_s=20.0, bandwidth_hz=1e8
    )
    runs = [("dp", "upfront", "< 0.1 s"), ("dp", "static", "< 10 s")]
    runs += [("greedy", uplink, "< 2 s") for uplink in UPLINKS]
    runs += [(name, "dynamic", "< 1 s") for name in ("fcfs", "edf", "random")]
    for name, uplink, wanted in runs:
        wall_s = statistics.median(
            _time_s(lambda n=name, u=uplink: solve(problem, n, uplink=u))
            for _ in range(3)
        )
        _print(f"{name} {uplink}, 10,000 users, 300 models", f"{wall_s:.2f} s", wanted)
    problem = campus_like(rng, users=200_000, models=300, deadline_s=1250.0)
    for name in ("fcfs", "edf", "random"):
        for uplink in UPLINKS:
            wall_s = _time_s(lambda n=name, u=uplink: solve(problem, n, uplink=u))
            _print(
                f"{name} {uplink}, 200,000 users, 300 models",
                f"{wall_s:.2f} s",
                "< 30 s",
            )


def main() -> None:
    """Run every benchmark."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands(folder)
        traces(folder)
        checkpoints(folder, _print)
    ratios()
    solvers()
    large()
    online.main()
    figures.main()


if __name__ == "__main__":
    main()
