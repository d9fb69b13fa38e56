"""Figures of online runs: one colour per policy, its no-sharing variant dashed.

They are drawn from small summaries (``Drawn``), so that a run need not stay in memory
until all are done.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from edgesim.engine.records import Floats, Ints
from edgesim.plotting.colours import COMPUTE, INK, LOAD, looks
from edgesim.plotting.labels import labels_of
from edgesim.plotting.online_data import LATENCY_GRID_S, Drawn
from edgesim.plotting.style import (
    as_text,
    height_for,
    legend_label,
    new_axes,
    plain_ticks,
    set_limits,
    set_title,
    side_legend,
    style,
)
from solvers.registry import NO_SHARING

_MOST_GROUPS = 24
_BESIDE = 1.05  # room beyond a deadline, as a factor

# GPU time by part: fill and hatch, distinguishable in black and white.
_PARTS: Mapping[str, tuple[str, str]] = {
    "load": (LOAD, "////"),
    "compute": (COMPUTE, ""),
    "wait": ("#dedede", "...."),
    "idle": ("#ffffff", ""),
}


def plot_latency(
    runs: Mapping[str, Sequence[Drawn]],
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Axes:
    """Plot the fraction of requests that finish within a given latency.

    A curve ends below 1 by the fraction of dropped requests. A line marks the deadline,
    from arrival on, or a band where the deadlines lie if requests have different ones.

    Parameters
    ----------
    runs
        Policy to its repeats, at least one of each.
    ax
        Where to draw; a new figure if not given.
    title
        Description of what was run.
    """
    with style():
        ax = new_axes(7.4, height_for(len(runs), 3.8)) if ax is None else ax
        curves: dict[str, Floats] = {
            name: np.mean([drawn.latency_share for drawn in repeats], axis=0)
            for name, repeats in runs.items()
        }
        rises = [np.flatnonzero(np.diff(curve)) for curve in curves.values()]
        low = min((int(rise[0]) for rise in rises if len(rise)), default=0)
        high = max((int(rise[-1]) for rise in rises if len(rise)), default=1)
        deadlines_s = _deadlines_s(runs)
        if deadlines_s is not None:
            around_s = deadlines_s[0] / _BESIDE, deadlines_s[1] * _BESIDE
            first, last = np.searchsorted(LATENCY_GRID_S, around_s).tolist()
            low, high = min(low, first), max(high, last)
        shown = slice(low, high + 2)
        for number, (name, curve) in enumerate(curves.items()):
            _curve(ax, runs, name, number, LATENCY_GRID_S[shown], curve[shown])
        if deadlines_s is not None:
            _mark_deadlines(ax, *deadlines_s)
        ax.set_xscale("log")
        ends = LATENCY_GRID_S[[low, min(high + 1, len(LATENCY_GRID_S) - 1)]]
        set_limits(ax, "x", *ends)
        plain_ticks(ax.xaxis)
        ax.set_xlabel("latency (s)")
        ax.set_ylabel("share of requests finished")
        ax.set_ylim(0, 1.02)
        set_title(ax, title)
        side_legend(ax, ax.get_legend_handles_labels()[0], _repeats(runs))
    return ax


def plot_on_time(
    runs: Mapping[str, Sequence[Drawn]],
    ax: Axes | None = None,
    *,
    warmup_s: float = 0.0,
    title: str | None = None,
) -> Axes:
    """Plot the on-time ratio of requests by arrival time.

    Parameters
    ----------
    runs
        Policy to its repeats, at least one of each.
    ax
        Where to draw; a new figure if not given.
    warmup_s
        End of the warm-up, during which requests are not measured; shaded.
    title
        Description of what was run.
    """
    with style():
        ax = new_axes(7.4, height_for(len(runs), 3.8)) if ax is None else ax
        longest_s = max(
            drawn.step_s * len(drawn.arrived)
            for repeats in runs.values()
            for drawn in repeats
        )
        unit, unit_s = _unit(longest_s)
        if warmup_s > 0:
            ax.axvspan(0, warmup_s / unit_s, color="#eeeeee", label="warm-up", zorder=0)
        for number, (name, repeats) in enumerate(runs.items()):
            arrived = _total([drawn.arrived for drawn in repeats])
            in_time = _total([drawn.in_time for drawn in repeats])
            ratio = np.full(len(arrived), np.nan)
            np.divide(in_time, arrived, out=ratio, where=arrived > 0)
            step = repeats[0].step_s / unit_s
            middle: Floats = np.arange(0.5, len(arrived), dtype=np.float64) * step
            _curve(ax, runs, name, number, middle, ratio)
        set_limits(ax, "x", 0, longest_s / unit_s)
        ax.set_ylim(0, 1.02)
        ax.set_xlabel(f"time of arrival ({unit})")
        ax.set_ylabel("on-time ratio")
        set_title(ax, title)
        side_legend(ax, ax.get_legend_handles_labels()[0], _repeats(runs))
    return ax


def plot_gpu(
    runs: Mapping[str, Sequence[Drawn]],
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Axes:
    """Plot the split of GPU time: one bar per policy, its parts adding up to 1.

    Parameters
    ----------
    runs
        Policy to its repeats, at least one of each; means are drawn.
    ax
        Where to draw; a new figure if not given.
    title
        Description of what was run.
    """
    with style():
        if ax is None:
            ax = new_axes(7.4, 1.6 + 0.34 * len(runs))
        labels = labels_of(runs)
        for place, repeats in enumerate(runs.values()):
            left = 0.0
            for part, (fill, hatch) in _PARTS.items():
                share = float(np.mean([_share(drawn, part) for drawn in repeats]))
                ax.barh(
                    place,
                    share,
                    0.72,
                    left,
                    color=fill,
                    hatch=hatch,
                    edgecolor=INK,
                    linewidth=0.7,
                )
                if share >= 0.06:
                    ax.text(
                        left + share / 2,
                        place,
                        f"{100 * share:.0f} %",
                        ha="center",
                        va="center",
                        fontsize=8,
                        color="white" if part == "compute" else INK,
                        bbox={
                            "boxstyle": "square,pad=0.1",
                            "fc": fill,
                            "ec": "none",
                        },
                    )
                left += share
        ax.set_yticks(range(len(runs)), [as_text(labels[name]) for name in runs])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(runs) - 0.5, -0.5)
        ax.grid(visible=False)
        ax.set_xlim(0, 1)
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        ax.set_xlabel("share of the GPU's time")
        set_title(ax, title)
        handles = [
            Patch(fc=fill, ec=INK, hatch=hatch, label=part)
            for part, (fill, hatch) in _PARTS.items()
        ]
        side_legend(ax, handles, _repeats(runs))
    return ax


def plot_goodput(
    runs: Mapping[str, Sequence[Drawn]],
    axes: tuple[Axes, Axes] | None = None,
    *,
    title: str | None = None,
) -> tuple[Axes, Axes]:
    """Plot the outcome of each model's requests, most popular model first.

    Above requests offered and in time per second, below the share in time. Neighbouring
    ranks are averaged where there are many models; on the logarithmic axis nothing in
    time is at the bottom.

    Parameters
    ----------
    runs
        Policy to its repeats, at least one of each. All had the same arrivals.
    axes
        Where to draw; a new figure if not given.
    title
        Description of what was run.
    """
    with style():
        if axes is None:
            figure = Figure(figsize=(7.4, 6.0), layout="constrained")
            above, below = figure.subplots(2, 1, sharex=True)
        else:
            above, below = axes
        first = next(iter(runs.values()))
        offered = _by_model([drawn.measures.offered_per_s for drawn in first])
        ranked = sorted(offered, key=lambda model: -offered[model])
        starts = _group_starts(len(ranked))
        sizes = np.diff([*starts, len(ranked)])
        rank = starts + (sizes + 1) / 2

        def grouped(per_s: Mapping[str, float]) -> Floats:
            values = np.array([per_s.get(model, 0.0) for model in ranked])
            return np.asarray(np.add.reduceat(values, starts) / sizes)

        if ranked:
            most = grouped(offered)
            floor = most.min() / 30
            above.fill_between(rank, floor, most, color="#e6e6e6", zorder=0)
            # Wider and paler than the curves, which can be followed along it.
            above.plot(rank, most, color="#b8b8b8", linewidth=4.5, label="offered")
            for number, (name, repeats) in enumerate(runs.items()):
                good = grouped(_by_model([d.measures.goodput_per_s for d in repeats]))
                _curve(above, runs, name, number, rank, np.maximum(good, floor))
                _curve(below, runs, name, number, rank, good / most)
            above.set_yscale("log")
            set_limits(above, "y", floor, 1.5 * most.max())
            above.yaxis.set_major_formatter("{x:g}")
            below.set_xscale("log")
            above.set_xscale("log")
            set_limits(below, "x", 0.9, len(ranked) * 1.1)
            plain_ticks(below.xaxis)
        below.set_ylim(0, 1.02)
        below.set_xlabel("rank of the model by requests")
        above.set_ylabel("requests per model (1/s)")
        below.set_ylabel("share in time")
        set_title(above, title)
        side_legend(above, above.get_legend_handles_labels()[0], _repeats(runs))
    return above, below


def _deadlines_s(
    runs: Mapping[str, Sequence[Drawn]],
) -> tuple[float, float] | None:
    """Shortest and longest time to the deadline in all runs."""
    known = [
        drawn.deadlines_s
        for repeats in runs.values()
        for drawn in repeats
        if drawn.deadlines_s is not None
    ]
    if not known:
        return None
    return min(low_s for low_s, _ in known), max(high_s for _, high_s in known)


def _mark_deadlines(ax: Axes, low_s: float, high_s: float) -> None:
    """Mark the deadline that all requests have, or where their deadlines lie."""
    low, high = f"{low_s:g}", f"{high_s:g}"  # a sum's last bit is no other deadline
    if low == high:
        ax.axvline(
            high_s,
            color=INK,
            linestyle=(0, (6, 2, 1, 2)),
            linewidth=1.2,
            zorder=1,
            label=f"deadline {high} s",
        )
        return
    label = f"deadlines {low} to {high} s"
    ax.axvspan(low_s, high_s, color="#eeeeee", zorder=0, label=label)


def _curve(
    ax: Axes,
    runs: Mapping[str, Any],
    name: str,
    number: int,
    x: Floats,
    y: Floats,
) -> None:
    """Plot a policy's curve, with markers offset from those of the other curves."""
    look = looks(runs)[name]
    shared = not name.endswith(NO_SHARING)
    every = max(1, len(x) // 8)
    ax.plot(
        x,
        y,
        color=look.colour,
        linestyle="-" if shared else (0, (4, 2)),
        marker=look.marker,
        markersize=5.5,
        markevery=(number * every // len(runs), every),
        markerfacecolor=look.colour if shared else "white",
        markeredgecolor=look.colour,
        label=legend_label(labels_of(runs)[name]),
    )


def _share(drawn: Drawn, part: str) -> float:
    seconds: float = getattr(drawn.measures, f"{part}_s")
    return seconds / drawn.measures.span_s


def _by_model(repeats: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average the repeats by model; a model without requests counts 0."""
    names = dict.fromkeys(name for per_s in repeats for name in per_s)
    return {
        name: math.fsum(per_s.get(name, 0.0) for per_s in repeats) / len(repeats)
        for name in names
    }


def _group_starts(models: int) -> Ints:
    """First rank, from 0, of groups of neighbours of equal width on a log axis."""
    if models <= _MOST_GROUPS:
        return np.arange(models)
    edges = np.geomspace(1, models + 1, _MOST_GROUPS + 1)[:-1]
    return np.unique(np.floor(edges).astype(np.int64) - 1)


def _total(parts: Sequence[Ints]) -> Ints:
    """Sum arrays, padding shorter ones with 0."""
    total = np.zeros(max(len(part) for part in parts), dtype=np.int64)
    for part in parts:
        total[: len(part)] += part
    return total


def _unit(longest_s: float) -> tuple[str, float]:
    if longest_s > 3 * 3600:
        return "h", 3600.0
    return ("min", 60.0) if longest_s > 600 else ("s", 1.0)


def _repeats(runs: Mapping[str, Sequence[Drawn]]) -> str:
    count = max(len(repeats) for repeats in runs.values())
    return "one run" if count == 1 else f"{count} repeats"
