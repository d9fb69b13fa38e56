"""Figure of a trace: arrivals over time, and the popularity of its models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgesim.plotting.colours import COLOURS
from edgesim.plotting.style import save, style
from edgesim.trace.requests import Requests
from edgesim.trace.summary import model_counts, zipf_exponent

_WIDTHS_S = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 21_600, 86_400, 604_800)
_MOST_BARS = 300


def plot_arrivals(trace: Requests, ax: Axes) -> Axes:
    """Plot the arrival rate over time, in at most 300 steps of a round width."""
    if not len(trace):
        return _empty(ax)
    ends_s = [
        (float(piece["arrival_s"][0]), float(piece["arrival_s"][-1]))
        for piece in trace.pieces()
    ]
    first_s, last_s = ends_s[0][0], ends_s[-1][1]
    # Far from 0 a narrow step would vanish in rounding.
    least_s = max((last_s - first_s) / (_MOST_BARS - 1), last_s * 1e-9)
    width_s = next((w for w in _WIDTHS_S if w > least_s), least_s)
    start = np.floor(first_s / width_s)
    steps = int(np.floor(last_s / width_s) - start) + 1
    edges_s = (start + np.arange(steps + 1)) * width_s
    counts = np.zeros(steps, dtype=np.int64)
    for piece in trace.pieces():
        bins = np.floor(piece["arrival_s"] / width_s) - start
        counts += np.bincount(bins.astype(np.int64), minlength=steps)
    unit_s, unit = (3600.0, "h") if last_s - first_s > 10_000 else (1.0, "s")
    ax.stairs(counts / width_s, edges_s / unit_s, color=COLOURS["dp"], fill=True)
    ax.set_xlim(edges_s[0] / unit_s, edges_s[-1] / unit_s)
    ax.set_ylim(bottom=0)
    ax.locator_params(axis="x", nbins=6)
    _label(ax, f"time ({unit})", f"arrivals (1/s), mean of {width_s:g} s")
    return ax


def plot_popularity(trace: Requests, ax: Axes) -> Axes:
    """Plot requests by model rank on log axes, with the fitted Zipf line."""
    counts = np.sort(model_counts(trace))[::-1]
    counts = counts[counts > 0]
    if not len(counts):
        return _empty(ax)
    rank = np.arange(1, len(counts) + 1)
    ax.loglog(rank, counts, "o", color=COLOURS["dp"], markersize=4, label="models")
    exponent = zipf_exponent(counts)
    if exponent is not None:
        level = np.exp(np.mean(np.log(counts) + exponent * np.log(rank)))
        ax.loglog(
            rank,
            level * rank**-exponent,
            "--",
            color=COLOURS["greedy"],
            label=f"fit, exponent {exponent:.2f}",
        )
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")
    ax.set_xlim(0.8, len(counts) * 1.25)
    ax.set_ylim(bottom=0.8)
    _label(ax, "rank of the model", "requests")
    ax.legend(frameon=False, fontsize=8)
    return ax


def _label(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=9)
    ax.set_ylabel(y, fontsize=9)
    ax.tick_params(which="both", labelsize=8)


def _empty(ax: Axes) -> Axes:
    ax.text(0.5, 0.5, "no requests", ha="center", va="center", transform=ax.transAxes)
    ax.set_axis_off()
    return ax


def trace_figure(trace: Requests) -> Figure:
    """Plot arrivals over time next to popularity, 18 cm wide for print."""
    with style():
        figure = Figure(figsize=(7.1, 2.8), layout="constrained")
        arrivals, popularity = figure.subplots(1, 2)
        plot_arrivals(trace, arrivals)
        plot_popularity(trace, popularity)
    return figure


def write_picture(trace: Requests, path: Path) -> None:
    """Write the figure of a trace, as :func:`edgesim.plotting.style.save` does."""
    save(trace_figure(trace), path)
