"""Figures of a sweep: a measure over a parameter, one line per solver or policy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import is_math_text
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation

from edgesim.plotting.colours import COLOURS, INK, Look, looks
from edgesim.plotting.style import (
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
from edgesim.text import shortened
from solvers.registry import NO_SHARING

_MOST_TICKS = 6  # values of the parameter that each get a tick
_MOST_LOG_TICKS = 12
_LABEL_WIDTH = 28
_CHARACTERS_PER_INCH = 11.5
_BESIDE_IN = 2.2  # what the legend and the labels of the y axis take

Place: TypeAlias = float | str


class Mark(NamedTuple):
    """One solver or policy at one value of the parameter.

    Parameters
    ----------
    value
        The value, in the unit of the scenario.
    name
        The solver or policy.
    mean, half_width
        Mean of what is shown, and half-width of its 95 % interval, None without one.
    repeats
        Number of repeats behind the mean.
    """

    value: Place
    name: str
    mean: float
    half_width: float | None
    repeats: int


class Vertical(NamedTuple):
    """A labelled line at a place of the x axis, in its unit."""

    x: float
    label: str


@dataclass(frozen=True)
class Frame:
    """What the axes say, and where they end.

    Parameters
    ----------
    x_label, y_label, second_label
        Labels with their units; ``second_label`` is that of the second parameter, on
        top of panels and beside the rows of a map.
    x_unit, second_unit
        What values are divided by if they are numbers.
    x_at, second_at
        The place on the axis of each value, if it is another one than the value.
    log_x, log_y
        Whether axes are logarithmic.
    x_limits, y_limits
        Ends of the axes, in their units; by default those of the data.
    top
        Upper limit of the y axes if no interval exceeds it; by default that of the
        data.
    from_zero
        Whether the y axis begins at 0, or ends there for negative values.
    compared
        Whether differences are shown, around a line at 0.
    verticals
        Places on the x axis that lines with labels mark.
    """

    x_label: str = ""
    y_label: str = ""
    second_label: str = ""
    x_unit: float = 1.0
    second_unit: float = 1.0
    x_at: Mapping[Any, Place] = field(default_factory=dict)
    second_at: Mapping[Any, Place] = field(default_factory=dict)
    log_x: bool = False
    log_y: bool = False
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    top: float | None = None
    from_zero: bool = True
    compared: bool = False
    verticals: tuple[Vertical, ...] = ()

    def x(self, value: Place) -> Place:
        """Return where a value stands on the x axis."""
        return _placed(value, self.x_at, self.x_unit)

    def second(self, value: Place) -> Place:
        """Return where a value of the second parameter stands."""
        return _placed(value, self.second_at, self.second_unit)

    def panel_title(self, value: Place) -> str:
        """Return the title of the panel of a value of the second parameter."""
        shown = self.second(value)
        text = shown if isinstance(shown, str) else f"{shown:g}"
        return f"{self.second_label}: {text}" if self.second_label else text


def _placed(value: Place, at: Mapping[Any, Place], unit: float) -> Place:
    place = at.get(value, value)
    return place if isinstance(place, str) else float(place) / unit


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
        lines = _draw(marks, frame, ax, _places(marks, frame), names=names)
        ax.set_xlabel(as_text(frame.x_label))
        ax.set_ylabel(as_text(frame.y_label))
        set_title(ax, title)
        _fit_y(ax, frame)
        if legend:
            _legend(ax, lines, marks)
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
        places, names = _places(every, frame), {mark.name for mark in every}
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
        _legend(grid[0, across - 1], lines, every)
        for spare in grid.flat[len(panels) :]:
            spare.set_visible(False)
        _title(figure, title)
    return figure


def plot_map(
    rows: Mapping[Place, Sequence[Mark]],
    frame: Frame,
    *,
    title: str | None = None,
) -> Figure:
    """Colour a grid of two parameters by a measure, one map per solver.

    The number stands in each cell of maps that are small enough. Differences that are
    positive and negative have colours around white.

    Parameters
    ----------
    rows
        Marks by value of the second parameter, at least one mark.
    frame
        As for :func:`plot_sweep`.
    title
        Title above all maps.
    """
    every = [mark for marks in rows.values() for mark in marks]
    names = sorted({mark.name for mark in every}, key=_order)
    xs = _sorted(_places(every, frame))
    ys = _sorted([frame.second(value) for value in rows])
    means = {
        (name, frame.x(mark.value), frame.second(value)): mark.mean
        for value, marks in rows.items()
        for mark in marks
        for name in [mark.name]
    }
    low, high, colours = _colour_range([*means.values()], frame)
    with style():
        across = min(2 if len(xs) > 6 else 3, max(1, len(names)))
        down = math.ceil(max(1, len(names)) / across)
        width_in = 1.1 + 0.62 * max(4, len(xs))
        height_in = 1.0 + 0.42 * max(3, len(ys))
        figure = Figure(
            figsize=(1.6 + width_in * across, 0.6 + height_in * down),
            layout="constrained",
        )
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        image = None
        for number, name in enumerate(names):
            ax = grid.flat[number]
            cells = np.array(
                [[means.get((name, x, y), math.nan) for x in xs] for y in ys]
            )
            image = ax.imshow(
                np.ma.masked_invalid(cells),
                origin="lower",
                aspect="auto",
                cmap=colours,
                vmin=low,
                vmax=high,
            )
            ax.grid(visible=False)
            _write_cells(ax, cells, image)
            _map_ticks(ax, xs, ys)
            set_title(ax, _label(name) if names[1:] or frame.compared else None)
            ax.set_xlabel(as_text(frame.x_label))
            ax.set_ylabel(as_text(frame.second_label))
            ax.label_outer()
            if number + across >= len(names):
                ax.xaxis.set_tick_params(labelbottom=True)
                ax.set_xlabel(as_text(frame.x_label))
        for spare in grid.flat[len(names) :]:
            spare.set_visible(False)
        if image is not None:
            bar = figure.colorbar(image, ax=list(grid.flat), shrink=0.9)
            repeats = repeats_text([mark.repeats for mark in every]).partition(",")[0]
            bar.set_label(as_text(f"{frame.y_label},\n{repeats}"))
        _title(figure, title)
    return figure


def _title(figure: Figure, title: str | None) -> None:
    """Put a title above all axes, on as many lines as it needs."""
    if title is None:
        return
    text = as_text(title)
    if not is_math_text(text):
        width = int(figure.get_figwidth() * _CHARACTERS_PER_INCH)
        text = "\n".join(wrap(text, width))
    figure.suptitle(text, x=0.01, ha="left", fontsize=11)


def _colour_range(values: Sequence[float], frame: Frame) -> tuple[float, float, str]:
    """Choose the range of colours, and the colours."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if frame.compared and low < 0 < high:
        end = max(-low, high)
        return -end, end, "RdBu"
    if frame.compared:
        low, high = min(low, 0.0), max(high, 0.0)
    return low, high if high > low else low + 1.0, "Blues" if low >= 0 else "Blues_r"


