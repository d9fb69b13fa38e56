"""Figures of online runs: true to the numbers, nothing cut off, the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from edgesim.measures.account import Account
from edgesim.measures.intervals import batch_spans
from edgesim.measures.measure import measure_span
from edgesim.measures.series import sample_series
from edgesim.plotting import online_data as summaries
from edgesim.plotting.colours import COLOURS, MARKERS, looks
from edgesim.plotting.labels import labels_of
from edgesim.plotting.online import (
    plot_goodput,
    plot_gpu,
    plot_latency,
    plot_on_time,
)
from edgesim.plotting.online_data import LATENCY_GRID_S, Drawn, keep_for_plots
from edgesim.plotting.style import save
from solvers.core.tables import Tables
from tests.engine.handmade import hand_run, make_problem, seeded_run, seeded_tables
from tests.plotting.test_style import assert_nothing_cut_off, figure_of

POLICIES = tuple(
    name + twin
    for name in ("fcfs", "edf", "clockwork", "greedy", "rolling")
    for twin in ("", "-noshare")
)


def goodput_above(
    runs: Mapping[str, Sequence[Drawn]],
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw goodput and return the upper axes."""
    axes = None if ax is None else (ax, figure_of(ax).add_subplot())
    return plot_goodput(runs, axes, title=title)[0]


PLOTS: tuple[Callable[..., Axes], ...] = (
    plot_latency,
    plot_on_time,
    plot_gpu,
    goodput_above,
)


def drawn_from(account: Account, span_s: tuple[float, float], step_s: float) -> Drawn:
    """Keep a run for figures."""
    series = sample_series(account, step_s)
    return keep_for_plots(account, measure_span(account, *span_s), series, span_s)


def hand_drawn(step_s: float = 1.0) -> Drawn:
    """Keep the run worked out by hand, measured from 0 to 5 s."""
    account = Account(hand_run(), Tables(make_problem()))
    return drawn_from(account, (0.0, 5.0), step_s)


def many() -> Mapping[str, Sequence[Drawn]]:
    """Make ten policies of two repeats each."""
    runs = {}
    for number, policy in enumerate(POLICIES):
        tables = seeded_tables(number, sharing=not policy.endswith("-noshare"))
        accounts = [Account(seeded_run(number + k, tables), tables) for k in (0, 1)]
        runs[policy] = [drawn_from(account, (0.5, 5.0), 0.05) for account in accounts]
    return runs


RUNS = many()


