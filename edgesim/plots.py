"""Figures: one colour per solver everywhere, legible in black-and-white print.

Every ``plot_x`` takes axes or makes a figure of its own, and returns the axes;
``ax.figure`` is the figure. No pyplot, no state kept: the same values give the same
PNG bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation

from edgesim.colours import COLOURS, INK, NO_SHARING, colour, lighter
from edgesim.files import write_whole
from edgesim.measures import mean_interval

_MARKERS: Mapping[str, str] = {
    "dp": "o",
    "greedy": "s",
    "local-search": "^",
    "ilp": "D",
    "exhaustive": "v",
    "fcfs": "P",
    "edf": "X",
    "random": "p",
}
_OTHER_MARKER = "h"

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.0,
    "figure.dpi": 100.0,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.8,
    "hatch.linewidth": 1.0,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.dpi": 160.0,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
_GROUPS = tuple({name.split(".")[0] + "." for name in _STYLE} | {"patch.", "errorbar."})


@contextmanager
def style() -> Iterator[None]:
    """Draw in edgesim's style, whatever the reader's matplotlibrc says.

    Settings are back as they were when the block ends.
    """
    # Any: the names that matplotlib's own types list differ from version to version.
    settings: Any = dict(mpl.rcParamsDefault)
    settings = {k: v for k, v in settings.items() if k.startswith(_GROUPS)} | _STYLE
    with mpl.rc_context(settings):
        yield


def save(drawing: Figure | Axes, path: Path) -> None:
    """Write a figure as PNG, whole or not at all; same figure, same bytes.

    Parameters
    ----------
    drawing
        A figure, or axes of it.
    path
        Where to.

    Raises
    ------
    InputError
        When the file cannot be written.
    """
    with write_whole(path, "wb") as file:
        dump(drawing, file)


def dump(drawing: Figure | Axes, file: IO[bytes]) -> None:
    """Write a figure as PNG into an open file, as :func:`save` does."""
    figure = drawing if isinstance(drawing, Figure) else root_figure(drawing)
    with style():
        figure.savefig(file, format="png", metadata={"Software": None})


def _title(ax: Axes, title: str | None) -> None:
    if title is not None:
        ax.set_title(title, loc="left", fontsize=10)


def root_figure(ax: Axes) -> Figure:
    """Return the whole figure that some axes are part of."""
    figure = ax.get_figure(root=True)
    assert figure is not None  # axes taken out of their figure cannot be drawn on
    return figure


def new_axes(width_in: float, height_in: float) -> Axes:
    """Make a figure with one pair of axes, laid out so that nothing is cut off."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure.add_subplot()


def plot_throughput(
    served: Mapping[str, Sequence[float]],
    ax: Axes | None = None,
    *,
    bound: Sequence[float] | None = None,
    requests: float | None = None,
    title: str | None = None,
) -> Axes:
    """Draw users served in time by solver, sharing beside no sharing.

    Bars are means over repeats, with 95 % intervals where there are several. A solver
    and its twin ``NAME-noshare`` stand together, the twin hatched.

    Parameters
    ----------
    served
        Solver to users served in time, one value a repeat, at least one solver.
    ax
        Where to draw; a new figure if not given.
    bound
        Proven upper bounds, one a repeat: a line at their mean.
    requests
        How many requests there were (per repeat), for the label.
    title
        What was run.
    """
    with style():
        names = list(dict.fromkeys(name.removesuffix(NO_SHARING) for name in served))
        if ax is None:
            ax = new_axes(max(6.4, 2.9 + 0.95 * len(names)), 3.8)
        for place, name in enumerate(names):
            pair = [n for n in (name, name + NO_SHARING) if n in served]
            width = 0.38 if len(pair) == 2 else 0.44
            for n, side in zip(pair, (-0.5, 0.5) if pair[1:] else (0.0,), strict=True):
                _bar(ax, place + side * (width + 0.04), width, n, served[n])
        handles: list[object] = []
        if any(name.endswith(NO_SHARING) for name in served):
            handles += [
                Patch(fc="#777777", ec=INK, label="parameters shared"),
                Patch(fc="#e4e4e4", ec=INK, hatch="////", label="no sharing"),
            ]
        if bound is not None:
            mean, _ = mean_interval(bound)
            line = ax.axhline(mean, color=INK, linestyle=(0, (5, 2)), linewidth=1.2)
            line.set_label(f"upper bound {_number(mean, len(bound))}")
            handles.append(line)
        ax.set_xticks(range(len(names)), names)
        ax.tick_params(axis="x", length=0)
        ax.set_xlim(-0.6, len(names) - 0.4)
        of = "" if requests is None else f" (of {requests:g})"
        ax.set_ylabel(f"requests served in time per plan{of}")
        _title(ax, title)
        ax.set_xlabel("solver")
        # The labels stand above the bars: leave them room, and some if all are 0.
        ax.set_ylim(0, 1.1 * max(ax.dataLim.ymax, 1.0))
        steps = [1, 2, 5, 10]
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, steps=steps))
        _legend(ax, handles, _repeats([len(v) for v in served.values()]))
    return ax


