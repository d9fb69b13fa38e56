"""Figures of sweeps: every point within the axes, no legend over anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from edgesim.measures.student import mean_interval
from edgesim.plotting.marks import Frame, Mark, Vertical
from edgesim.plotting.online import plot_latency, plot_on_time
from edgesim.plotting.style import style
from edgesim.plotting.sweep import plot_sweep
from edgesim.plotting.sweep_map import plot_map
from edgesim.plotting.throughput import plot_throughput
from tests.plotting.sweep_marks import SweepPoint
from tests.plotting.sweep_marks import panels as panels_of
from tests.plotting.sweep_marks import sweep as sweep_of
from tests.plotting.test_online import hand_drawn
from tests.plotting.test_style import assert_nothing_cut_off, figure_of

SERIES = tuple(
    name + twin
    for name in ("dp", "greedy", "a.module.of_mine:that_plans", "fcfs", "edf", "_odd")
    for twin in ("", "-noshare")
)

FEW = settings(max_examples=25, derandomize=True)
SERVED = st.floats(0, 1e6) | st.integers(0, 9)
PLAIN = st.integers(1, 99) | st.floats(1e-3, 1e3)


def points(values: st.SearchStrategy[float | str]) -> st.SearchStrategy:
    """Draw rows of a few solvers."""
    point = st.builds(SweepPoint, values, st.sampled_from(SERIES), SERVED)
    return st.lists(point, min_size=1, max_size=12)


ROWS = points(PLAIN) | points(st.sampled_from(("upfront", "static", "a $x^{$ word")))
PANELS = st.one_of(
    st.lists(of, min_size=1, max_size=5)
    for of in (points(PLAIN), points(st.sampled_from(("one", "two", "three"))))
)


def assert_all_within(ax: Axes, rows: Sequence[SweepPoint], log_x: bool) -> None:
    """Check that mean and interval of each line's points lie within the limits."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    groups: dict[tuple[str, float | str], list[float]] = {}
    for row in rows:
        groups.setdefault((row.solver, row.value), []).append(row.served)
    lines = [c.lines[0] for c in ax.containers if isinstance(c, ErrorbarContainer)]
    drawn = [
        (float(x), float(y))
        for line in lines
        for x, y in zip(
            np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), strict=True
        )
    ]
    means = sorted(mean_interval(served)[0] for served in groups.values())
    assert sorted(y for _, y in drawn) == pytest.approx(means)
    for x, _ in drawn:
        assert left <= x <= right
    for served in groups.values():
        mean, half = mean_interval(served)
        assert bottom <= mean - (half or 0.0)
        assert mean + (half or 0.0) <= top
    assert bottom <= 0 <= top
    assert ax.get_xscale() == ("log" if log_x else "linear")


@FEW
@given(ROWS, st.booleans())
def test_every_point_lies_within_its_axes(
    rows: list[SweepPoint], wanted_log: bool
) -> None:
    """Whatever the rows, nothing of a figure without panels is out of sight."""
    log_x = wanted_log and not isinstance(rows[0].value, str)
    assert_all_within(sweep_of(rows, "x", log_x=log_x), rows, log_x)


@FEW
@given(PANELS, st.booleans(), st.sampled_from((None, 1.02)))
def test_every_point_of_every_panel_lies_within_its_axes(
    panels: list[list[SweepPoint]], wanted_log: bool, top: float | None
) -> None:
    """Panels share both axes, and these hold the data of all of them."""
    log_x = wanted_log and not isinstance(panels[0][0].value, str)
    named = {f"panel {number}": rows for number, rows in enumerate(panels)}
    figure = panels_of(named, "x", y_label="y", log_x=log_x, top=top)
    for ax, rows in zip(figure.axes, panels, strict=False):
        assert_all_within(ax, rows, log_x)
    (legend,) = filter(None, (ax.get_legend() for ax in figure.axes))
    solvers = {row.solver for rows in panels for row in rows}
    assert len(legend.get_texts()) == len(solvers), "those of other panels too"


def test_the_second_panel_is_not_cut_at_the_first_ones_range() -> None:
    """A panel that serves five times as many is seen, on the same scale."""
    low, high = ([SweepPoint(1.0, "dp", served)] for served in (4.0, 20.0))
    figure = panels_of({"0.2 s": low, "1 s": high}, "x", y_label="y")
    assert [ax.get_ylim() for ax in figure.axes] == 2 * [(0.0, pytest.approx(20, 0.2))]


def test_words_stand_for_the_same_in_every_panel() -> None:
    """The second panel's only word is not taken for the first panel's first one."""
    first = [SweepPoint(word, "dp", 1.0) for word in ("upfront", "static")]
    figure = panels_of(
        {"both": first, "one": [SweepPoint("static", "dp", 1.0)]},
        "x",
        y_label="y",
    )
    (only,) = figure.axes[1].containers
    assert isinstance(only, ErrorbarContainer)
    assert np.asarray(only.lines[0].get_xdata()).tolist() == [1.0]


