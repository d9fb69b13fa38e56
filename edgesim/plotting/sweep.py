"""Lines of a sweep: a measure over a parameter, one line per solver or policy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation

from edgesim.plotting.colours import INK, Look, looks
from edgesim.plotting.labels import labels_of
from edgesim.plotting.marks import (
    Frame,
    Mark,
    Place,
    Vertical,
    places_of,
    put_title,
    rank,
    tick_texts,
)
from edgesim.plotting.style import (
    CHARACTERS_PER_INCH,
    as_text,
    drawn_limits,
    height_for,
    legend_label,
    new_axes,
    plain_ticks,
    repeats_text,
    root_figure,
    set_limits,
    set_title,
    side_legend,
    style,
)
from edgesim.text import counted
from solvers.registry import NO_SHARING

_MOST_TICKS = 6  # values of the parameter that each get a tick
_MOST_LOG_TICKS = 12
_BESIDE_IN = 2.2  # what the legend and the labels of the y axis take


def plot_sweep(
    marks: Sequence[Mark],
    frame: Frame,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    legend: bool = True,
    names: Iterable[str] = (),
) -> Axes:
    """Plot a measure over a parameter, one line per solver, with 95 % intervals.

    Sharing is solid with filled markers, no sharing dashed with open ones. Lines are
    shifted sideways by a few points so that their intervals remain distinguishable.
    Values that are words have marks without lines between them.

    Parameters
    ----------
    marks
        One per value and solver.
    frame
        Labels, scales and limits of the axes.
    ax
        Where to draw; a new figure if not given.
    title
        Description of what was run.
    legend
        Whether to explain the lines.
    names
        Solvers of all axes of the figure, so that each looks the same in all of them.
    """
    with style():
        if ax is None:
            ax = new_axes(7.4, height_for(len({mark.name for mark in marks}), 3.8))
        lines = _draw(marks, frame, ax, places_of(marks, frame), names=names)
        ax.set_xlabel(as_text(frame.x_label))
        ax.set_ylabel(as_text(frame.y_label))
        set_title(ax, title)
        _fit_y(ax, frame)
        if legend:
            _legend(ax, lines, marks, log_y=frame.log_y)
    return ax


def plot_panels(
    panels: Mapping[str, Sequence[Mark]],
    frame: Frame,
    *,
    title: str | None = None,
) -> Figure:
    """Plot several sweeps side by side, two or three per row, on the same scales.

    Parameters
    ----------
    panels
        Title to marks, at least one.
    frame
        As for :func:`plot_sweep`.
    title
        Title above all panels.
    """
    with style():
        across = 3 if len(panels) in (3, 5, 6, 9) else min(2, len(panels))
        down = math.ceil(len(panels) / across)
        every = [mark for marks in panels.values() for mark in marks]
        places, names = places_of(every, frame), {mark.name for mark in every}
        height_in = height_for(len(names), 0.7 + 2.7 * down)
        figure = Figure(figsize=(1.9 + 3.3 * across, height_in), layout="constrained")
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        numbers = sorted(place for place in places if not isinstance(place, str))
        words = len(numbers) < len(places)
        lines: dict[str, ErrorbarContainer] = {}
        for number, (name, marks) in enumerate(panels.items()):
            row, column = divmod(number, across)
            lowest = number + across >= len(panels)
            ax = grid[row, column]
            lines |= _draw(marks, frame, ax, places, names=names)
            ax.set_ylabel(as_text(frame.y_label) if column == 0 else "")
            set_title(ax, name)
            if not frame.log_x and not words and 0 < len(numbers) <= _MOST_TICKS:
                ax.set_xticks(numbers, [f"{place:g}" for place in numbers])
            ax.label_outer(remove_inner_ticks=False)
            if lowest:  # also if the row below has no panel under this one
                ax.xaxis.set_tick_params(labelbottom=True)
                ax.set_xlabel(as_text(frame.x_label))
        _fit_y(grid[0, 0], frame)
        _legend(grid[0, across - 1], lines, every, log_y=frame.log_y)
        for spare in grid.flat[len(panels) :]:
            spare.set_visible(False)
        put_title(figure, title)
    return figure


def _draw(
    marks: Sequence[Mark],
    frame: Frame,
    ax: Axes,
    places: Sequence[Place],
    *,
    names: Iterable[str],
) -> dict[str, ErrorbarContainer]:
    """Draw the lines of one axes, by solver, and set up its axes.

    Parameters
    ----------
    marks, frame, ax, names
        As for :func:`plot_sweep`.
    places
        Places on all axes that share this x axis.
    """
    groups: dict[str, list[Mark]] = {}
    for mark in marks:
        groups.setdefault(mark.name, []).append(mark)
    words = any(isinstance(place, str) for place in places)
    ticks = tick_texts(places)
    order = sorted(groups, key=rank)
    all_names = dict.fromkeys((*groups, *names))
    seen, labels = looks(all_names), labels_of(all_names)
    if frame.log_y:
        ax.set_yscale("log")
    if frame.compared:
        ax.axhline(0.0, color=INK, linewidth=0.8, zorder=1)
    lines: dict[str, ErrorbarContainer] = {}
    for number, name in enumerate(order):
        at = [frame.x(mark.value) for mark in groups[name]]
        xs = (
            [float(places.index(place)) for place in at]
            if words
            else [cast("float", place) for place in at]
        )
        shift_pt = (number - (len(order) - 1) / 2) * min(1.5, 7.5 / len(order))
        if words:
            shift_pt *= 4
        lines[name] = _line(
            ax,
            name,
            xs,
            groups[name],
            shift_pt,
            seen[name],
            labels[name],
            joined=not words,
        )
    if words:
        width = _characters(ax, len(ticks))
        texts = [as_text(_wrapped(tick, width)) for tick in ticks]
        ax.set_xticks(range(len(ticks)), texts)
        set_limits(ax, "x", -0.5, len(ticks) - 0.5)
        return lines
    if frame.log_x:
        ax.set_xscale("log")
        numbers = sorted(cast("float", place) for place in places)
        if len(numbers) <= _MOST_LOG_TICKS:
            ax.set_xticks(numbers, [f"{place:g}" for place in numbers])
            ax.xaxis.set_minor_locator(NullLocator())
    _draw_verticals(ax, frame.verticals)
    if frame.x_limits is not None:
        ax.set_xlim(frame.x_limits)
    return lines


def _draw_verticals(ax: Axes, verticals: Iterable[Vertical]) -> None:
    """Mark places on the x axis, with labels that hang from the top along the lines."""
    for x, label in verticals:
        ax.axvline(x, color=INK, linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
        ax.annotate(
            as_text(label),
            (x, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-1.5, -3),
            textcoords="offset points",
            rotation=90,
            ha="right",
            va="top",
            fontsize=7,
            color=INK,
            annotation_clip=True,
        )


def _characters(ax: Axes, ticks: int) -> int:
    """Return how many characters of a label there is room for between two ticks."""
    across = ax.get_subplotspec()
    columns = 1 if across is None else across.get_gridspec().ncols
    width_in = (root_figure(ax).get_figwidth() - _BESIDE_IN) / columns
    return max(6, int(width_in / ticks * CHARACTERS_PER_INCH))


def _wrapped(text: str, width: int) -> str:
    """Break a label between its words."""
    return "\n".join(wrap(text, width, break_long_words=False)) or text


def _fit_y(ax: Axes, frame: Frame) -> None:
    """Scale the y axis to all that is drawn, on axes that share it too."""
    if frame.y_limits is not None:
        ax.set_ylim(frame.y_limits)
        return
    ax.autoscale(enable=True, axis="y")
    low, high = ax.get_ylim()
    if frame.log_y:
        # An interval may reach below 0, which a logarithmic axis cannot show.
        means = [mean for mean in _means(ax) if mean > 0]
        if means:
            ax.set_ylim(min(max(low, min(means) / 2), min(means) / 1.1), high)
        plain_ticks(ax.yaxis)
        return
    if frame.top is not None and drawn_limits(ax, "y")[1] <= frame.top:
        high = frame.top
    ax.set_ylim((min(0.0, low), max(0.0, high)) if frame.from_zero else (low, high))


def _means(ax: Axes) -> Iterator[float]:
    """Go through the means on some axes and those that share theirs."""
    for other in ax.get_shared_y_axes().get_siblings(ax):
        for container in other.containers:
            if isinstance(container, ErrorbarContainer):
                ys = np.asarray(container.lines[0].get_ydata(), dtype=float)
                yield from ys.tolist()


def _legend(
    ax: Axes,
    lines: Mapping[str, ErrorbarContainer],
    marks: Sequence[Mark],
    *,
    log_y: bool,
) -> None:
    """Explain beside some axes the lines of all panels, and what they leave out."""
    handles = [lines[name] for name in sorted(lines, key=rank)]
    text = repeats_text([mark.repeats for mark in marks])
    hidden = sum(mark.mean <= 0 for mark in marks) if log_y else 0
    if hidden:
        text += f"\n{counted(hidden, 'mean')} of 0 or less\nnot shown on a log axis"
    side_legend(ax, handles, text)


def _line(
    ax: Axes,
    name: str,
    xs: Sequence[float],
    marks: Sequence[Mark],
    shift_pt: float,
    look: Look,
    label: str,
    *,
    joined: bool,
) -> ErrorbarContainer:
    by_x = np.argsort(xs, kind="stable")
    x = np.array(xs)[by_x]
    mean = np.array([marks[i].mean for i in by_x])
    half = np.array([marks[i].half_width or 0.0 for i in by_x])
    shared = not name.endswith(NO_SHARING)
    style_of_line: Any = "-" if shared else (0, (4, 2))
    line = ax.errorbar(
        x,
        mean,
        half if half.any() else None,
        color=look.colour,
        linestyle=style_of_line if joined else "none",
        marker=look.marker,
        markersize=5.5,
        markerfacecolor=look.colour if shared else "white",
        markeredgecolor=look.colour,
        elinewidth=1.0,
        capsize=2.5,
        transform=ax.transData  # shifted on paper, so the limits need the data, below
        + ScaledTranslation(shift_pt / 72, 0, root_figure(ax).dpi_scale_trans),
        label=legend_label(label),
    )
    ax.update_datalim(
        np.column_stack([np.tile(x, 2), [*(mean - half), *(mean + half)]])
    )
    return line
