"""Figures: nothing cut off, labels inside their bars, the same bytes each time."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path
from typing import cast

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure

from edgesim.engine.noise import nominal
from edgesim.measures.student import mean_interval
from edgesim.plotting.colours import COLOURS, Colour, looks, model_colours
from edgesim.plotting.style import save, style
from edgesim.plotting.throughput import plot_throughput
from edgesim.plotting.timeline import plot_timeline
from solvers import Problem, Uplink, solve
from solvers.core.timing import make_schedule
from tests.engine.plan_records import account_of, records_of
from tests.plotting.sweep_marks import SweepPoint
from tests.plotting.sweep_marks import sweep as sweep_of
from tests.solvers.strategies import seeded_plan

SERVED = {
    "dp": [61, 64, 59],
    "dp-noshare": [44, 47, 40],
    "greedy": [60, 61, 60],
    "fcfs": [21, 21, 21],
}
ROWS = [
    SweepPoint(users, solver, users * share + repeat)
    for users in (80, 20, 40)
    for solver, share in (("dp-noshare", 0.5), ("dp", 0.8), ("mine", 0.3))
    for repeat in range(4)
]


def figure_of(ax: Axes) -> Figure:
    """Return the whole figure of some axes."""
    return cast("Figure", ax.figure)


def make_problem(users: int, models: int = 12, spread: bool = False) -> Problem:
    """Make clusters of three models each, with sharing of two blocks of three."""
    rng = random.Random(users)
    entries = {
        f"net{m // 3}-v{m % 3}": {
            "blocks": [f"net{m // 3}/0", f"net{m // 3}/1", f"net{m // 3}-v{m % 3}/2"],
            "latency_s": [0.003 + 0.001 * b for b in range(8)],
        }
        for m in range(models)
    }
    return Problem.model_validate(
        {
            "name": "plots",
            "bandwidth_hz": 2e7,
            "blocks": {
                block: {"bytes": 10**7, "load_s": 0.003}
                for entry in entries.values()
                for block in entry["blocks"]
            },
            "models": entries,
            "users": [
                {
                    "id": f"user-{k}",
                    "model": rng.choice(list(entries)),
                    "input_bits": rng.uniform(2e5, 1e6),
                    "spectral_efficiency": rng.uniform(2, 6),
                    "deadline_s": 0.3 + (0.001 * k if spread else 0.0),
                }
                for k in range(users)
            ],
        }
    )


def assert_nothing_cut_off(figure: Figure) -> None:
    """Check that all that is drawn, to within a pixel, lies inside the figure."""
    with style():
        figure.draw_without_rendering()
        drawn, paper = figure.get_tightbbox(), figure.bbox_inches
    assert drawn.x0 >= -0.01
    assert drawn.y0 >= -0.01
    assert drawn.x1 <= paper.x1 + 0.01
    assert drawn.y1 <= paper.y1 + 0.01


def test_every_solver_has_its_colour_and_shares_it_with_its_twin() -> None:
    """Eleven names, as many colours; ``-noshare`` has the same; others have others."""
    assert len(set(COLOURS.values())) == len(COLOURS) == 11
    seen = looks(["dp", "dp-noshare", "mine"])
    assert seen["dp-noshare"] == seen["dp"]
    assert seen["dp"].colour == COLOURS["dp"]
    assert seen["mine"].colour not in COLOURS.values()


# How colours look to the three kinds of colour-blind readers, in linear RGB:
# Machado, Oliveira, Fernandes, IEEE TVCG 15 (2009), severity 1.
SIGHT = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(shade: str | Colour, sight: str = "full") -> np.ndarray:
    """Compute a colour's CIE L*a*b* as a reader sees it; L* is its lightness."""
    rgb = np.array(to_rgb(shade))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
    xyz = to_xyz @ np.clip(SIGHT[sight] @ linear, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
def test_solver_colours_are_told_apart(sight: str) -> None:
    """Any two differ by at least 15 in CIE L*a*b*, however the reader sees them.

    Those of the user's own solvers among them.
    """
    own = {look.colour for look in looks(f"mine:f{k}" for k in range(5)).values()}
    assert len(own) == 5
    for one, other in combinations([*COLOURS.values(), *own], 2):
        assert np.linalg.norm(seen(one, sight) - seen(other, sight)) > 15, (one, other)


def test_models_that_share_blocks_are_shades_of_one_hue() -> None:
    """Every model has a colour; inside a cluster it is paler from one to the next."""
    problem = make_problem(5, models=6)
    colours = model_colours(problem, problem.models)
    assert list(colours) == list(problem.models)
    assert len(set(colours.values())) == 6
    for first in ("net0-v0", "net1-v0"):
        base = np.array(colours[first])
        for variant in ("v1", "v2"):
            paler = np.array(colours[first.replace("v0", variant)])
            white = (paler - base) / (1 - base)
            assert white == pytest.approx(np.full(3, white[0]))
            assert white[0] > 0


def test_throughput_bars_are_means_with_intervals() -> None:
    """Heights are means, whiskers 95 % intervals, labels the values; twins hatched."""
    ax = plot_throughput(SERVED, bound=[64, 65, 66], requests=80)
    bars = [c.patches[0] for c in ax.containers if isinstance(c, BarContainer)]
    assert [b.get_height() for b in bars] == [np.mean(v) for v in SERVED.values()]
    assert [bool(b.get_hatch()) for b in bars] == [False, True, False, False]
    assert to_rgb(bars[0].get_facecolor()) == to_rgb(COLOURS["dp"])
    assert [t.get_text() for t in ax.texts] == ["61.3", "43.7", "60.3", "21.0"]
    whiskers = [c for c in ax.containers if isinstance(c, ErrorbarContainer)]
    (segment,) = whiskers[0].lines[2][0].get_segments()
    mean, half = mean_interval(SERVED["dp"])
    assert half is not None
    assert segment[:, 1].tolist() == pytest.approx([mean - half, mean + half])
    assert len(whiskers) == 3 * 2, "white and ink; three equal repeats have none"


def test_throughput_says_what_it_shows() -> None:
    """Axes, number of repeats, number of requests and the bound are all written."""
    ax = plot_throughput(SERVED, bound=[64, 65, 66], requests=80)
    legend = ax.get_legend()
    assert legend is not None
    assert "3 repeats" in legend.get_title().get_text()
    assert "95 %" in legend.get_title().get_text()
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["parameters shared", "no sharing", "upper bound 65.0"]
    assert ax.get_ylabel() == "requests served in time per plan (of 80)"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["dp", "greedy", "fcfs"]


def test_one_repeat_has_no_interval_and_says_so() -> None:
    """Whole numbers, no whiskers, ``one repeat``."""
    ax = plot_throughput({"dp": [5], "fcfs": [0]})
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "one repeat"
    assert [t.get_text() for t in ax.texts] == ["5", "0"]
    assert not [c for c in ax.containers if isinstance(c, ErrorbarContainer)]


def test_sweep_lines_are_sorted_means() -> None:
    """Points in the order of the parameter, twins dashed and open, known ones first."""
    ax = sweep_of(ROWS, "users")
    lines = {c.get_label(): c.lines[0] for c in ax.containers}
    assert list(lines) == ["dp", "dp, no sharing", "mine"]
    assert lines["dp"].get_xdata().tolist() == [20, 40, 80]
    assert lines["dp"].get_ydata().tolist() == [17.5, 33.5, 65.5]
    assert lines["dp"].get_linestyle() == "-"
    assert lines["dp, no sharing"].get_linestyle() == "--"
    assert lines["dp, no sharing"].get_markerfacecolor() == "white"
    assert lines["dp"].get_color() == lines["dp, no sharing"].get_color()


def test_sweep_axes_hold_every_interval() -> None:
    """The limits follow the data though the lines are shifted on paper."""
    ax = sweep_of(ROWS, "users", log_x=True)
    low, high = ax.get_xlim()
    assert 10 < low < 20
    assert 80 < high < 100
    mean, half = mean_interval([64, 65, 66, 67])
    assert half is not None
    assert ax.get_ylim()[0] == 0
    assert mean + half < ax.get_ylim()[1] < 100
    assert ax.get_xscale() == "log"


def test_a_sweep_over_words_keeps_their_order() -> None:
    """A parameter of names is not sorted, and each name has its tick."""
    rows = [SweepPoint(u, "dp", 1.0) for u in ("upfront", "static", "dynamic")]
    ax = sweep_of(rows, "uplink")
    ticks = [text.get_text() for text in ax.get_xticklabels()]
    assert ticks == ["upfront", "static", "dynamic"]


@pytest.mark.parametrize("uplink", ["upfront", "static", "dynamic"])
@pytest.mark.parametrize("users", [0, 5, 80])
def test_a_timeline_is_legible(users: int, uplink: Uplink) -> None:
    """Nothing cut off, and no label of a bar is wider than the bar it stands in."""
    problem = make_problem(users)
    schedule = solve(problem, "greedy", uplink=uplink).schedule
    axes = plot_timeline(account_of(problem, schedule))
    assert_nothing_cut_off(figure_of(axes[0]))
    for ax in axes:
        bars = [patch.get_window_extent() for patch in ax.patches]
        for text in ax.texts:
            if text.get_text().startswith("deadline") or text.get_gid() == "key":
                continue
            box = text.get_window_extent()
            around = [b for b in bars if b.x0 <= box.x0 and box.x1 <= b.x1]
            assert around, text.get_text()


def test_timeline_bars_are_the_plan() -> None:
    """Uplink bars cover the spectrum-time of the uploads, GPU bars the rounds."""
    problem = make_problem(30)
    schedule = solve(problem, "greedy", uplink="static").schedule
    uplink, gpu = plot_timeline(account_of(problem, schedule))
    area = sum(bar.get_width() * bar.get_height() for bar in uplink.patches)
    demand = sum(
        s.hz * (s.end_s - s.start_s) for a in schedule.bandwidth for s in a.segments
    )
    assert area == pytest.approx(demand / 1e3)  # MHz · ms
    assert max(b.get_y() + b.get_height() for b in uplink.patches) <= 20 * (1 + 1e-9)
    assert len(uplink.patches) == schedule.served, "no band moves while it is held"
    computes = [b for b in gpu.patches if b.get_y() == 1.2]
    assert [(b.get_x(), b.get_width()) for b in computes] == [
        (pytest.approx(r.compute_start_s * 1e3), pytest.approx(r.compute_s * 1e3))
        for r in schedule.rounds
    ]
    loads = [b for b in gpu.patches if b.get_y() == 2.2]
    assert sum(b.get_width() for b in loads) == pytest.approx(
        1e3 * sum(r.load_s for r in schedule.rounds)
    )


def test_a_timeline_shows_what_was_reused() -> None:
    """The hatched bar of a round is as high as the share of bytes already there."""
    problem = make_problem(30)
    schedule = solve(problem, "greedy").schedule
    _, gpu = plot_timeline(account_of(problem, schedule))
    shares = [b.get_height() / 0.8 for b in gpu.patches if b.get_hatch()]
    expected = [1 - r.loaded_bytes / (3 * 10**7) for r in schedule.rounds]
    assert shares == pytest.approx([share for share in expected if share > 0])
    assert 2 / 3 in [pytest.approx(share) for share in shares]


def test_bars_of_a_lane_do_not_overlap_where_loads_overlap_batches() -> None:
    """Load, batch and reused bars each follow one another, whatever overlaps."""
    beside = 0
    for seed in range(12):
        tables, rounds = seeded_plan(seed)
        schedule = make_schedule(tables, rounds, "dynamic", solver="any", bound=None)
        assert schedule is not None
        pairs = list(pairwise(schedule.rounds))
        beside += sum(b.load_start_s < a.end_s - 1e-9 for a, b in pairs)
        _, gpu = plot_timeline(account_of(tables.problem, schedule))
        # Every round has a grey bar behind the hatched one.
        bars = [bar for bar in gpu.patches if bar.get_hatch() != "////"]
        for bottom in (0.2, 1.2, 2.2):
            lane = sorted(
                (b.get_x(), b.get_width()) for b in bars if b.get_y() == bottom
            )
            assert len(lane) > 3
            for (x, width), (next_x, _) in pairwise(lane):
                assert x + width <= next_x + 1e-6
    assert beside > 20


def test_one_deadline_is_a_line_and_many_are_not() -> None:
    """A common deadline is drawn and named; different ones would be a thicket."""
    for spread, expected in ((False, ["deadline 300 ms"]), (True, [])):
        problem = make_problem(80, spread=spread)
        uplink, _ = plot_timeline(
            account_of(problem, solve(problem, "greedy").schedule)
        )
        named = [t.get_text() for t in uplink.texts if "deadline" in t.get_text()]
        assert named == expected
        assert len(uplink.lines) == len(expected)


def test_a_run_with_late_users_shows_them() -> None:
    """Batches with a late user are crossed out, and the legend says so."""
    problem = make_problem(40)
    noise = nominal(problem)
    noise.compute_factor[:] = 3.0
    account = account_of(problem, solve(problem, "dp").schedule, noise)
    requests = records_of(account).requests
    late = {request.round for request in requests if request.outcome == "late"}
    uplink, gpu = plot_timeline(account)
    crossed = [b for b in gpu.patches if b.get_hatch() == "xxx"]
    assert len(crossed) == len(late) > 0
    legend = gpu.get_legend()
    assert legend is not None
    assert "late requests" in [text.get_text() for text in legend.get_texts()]
    assert "late" in uplink.get_title(loc="left")
    assert_nothing_cut_off(figure_of(uplink))


def test_odd_names_are_written_as_they_are(tmp_path: Path) -> None:
    """Dollar signs are no formula, and an underscore does not hide a model."""
    problem = Problem.model_validate(
        {
            "name": "odd",
            "bandwidth_hz": 1e6,
            "blocks": {"b": {"bytes": 1, "load_s": 0.1}},
            "models": {"_m$^$": {"blocks": ["b"], "latency_s": [0.3]}},
            "users": [
                {
                    "id": "$_$",
                    "model": "_m$^$",
                    "input_bits": 1e5,
                    "spectral_efficiency": 1.0,
                    "deadline_s": 1.0,
                }
            ],
        }
    )
    _, gpu = plot_timeline(account_of(problem, solve(problem, "greedy").schedule))
    save(gpu, tmp_path / "odd.png")
    legend = gpu.get_legend()
    assert legend is not None
    assert [text.get_text().strip() for text in legend.get_texts()] == ["A  _m$^$"]


@pytest.mark.parametrize("given", [True, False])
def test_axes_may_be_handed_in(given: bool) -> None:
    """Figures go into the axes given, else into a new figure of their own."""
    figure = Figure()
    ax = figure.add_subplot() if given else None
    assert (plot_throughput(SERVED, ax) is ax) == given
    ax = Figure().add_subplot() if given else None
    assert (sweep_of(ROWS, "users", ax) is ax) == given
    problem = make_problem(5)
    axes = tuple(Figure().subplots(2, 1)) if given else None
    drawn = plot_timeline(account_of(problem, solve(problem, "dp").schedule), axes)
    assert (drawn == axes) == given


def test_bar_and_line_figures_are_not_cut_off() -> None:
    """Legends stand beside the axes and inside the figure."""
    assert_nothing_cut_off(figure_of(plot_throughput(SERVED, bound=[65, 65, 64])))
    assert_nothing_cut_off(figure_of(sweep_of(ROWS, "users")))


def test_a_png_is_the_same_bytes_whatever_the_readers_settings(tmp_path: Path) -> None:
    """Foreign settings change nothing, and are as they were afterwards."""
    save(plot_throughput(SERVED), tmp_path / "one.png")
    foreign = {"font.size": 20, "axes.facecolor": "red", "xtick.direction": "in"}
    with mpl.rc_context(foreign):
        save(figure_of(plot_throughput(SERVED)), tmp_path / "two.png")
        assert mpl.rcParams["font.size"] == 20
    one = (tmp_path / "one.png").read_bytes()
    assert one.startswith(b"\x89PNG")
    assert one == (tmp_path / "two.png").read_bytes()
    assert b"Software" not in one
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]


def test_drawing_leaves_no_global_state() -> None:
    """Pyplot, which keeps every figure, is not even imported; nor is torch."""
    code = (
        "import sys, edgesim.plotting.timeline, edgesim.results.perfetto\n"
        "sys.exit(bool({'matplotlib.pyplot', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_long_name_is_a_timeline_title_of_several_lines() -> None:
    """All of it is on paper, and the axes keep their room."""
    problem = make_problem(8)
    account = account_of(problem, solve(problem, "dp").schedule)
    name = "campus-0, my_long_package.with_modules:" + "solve_with_everything_" * 8
    uplink, _ = plot_timeline(account, name=name)
    title = uplink.get_title(loc="left")
    assert "".join(title.split()).startswith("".join(name.split()))
    assert title.count("\n") >= 1
    assert_nothing_cut_off(figure_of(uplink))
    assert uplink.get_window_extent().height > 60
