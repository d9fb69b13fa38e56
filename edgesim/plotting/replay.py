"""Figure of a replay: measured against simulated times, and errors along the plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgesim.plotting.colours import COMPUTE, LOAD
from edgesim.plotting.style import plain_ticks, set_title, style

_LOAD = ("load", LOAD, "o")
_COMPUTE = ("compute", COMPUTE, "^")
_INK = "#444444"
_ROOM = 1.3
"""Margin factor beyond the smallest and the largest time on logarithmic axes."""


class MeasuredRound(Protocol):
    """One round in one repeat, simulated and measured."""

    @property
    def round(self) -> int:
        """Its number in the plan."""
        ...

    @property
    def loaded_blocks(self) -> int:
        """Number of blocks that it loads."""
        ...

    @property
    def simulated_load_s(self) -> float:
        """Simulated time of its load."""
        ...

    @property
    def measured_load_s(self) -> float:
        """Measured time of its load."""
        ...

    @property
    def simulated_compute_s(self) -> float:
        """Simulated time of its batch."""
        ...

    @property
    def measured_compute_s(self) -> float | None:
        """Measured time of its batch; None if it was left out."""
        ...


def plot_replay(pairs: Sequence[MeasuredRound], *, title: str) -> Figure:
    """Plot two panels; loads and batches differ in colour and marker.

    Left: measured against simulated time of each round and repeat, on logarithmic axes
    where all times are above 0, with the line on which they are equal. Right: measured
    − simulated, by round of the plan. A round that loads nothing has no mark for its
    load, a batch that was left out none.

    Parameters
    ----------
    pairs
        The measured rounds; none gives empty panels.
    title
        Description of the replay.
    """
    series = [
        (
            _LOAD,
            [
                (p.round, p.simulated_load_s * 1e3, p.measured_load_s * 1e3)
                for p in pairs
                if p.loaded_blocks
            ],
        ),
        (
            _COMPUTE,
            [
                (p.round, p.simulated_compute_s * 1e3, p.measured_compute_s * 1e3)
                for p in pairs
                if p.measured_compute_s is not None
            ],
        ),
    ]
    with style():
        figure = Figure(figsize=(9.2, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for ax in (left, right):
            ax.grid(visible=True, axis="both")
        _diagonal(
            left, [v for _, points in series for _, *pair in points for v in pair]
        )
        for (name, hue, marker), points in series:
            if not points:
                continue
            rounds, simulated, measured = zip(*points, strict=True)
            errors = [real - plan for _, plan, real in points]
            for ax, x, y in ((left, simulated, measured), (right, rounds, errors)):
                ax.plot(
                    x,
                    y,
                    linestyle="none",
                    marker=marker,
                    markersize=4.5,
                    markerfacecolor="none",
                    markeredgecolor=hue,
                    label=name,
                )
        right.axhline(0.0, color=_INK, linewidth=1.0)
        left.set_xlabel("simulated time (ms)")
        left.set_ylabel("measured time (ms)")
        right.set_xlabel("round of the plan")
        right.set_ylabel("measured − simulated (ms)")
        right.xaxis.get_major_locator().set_params(integer=True)
        set_title(left, title)
        if pairs:
            left.legend(loc="upper left")
        else:
            left.text(
                0.5, 0.5, "no rounds", transform=left.transAxes, ha="center", color=_INK
            )
    return figure


def _diagonal(ax: Axes, values: Sequence[float]) -> None:
    if not values:
        return
    low, high = min(values), max(values)
    if low > 0:
        ax.set_xscale("log")
        ax.set_yscale("log")
        ends = (low / _ROOM, high * _ROOM)
    else:
        ends = (0.0, high * 1.05 or 1.0)
    ax.plot(ends, ends, color=_INK, linewidth=1.0, linestyle=(0, (4, 2)), label="equal")
    ax.set_xlim(ends)
    ax.set_ylim(ends)
    if low > 0:
        plain_ticks(ax.xaxis)
        plain_ticks(ax.yaxis)
