"""Small pictures of every kind, committed, that tests compare new ones with.

``python -m tests.plotting.baselines`` draws them again; look at them before they are
committed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from edgesim.checkpoints.answer import answer
from edgesim.checkpoints.content import (
    Checkpoint,
    ContentLibrary,
    TensorRecord,
    share_by_content,
)
from edgesim.checkpoints.to_profile import loads_at
from edgesim.measures.account import Account
from edgesim.measures.measure import measure_span
from edgesim.plotting.marks import Frame, Mark
from edgesim.plotting.online import (
    plot_goodput,
    plot_gpu,
    plot_latency,
    plot_on_time,
)
from edgesim.plotting.online_data import LATENCY_GRID_S, Drawn
from edgesim.plotting.profile import profile_figure
from edgesim.plotting.replay import plot_replay
from edgesim.plotting.sharing import sharing_figure
from edgesim.plotting.style import Drawing, root_figure, style
from edgesim.plotting.sweep import plot_panels, plot_sweep
from edgesim.plotting.sweep_map import plot_map
from edgesim.plotting.throughput import plot_throughput
from edgesim.plotting.timeline import plot_timeline
from edgesim.plotting.trace import trace_figure
from edgesim.profile.values import Profile
from edgesim.trace.requests import Trace
from solvers import solve
from solvers.core.tables import Tables
from tests.engine.handmade import hand_run, make_problem
from tests.engine.plan_records import account_of
from tests.plotting.test_timeline_keys import make_problem as library_problem

Pixels: TypeAlias = NDArray[np.uint8]

FOLDER = Path(__file__).parent

MADE_WITH = (3, 11)
"""Version of matplotlib that the committed pictures were drawn with."""

DPI = 50
MOST_DIFFERENT = 12
"""Pixels of a picture that may look different."""

DIFFERENT = 48
"""Difference in a channel, of 255, above which a pixel looks different."""

RED = np.array([255, 0, 0], dtype=np.uint8)
_COLOURS = 160


def throughput() -> Drawing:
    """Draw bars with and without intervals, twins and a solver of the user's own."""
    served = {
        "dp": [61.0, 64, 59],
        "dp-noshare": [44.0, 47, 40],
        "greedy": [60.0, 61, 60],
        "fcfs": [21.0, 21, 21],
        "mine:plan": [38.0, 45, 30],
    }
    return plot_throughput(served, bound=[64, 65, 66], requests=80, title="campus")