def _write_cells(ax: Axes, cells: np.ndarray[Any, Any], image: Any) -> None:
    if cells.size > 150 or cells.shape[1] > 12:
        return
    size = np.nanmax(np.abs(cells), initial=0.0)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2
    for (row, column), value in np.ndenumerate(cells):
        if not math.isnan(value):
            red, green, blue, _ = image.cmap(image.norm(value))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.55
            text = f"{round(value, digits) + 0.0:.{digits}f}"
            ink = "white" if dark else INK
            ax.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)


def _map_ticks(ax: Axes, xs: Sequence[Place], ys: Sequence[Place]) -> None:
    for axis, places in ((ax.xaxis, xs), (ax.yaxis, ys)):
        every = math.ceil(len(places) / 12)
        ticks = range(0, len(places), every)
        axis.set_ticks(ticks, [as_text(_tick(places[tick])) for tick in ticks])
    ax.tick_params(length=0)


def _tick(place: Place) -> str:
    return place if isinstance(place, str) else f"{place:g}"


def _sorted(places: Iterable[Place]) -> list[Place]:
    """Put numbers in order; words keep theirs."""
    found = list(dict.fromkeys(places))
    if any(isinstance(place, str) for place in found):
        return [str(place) for place in found]
    return sorted(found)


def _places(marks: Iterable[Mark], frame: Frame) -> list[Place]:
    """List the places on the x axis in the order of the marks."""
    return list(dict.fromkeys(frame.x(mark.value) for mark in marks))


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
    ticks = list(dict.fromkeys(map(_tick, places)))
    order = sorted(groups, key=_order)
    seen = looks({**groups, **dict.fromkeys(names)})
    if frame.log_y:
        ax.set_yscale("log")
    if frame.compared:
        ax.axhline(0.0, color=INK, linewidth=0.8, zorder=1)
    lines: dict[str, ErrorbarContainer] = {}
    for number, name in enumerate(order):
        at = [frame.x(mark.value) for mark in groups[name]]
        xs = (
            [float(ticks.index(_tick(place))) for place in at]
            if words
            else [cast("float", place) for place in at]
        )
        shift_pt = (number - (len(order) - 1) / 2) * min(1.5, 7.5 / len(order))
        if words:
            shift_pt *= 4
        lines[name] = _line(
            ax, name, xs, groups[name], shift_pt, seen[name], joined=not words
        )
    if words:
        width = _characters(ax, len(ticks))
        labels = [as_text(_wrapped(tick, width)) for tick in ticks]
        ax.set_xticks(range(len(ticks)), labels)
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
    return max(6, int(width_in / ticks * _CHARACTERS_PER_INCH))


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
        means = [*_positive_means(ax)]
        if means:
            ax.set_ylim(max(low, min(means) / 2), high)
        plain_ticks(ax.yaxis)
        return
    if frame.top is not None and drawn_limits(ax, "y")[1] <= frame.top:
        high = frame.top
    ax.set_ylim((min(0.0, low), max(0.0, high)) if frame.from_zero else (low, high))


