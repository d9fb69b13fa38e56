"""Labels of solvers and policies are short, distinct, and do not overlap."""

from __future__ import annotations

from itertools import pairwise

import pytest
from matplotlib.figure import Figure

from edgesim.plotting.labels import broken, labels_of, short_names
from edgesim.plotting.live import LivePolicy, plot_live
from edgesim.plotting.marks import Frame, Mark
from edgesim.plotting.style import root_figure
from edgesim.plotting.sweep import plot_sweep
from edgesim.plotting.throughput import plot_throughput
from tests.plotting.test_live import NONE

MODULE = "my_long_package.module"
LONG = [f"{MODULE}:solve_with_everything_{k}" for k in range(10)]
AMBIGUOUS = [f"package_{k}.scheduling:solve_with_everything" for k in range(10)]
ONE_WORD = [f"m:{'solve' * 12}{k}{'everything' * 6}" for k in range(10)]
WIDE = [f"m:{'MW' * 8}_{k}" for k in range(10)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("names", [LONG, AMBIGUOUS, ONE_WORD, WIDE])
@pytest.mark.parametrize("given", ["new", "one of two"])
def test_labels_of_bars_are_apart(names: list[str], count: int, given: str) -> None:
    """Neither on one another nor cut off, and no two the same."""
    served = {
        name: [10.0, 12.0]
        for base in ["local-search", *names[:count]]
        for name in (base, f"{base}-noshare")
    }
    figure = Figure(figsize=(6.0 + 2 * count, 4.8), layout="constrained")
    axes = None if given == "new" else figure.subplots(1, 2)[0]
    ax = plot_throughput(served, axes, bound=[12.0], requests=20)
    root_figure(ax).draw_without_rendering()
    labels = ax.get_xticklabels()
    assert len({label.get_text() for label in labels}) == count + 1
    boxes = [label.get_window_extent() for label in labels]
    assert all(before.x1 < after.x0 for before, after in pairwise(boxes))
    assert all(box.y0 >= ax.xaxis.label.get_window_extent().y1 for box in boxes)
    paper = root_figure(ax).bbox
    assert min(b.x0 for b in boxes) >= 0
    assert max(b.x1 for b in boxes) <= paper.x1
    assert ax.get_window_extent().height > 0.4 * paper.height


def test_a_label_is_broken_behind_its_parts() -> None:
    """Parts that fit are whole; one that does not is cut into lines."""
    assert broken("solve_with_everything", 65, 9.5) == "solve_with_\neverything"
    assert broken("dp", 65, 9.5) == "dp"
    assert broken("a.bc:solve", 500, 9.5) == "a.bc:solve"
    lines = broken("everything" * 3, 65, 9.5).split("\n")
    assert "".join(lines) == "everything" * 3
    assert 2 < len(lines) < 6
    assert broken("解决一切", 25, 9.5).replace("\n", "") == "解决一切"
    assert len(broken("ab", 0.1, 9.5).split("\n")) == 2


def test_names_that_are_cut_stay_distinct() -> None:
    """Those that differ in the middle alone are cut less."""
    found = short_names([*ONE_WORD, "dp", "mine:dp", "a_b.c:other"], 20)
    assert len(set(found.values())) == len(ONE_WORD) + 3
    assert (found["dp"], found["mine:dp"]) == ("dp", "mine:dp")
    assert found["a_b.c:other"] == "other"
    assert short_names(["m:" + "long" * 20], 20)["m:" + "long" * 20].count("…") == 1
    assert len(labels_of(["m:" + "long" * 20])["m:" + "long" * 20]) == 26
    twin = labels_of([f"{LONG[0]}-noshare"])
    assert twin == {f"{LONG[0]}-noshare": "solve_with_everything_0, no sharing"}


def test_every_figure_uses_them() -> None:
    """Lines of sweeps and rows of live runs too."""
    names = [AMBIGUOUS[0], AMBIGUOUS[1], LONG[0]]
    labels = set(labels_of(names).values())
    marks = [Mark(x, name, 1.0, 0.1, 2) for name in names for x in (1.0, 2.0)]
    legend = plot_sweep(marks, Frame()).get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == labels
    rows = [LivePolicy(name, 0.5, 0.5, 0.5, NONE, NONE) for name in names]
    ticks = plot_live(rows, title="live").axes[0].get_yticklabels()
    assert {text.get_text() for text in ticks} == labels