def online_runs() -> dict[str, list[Drawn]]:
    """Make runs of five policies and a twin whose curves are formulas."""
    tables = Tables(make_problem())
    measures = measure_span(Account(hand_run(), tables), 0.0, 5.0)
    names = ("fcfs", "edf", "clockwork", "greedy", "rolling", "rolling-noshare")
    runs = {}
    for number, name in enumerate(names):
        arrived = np.full(12, 40)
        in_time = 20 + 3 * number + (7 * np.arange(12) + number) % 5
        offered = {f"m{k}": 400 // (k + 1) for k in range(12)}
        goodput = {
            model: count * (9 + number - k // 4) // 16
            for k, (model, count) in enumerate(offered.items())
        }
        share = 0.95 / (1 + (0.1 * (7 - number) / LATENCY_GRID_S) ** 3)
        of_run = replace(
            measures,
            span_s=100.0,
            offered=offered,
            goodput=goodput,
            load_s=50.0 - 5 * number,
            compute_s=25.0,
            wait_s=15.0,
            idle_s=10.0 + 5 * number,
        )
        # No request finishes later than after 3 s.
        share[LATENCY_GRID_S > 3] = share[LATENCY_GRID_S <= 3][-1]
        share[LATENCY_GRID_S < 0.02] = 0.0
        runs[name] = [Drawn(of_run, 5.0, arrived, in_time, share, (2.0, 2.0))]
    return runs


MARKS = tuple(
    Mark(value, name, (3.0 + place) * (value / 1e6) ** 0.5, 0.3 + 0.2 * place, 20)
    for place, name in enumerate(("fcfs", "greedy-noshare", "greedy", "dp", "mine:one"))
    for value in (1e6, 4e6, 16e6)
)
"""Means and intervals of five lines at three values."""

X = Frame(x_label="bandwidth (MHz)", y_label="requests in time", x_unit=1e6)


def panels() -> Drawing:
    """Draw three panels on logarithmic axes."""
    rows = {
        name: [mark._replace(mean=mark.mean * factor) for mark in MARKS]
        for name, factor in (("upfront", 0.5), ("static", 0.8), ("dynamic", 1.0))
    }
    frame = replace(X, log_x=True, log_y=True)
    return plot_panels(rows, frame, title="three disciplines")


def cases() -> Drawing:
    """Draw differences at values that are words."""
    names = {1e6: "as it is", 4e6: "twice the memory", 16e6: "storage twice as fast"}
    frame = Frame(y_label="difference to the best", x_at=names, compared=True)
    return plot_sweep([mark._replace(mean=mark.mean - 12) for mark in MARKS], frame)


def gains() -> Drawing:
    """Draw two maps of differences of either sign."""
    rows = {
        second: [
            Mark(value, name, second - place - value / 4e6, None, 5)
            for place, name in enumerate(("dp", "greedy"))
            for value in (1e6, 4e6, 16e6)
        ]
        for second in (0.0, 2.0, 4.0)
    }
    frame = replace(X, second_label="depth", compared=True)
    return plot_map(rows, frame, title="gain of sharing")


def timeline() -> Drawing:
    """Draw a plan of two clusters over time."""
    problem = library_problem(models=4, members=2, users=12)
    return plot_timeline(account_of(problem, solve(problem, "greedy").schedule))[0]


@dataclass(frozen=True)
class Round:
    """A measured round of a replay."""

    round: int
    loaded_blocks: int
    simulated_load_s: float
    measured_load_s: float
    simulated_compute_s: float
    measured_compute_s: float | None


def replay() -> Drawing:
    """Draw twelve rounds, of which some load nothing and some have no batch."""
    rounds = [
        Round(
            round=k,
            loaded_blocks=k % 4,
            simulated_load_s=0.004 * (k + 1),
            measured_load_s=0.004 * (k + 1) * (1 + 0.02 * (k % 5)),
            simulated_compute_s=0.002 * (k + 1),
            measured_compute_s=None if k == 7 else 0.002 * (k + 1) * (0.9 + k / 60),
        )
        for k in range(12)
    ]
    return plot_replay(rounds, title="a plan on a device")


def profile() -> Drawing:
    """Draw six models with loads from three tiers that are fitted by lines."""
    rates = {"pinned": 5e10, "pageable": 8e9, "disk": 1.2e9}

    def seconds(size: int, tier: str) -> dict[str, float]:
        return {"median_s": 2e-5 + size / rates[tier]}

    models = {
        f"net-{n}": {
            "blocks": [
                {
                    "name": f"{n}/{b}",
                    "bytes": 40_000 * 4 ** (n + b),
                    "load_s": {t: seconds(40_000 * 4 ** (n + b), t) for t in rates},
                }
                for b in range(2)
            ],
            "latency_s": {"1": 2e-4 * (n + 1)},
        }
        for n in range(6)
    }
    device = {"kind": "synthetic", "device": "a device", "method": "a formula"}
    made = Profile.model_validate(
        {"name": "formula", "provenance": device, "models": models}
    )
    return profile_figure({"formula": made}, ["pinned", "pageable", "disk"])


def sharing() -> Drawing:
    """Draw eight models of two families that share nothing with each other."""

    def tensor(number: int, size: int) -> TensorRecord:
        return TensorRecord(f"t{number}", "uint8", (size,), size, f"{number:064x}")

    library: ContentLibrary = share_by_content(
        [
            Checkpoint(
                f"family{n % 2}-v{n // 2}",
                (Path("x.pt"),),
                (
                    tensor(n % 2, 600 + 200 * (n % 2)),
                    tensor(10 + n // 4, 150),
                    tensor(20 + n, 80),
                ),
            )
            for n in range(8)
        ]
    )
    return sharing_figure(library, answer(library, loads_at(1e9)))


def trace() -> Drawing:
    """Draw arrivals in waves, of eight models."""
    steps = np.arange(600)
    return trace_figure(
        Trace(
            arrival_s=0.1 * steps + 2 * (1 - np.cos(steps / 30)),
            users=("u",),
            user=np.zeros(600, dtype=np.int32),
            models=tuple("abcdefgh"),
            model=(steps % 8 * (steps % 7) // 6 % 8).astype(np.int32),
            input_bytes=np.full(600, 10, dtype=np.int64),
            slo_s=np.ones(600),
        )
    )


DRAWINGS: Mapping[str, Callable[[], Drawing]] = {
    "throughput": throughput,
    "sweep": lambda: plot_sweep(MARKS, replace(X, log_x=True), title="five lines"),
    "panels": panels,
    "cases": cases,
    "gains": gains,
    "timeline": timeline,
    "latency": lambda: plot_latency(online_runs(), title="five policies"),
    "on-time": lambda: plot_on_time(online_runs(), warmup_s=12.0),
    "gpu-time": lambda: plot_gpu(online_runs()),
    "goodput": lambda: plot_goodput(online_runs())[0],
    "replay": replay,
    "profile": profile,
    "sharing": sharing,
    "trace": trace,
}
"""What draws each picture, by the name of its file. A new kind needs one line here."""


def make(name: str) -> Figure:
    """Make the figure of a picture."""
    drawing = DRAWINGS[name]()
    return drawing if isinstance(drawing, Figure) else root_figure(drawing)


def draw(figure: Figure) -> Pixels:
    """Draw a figure, shape (height, width, 3), values from 0 to 255."""
    file = BytesIO()
    with style():
        figure.savefig(file, format="png", dpi=DPI)
    return np.asarray(Image.open(file).convert("RGB"))


def write(name: str) -> None:
    """Write a picture's baseline, with few colours, so that the file is small."""
    image = Image.fromarray(draw(make(name)))
    image = image.quantize(_COLOURS, dither=Image.Dither.NONE)
    image.save(FOLDER / f"{name}.png", optimize=True)


def read(name: str) -> Pixels:
    """Read a picture's baseline, of the shape that :func:`draw` gives."""
    return np.asarray(Image.open(FOLDER / f"{name}.png").convert("RGB"))


def different(actual: Pixels, expected: Pixels) -> Pixels:
    """Mark in red, on a pale copy, the pixels of two pictures that look different."""
    steps = np.abs(actual.astype(int) - expected).max(axis=-1)
    marked = 255 - (255 - expected) // 4
    marked[steps > DIFFERENT] = RED
    return marked


def complaint(name: str, actual: Pixels, expected: Pixels, folder: Path) -> str:
    """Say how a picture differs from its baseline; an empty text if it does not.

    Parameters
    ----------
    name
        Name of the picture.
    actual, expected
        The picture and its baseline.
    folder
        Where the picture and its differences are written if there are too many.
    """
    if actual.shape == expected.shape:
        marked = different(actual, expected)
        count = int((marked == RED).all(axis=-1).sum())
        if count <= MOST_DIFFERENT:
            return ""
        found = f"must differ in {MOST_DIFFERENT} pixels at most, found {count}"
        Image.fromarray(marked).save(folder / f"{name}-difference.png")
    else:
        (high, wide), (height, width) = expected.shape[:2], actual.shape[:2]
        found = f"must be {wide} by {high} pixels, found {width} by {height}"
    Image.fromarray(actual).save(folder / f"{name}-actual.png")
    written = ", ".join(str(path) for path in sorted(folder.glob(f"{name}-*.png")))
    return (
        f"{name}.png {found}: see {written}; where the new picture is right, "
        "run python -m tests.plotting.baselines"
    )


def version() -> tuple[int, int]:
    """Give major and minor version of the matplotlib at hand."""
    major, minor = mpl.__version__.split(".")[:2]
    return int(major), int(minor)
