"""Maps of a sweep: a measure as colours over two parameters, one map per solver."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgesim.plotting.colours import INK
from edgesim.plotting.labels import labels_of
from edgesim.plotting.marks import (
    Frame,
    Mark,
    Place,
    places_of,
    put_title,
    rank,
    tick_texts,
)
from edgesim.plotting.style import as_text, repeats_text, set_title, style


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
    names = sorted({mark.name for mark in every}, key=rank)
    labels = labels_of(names)
    xs = _sorted(places_of(every, frame))
    ys = _sorted([frame.second(value) for value in rows])
    means = {
        (mark.name, frame.x(mark.value), frame.second(value)): mark.mean
        for value, marks in rows.items()
        for mark in marks
    }
    scale = _colour_range([*means.values()], frame)
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
            image = _colour_cells(ax, cells, scale)
            _map_ticks(ax, xs, ys)
            set_title(ax, labels[name] if names[1:] or frame.compared else None)
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
        put_title(figure, title)
    return figure


def _colour_cells(
    ax: Axes, cells: np.ndarray[Any, Any], scale: tuple[float, float, str]
) -> Any:
    """Colour the cells of one map, write their numbers, and return the image."""
    low, high, colours = scale
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
    return image


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
    digits = _digits(float(np.nanmax(np.abs(cells), initial=0.0)))
    for (row, column), value in np.ndenumerate(cells):
        if not math.isnan(value):
            red, green, blue, _ = image.cmap(image.norm(value))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.55
            text = f"{round(value, digits) + 0.0:.{digits}f}"
            ink = "white" if dark else INK
            ax.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)


def _digits(size: float) -> int:
    """Choose how many digits after the point tell values of some size apart."""
    if size >= 10:
        return 0 if size >= 100 else 1
    if size >= 0.1 or size == 0:
        return 2
    return min(4, 1 - math.floor(math.log10(size)))


def _map_ticks(ax: Axes, xs: Sequence[Place], ys: Sequence[Place]) -> None:
    for axis, places in ((ax.xaxis, xs), (ax.yaxis, ys)):
        every = math.ceil(len(places) / 12)
        texts = [as_text(text) for text in tick_texts(places)]
        axis.set_ticks(range(0, len(places), every), texts[::every])
    ax.tick_params(length=0)


def _sorted(places: Iterable[Place]) -> list[Place]:
    """Put numbers in order; words keep theirs."""
    found = list(dict.fromkeys(places))
    numbers = [place for place in found if not isinstance(place, str)]
    return sorted(numbers) if len(numbers) == len(found) else found