def _positive_means(ax: Axes) -> Iterator[float]:
    """Go through the means above 0 on some axes and those that share theirs."""
    for other in ax.get_shared_y_axes().get_siblings(ax):
        for container in other.containers:
            if isinstance(container, ErrorbarContainer):
                ys = np.asarray(container.lines[0].get_ydata(), dtype=float)
                yield from ys[ys > 0].tolist()


def _legend(
    ax: Axes, lines: Mapping[str, ErrorbarContainer], marks: Iterable[Mark]
) -> None:
    """Explain beside some axes the lines of all panels."""
    handles = [lines[name] for name in sorted(lines, key=_order)]
    side_legend(ax, handles, repeats_text([mark.repeats for mark in marks]))


def _label(name: str) -> str:
    base = shortened(name.removesuffix(NO_SHARING), _LABEL_WIDTH)
    shared = not name.endswith(NO_SHARING)
    return legend_label(base if shared else f"{base}, no sharing")


def _line(
    ax: Axes,
    name: str,
    xs: Sequence[float],
    marks: Sequence[Mark],
    shift_pt: float,
    look: Look,
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
        label=_label(name),
    )
    ax.update_datalim(
        np.column_stack([np.tile(x, 2), [*(mean - half), *(mean + half)]])
    )
    return line


def _order(name: str) -> tuple[tuple[int, str], bool]:
    """Order solvers as in ``COLOURS``, others after them by name, twins last."""
    base = name.removesuffix(NO_SHARING)
    known = list(COLOURS)
    rank = (known.index(base), "") if base in known else (len(known), base)
    return rank, name != base
