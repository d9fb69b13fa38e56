"""Every kind of picture looks as its committed baseline does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.plotting import baselines
from tests.plotting.baselines import (
    DRAWINGS,
    FOLDER,
    MADE_WITH,
    complaint,
    draw,
    make,
    read,
)

comparable = pytest.mark.skipif(
    baselines.version() != MADE_WITH,
    reason="baselines are of matplotlib {}.{}; others lay text out otherwise".format(
        *MADE_WITH
    ),
)


@comparable
@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_looks_as_its_baseline(name: str, tmp_path: Path) -> None:
    """Pixel by pixel, but for a few; what differs is written beside it."""
    found = complaint(name, draw(make(name)), read(name), tmp_path)
    assert not found, found


def test_every_baseline_has_its_drawing() -> None:
    """No picture is left over, none is missing, and none is large."""
    files = sorted(FOLDER.glob("*.png"))
    assert [path.stem for path in files] == sorted(DRAWINGS)
    assert max(path.stat().st_size for path in files) < 16_000


def remove_line(figure: Figure) -> None:
    """Remove the last curve of the first axes."""
    figure.axes[0].lines[-1].remove()


def recolour(figure: Figure) -> None:
    """Give one curve the colour of another."""
    first, second = figure.axes[0].lines[1:3]
    second.set_color(first.get_color())


def solid(figure: Figure) -> None:
    """Draw the dashed curve of the twin without sharing solid."""
    figure.axes[0].lines[-1].set_linestyle("-")


def without_markers(figure: Figure) -> None:
    """Take one curve's markers."""
    figure.axes[0].lines[1].set_marker("")


def without_legend(figure: Figure) -> None:
    """Remove the legend."""
    legend = figure.axes[0].get_legend()
    assert legend is not None
    legend.remove()


def rename(figure: Figure) -> None:
    """Change a word of an axis."""
    figure.axes[0].set_ylabel("on time ratio")


@comparable
@pytest.mark.parametrize(
    "spoil", [remove_line, recolour, solid, without_markers, without_legend, rename]
)
def test_a_spoilt_picture_is_noticed(
    spoil: Callable[[Figure], None], tmp_path: Path
) -> None:
    """A line, colour, dash, marker, legend or word that is missing or wrong."""
    figure = make("on-time")
    spoil(figure)
    found = complaint("on-time", draw(figure), read("on-time"), tmp_path)
    assert "must differ in 12 pixels at most, found " in found
    assert "python -m tests.plotting.baselines" in found
    for name in ("on-time-actual.png", "on-time-difference.png"):
        assert str(tmp_path / name) in found
    marked = np.asarray(Image.open(tmp_path / "on-time-difference.png"))
    assert (marked == baselines.RED).all(axis=-1).sum() > 12


def test_a_picture_of_another_size_is_noticed(tmp_path: Path) -> None:
    """Both sizes are told, and the picture is written without a difference."""
    expected = read("trace")
    found = complaint("trace", expected[:-1], expected, tmp_path)
    height, width = expected.shape[:2]
    assert f"must be {width} by {height} pixels, found {width} by {height - 1}" in found
    assert [path.name for path in tmp_path.iterdir()] == ["trace-actual.png"]
