"""Scaling: fitted exponents, the draws behind them, and what is written."""

from __future__ import annotations

import csv
import math

import matplotlib.image
import numpy as np
import pytest

from solvers.core.tables import Tables
from tests.benchmarks.problems import campus_like
from tests.benchmarks.scaling import (
    AXES,
    LINES,
    Point,
    draw,
    exponent,
    make,
    points,
    sizes,
    table,
    write_points,
)


def power_law(axis: str, slope: float, count: int = 7) -> list[Point]:
    """Make times that grow as a power, but for a flat start."""
    made = []
    for users, models, blocks in sizes(axis, LINES[0])[:count]:
        size = {"users": users, "models": models, "blocks": blocks}[axis]
        runtime_s = max(1e-6 * size**slope, 1e-6 * 16**slope)
        made.append(Point(axis, LINES[0], size, users, models, blocks, runtime_s))
    return made


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_the_exponent_is_that_of_the_upper_half(slope):
    """A flat start does not count; two sizes are too few for a slope."""
    measured = power_law("models", slope)
    assert measured[0].runtime_s == measured[2].runtime_s
    assert exponent(measured) == pytest.approx(slope)
    assert math.isnan(exponent(measured[:2]))


@pytest.mark.parametrize("axis", AXES)
def test_one_size_grows_alone(axis):
    """Along an axis each size is twice the one before, the other two stay."""
    column = AXES.index(axis)
    for line in LINES:
        steps = np.array(sizes(axis, line))
        assert (steps[1:, column] == 2 * steps[:-1, column]).all()
        others = np.delete(steps, column, axis=1)
        assert (others == others[0]).all()


def test_more_blocks_divide_the_same_model():
    """Loads of models and what they share stay about the same."""
    few, many = (
        Tables(
            campus_like(
                np.random.default_rng(3),
                users=20,
                models=8,
                deadline_s=0.2,
                blocks=blocks,
            )
        )
        for blocks in (16, 128)
    )
    for before in (None, *range(8)):
        assert few.loads_after(before) == pytest.approx(many.loads_after(before))


def test_a_draw_depends_on_its_seed_alone():
    """The same seed gives the same problem, another one another."""
    again = make(LINES[-1], 0, 20, 4, 8)
    assert make(LINES[-1], 0, 20, 4, 8) == again != make(LINES[-1], 1, 20, 4, 8)


def test_what_is_written(tmp_path):
    """A row a size, the exponent in the table, and a picture that is not empty."""
    measured = [p for axis in AXES for p in power_law(axis, 1.0)]
    write_points(tmp_path / "scaling.csv", measured)
    with (tmp_path / "scaling.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    times_s = [float(row["runtime_s"]) for row in rows]
    assert times_s == pytest.approx([p.runtime_s for p in measured], rel=1e-5)
    assert {row["axis"] for row in rows} == set(AXES)
    assert table(measured).count("| 1.00 |") == len(AXES)
    draw(measured, tmp_path / "scaling.png")
    assert matplotlib.image.imread(tmp_path / "scaling.png")[..., :3].min() < 0.5


def test_a_range_ends_where_runs_take_too_long(monkeypatch):
    """The size at which a run is too slow is measured, those after it are not."""
    monkeypatch.setattr("tests.benchmarks.scaling.STOP_S", 0.0)
    measured = list(points(LINES[:1]))
    assert [p.axis for p in measured] == list(AXES)
    assert all(p.runtime_s > 0 for p in measured)