def test_an_upper_limit_gives_way_to_an_interval() -> None:
    """A share's interval may end above 1.02, and is drawn to its end."""
    rows = [SweepPoint(1.0, "dp", share) for share in (1.0, 0.9)]
    ax = panels_of({"p": rows}, "x", y_label="y", top=1.02).axes[0]
    mean, half = mean_interval([1.0, 0.9])
    assert half is not None
    assert ax.get_ylim()[1] >= mean + half > 1.02


def test_a_panel_without_points_is_drawn() -> None:
    """Nothing was measured there: an empty panel beside the others."""
    figure = panels_of(
        {"none": [], "some": [SweepPoint(1.0, "dp", 1.0)]}, "x", y_label="y"
    )
    assert [len(ax.containers) for ax in figure.axes] == [0, 1]
    assert_nothing_cut_off(panels_of({"none": []}, "x", y_label="y"))


def _latency(ax: Axes, factor: float) -> None:
    drawn = hand_drawn()
    moved = np.roll(drawn.latency_share, round(200 * np.log10(factor)))
    object.__setattr__(drawn, "latency_share", moved)
    plot_latency({"fcfs": [drawn]}, ax)


def _on_time(ax: Axes, factor: float) -> None:
    plot_on_time({"fcfs": [hand_drawn(factor)]}, ax)


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax, factor: sweep_of([SweepPoint(1.0, "dp", factor)], "x", ax),
        lambda ax, factor: plot_throughput({"dp": [10 * factor]}, ax),
        _latency,
        _on_time,
    ],
)
@pytest.mark.parametrize("factors", [(1.0, 5.0), (5.0, 1.0)])
def test_axes_that_are_shared_keep_what_is_on_all_of_them(
    draw: Callable[[Axes, float], object], factors: tuple[float, float]
) -> None:
    """Whoever shares axes of their own sees both figures whole, in either order."""
    pair = Figure(layout="constrained").subplots(1, 2, sharex=True, sharey=True)
    for ax, factor in zip(pair, factors, strict=True):
        draw(ax, factor)
    for ax in pair:
        box = ax.dataLim
        assert ax.get_xlim()[0] <= box.x0
        assert box.x1 <= ax.get_xlim()[1]
        assert ax.get_ylim()[0] <= box.y0
        assert box.y1 <= ax.get_ylim()[1]


def legends_and_axes(figure: Figure) -> tuple[list, list]:
    """Boxes of all legends, and of all axes with each of their texts, as laid out."""
    with style():
        figure.draw_without_rendering()
        shown = [ax for ax in figure.axes if ax.get_visible()]
        legends = [ax.get_legend() for ax in shown]
        boxes = []
        for ax in shown:
            texts = [*ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.label]
            texts += [ax.yaxis.label, ax.title, *ax.texts]
            drawn = [t.get_window_extent() for t in texts if t.get_text()]
            boxes += [ax.get_window_extent(), *drawn]
        return [legend.get_window_extent() for legend in legends if legend], boxes


def assert_legends_apart(figure: Figure) -> None:
    """Check that no legend lies over axes, their texts or another legend."""
    legends, boxes = legends_and_axes(figure)
    assert legends
    for number, legend in enumerate(legends):
        for box in (*boxes, *legends[:number]):
            over_x = min(legend.x1, box.x1) - max(legend.x0, box.x0)
            over_y = min(legend.y1, box.y1) - max(legend.y0, box.y0)
            assert min(over_x, over_y) < 1


def rows_of(series: int) -> list[SweepPoint]:
    """Two repeats at three values for each of the first so many series."""
    return [
        SweepPoint(value, name, place + value * repeat)
        for place, name in enumerate(SERIES[:series])
        for value in (1.0, 2.0, 5.0)
        for repeat in (1, 2)
    ]


def _several(draw: Callable[[Axes], object], down: int, across: int) -> Figure:
    """Draw on all of several axes, whose layout nobody has chosen."""
    figure = Figure(figsize=(5.5 * across, 4.0 * down))
    for ax in figure.subplots(down, across, squeeze=False).flat:
        draw(ax)
    return figure


