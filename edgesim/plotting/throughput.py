"""Requests in time by solver, with and without sharing, as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from edgesim.measures.student import mean_interval
from edgesim.plotting.colours import INK, lighter, looks
from edgesim.plotting.labels import broken, short_names
from edgesim.plotting.style import (
    as_text,
    drawn_limits,
    new_axes,
    repeats_text,
    root_figure,
    set_limits,
    set_title,
    side_legend,
    style,
)
from solvers.registry import NO_SHARING

_HEIGHT_IN = 3.8
_LABEL_WIDTH = 40
_LABEL_PT = 9.5
_BESIDE_IN = 2.5  # what the legend and the labels of the y axis take


def plot_throughput(
    served: Mapping[str, Sequence[float]],
    ax: Axes | None = None,
    *,
    bound: Sequence[float] | None = None,
    requests: float | None = None,
    title: str | None = None,
) -> Axes:
    """Plot users served in time by solver, sharing next to no sharing.

    Bars are means over repeats, with 95 % intervals if there are several. A solver and
    its variant ``NAME-noshare`` are adjacent, the variant hatched.

    Parameters
    ----------
    served
        Solver to users served in time, one value per repeat, at least one solver.
    ax
        Where to draw; a new figure if not given.
    bound
        Proven upper bounds, one per repeat, drawn as a line at their mean.
    requests
        Number of requests (per repeat), for the label.
    title
        Description of what was run.
    """
    with style():
        names = list(dict.fromkeys(name.removesuffix(NO_SHARING) for name in served))
        is_new = ax is None
        if ax is None:
            ax = new_axes(max(6.4, 2.9 + 0.95 * len(names)), _HEIGHT_IN)
        seen = looks(served)
        for place, name in enumerate(names):
            pair = [n for n in (name, name + NO_SHARING) if n in served]
            width = 0.38 if len(pair) == 2 else 0.44
            for n, side in zip(pair, (-0.5, 0.5) if pair[1:] else (0.0,), strict=True):
                x = place + side * (width + 0.04)
                _bar(ax, x, width, n, served[n], seen[n].colour)
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
        labels = _labels(ax, names)
        ax.set_xticks(range(len(names)), [as_text(label) for label in labels])
        ax.tick_params(axis="x", length=0, labelsize=_LABEL_PT)
        if is_new:
            more = max(label.count("\n") for label in labels)
            root_figure(ax).set_figheight(_HEIGHT_IN + 1.2 * more * _LABEL_PT / 72)
        set_limits(ax, "x", -0.6, len(names) - 0.4)
        of = "" if requests is None else f" (of {requests:g})"
        ax.set_ylabel(f"requests served in time per plan{of}")
        set_title(ax, title)
        ax.set_xlabel("solver")
        # Leave room for the labels above the bars, even if all bars are 0.
        ax.set_ylim(0, 1.1 * max(drawn_limits(ax, "y")[1], 1.0))
        steps = [1, 2, 5, 10]
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, steps=steps))
        side_legend(ax, handles, repeats_text([len(v) for v in served.values()]))
    return ax


def _labels(ax: Axes, names: Sequence[str]) -> list[str]:
    """Label pairs of bars, on as many lines as it takes between their neighbours."""
    across = ax.get_subplotspec()
    columns = 1 if across is None else across.get_gridspec().ncols
    width_in = root_figure(ax).get_figwidth() / columns - _BESIDE_IN
    room_pt = max(72 * width_in / (len(names) + 0.2), 4 * _LABEL_PT) - _LABEL_PT / 2
    short = short_names(names, _LABEL_WIDTH)
    return [broken(short[name], room_pt, _LABEL_PT) for name in names]


def _bar(
    ax: Axes, x: float, width: float, solver: str, values: Sequence[float], hue: str
) -> None:
    mean, half = mean_interval(values)
    shared = not solver.endswith(NO_SHARING)
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
        # Drawn over a wider white one, to be visible on dark bars as well.
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
        bbox={"boxstyle": "square,pad=0.2", "fc": "white", "ec": "none"},
    )


def _number(mean: float, repeats: int) -> str:
    return f"{mean:.1f}" if repeats > 1 and not mean > 999 else f"{mean:.0f}"
