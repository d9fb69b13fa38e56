"""Figures: one colour per solver everywhere, legible in black-and-white print.

Every ``plot_x`` takes axes or makes a figure of its own, and returns the axes;
``ax.figure`` is the figure. No pyplot, no state kept: the same values give the same
PNG bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from edgesim.colours import INK, NO_SHARING, colour, lighter
from edgesim.files import write_whole
from edgesim.measures import mean_interval

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


def set_title(ax: Axes, title: str | None) -> None:
    """Write what was run above the axes, if anything is said of it."""
    if title is not None:
        ax.set_title(title, loc="left", fontsize=10, wrap=True)


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
        set_title(ax, title)
        ax.set_xlabel("solver")
        # The labels stand above the bars: leave them room, and some if all are 0.
        ax.set_ylim(0, 1.1 * max(ax.dataLim.ymax, 1.0))
        steps = [1, 2, 5, 10]
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, steps=steps))
        side_legend(ax, handles, repeats_text([len(v) for v in served.values()]))
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


def _number(mean: float, repeats: int) -> str:
    return f"{mean:.1f}" if repeats > 1 and not mean > 999 else f"{mean:.0f}"


def repeats_text(counts: Sequence[int]) -> str:
    """Say for a legend how many repeats a mean is of."""
    low, high = min(counts), max(counts)
    if high == 1:
        return "one repeat"
    span = f"{low}" if low == high else f"{low} to {high}"
    return f"mean of {span} repeats,\n95 % intervals"


def side_legend(ax: Axes, handles: Sequence[object], title: str) -> None:
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
