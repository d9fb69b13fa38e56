"""``python -m tests.benchmarks.figures``: what a figure costs beside its solvers.

A solver of the user's own keeps a core busy for a stated time, so that what is left is
the figure's: reading inputs, drawing requests, measuring, keeping points. Runs on one
and on two processes take turns, since a busy machine slows both.
"""

from __future__ import annotations

import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import solvers

RUNS = 3
POINTS = 80
BUSY_S = 0.3

OWN = f"""\
import time


def solve(problem, uplink, options):
    begun = time.process_time()
    while time.process_time() - begun < {BUSY_S}:
        sum(range(10_000))
    return []
"""

FIGURE = """\
schema = "edgesim.figure/1"
title = "Points of a known length"
scenario = "campus"

[sweep]
parameter = "cell.bandwidth_hz"
values = [5e6, 10e6, 15e6, 20e6, 25e6, 30e6, 35e6, 40e6, 45e6, 50e6]

[set]
"run.solvers" = ["busy:solve"]
"run.repeats" = 8
"""


def measured(folder: Path, jobs: int) -> tuple[float, float]:
    """Return a figure's wall time, and that of all its solvers together, in s."""
    words = ("figure", "busy.toml", "--own-code", "--fresh", "--jobs", str(jobs))
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "edgesim", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(solvers.__file__).parents[1])},
        check=True,
    )
    wall_s = time.perf_counter() - begun
    with (folder / "busy.times.csv").open(newline="") as file:
        times = [float(row["runtime_s"]) for row in csv.DictReader(file)]
    assert len(times) == POINTS
    return wall_s, sum(times)


def main() -> None:
    """Print what a point costs beside its solver, and what a second process gains."""
    cost_ms, gain = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "busy.py").write_text(OWN)
        (folder / "busy.toml").write_text(FIGURE)
        for _ in range(RUNS):
            one_s, solving_s = measured(folder, 1)
            two_s, _ = measured(folder, 2)
            cost_ms.append(1000 * (one_s - solving_s) / POINTS)
            gain.append(one_s / two_s)
    title = f"edgesim figure, {POINTS} points of {BUSY_S} s"
    for what, found, wanted in (
        ("beside the solver, a point", f"{statistics.median(cost_ms):.0f} ms", "< 50"),
        ("two processes", f"{statistics.median(gain):.2f} times as fast", ">= 1.8"),
    ):
        print(f"{f'{title}: {what}':<58}{found:>26}{wanted:>20}", flush=True)


if __name__ == "__main__":
    main()
