"""The picture of a live run shows shares in time and errors, a row a policy."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.axes import Axes

from edgesim.plotting.live import LivePolicy, plot_live
from edgesim.plotting.style import dump

NONE = np.zeros((0, 2))
LOADS, BATCHES = np.array([[0.01, 0.012]] * 3), np.array([[0.02, 0.018]])
POLICIES = [
    LivePolicy("fcfs", 0.8, 0.85, 0.75, LOADS, BATCHES),
    LivePolicy("greedy", None, None, None, NONE, NONE),
]


def _points(ax: Axes, label: str) -> list[tuple[float, float]]:
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in ax.lines
        if line.get_label() == label
    ]


def test_points_are_the_shares_and_the_medians() -> None:
    """In % and in ms; a policy without requests or rounds has no marks."""
    left, right = plot_live(POLICIES, title="a run").axes
    found = {
        label: [x for x, _ in _points(left, label)]
        for label in ("live", "simulated", "its rounds")
    }
    assert found == {"live": [80.0], "simulated": [85.0], "its rounds": [75.0]}
    assert _points(right, "load")[0][0] == pytest.approx(2.0)
    assert _points(right, "batch")[0][0] == pytest.approx(-2.0)
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["fcfs", "greedy"]
    marks = [line.get_marker() for line in left.lines]
    assert len(set(marks)) == 3


def test_no_policies_are_empty_panels() -> None:
    """An interrupt may come before the first run."""
    dump(plot_live([], title="a run"), io.BytesIO())
