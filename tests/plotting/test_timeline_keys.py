"""Keys of models in pictures of plans: each its own, apart, explained, inside."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.text import Text

from edgesim.library.sharing import clusters
from edgesim.plotting.callouts import place_callouts, spread
from edgesim.plotting.colours import model_colours
from edgesim.plotting.model_keys import MOST_NAMED, legend_of_models, model_keys, short
from edgesim.plotting.style import style
from edgesim.plotting.timeline import plot_timeline
from solvers import Problem, Uplink, solve
from tests.engine.plan_records import account_of
from tests.plotting.test_style import assert_nothing_cut_off, figure_of


def make_problem(models: int, members: int, end: str = "", users: int = 60) -> Problem:
    """Make clusters of some members, two blocks of three shared, and users of all."""
    rng = random.Random(models)
    names = [f"net{m // members}-v{m % members:02d}{end}" for m in range(models)]
    blocks = [
        (f"{m // members}/0", f"{m // members}/1", f"{m}/2") for m in range(models)
    ]
    return Problem.model_validate(
        {
            "name": "keys",
            "bandwidth_hz": 2e7,
            "blocks": {
                block: {"bytes": 10**7, "load_s": 0.003}
                for held in blocks
                for block in held
            },
            "models": {
                name: {"blocks": held, "latency_s": [0.003, 0.004, 0.005]}
                for name, held in zip(names, blocks, strict=True)
            },
            "users": [
                {
                    "id": f"user-{k}",
                    "model": names[k % models],
                    "input_bits": rng.uniform(2e5, 1e6),
                    "spectral_efficiency": rng.uniform(2, 6),
                    "deadline_s": 2.0,
                }
                for k in range(users)
            ],
        }
    )


def keys_on(gpu: Axes) -> list[Text]:
    """List the keys that are drawn above rounds."""
    return [text for text in gpu.texts if text.get_gid() == "key"]


def legend_of(gpu: Axes) -> str:
    """Read the legend as one text."""
    legend = gpu.get_legend()
    assert legend is not None
    texts = " ".join(text.get_text() for text in legend.get_texts())
    return " ".join(texts.split()).replace(",", "")


@pytest.mark.parametrize("end", ["", "-" + "W" * 60])
@pytest.mark.parametrize(("models", "members"), [(3, 3), (12, 4), (40, 20), (40, 1)])
def test_every_visit_has_its_models_key(models: int, members: int, end: str) -> None:
    """Distinct keys, drawn in order of rounds, apart, inside, and in the legend."""
    problem = make_problem(models, members, end)
    schedule = solve(problem, "greedy").schedule
    uplink, gpu = plot_timeline(account_of(problem, schedule))
    visited = [schedule.rounds[0].model] + [
        after.model
        for before, after in pairwise(schedule.rounds)
        if before.model != after.model
    ]
    keys = model_keys(clusters(problem), set(visited))
    assert len(set(keys.values())) == len(set(visited)) == models
    drawn = keys_on(gpu)
    assert [text.get_text() for text in drawn] == [keys[model] for model in visited]
    figure = figure_of(gpu)
    assert_nothing_cut_off(figure)
    with style():
        boxes = [text.get_window_extent() for text in drawn]
        panel = gpu.get_window_extent()
    for i, box in enumerate(boxes):
        assert panel.x0 <= box.x0
        assert box.x1 <= panel.x1
        assert panel.y0 <= box.y0
        assert box.y1 <= panel.y1 + 1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
    assert set(keys.values()) <= set(legend_of(gpu).split())
    assert_nothing_cut_off(figure_of(uplink))


@pytest.mark.parametrize("uplink", ["upfront", "static", "dynamic"])
def test_bands_say_their_model(uplink: Uplink) -> None:
    """Where there is room, the key stands beside the user, also upright."""
    problem = make_problem(4, 2, users=4)
    schedule = solve(problem, "greedy", uplink=uplink).schedule
    above, _ = plot_timeline(account_of(problem, schedule))
    found = {tuple(text.get_text().split()) for text in above.texts}
    expected = {("user-0", "A1"), ("user-1", "A2"), ("user-2", "B1"), ("user-3", "B2")}
    assert len(found & expected) >= 3


def test_letters_go_on_after_z() -> None:
    """A model alone in its cluster has the letter alone; after Z comes AA."""
    groups = [[f"m{c:02d}", f"n{c:02d}"] for c in range(30)]
    shown = {name for group in groups for name in group} - {"n00", "m03", "n03"}
    keys = model_keys(groups, shown)
    assert keys["m00"] == "A"
    assert (keys["m01"], keys["n01"]) == ("B1", "B2")
    assert keys["m04"] == "D1", "letters count clusters that are shown"
    assert keys["n29"] == "AC2"
    assert len(set(keys.values())) == len(keys) == 57


@pytest.mark.parametrize(("models", "members"), [(90, 3), (90, 1), (90, 90)])
def test_a_legend_of_very_many_says_how_many_more(models: int, members: int) -> None:
    """It names as many as a reader can take in, and counts the rest."""
    problem = make_problem(models, members)
    palette = model_colours(problem, problem.models)
    keys = model_keys(clusters(problem), set(problem.models))
    entries = legend_of_models(keys, palette)
    *named, (_, last) = entries
    assert last.startswith("and ")
    texts = " ".join(text for _, text in named).replace(",", "").split()
    count = sum(key in texts for key in keys.values())
    assert count == MOST_NAMED
    assert f"and {models - count} more" == last


def test_clusters_of_many_share_an_entry() -> None:
    """What the names have in common stands once, and shades stand side by side."""
    problem = make_problem(16, 8)
    palette = model_colours(problem, problem.models)
    keys = model_keys(clusters(problem), set(problem.models))
    (shades, text), _ = legend_of_models(keys, palette)
    assert " ".join(text.split()).startswith("net0-v…: A1 00, A2 01, A3 02,")
    assert shades[0].get_facecolor()[:3] == pytest.approx(palette["net0-v00"])
    assert shades[-1].get_facecolor()[:3] == pytest.approx(palette["net0-v07"])


def test_a_long_name_is_shortened_in_its_middle() -> None:
    """Both ends stay; the limit holds."""
    assert short("x" * 28) == "x" * 28
    shortened = short("begin" + "x" * 60 + "end", 16)
    assert len(shortened) == 16
    assert shortened.startswith("begin")
    assert shortened.endswith("end")


@given(
    wanted=st.lists(st.floats(0.0, 100.0), max_size=20).map(sorted),
    gap=st.floats(0.1, 4.0),
)
def test_points_are_moved_apart_within_limits(wanted: list[float], gap: float) -> None:
    """Gaps and limits hold; what is apart already stays."""
    found = spread(wanted, gap, 2.0, 98.0)
    assert len(found) == len(wanted)
    for before, after in pairwise(found):
        assert after - before >= gap - 1e-9
    assert all(2.0 - 1e-9 <= point <= 98.0 + 1e-9 for point in found)
    if all(after - before > gap for before, after in pairwise(wanted)):
        for before, after in zip(wanted, found, strict=True):
            if 2.0 + 20 * gap < before < 98.0 - 20 * gap:
                assert after == pytest.approx(before)


def test_labels_are_turned_then_stacked_then_left_out() -> None:
    """As bars become more: in a row, upright, in two rows, the widest alone."""
    seen = []
    for count in (5, 30, 90, 400):
        step = 600.0 / count
        bars = [(i * step, (i + 0.5) * step) for i in range(count)]
        found = place_callouts(bars, 600.0, (20.0, 9.0))
        seen.append((found.upright, found.rows, len(found.chosen)))
        assert all(0 <= at_pt <= 600 for at_pt in found.at_pt)
    assert seen[:3] == [(False, 1, 5), (False, 1, 30), (True, 2, 90)]
    assert seen[3][:2] == (True, 2)
    assert 90 < seen[3][2] < 120
    bars = [(i * 12.0, i * 12.0 + 6) for i in range(50)]
    assert place_callouts(bars, 600.0, (20.0, 9.0)).upright
    assert place_callouts(bars, 600.0, (20.0, 9.0)).rows == 1
