"""Colours in grey: what shares a figure differs in lightness, not in hue alone."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from matplotlib.colors import to_rgb

from edgesim.plotting.colours import (
    COLOURS,
    COMPUTE,
    INK,
    LOAD,
    Colour,
    ink_on,
    looks,
    model_colours,
)
from edgesim.plotting.online import plot_gpu
from edgesim.plotting.profile import TIER_COLOURS
from tests.plotting.test_online import hand_drawn
from tests.plotting.test_style import make_problem, seen

SOLVERS = (
    "dp",
    "greedy",
    "local-search",
    "ilp",
    "exhaustive",
    "fcfs",
    "edf",
    "random",
)
POLICIES = ("fcfs", "edf", "clockwork", "greedy", "rolling")
OWN = {look.colour for look in looks(f"mine:f{k}" for k in range(5)).values()}


def lightness(shade: str | Colour) -> float:
    """Compute CIE L*, from 0 (black) to 100 (white)."""
    return float(seen(shade)[0])


def luma(shade: str | Colour) -> float:
    """Compute the grey level, from 0 to 255, that most programs convert a colour to."""
    red, green, blue = to_rgb(shade)
    return 255 * (0.299 * red + 0.587 * green + 0.114 * blue)


def least_step(values: Iterable[float]) -> float:
    """Find the least difference of any two values."""
    return min(high - low for low, high in pairwise(sorted(values)))


def test_lightness_is_that_of_the_standard() -> None:
    """Black, white and a grey that is in every table."""
    assert lightness("#000000") == pytest.approx(0, abs=0.01)
    assert lightness("#ffffff") == pytest.approx(100, abs=0.01)
    assert lightness("#777777") == pytest.approx(50.0, abs=0.1)
    assert lightness("#ff0000") == pytest.approx(53.24, abs=0.01)


@pytest.mark.parametrize(
    ("names", "least", "least_luma"),
    [(SOLVERS, 8.0, 13.5), (POLICIES, 12.0, 25.0), (tuple(COLOURS), 3.5, 5.0)],
    ids=["solvers", "policies", "all"],
)
def test_lines_of_a_figure_differ_in_grey(
    names: tuple[str, ...], least: float, least_luma: float
) -> None:
    """Eight solvers by 8 in L*, five policies by 12, however grey is computed.

    Eight colours between L* 20 and 78 have 8.3 at most.
    """
    shades = [COLOURS[name] for name in names]
    assert least_step(map(lightness, shades)) >= least
    assert least_step(map(luma, shades)) >= least_luma


def test_lines_of_the_users_own_differ_in_grey() -> None:
    """Five colours of their own are 10 apart, but not from the ten that are shipped."""
    assert least_step(map(lightness, OWN)) >= 10
    assert least_step(map(luma, OWN)) >= 14


@pytest.mark.parametrize("shade", sorted({*COLOURS.values(), *OWN, LOAD, COMPUTE}))
def test_every_colour_stands_out_from_white(shade: str) -> None:
    """A thin line of it is seen: L* is 78 or less; and it is not black."""
    assert 19.5 < lightness(shade) < 78.1


def test_tiers_and_parts_of_gpu_time_differ_in_grey() -> None:
    """Loads are paler than batches, and tiers are 14 apart."""
    assert least_step(map(lightness, TIER_COLOURS.values())) >= 14
    assert lightness(LOAD) - lightness(COMPUTE) >= 25


def test_neighbours_in_a_bar_of_gpu_time_differ_in_grey() -> None:
    """By 11 in L* from one part to the next, with an edge between."""
    ax = plot_gpu({"fcfs": [hand_drawn()]})
    shades = [to_rgb(patch.get_facecolor()) for patch in ax.patches]
    assert len(shades) == 4
    for one, other in pairwise(shades):
        assert abs(lightness(one) - lightness(other)) > 11
    assert {to_rgb(patch.get_edgecolor()) for patch in ax.patches} == {to_rgb(INK)}


def test_clusters_that_follow_each_other_differ_in_grey() -> None:
    """The first models of neighbouring clusters by 8, up to eight clusters."""
    problem = make_problem(5, models=24)
    shades = model_colours(problem, problem.models)
    firsts = [lightness(shades[f"net{cluster}-v0"]) for cluster in range(8)]
    assert all(abs(one - other) >= 8 for one, other in pairwise(firsts))


@pytest.mark.parametrize("shade", COLOURS.values())
def test_a_label_on_a_bar_is_legible(shade: str) -> None:
    """The contrast of a label is 3 to 1 at least (WCAG 2, large text)."""
    face = to_rgb(shade)

    def light(colour: str | Colour) -> float:
        return ((lightness(colour) + 16) / 116) ** 3

    low, high = sorted((light(face), light(ink_on(face))))
    assert (high + 0.05) / (low + 0.05) >= 3
