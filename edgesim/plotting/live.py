"""Figure of a live run: requests in time live and simulated, and errors of times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edgesim.plotting.colours import COMPUTE, LOAD
from edgesim.plotting.labels import labels_of
from edgesim.plotting.style import as_text, style

_INK = "#444444"
_MARKS = (("live", "o", _INK), ("simulated", "s", "none"), ("its rounds", "^", "none"))


class LivePolicy(NamedTuple):
    """One policy: its shares in time, and simulated and live times, shape (n, 2).

    ``closed`` is the share when the simulation decides for itself, ``open`` that of the
    live run's rounds; None where there are no requests.
    """

    name: str
    live: float | None
    closed: float | None
    open: float | None
    loads: NDArray[np.float64]
    batches: NDArray[np.float64]


def plot_live(policies: Sequence[LivePolicy], *, title: str) -> Figure:
    """Plot two panels, a row a policy.

    Left: share of requests in time, live, simulated, and of the live run's rounds
    simulated. Right: live − simulated of each load and batch, as deciles: a line from
    the first to the ninth and a mark at the median.

    Parameters
    ----------
    policies
        The policies; none gives empty panels.
    title
        Description of the run.
    """
    with style():
        figure = Figure(
            figsize=(9.2, 1.6 + 0.55 * max(1, len(policies))), layout="constrained"
        )
        left, right = figure.subplots(1, 2, sharey=True)
        for ax in (left, right):
            ax.grid(visible=True, axis="x")
            ax.grid(visible=False, axis="y")
        for row, policy in enumerate(policies):
            _shares(left, row, policy)
            _errors(right, row, policy)
        labels = labels_of(p.name for p in policies)
        left.set_yticks(
            range(len(policies)), [as_text(labels[p.name]) for p in policies]
        )
        left.set_ylim(max(0.5, len(policies) - 0.5), -0.5)
        left.set_xlabel("requests in time (%)")
        right.axvline(0.0, color=_INK, linewidth=1.0)
        right.set_xlabel("live − simulated, p10 to p90 (ms)")
        left.set_title(title, fontsize=10, parse_math=False)
        if policies:
            left.legend(*_once(left), loc="best")
            right.legend(*_once(right), loc="best")
    return figure


def _shares(ax: Axes, row: int, policy: LivePolicy) -> None:
    shares = (policy.live, policy.closed, policy.open)
    for at, (share, (label, marker, face)) in enumerate(
        zip(shares, _MARKS, strict=True)
    ):
        if share is not None:
            ax.plot(
                share * 100,
                row + 0.18 * (at - 1),
                linestyle="none",
                marker=marker,
                markerfacecolor=face,
                markeredgecolor=_INK,
                label=label,
            )


def _errors(ax: Axes, row: int, policy: LivePolicy) -> None:
    for pairs, hue, marker, label, shift in (
        (policy.loads, LOAD, "o", "load", -0.12),
        (policy.batches, COMPUTE, "^", "batch", 0.12),
    ):
        if not len(pairs):
            continue
        errors_ms = (pairs[:, 1] - pairs[:, 0]) * 1e3
        low, middle, high = np.percentile(errors_ms, [10, 50, 90]).tolist()
        ax.plot([low, high], [row + shift] * 2, color=hue)
        ax.plot(
            middle,
            row + shift,
            linestyle="none",
            marker=marker,
            markerfacecolor="none",
            markeredgecolor=hue,
            label=label,
        )


def _once(ax: Axes) -> tuple[list[object], list[str]]:
    """List the handles of a legend, each label once."""
    handles, labels = ax.get_legend_handles_labels()
    first = {label: handle for handle, label in zip(handles, labels, strict=True)}
    return list(first.values()), list(first)
