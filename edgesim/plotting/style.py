"""Style and output of figures, legible in black-and-white print too.

Every ``plot_x`` takes axes or makes a new figure, and returns the axes; ``ax.figure``
is the figure. No pyplot and no global state: the same values give the same PNG bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from edgesim.files import write_whole
from edgesim.plotting.colours import INK

Drawing: TypeAlias = Figure | Axes
"""What can be written as a picture."""

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
    """Draw in edgesim's style, regardless of the user's matplotlibrc.

    Settings are restored when the block ends.
    """
    # Any: the keys in matplotlib's own types differ between versions.
    settings: Any = dict(mpl.rcParamsDefault)
    settings = {k: v for k, v in settings.items() if k.startswith(_GROUPS)} | _STYLE
    with mpl.rc_context(settings):
        yield


def save(drawing: Drawing, path: Path) -> None:
    """Write a figure as PNG atomically; the same figure gives the same bytes.

    Parameters
    ----------
    drawing
        A figure, or axes of it.
    path
        The output file.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with write_whole(path, "wb") as file:
        dump(drawing, file)


def dump(drawing: Drawing, file: IO[bytes]) -> None:
    """Write a figure as PNG into an open file, as :func:`save` does."""
    figure = drawing if isinstance(drawing, Figure) else root_figure(drawing)
    with style():
        figure.savefig(file, format="png", metadata={"Software": None})


def set_title(ax: Axes, title: str | None) -> None:
    """Set the title above the axes, if one is given."""
    if title is not None:
        ax.set_title(title, loc="left", fontsize=10, wrap=True)


def root_figure(ax: Axes) -> Figure:
    """Return the top-level figure that contains some axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None  # axes removed from their figure cannot be drawn on
    return figure


def new_axes(width_in: float, height_in: float) -> Axes:
    """Make a figure with a single axes, laid out so that nothing is clipped."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure.add_subplot()


def repeats_text(counts: Sequence[int]) -> str:
    """Describe for a legend the number of repeats behind a mean."""
    low, high = min(counts), max(counts)
    if high == 1:
        return "one repeat"
    span = f"{low}" if low == high else f"{low} to {high}"
    return f"mean of {span} repeats,\n95 % intervals"


def side_legend(ax: Axes, handles: Sequence[object], title: str) -> None:
    """Place the legend right of the axes, where it covers nothing."""
    ax.legend(
        handles=handles,
        title=title,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        title_fontsize=9,
    )


def plain_ticks(axis: Axis) -> None:
    """Label 0.1, 1, 10 on a log axis, and 2 and 5 in between if it is short.

    Call it once the axis has its limits.
    """
    low, high = axis.get_view_interval()
    short = high < 1000 * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if short else (1.0,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
