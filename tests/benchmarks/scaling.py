"""``python -m tests.benchmarks.scaling``: how run times grow with the problem.

Users, models and blocks per model grow one at a time. Each time is the median of three
runs, averaged over three draws. The exponent is the slope of a straight line through
the upper half of a range, in log-log; beside it stands what docs/mathematics.md states.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from edgesim.plotting.colours import COLOURS
from edgesim.plotting.style import save, style
from edgesim.storage.files import write_whole
from solvers import Problem, Uplink, solve
from tests.benchmarks.problems import BLOCKS, campus_like

RUNS = 3
DRAWS = 3
"""Problems of each size: ``dp`` ends early on some."""

STOP_S = 1.0
"""A range ends with the first size whose run takes longer than this."""

LEAST_S = 1e-6
"""Differences of noisy times may be negative; none is taken for less than this."""

ITERATIONS = (10, 50)
"""``local-search`` is run with both limits; the difference is what iterations take."""

MODELS = 16


@dataclass(frozen=True)
class Line:
    """A solver under a discipline, and how far its ranges go.

    ``growth``: how times are stated to grow with users, models and blocks, at most.
    ``users`` is how many there are while models or blocks grow, ``most_users`` how many
    at most.
    """

    solver: str
    uplink: Uplink
    growth: tuple[str, str, str]
    marker: str
    dashes: str
    users: int
    most_users: int

    @property
    def name(self) -> str:
        """What the line is called."""
        each = ", per iteration" if self.solver == "local-search" else ""
        return f"{self.solver} {self.uplink}{each}"


LINES = (
    Line("dp", "upfront", ("K²", "linear", "linear"), "o", "-", 200, 12800),
    Line("dp", "dynamic", ("K² × labels", "linear", "linear"), "s", "--", 200, 3200),
    Line("dp", "static", ("K² × labels", "linear", "linear"), "^", "-.", 20, 800),
    Line("greedy", "dynamic", ("rounds", "linear", "none stated"), "D", "-", 200, 3200),
    Line("local-search", "dynamic", ("none stated",) * 3, "v", ":", 200, 1600),
)

AXES = ("users", "models", "blocks")
LABELS = {
    "users": f"users ({MODELS} models)",
    "models": "models (users fixed)",
    "blocks": f"blocks per model ({MODELS} models, users fixed)",
}


@dataclass(frozen=True)
class Point:
    """One measured size: ``axis`` is what grows, ``size`` its value."""

    axis: str
    line: Line
    size: int
    users: int
    models: int
    blocks: int
    runtime_s: float


def sizes(axis: str, line: Line) -> list[tuple[int, int, int]]:
    """List users, models and blocks per model, the least first, each twice the last."""
    if axis == "users":
        least = line.most_users // 64
        return [(least * 2**i, MODELS, BLOCKS) for i in range(7)]
    if axis == "models":
        return [(line.users, 4 * 2**i, BLOCKS) for i in range(7)]
    return [(line.users, MODELS, 4 * 2**i) for i in range(7)]


def make(line: Line, seed: int, users: int, models: int, blocks: int) -> Problem:
    """Draw the problem of a size; about half of the users can be served.

    For ``local-search`` users have deadlines of their own: with one deadline it often
    meets its bound, and ends, before its first iteration.
    """
    rng = np.random.default_rng(seed)
    problem = campus_like(
        rng, users=users, models=models, blocks=blocks, deadline_s=users / 160 + 0.05
    )
    if line.solver != "local-search":
        return problem
    shares = rng.uniform(0.4, 1.0, users).tolist()
    own = [
        user.model_copy(update={"deadline_s": share * user.deadline_s})
        for user, share in zip(problem.users, shares, strict=True)
    ]
    return problem.model_copy(update={"users": tuple(own)})


def measure(line: Line, problem: Problem) -> tuple[float, float]:
    """Return the median time in s, and the longest that a run took."""

    def run(iterations: int | None) -> float:
        started = time.perf_counter()
        solve(problem, line.solver, uplink=line.uplink, iterations=iterations)
        return time.perf_counter() - started

    if line.solver != "local-search":
        times = [run(None) for _ in range(RUNS)]
        return statistics.median(times), max(times)
    few, many = ITERATIONS
    pairs = [(run(few), run(many)) for _ in range(RUNS)]
    each = [(long - short) / (many - few) for short, long in pairs]
    return statistics.median(each), max(long for _, long in pairs)


def points(lines: Iterable[Line] = LINES) -> Iterator[Point]:
    """Measure every line along every axis."""
    for axis in AXES:
        for line in lines:
            for users, models, blocks in sizes(axis, line):
                found = [
                    measure(line, make(line, seed, users, models, blocks))
                    for seed in range(DRAWS)
                ]
                mean_s = statistics.fmean(median_s for median_s, _ in found)
                runtime_s = max(mean_s, LEAST_S)
                size = {"users": users, "models": models, "blocks": blocks}[axis]
                yield Point(axis, line, size, users, models, blocks, runtime_s)
                if max(longest_s for _, longest_s in found) > STOP_S:
                    break


def exponent(measured: Sequence[Point]) -> float:
    """Fit the slope of log time over log size in the upper half of a range.

    NaN where fewer than three sizes are left to fit.
    """
    upper = measured[(len(measured) - 1) // 2 :]
    if len(upper) < 3:
        return math.nan
    logs = np.log([[p.size, p.runtime_s] for p in upper])
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])


def table(measured: Sequence[Point]) -> str:
    """Write the exponents as Markdown."""
    rows = [
        "| grows | solver | from | to | run time (ms) | exponent | stated, at most |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for number, axis in enumerate(AXES):
        for line in LINES:
            here = [p for p in measured if p.axis == axis and p.line == line]
            if not here:
                continue
            slope = exponent(here)
            fitted = "too few sizes" if math.isnan(slope) else f"{slope:.2f}"
            first, last = here[0], here[-1]
            rows.append(
                f"| {axis} | {line.name} | {first.size} | {last.size} "
                f"| {1e3 * first.runtime_s:.3g} to {1e3 * last.runtime_s:.3g} "
                f"| {fitted} | {line.growth[number]} |"
            )
    return "\n".join(rows) + "\n"


NOTES = f"""
Medians of {RUNS} runs, means of {DRAWS} draws. A range ends at the first size
at which a run takes more than {STOP_S:g} s; the exponent is fitted to its upper half.
While models or blocks grow there are {LINES[0].users} users ({LINES[2].users} for `dp`
static). `local-search`: an iteration, from number {ITERATIONS[0]} to {ITERATIONS[1]},
users with deadlines of their own. `dp` ends as soon as an order meets its bound, so its
times under `dynamic` and `static` hang on the draw and need not grow evenly. What is
stated bounds the worst case, so exponents may be smaller, and where problems are small,
fixed costs hide the growth.
"""


def write_points(path: Path, measured: Iterable[Point]) -> None:
    """Write every measured size as CSV."""
    with write_whole(path) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(
            ["axis", "solver", "uplink", "users", "models", "blocks", "runtime_s"]
        )
        for p in measured:
            rows.writerow(
                [
                    *(p.axis, p.line.solver, p.line.uplink),
                    *(p.users, p.models, p.blocks, f"{p.runtime_s:.6g}"),
                ]
            )


def draw(measured: Sequence[Point], path: Path) -> None:
    """Draw one panel an axis, one line a solver, and write them as PNG."""
    with style():
        figure = Figure(figsize=(11.0, 4.4), layout="constrained")
        panels = figure.subplots(1, len(AXES), sharey=True)
        for ax, axis in zip(panels, AXES, strict=True):
            for line in LINES:
                here = [p for p in measured if p.axis == axis and p.line == line]
                ax.plot(
                    [p.size for p in here],
                    [p.runtime_s for p in here],
                    color=COLOURS[line.solver],
                    marker=line.marker,
                    markersize=5,
                    markerfacecolor="white" if line.dashes != "-" else None,
                    linestyle=line.dashes,
                    label=line.name,
                )
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            ax.xaxis.set_major_formatter("{x:,.0f}")
            ax.set_xlabel(LABELS[axis])
        panels[0].set_ylabel("run time (s)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside upper center",
            ncols=len(LINES),
            handlelength=3.4,
            frameon=False,
        )
    save(figure, path)


def main() -> None:
    """Measure, print the table, and write it beside the times and the picture."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.scaling",
        description="How run times grow with users, models and blocks per model.",
        epilog="Writes scaling.csv, scaling.md and scaling.png.",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results/scaling"),
        metavar="FOLDER",
        help="default: results/scaling",
    )
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    measured = list(points())
    print(table(measured), end="")
    write_points(out / "scaling.csv", measured)
    with write_whole(out / "scaling.md") as file:
        file.write(table(measured) + NOTES)
    draw(measured, out / "scaling.png")
    print(f"{time.perf_counter() - started:.0f} s, written to {out}", file=sys.stderr)


if __name__ == "__main__":
    main()