def lines(ax: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """Curves by label."""
    return {
        str(line.get_label()): (
            np.asarray(line.get_xdata(), dtype=float).tolist(),
            np.asarray(line.get_ydata(), dtype=float).tolist(),
        )
        for line in ax.lines
    }


def test_latency_curves_are_shares_of_all_requests() -> None:
    """1.5 s once, 2 s twice, 3 s once, of six: the curve ends at two thirds."""
    shares = hand_drawn().latency_share
    for latency_s, share in (
        (1.4, 0),
        (1.6, 1),
        (1.9, 1),
        (2.1, 3),
        (2.9, 3),
        (3.1, 4),
    ):
        at = np.searchsorted(LATENCY_GRID_S, latency_s)
        assert shares[at] == pytest.approx(share / 6)
    drawn = replace(hand_drawn(), deadlines_s=None)
    x, y = lines(plot_latency({"fcfs": [drawn]}))["fcfs"]
    assert x[0] == pytest.approx(1.5, rel=0.02)
    assert x[-1] == pytest.approx(3.0, rel=0.03)
    assert y[-1] == pytest.approx(4 / 6)


def test_on_time_ratio_is_that_of_the_steps() -> None:
    """One of two, then all, all, none: at the middle of each second."""
    ax = plot_on_time({"fcfs": [hand_drawn()]}, warmup_s=1.0)
    x, y = lines(ax)["fcfs"]
    assert x == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert y == [0.5, 1.0, 1.0, 0.0, 0.0]
    assert ax.get_xlabel() == "time of arrival (s)"
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["warm-up", "fcfs"]


@pytest.mark.parametrize(("end_s", "steps"), [(5.0, 5), (4.0, 5)])
def test_no_step_begins_when_arrivals_are_over(end_s: float, steps: int) -> None:
    """Five seconds are five steps; four are five too, with an arrival at the end."""
    account = Account(hand_run(), Tables(make_problem()))
    [span_s] = batch_spans(0.0, end_s)
    assert len(drawn_from(account, span_s, 1.0).arrived) == steps


def test_steps_are_put_together_where_there_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 500 steps of 10 ms five are one; nobody is lost; repeats are summed."""
    assert len(hand_drawn(0.01).arrived) == 39
    monkeypatch.setattr(summaries, "_MOST_STEPS", 100)
    drawn = hand_drawn(0.01)
    assert drawn.step_s == pytest.approx(0.05)
    assert len(drawn.arrived) == 100
    assert (drawn.arrived.sum(), drawn.in_time.sum()) == (6, 3)
    twice = plot_on_time({"fcfs": [drawn, replace(drawn, in_time=drawn.arrived)]})
    _, y = lines(twice)["fcfs"]
    assert y[0] == 1.0  # the first request, in time in both
    assert y[10] == 0.5  # the late one, in time in one of two
    assert np.isnan(y[1])


def test_gpu_bars_are_the_split_of_its_time() -> None:
    """Load, compute, wait and idle of the hand-made run: 15, 55, 15 and 15 %."""
    ax = plot_gpu({"fcfs": [hand_drawn()], "edf-noshare": [hand_drawn()] * 3})
    widths = [patch.get_width() for patch in ax.patches]
    assert widths == pytest.approx([0.15, 0.55, 0.15, 0.15] * 2)
    assert [text.get_text() for text in ax.texts] == [
        "15 %",
        "55 %",
        "15 %",
        "15 %",
    ] * 2
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["fcfs", "edf, no sharing"]
    hatches = {str(patch.get_hatch()) for patch in ax.patches}
    assert len(hatches) == 3, "load, wait and plain; compute is dark, idle white"


def test_goodput_is_by_rank_of_the_model() -> None:
    """The models with most requests first, served beside offered."""
    measures = replace(
        hand_drawn().measures,
        span_s=2.0,
        offered={"A": 2, "B": 8, "C": 4},
        goodput={"A": 1, "B": 6, "C": 0},
    )
    above, below = plot_goodput({"edf": [replace(hand_drawn(), measures=measures)]})
    found = lines(above)
    assert found["offered"] == ([1, 2, 3], [4, 2, 1])
    ranks, good = found["edf"]
    assert ranks == [1, 2, 3]
    assert good == [3, above.get_ylim()[0], 0.5]
    assert lines(below)["edf"] == ([1, 2, 3], [0.75, 0.0, 0.5])


def test_many_models_are_put_together_by_rank() -> None:
    """Of 1,000 models neighbours are averaged; the sum over all stays the same."""
    offered = {f"m{m}": 2 * (5_000_000 // (m + 1)) for m in range(1000)}
    measures = replace(
        hand_drawn().measures,
        span_s=1.0,
        offered=offered,
        goodput={name: count // 2 for name, count in offered.items()},
    )
    found = lines(goodput_above({"edf": [replace(hand_drawn(), measures=measures)]}))
    ranks, rates = found["offered"]
    assert 12 <= len(ranks) <= 24
    assert ranks == sorted(ranks)
    # The middle of a group of neighbours a to b is (a + b) / 2: sizes follow.
    edges = [0.5]
    for rank in ranks:
        edges.append(2 * rank - edges[-1])
    assert edges[-1] == pytest.approx(1000.5)
    total = sum(rates * np.diff(edges))
    assert total == pytest.approx(sum(offered.values()))
    assert found["edf"][1] == pytest.approx([rate / 2 for rate in rates])


def test_nothing_to_show_is_shown_as_such() -> None:
    """No request at all: axes without curves, nothing raised."""
    account = Account(hand_run(), Tables(make_problem()))
    drawn = drawn_from(account, (6.0, 7.0), 1.0)
    for plot in PLOTS:
        assert_nothing_cut_off(figure_of(plot({"fcfs": [drawn]})))


@pytest.mark.parametrize("plot", PLOTS)
def test_ten_policies_are_legible(plot: Callable[..., Axes]) -> None:
    """Nothing cut off; every policy is named; the twin is named as such."""
    ax = plot(RUNS, title="ten policies")
    assert_nothing_cut_off(figure_of(ax))
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "2 repeats"
    if plot is plot_gpu:
        named = [text.get_text() for text in ax.get_yticklabels()]
    else:
        named = [text.get_text() for text in legend.get_texts()]
    assert set(labels_of(RUNS).values()) <= set(named)
    assert "rolling, no sharing" in named
    assert "(" in ax.get_xlabel() + ax.get_ylabel() or plot is plot_gpu


@pytest.mark.parametrize("plot", [plot_latency, plot_on_time, goodput_above])
def test_a_policy_has_one_look_in_every_figure(plot: Callable[..., Axes]) -> None:
    """Its colour and marker; dashed and open for the twin without sharing."""
    labels = labels_of(RUNS)
    curves = {str(line.get_label()): line for line in plot(RUNS).lines}
    for name in POLICIES:
        line = curves[labels[name]]
        base = name.removesuffix("-noshare")
        assert to_rgb(line.get_color()) == to_rgb(COLOURS[base])
        assert line.get_marker() == MARKERS[base]
        assert (line.get_linestyle() == "-") == (name == base)
        assert (line.get_markerfacecolor() == "white") == (name != base)


def test_policies_of_the_users_own_look_different_from_all_others() -> None:
    """Twenty-five have looks that no other has, the same for a twin."""
    own = [f"pkg.mod:P{k}" for k in range(25)]
    found = looks(["fcfs", *own[:2], "pkg.mod:P0-noshare", *own[2:], "rolling"])
    assert found["pkg.mod:P0-noshare"] == found["pkg.mod:P0"]
    assert len({found[name] for name in ("fcfs", "rolling", *own)}) == 27
    shown = {COLOURS["fcfs"], COLOURS["rolling"]}
    assert {found[name].colour for name in own}.isdisjoint(shown)
    assert {found[name].marker for name in own}.isdisjoint(MARKERS.values())


@pytest.mark.parametrize("count", range(1, 15))
@pytest.mark.parametrize("shipped", [(), ("dp",), ("greedy", "fcfs")])
def test_colours_of_a_run_are_all_different(
    count: int, shipped: tuple[str, ...]
) -> None:
    """Of up to sixteen names; a few of the user's own have none that is shipped."""
    own = [f"my_package.solvers:solve_{k}" for k in range(count)]
    found = looks([*shipped, *own, *(f"{name}-noshare" for name in own)])
    assert len({look.colour for look in found.values()}) == count + len(shipped)
    assert all(found[name] == found[f"{name}-noshare"] for name in own)
    if count <= 5:
        taken = {found[name].colour for name in own}
        assert taken.isdisjoint(COLOURS.values())


def test_looks_of_the_users_own_stay_as_they_are() -> None:
    """In other company, in another order, and without any; colours come first."""
    few = [f"pkg.mod:P{k}" for k in range(5)]
    found = looks(few)
    assert len({look.colour for look in found.values()}) == 5
    assert len({look.marker for look in found.values()}) == 5
    assert looks(["dp", *reversed(few), "rolling"]).items() >= found.items()
    # Only where two would look alike does one give way.
    alone = [looks([name])[name] for name in few]
    for name, look in zip(few, alone, strict=True):
        assert found[name] == look or alone.count(look) > 1
    assert len(set(alone)) > 1
    assert looks(["mine:a", "mine:a-noshare"])["mine:a"] == looks(["mine:a"])["mine:a"]


def test_a_class_is_named_without_its_module_where_that_is_clear() -> None:
    """``pkg:Mine`` is Mine; two of that name keep their modules."""
    names = ("a.b:Mine", "a.b:Mine-noshare", "x:Same", "y:Same", "fcfs")
    assert labels_of(dict.fromkeys(names)) == {
        "a.b:Mine": "Mine",
        "a.b:Mine-noshare": "Mine, no sharing",
        "x:Same": "x:Same",
        "y:Same": "y:Same",
        "fcfs": "fcfs",
    }


@pytest.mark.parametrize("plot", PLOTS)
def test_long_names_leave_room_for_the_figure(plot: Callable[..., Axes]) -> None:
    """A long title goes on below itself, long classes are cut in their middle."""
    drawn = [hand_drawn()]
    name = "mine:" + "VeryLong" * 10
    ax = plot({name: drawn, f"{name}-noshare": drawn}, title="a long name " * 12)
    figure = figure_of(ax)
    assert_nothing_cut_off(figure)
    assert ax.get_window_extent().width > 0.4 * figure.bbox.width


@pytest.mark.parametrize("plot", PLOTS)
def test_axes_may_be_handed_in_and_bytes_are_the_same(
    plot: Callable[..., Axes], tmp_path: Path
) -> None:
    """Drawn into the axes given; the same runs give the same PNG."""
    ax = Figure().add_subplot()
    assert plot(RUNS, ax) is ax
    for name in ("one.png", "two.png"):
        save(plot(RUNS), tmp_path / name)
    one = (tmp_path / "one.png").read_bytes()
    assert one.startswith(b"\x89PNG")
    assert one == (tmp_path / "two.png").read_bytes()


def test_a_deadline_of_all_requests_is_marked() -> None:
    """A line at it, labelled in the unit of the axis, within the limits."""
    for deadline_s, label in (
        (2.0, "2"),
        (60.0, "60"),
        (0.01, "0.01"),
        (1 / 3, "0.333333"),
    ):
        # As in a long trace, a last bit is no difference.
        pair = deadline_s, deadline_s * (1 + 1e-9)
        drawn = [replace(hand_drawn(), deadlines_s=pair)]
        ax = plot_latency({"fcfs": drawn, "edf": drawn})
        assert ax.get_xlabel() == "latency (s)"
        found = lines(ax)
        assert found[f"deadline {label} s"][0] == pytest.approx([deadline_s] * 2)
        low_s, high_s = ax.get_xlim()
        assert low_s < deadline_s < high_s
        # The curves go on to the ends of the axis.
        assert found["fcfs"][0][0] <= low_s * 1.02
        assert found["fcfs"][0][-1] >= high_s / 1.02
        assert not ax.patches


def test_different_deadlines_are_a_band() -> None:
    """From the shortest to the longest of all runs; nothing where there is none."""
    runs = {
        "fcfs": [replace(hand_drawn(), deadlines_s=(0.5, 4.0))],
        "edf": [replace(hand_drawn(), deadlines_s=(0.2, 1.0))] * 2,
    }
    ax = plot_latency(runs)
    (band,) = ax.patches
    box = band.get_extents().transformed(ax.transData.inverted())
    assert (box.x0, box.x1) == pytest.approx((0.2, 4.0))
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_texts()[-1].get_text() == "deadlines 0.2 to 4 s"
    ax = plot_latency({"fcfs": [replace(hand_drawn(), deadlines_s=None)]})
    assert len(ax.lines) == 1
    assert not ax.patches


def test_deadlines_are_those_of_the_requests_measured() -> None:
    """From arrival on, of the span; None if nobody came in it."""
    run = hand_run()
    account = Account(run, Tables(make_problem()))
    allowed_s = run.requests.deadline_s - run.requests.arrival_s
    assert drawn_from(account, (0.0, 5.0), 1.0).deadlines_s == (
        allowed_s.min(),
        allowed_s.max(),
    )
    assert drawn_from(account, (400.0, 500.0), 1.0).deadlines_s is None
