"""The picture of a replay shows the pairs and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgesim.plotting.replay import plot_replay
from edgesim.plotting.style import dump, save
from edgesim.replay.comparison import Pair
from tests.replay.test_accuracy import PAIR, _with

PAIRS = [
    PAIR,
    _with(round=1, loaded_blocks=0, simulated_load_s=0.0, measured_load_s=0.0),
    _with(round=2, measured_compute_s=None, measured_load_s=0.011),
]


def _points(ax: Axes, label: str) -> tuple[list[float], list[float]]:
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return list(line.get_xdata()), list(line.get_ydata())


def test_points_are_the_pairs_in_ms() -> None:
    """Left simulated and measured, right the error by round; none of what was not."""
    left, right = plot_replay(PAIRS, title="a plan").axes
    assert _points(left, "load") == ([10.0, 10.0], [12.0, 11.0])
    assert _points(left, "compute") == ([20.0, 20.0], [18.0, 18.0])
    rounds, errors = _points(right, "load")
    assert rounds == [0, 2]
    assert errors == pytest.approx([2.0, 1.0])
    assert _points(right, "compute")[0] == [0, 1]


def test_the_two_kinds_differ_in_colour_and_marker() -> None:
    """Black-and-white print tells them apart too."""
    left, _ = plot_replay(PAIRS, title="a plan").axes
    marks = [line for line in left.lines if line.get_label() in ("load", "compute")]
    assert len({line.get_marker() for line in marks}) == 2
    assert len({line.get_markeredgecolor() for line in marks}) == 2


def test_the_diagonal_is_where_both_are_equal() -> None:
    """Both axes have the same limits, and the line runs between them."""
    left, _ = plot_replay(PAIRS, title="a plan").axes
    x, y = _points(left, "equal")
    assert x == y
    assert left.get_xlim() == left.get_ylim() == tuple(x)
    assert left.get_xscale() == left.get_yscale() == "log"


def test_a_time_of_0_needs_plain_axes() -> None:
    """A load stated as 0 s cannot stand on a logarithmic axis."""
    left, _ = plot_replay([_with(simulated_load_s=0.0)], title="a plan").axes
    assert left.get_xscale() == "linear"
    assert left.get_xlim()[0] == 0.0


@pytest.mark.parametrize("pairs", [[], PAIRS], ids=["empty", "three"])
def test_axes_have_units_and_the_same_pairs_give_the_same_bytes(
    pairs: list[Pair],
) -> None:
    """Also without a round there is a picture, which says so."""

    def draw() -> tuple[Figure, bytes]:
        figure = plot_replay(pairs, title="a plan")
        file = io.BytesIO()
        dump(figure, file)
        return figure, file.getvalue()

    figure, first = draw()
    left, right = figure.axes
    assert left.get_xlabel() == "simulated time (ms)"
    assert left.get_ylabel() == "measured time (ms)"
    assert right.get_xlabel() == "round of the plan"
    assert right.get_ylabel() == "measured − simulated (ms)"
    assert any(text.get_text() == "no rounds" for text in left.texts) == (not pairs)
    assert draw()[1] == first


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    """What looks like a formula, and is none, is no reason to fail at the end."""
    figure = plot_replay([PAIR], title=r"$\frac$ of a plan")
    save(figure, tmp_path / "plan.png")
