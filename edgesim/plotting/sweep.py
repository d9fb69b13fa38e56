"""Figures of a sweep: a measure over a parameter, one line per solver or policy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation

from edgesim.measures.student import mean_interval
from edgesim.plotting.colours import COLOURS, Look, looks
from edgesim.plotting.style import (
    new_axes,
    repeats_text,
    root_figure,
    set_title,
    side_legend,
    style,
)
from edgesim.text import shortened
from solvers.registry import NO_SHARING

_MOST_TICKS = 6  # values of the parameter that each get a tick
_LABEL_WIDTH = 28
SERVED_LABEL = "requests served in time per plan"


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
    measure_label: str = SERVED_LABEL,
    log_x: bool = False,
    title: str | None = None,
    legend: bool = True,
    names: Iterable[str] = (),
) -> Axes:
    """Plot a measure over a parameter, one line per solver, with 95 % intervals.

    Sharing is solid with filled markers, no sharing dashed with open ones. Lines are
    shifted sideways by a few points so that their intervals remain distinguishable.

    Parameters
    ----------
    rows
        One point per value, solver and repeat, at least one.
    parameter_label
        Label of the x axis, with its unit.
    ax
        Where to draw; a new figure if not given.
    measure_label
        Label of the y axis.
    log_x
        Whether the parameter is on a logarithmic scale.
    title
        Description of what was run.
    legend
        Whether to explain the lines.
    names
        Solvers of all axes of the figure, so that each looks the same in all of them.
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
        seen = looks({**groups, **dict.fromkeys(names)})
        for number, solver in enumerate(order):
            points = groups[solver]
            xs = (
                [float(ticks.index(str(value))) for value in points]
                if words
                else [cast("float", value) for value in points]
            )
            shift_pt = (number - (len(order) - 1) / 2) * min(1.5, 7.5 / len(order))
            _line(ax, solver, xs, list(points.values()), shift_pt, seen[solver])
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
        set_title(ax, title)
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        repeats = [len(v) for points in groups.values() for v in points.values()]
        if legend:
            side_legend(ax, ax.get_legend_handles_labels()[0], repeats_text(repeats))
    return ax


def plot_panels(
    panels: Mapping[str, Sequence[SweepPoint]],
    parameter_label: str,
    *,
    measure_label: str,
    log_x: bool = False,
    title: str | None = None,
    top: float | None = None,
) -> Figure:
    """Plot several sweeps side by side, two per row, on the same scales.

    Parameters
    ----------
    panels
        Title to points, at least one.
    parameter_label, measure_label, log_x
        As for :func:`plot_sweep`.
    title
        Title above all panels.
    top
        Upper limit of the y axes; by default that of the data.
    """
    with style():
        across = min(2, len(panels))
        down = math.ceil(len(panels) / across)
        figure = Figure(
            figsize=(1.9 + 3.3 * across, 0.7 + 2.7 * down), layout="constrained"
        )
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for number, (name, rows) in enumerate(panels.items()):
            row, column = divmod(number, across)
            lowest = number + across >= len(panels)
            ax = plot_sweep(
                rows,
                parameter_label if lowest else "",
                grid[row, column],
                measure_label=measure_label if column == 0 else "",
                log_x=log_x,
                title=name,
                legend=number == across - 1,
                names=[row.solver for rows in panels.values() for row in rows],
            )
            values = sorted({v.value for v in rows if not isinstance(v.value, str)})
            if not log_x and 0 < len(values) <= _MOST_TICKS:
                ax.set_xticks(values, [f"{value:g}" for value in values])
            ax.set_ylim(top=top)
            ax.label_outer(remove_inner_ticks=False)
            if lowest:  # also if the row below has no panel under this one
                ax.xaxis.set_tick_params(labelbottom=True)
                ax.set_xlabel(parameter_label)
        for spare in grid.flat[len(panels) :]:
            spare.set_visible(False)
        if title is not None:
            figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _line(
    ax: Axes,
    solver: str,
    xs: Sequence[float],
    repeats: Sequence[Sequence[float]],
    shift_pt: float,
    look: Look,
) -> None:
    by_x = np.argsort(xs, kind="stable")
    x = np.array(xs)[by_x]
    intervals = [mean_interval(repeats[i]) for i in by_x]
    mean = np.array([m for m, _ in intervals])
    half = np.array([h or 0.0 for _, h in intervals])
    shared = not solver.endswith(NO_SHARING)
    base = shortened(solver.removesuffix(NO_SHARING), _LABEL_WIDTH)
    ax.errorbar(
        x,
        mean,
        half if half.any() else None,
        color=look.colour,
        linestyle="-" if shared else (0, (4, 2)),
        marker=look.marker,
        markersize=5.5,
        markerfacecolor=look.colour if shared else "white",
        markeredgecolor=look.colour,
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
    """Rank solvers in the order of ``COLOURS``, others after them by name."""
    base = solver.removesuffix(NO_SHARING)
    known = list(COLOURS)
    return (known.index(base), "") if base in known else (len(known), base)