def _bar(
    ax: Axes, x: float, width: float, solver: str, values: Sequence[float]
) -> None:
    mean, half = mean_interval(values)
    shared = not solver.endswith(NO_SHARING)
    hue = colour(solver)
    ax.bar(
        x,
        mean,
        width,
        color=hue if shared else lighter(hue, 0.75),
        edgecolor=INK if shared else hue,
        linewidth=0.8,
        hatch=None if shared else "////",
    )
    if half:
        # Over a wider white one, to be seen on dark bars as well.
        for ink, width_pt, cap_pt in (("white", 2.8, 3.8), (INK, 1.2, 3.0)):
            ax.errorbar(
                x,
                mean,
                half,
                color=ink,
                linewidth=width_pt,
                capsize=cap_pt,
                capthick=width_pt,
            )
    ax.annotate(
        _number(mean, len(values)),
        (x, mean + (half or 0.0)),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8.5,
        bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
    )


class SweepPoint(NamedTuple):
    """One solver at one value of the parameter in one repeat."""

    value: float | str
    solver: str
    served: float


def plot_sweep(
    rows: Sequence[SweepPoint],
    parameter_label: str,
    ax: Axes | None = None,
    *,
    measure_label: str = "requests served in time per plan",
    log_x: bool = False,
    title: str | None = None,
) -> Axes:
    """Draw a measure over a parameter, one line a solver, with 95 % intervals.

    Sharing solid with filled markers, no sharing dashed with open ones. Lines are
    shifted sideways by a few points so that their intervals can be told apart.

    Parameters
    ----------
    rows
        One point a value, solver and repeat, at least one.
    parameter_label
        Label of the x axis, with its unit.
    ax
        Where to draw; a new figure if not given.
    measure_label
        Label of the y axis.
    log_x
        Whether the parameter is on a logarithmic scale.
    title
        What was run.
    """
    with style():
        if ax is None:
            ax = new_axes(7.4, 3.8)
        groups: dict[str, dict[float | str, list[float]]] = {}
        for row in rows:
            values = groups.setdefault(row.solver, {})
            values.setdefault(row.value, []).append(row.served)
        words = any(isinstance(row.value, str) for row in rows)
        ticks = list(dict.fromkeys(str(row.value) for row in rows))
        order = sorted(groups, key=lambda s: (_rank(s), s.endswith(NO_SHARING)))
        for number, solver in enumerate(order):
            points = groups[solver]
            xs = (
                [float(ticks.index(str(value))) for value in points]
                if words
                else [cast("float", value) for value in points]
            )
            shift_pt = (number - (len(order) - 1) / 2) * min(1.5, 7.5 / len(order))
            _line(ax, solver, xs, list(points.values()), shift_pt)
        if words:
            ax.set_xticks(range(len(ticks)), ticks)
            ax.set_xlim(-0.4, len(ticks) - 0.6)
        elif log_x:
            ax.set_xscale("log")
            values_x = sorted({cast("float", row.value) for row in rows})
            if len(values_x) <= 12:
                ax.set_xticks(values_x, [f"{value:g}" for value in values_x])
                ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel(parameter_label)
        ax.set_ylabel(measure_label)
        _title(ax, title)
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        repeats = [len(v) for points in groups.values() for v in points.values()]
        _legend(ax, ax.get_legend_handles_labels()[0], _repeats(repeats))
    return ax


def _line(
    ax: Axes,
    solver: str,
    xs: Sequence[float],
    repeats: Sequence[Sequence[float]],
    shift_pt: float,
) -> None:
    by_x = np.argsort(xs, kind="stable")
    x = np.array(xs)[by_x]
    intervals = [mean_interval(repeats[i]) for i in by_x]
    mean = np.array([m for m, _ in intervals])
    half = np.array([h or 0.0 for _, h in intervals])
    shared = not solver.endswith(NO_SHARING)
    base = solver.removesuffix(NO_SHARING)
    hue = colour(solver)
    ax.errorbar(
        x,
        mean,
        half if half.any() else None,
        color=hue,
        linestyle="-" if shared else (0, (4, 2)),
        marker=_MARKERS.get(base, _OTHER_MARKER),
        markersize=5.5,
        markerfacecolor=hue if shared else "white",
        markeredgecolor=hue,
        elinewidth=1.0,
        capsize=2.5,
        transform=ax.transData  # shifted on paper, so the limits need the data, below
        + ScaledTranslation(shift_pt / 72, 0, root_figure(ax).dpi_scale_trans),
        label=base if shared else f"{base}, no sharing",
    )
    ax.update_datalim(
        np.column_stack([np.tile(x, 2), [*(mean - half), *(mean + half)]])
    )


def _rank(solver: str) -> tuple[int, str]:
    """Solvers in the order of ``COLOURS``, others after them by name."""
    base = solver.removesuffix(NO_SHARING)
    known = list(COLOURS)
    return (known.index(base), "") if base in known else (len(known), base)


def _number(mean: float, repeats: int) -> str:
    return f"{mean:.1f}" if repeats > 1 and not mean > 999 else f"{mean:.0f}"


def _repeats(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    if high == 1:
        return "one repeat"
    span = f"{low}" if low == high else f"{low} to {high}"
    return f"mean of {span} repeats,\n95 % intervals"


def _legend(ax: Axes, handles: Sequence[object], title: str) -> None:
    """Put the legend right of the axes, where it hides nothing."""
    ax.legend(
        handles=handles,
        title=title,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        title_fontsize=9,
    )


def plain_ticks(axis: Axis) -> None:
    """Write 0.1, 1, 10 on a log axis, and 2 and 5 between them where it is short.

    Asked for once the axis has its limits.
    """
    low, high = axis.get_view_interval()
    short = high < 1000 * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if short else (1.0,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
