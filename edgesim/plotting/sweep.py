"""Figures of a sweep: a measure over a parameter, one line per solver or policy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation

from edgesim.measures.student import mean_interval
from edgesim.plotting.colours import COLOURS, Look, looks
from edgesim.plotting.style import (
    as_text,
    drawn_limits,
    height_for,
    legend_label,
    new_axes,
    repeats_text,
    root_figure,
    set_limits,
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
            ax = new_axes(7.4, height_for(len({row.solver for row in rows}), 3.8))
        lines = _draw(rows, ax, _values(rows), log_x=log_x, names=names)
        ax.set_xlabel(as_text(parameter_label))
        ax.set_ylabel(as_text(measure_label))
        set_title(ax, title)
        _fit_y(ax)
        if legend:
            _legend(ax, lines, [rows])
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
        Upper limit of the y axes if no interval exceeds it; by default that of the
        data.
    """
    with style():
        across = min(2, len(panels))
        down = math.ceil(len(panels) / across)
        every = [row for rows in panels.values() for row in rows]
        values, names = _values(every), {row.solver for row in every}
        height_in = height_for(len(names), 0.7 + 2.7 * down)
        figure = Figure(figsize=(1.9 + 3.3 * across, height_in), layout="constrained")
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        numbers = sorted(value for value in values if not isinstance(value, str))
        lines: dict[str, ErrorbarContainer] = {}
        for number, (name, rows) in enumerate(panels.items()):
            row, column = divmod(number, across)
            lowest = number + across >= len(panels)
            ax = grid[row, column]
            lines |= _draw(rows, ax, values, log_x=log_x, names=names)
            ax.set_xlabel(as_text(parameter_label) if lowest else "")
            ax.set_ylabel(as_text(measure_label) if column == 0 else "")
            set_title(ax, name)
            if not log_x and 0 < len(numbers) <= _MOST_TICKS:
                ax.set_xticks(numbers, [f"{value:g}" for value in numbers])
            ax.label_outer(remove_inner_ticks=False)
            if lowest:  # also if the row below has no panel under this one
                ax.xaxis.set_tick_params(labelbottom=True)
                ax.set_xlabel(as_text(parameter_label))
        _fit_y(grid[0, 0], top)
        _legend(grid[0, across - 1], lines, panels.values())
        for spare in grid.flat[len(panels) :]:
            spare.set_visible(False)
        if title is not None:
            figure.suptitle(as_text(title), x=0.01, ha="left", fontsize=11)
    return figure


def _values(rows: Iterable[SweepPoint]) -> list[float | str]:
    """List the values of the parameter in the order of the rows."""
    return list(dict.fromkeys(row.value for row in rows))


def _draw(
    rows: Sequence[SweepPoint],
    ax: Axes,
    values: Sequence[float | str],
    *,
    log_x: bool,
    names: Iterable[str],
) -> dict[str, ErrorbarContainer]:
    """Draw the lines of one axes, by solver, and set up its x axis.

    Parameters
    ----------
    rows, ax, log_x, names
        As for :func:`plot_sweep`.
    values
        Values of the parameter on all axes that share this x axis.
    """
    groups: dict[str, dict[float | str, list[float]]] = {}
    for row in rows:
        points = groups.setdefault(row.solver, {})
        points.setdefault(row.value, []).append(row.served)
    words = any(isinstance(value, str) for value in values)
    ticks = list(dict.fromkeys(map(str, values)))
    order = sorted(groups, key=_order)
    seen = looks({**groups, **dict.fromkeys(names)})
    lines: dict[str, ErrorbarContainer] = {}
    for number, solver in enumerate(order):
        points = groups[solver]
        xs = (
            [float(ticks.index(str(value))) for value in points]
            if words
            else [cast("float", value) for value in points]
        )
        shift_pt = (number - (len(order) - 1) / 2) * min(1.5, 7.5 / len(order))
        repeats = list(points.values())
        lines[solver] = _line(ax, solver, xs, repeats, shift_pt, seen[solver])
    if words:
        ax.set_xticks(range(len(ticks)), [as_text(tick) for tick in ticks])
        set_limits(ax, "x", -0.4, len(ticks) - 0.6)
    elif log_x:
        ax.set_xscale("log")
        numbers = sorted(cast("float", value) for value in values)
        if len(numbers) <= 12:
            ax.set_xticks(numbers, [f"{value:g}" for value in numbers])
            ax.xaxis.set_minor_locator(NullLocator())
    return lines


def _fit_y(ax: Axes, top: float | None = None) -> None:
    """Scale the y axis to 0 and all that is drawn, on axes that share it too."""
    ax.autoscale(enable=True, axis="y")
    low, high = ax.get_ylim()
    if top is not None and drawn_limits(ax, "y")[1] <= top:
        high = top
    ax.set_ylim(min(0.0, low), high)


def _legend(
    ax: Axes,
    lines: Mapping[str, ErrorbarContainer],
    panels: Iterable[Sequence[SweepPoint]],
) -> None:
    """Explain beside some axes the lines of all panels."""
    repeats = [
        count
        for rows in panels
        for count in Counter((row.solver, row.value) for row in rows).values()
    ]
    handles = [lines[solver] for solver in sorted(lines, key=_order)]
    side_legend(ax, handles, repeats_text(repeats))


def _label(solver: str) -> str:
    base = shortened(solver.removesuffix(NO_SHARING), _LABEL_WIDTH)
    shared = not solver.endswith(NO_SHARING)
    return legend_label(base if shared else f"{base}, no sharing")


def _line(
    ax: Axes,
    solver: str,
    xs: Sequence[float],
    repeats: Sequence[Sequence[float]],
    shift_pt: float,
    look: Look,
) -> ErrorbarContainer:
    by_x = np.argsort(xs, kind="stable")
    x = np.array(xs)[by_x]
    intervals = [mean_interval(repeats[i]) for i in by_x]
    mean = np.array([m for m, _ in intervals])
    half = np.array([h or 0.0 for _, h in intervals])
    shared = not solver.endswith(NO_SHARING)
    line = ax.errorbar(
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
        label=_label(solver),
    )
    ax.update_datalim(
        np.column_stack([np.tile(x, 2), [*(mean - half), *(mean + half)]])
    )
    return line


def _order(solver: str) -> tuple[tuple[int, str], bool]:
    """Order solvers as in ``COLOURS``, others after them by name, twins last."""
    base = solver.removesuffix(NO_SHARING)
    known = list(COLOURS)
    rank = (known.index(base), "") if base in known else (len(known), base)
    return rank, solver != base
