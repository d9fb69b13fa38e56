"""Performance profiles (Dolan and Moré, Mathematical Programming 91, 2002)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from edgesim.plotting.colours import COLOURS
from edgesim.plotting.style import save, style
from tests.benchmarks.campaign import NO_SHARING, Record
from tests.benchmarks.comparison import gap

_PEER_COLOURS = {
    "cp-sat": "#cc79a7",
    "cp-sat-hinted": "#56b4e9",
    "highs-plain": "#333333",
}

MOST_GAP_PERCENT = 25.0
"""The axis of gaps ends here at the latest; what is worse is not drawn."""

# Told apart without colour as well.
_DASHES: tuple[object, ...] = (
    "-",
    (0, (6, 2)),
    (0, (1, 1.2)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (3, 1.2)),
    (0, (4, 1.2, 1, 1.2, 1, 1.2)),
    (0, (10, 2)),
    (0, (1, 3)),
)


def save_profile(
    records: Sequence[Record], best: Mapping[str, int], path: Path
) -> None:
    """Draw both profiles of a campaign and write them as PNG.

    Left: the share of cases in which a run is within a gap to the best known value.
    Right: the share of cases in which it has, within a time, proven its answer or
    reached the best known value. A case that a solver refuses counts as never reached,
    and several seeds share the weight of their case. Solvers without sharing are left
    out: they follow other rules.

    Parameters
    ----------
    records
        The runs.
    best
        Best known users served, by case.
    path
        Where to.
    """
    shown = [run for run in records if not run.solver.endswith(NO_SHARING)]
    solvers = list(dict.fromkeys(run.solver for run in shown))
    cases = len({run.case for run in shown})
    with style():
        figure = Figure(figsize=(10.2, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        right.set_xscale("log")
        times_s = [run.runtime_s for run in shown if run.runtime_s] or [1.0]
        worst = 0.0
        for number, solver in enumerate(solvers):
            runs = [run for run in shown if run.solver == solver]
            seeds = Counter(run.case for run in runs)
            weighted = [(run, 1 / (seeds[run.case] * cases)) for run in runs]
            gaps = [(g, w) for run, w in weighted if (g := gap(run, best)) is not None]
            times = [
                (run.runtime_s, w)
                for run, w in weighted
                if run.runtime_s and (run.proven or gap(run, best) == 0)
            ]
            worst = max(worst, 100 * max((g for g, _ in gaps), default=0))
            taken = len({run.case for run in runs if run.answered})
            line = {
                "color": COLOURS.get(solver, _PEER_COLOURS.get(solver, "#777777")),
                "linestyle": _DASHES[number % len(_DASHES)],
                "label": f"{solver} ({taken})",
            }
            _steps(left, [(100 * g, w) for g, w in gaps], line)
            _steps(right, times, line)
        end = min(1.05 * worst, MOST_GAP_PERCENT) or 1.0
        left.set_xlim(-0.02 * end, end)
        left.set_xlabel("gap to best known (%)")
        left.set_ylabel(f"share of {cases} cases")
        left.set_title("within a gap to best known", fontsize=10)
        right.set_xlim(0.7 * min(times_s), 1.5 * max(times_s))
        right.set_xlabel("run time (s)")
        right.set_title("proven or best known reached, by run time", fontsize=10)
        left.set_ylim(0, 1.02)
        left.yaxis.set_major_formatter(PercentFormatter(1))
        right.legend(
            title="solver (cases it takes)",
            alignment="left",
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            title_fontsize=9,
            handlelength=3.6,
        )
    save(figure, path)


def _steps(
    ax: Axes, points: Sequence[tuple[float, float]], line: Mapping[str, object]
) -> None:
    """Draw a share that grows by each point's weight, to the right edge."""
    ordered = sorted(points)
    xs = np.array([x for x, _ in ordered])
    ys = np.cumsum([weight for _, weight in ordered])
    start = 0.0 if ax.get_xscale() == "linear" else 1e-9
    far = 1e9
    ax.step(
        [start, *xs, far],
        [0.0, *ys, ys[-1] if len(ys) else 0.0],
        where="post",
        **line,
    )