@pytest.mark.parametrize("series", range(1, 13))
def test_legends_lie_over_nothing(series: int) -> None:
    """For 1 to 12 series: alone, in panels, and on axes beside others."""
    rows = rows_of(series)
    bars: Mapping[str, Sequence[float]] = {name: [1, 2] for name in SERIES[:series]}
    latencies = {name: [hand_drawn()] for name in SERIES[:series]}
    figures = [
        figure_of(sweep_of(rows, "x")),
        figure_of(plot_throughput(bars, bound=[3.0])),
        figure_of(plot_latency(latencies)),
        *(
            panels_of(dict.fromkeys(names, rows), "x", y_label="y", title="t")
            for names in ("a", "ab", "abc", "abcd")
        ),
        _several(lambda ax: sweep_of(rows, "x", ax), 1, 2),
        _several(lambda ax: sweep_of(rows, "x", ax), 2, 1),
        _several(lambda ax: plot_throughput(bars, ax, bound=[3.0]), 1, 2),
    ]
    for figure in figures:
        assert_legends_apart(figure)
        assert_nothing_cut_off(figure)
        for ax in figure.axes:
            width, height = cast("tuple[float, float]", ax.bbox.size)
            assert not ax.get_visible() or min(width, height) > 100


def _cells(figure: Figure) -> list[list[float | None]]:
    """Return the numbers of the first map, row by row."""
    (image,) = figure.axes[0].images
    cells: list[list[float | None]] = np.ma.getdata(image.get_array()).tolist()
    return cells


def test_a_map_has_each_number_in_its_cell() -> None:
    """Numbers in order along both axes, whatever the order of rows and marks."""
    means = {(8.0, 1e9): 1.0, (4.0, 1e9): 2.0, (8.0, 0.5e9): 3.0, (4.0, 0.5e9): 4.0}
    rows = {
        second: [Mark(x, "dp", means[x, second], None, 2) for x in (8.0, 4.0)]
        for second in (1e9, 0.5e9)
    }
    figure = plot_map(rows, Frame(second_unit=1e9))
    assert _cells(figure) == [[4.0, 3.0], [2.0, 1.0]]
    ticks = [figure.axes[0].get_xticklabels(), figure.axes[0].get_yticklabels()]
    assert [[text.get_text() for text in axis] for axis in ticks] == [
        ["4", "8"],
        ["0.5", "1"],
    ]


def test_a_map_of_words_beside_numbers_has_all_cells() -> None:
    """A number among words keeps its place, and its cell its number."""
    marks = [Mark(value, "dp", mean, None, 2) for value, mean in (("all", 1), (2, 3))]
    assert _cells(plot_map({1.0: marks}, Frame())) == [[1.0, 3.0]]


def test_small_numbers_of_a_map_are_told_apart() -> None:
    """Times of milliseconds are not all 0.00."""
    marks = [Mark(value, "dp", value / 1000, None, 2) for value in (1.0, 4.0)]
    texts = [text.get_text() for text in plot_map({1.0: marks}, Frame()).axes[0].texts]
    assert texts == ["0.0010", "0.0040"]


def test_words_stand_in_the_order_of_the_values() -> None:
    """Also if the first panel has no mark of the first value."""
    marks = [Mark(value, "dp", 1.0, None, 2) for value in ("b", "a")]
    ax = plot_sweep(marks, Frame(x_values=("a", "b", "c")))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b"]


def test_values_that_differ_in_late_digits_have_titles_of_their_own() -> None:
    """No panel is lost to another one of the same title."""
    frame = Frame(second_label="seed")
    assert frame.panel_titles((1.0, 2.5)) == ["seed: 1", "seed: 2.5"]
    assert frame.panel_titles((1234567, 1234568)) == ["seed: 1234567", "seed: 1234568"]


def test_vertical_marks_stand_at_their_place_with_their_label() -> None:
    """Also left of all values, where the axis is widened; data keep their y axis."""
    marks = (Vertical(0.5, "memory"), Vertical(3.0, "disk"))
    ax = sweep_of(rows_of(1), "x", log_x=True, verticals=marks)
    upright = [line for line in ax.lines if len(set(line.get_xdata())) == 1]
    assert [float(line.get_xdata()[0]) for line in upright] == [0.5, 3.0]
    assert [text.get_text() for text in ax.texts] == ["memory", "disk"]
    assert ax.get_xlim()[0] <= 0.5
    assert ax.get_ylim() == sweep_of(rows_of(1), "x", log_x=True).get_ylim()


def test_a_log_axis_shows_every_mean_that_it_can() -> None:
    """Also where intervals reach below 0; it says how many means it cannot show."""
    marks = [
        Mark(1.0, "dp", 0.5, 1.0, 3),
        Mark(2.0, "dp", 40.0, 1.0, 3),
        Mark(3.0, "dp", 0.0, None, 3),
    ]
    ax = plot_sweep(marks, Frame(log_y=True))
    low, high = ax.get_ylim()
    assert 0 < low < 0.5
    assert high > 41
    legend = ax.get_legend()
    assert legend is not None
    assert (
        legend.get_title()
        .get_text()
        .endswith("1 mean of 0 or less\nnot shown on a log axis")
    )
