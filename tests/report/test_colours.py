"""A solver or policy of a run has one colour: in its pictures and on its page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from edgesim.plotting.colours import COLOURS
from edgesim.plotting.style import Drawing, root_figure
from edgesim.report.run_page import run_page
from edgesim.results import pictures
from tests.command import edgesim
from tests.examples import SCENARIO, TRACE
from tests.report.parsed import check_page

OWN = """\
from edgesim import Policy
from solvers import solve

def make(k):
    def plan(problem, uplink, options):
        schedule = solve(problem, "edf", uplink=uplink).schedule
        return [(r.model, list(r.users)) for r in schedule.rounds]
    class Chooses(Policy):
        def choose(self, view):
            return next((queue[:1] for queue in view.waiting if queue), None)
    return plan, Chooses

for k in range(10):
    globals()[f"solve_{k}"], globals()[f"Policy{k}"] = make(k)
"""


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Keep the figures of runs by the names of their files."""
    found: dict[str, Figure] = {}
    save = pictures.save

    def keep(drawing: Drawing, path: Path) -> None:
        is_figure = isinstance(drawing, Figure)
        found[path.stem] = drawing if is_figure else root_figure(drawing)
        save(drawing, path)

    monkeypatch.setattr(pictures, "save", keep)
    monkeypatch.chdir(tmp_path)
    Path("small.csv").write_text(TRACE)
    Path("small.toml").write_text(SCENARIO)
    Path("own_colours_for_test.py").write_text(OWN)
    return found


def _on_page(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Read the colours of a page: of its key numbers, and of batches in timelines."""
    page = run_page(folder)
    chips = re.findall(
        r'<th scope="row"><i class="chip[^"]*" style="background-color:(#\w+)"></i>'
        r"([^<]+)",
        page,
    )
    batches = {
        trial["name"]: trace["marker"]["color"]
        for trial in check_page(page).trials()
        for trace in trial["data"]
        if trace["name"] == "batch"
    }
    return {name: shade for shade, name in chips}, batches


def test_solvers(drawn: dict[str, Figure]) -> None:
    """Seven of the user's own, two of which would look alike, and their twins."""
    own = [f"own_colours_for_test:solve_{k}" for k in range(7)]
    names = ["dp", *own, f"{own[0]}-noshare", f"{own[6]}-noshare"]
    done = edgesim("run", "small.toml", "--solver", ",".join(names), "--out", "out")
    assert done.code == 0, done.err
    numbers, batches = _on_page(Path("out"))
    assert list(numbers) == names
    assert batches == numbers
    assert len(set(numbers.values())) == 8
    assert numbers["dp"] == COLOURS["dp"]
    bars = drawn["throughput"].axes[0].patches
    shared = [to_hex(bar.get_facecolor()) for bar in bars if not bar.get_hatch()]
    assert shared == [numbers[name] for name in names[:8]]
    twins = [to_hex(bar.get_edgecolor()) for bar in bars if bar.get_hatch()]
    assert twins == [numbers[own[0]], numbers[own[6]]]


def test_policies(drawn: dict[str, Figure]) -> None:
    """In each picture with curves, and on the page."""
    text = SCENARIO.replace('solvers = ["dp", "dp-noshare"]\nrepeats = 2', "")
    Path("small.toml").write_text(f"{text}\n[online]\npolicies = ['fcfs']\n")
    own = [f"own_colours_for_test:Policy{k}" for k in range(7)]
    names = ["fcfs", *own]
    words = ("--policy", ",".join(names), "--out", "out")
    done = edgesim("run", "small.toml", *words, "--set", "workload.window_s=2")
    assert done.code == 0, done.err
    numbers, batches = _on_page(Path("out"))
    assert list(numbers) == names
    assert batches == numbers
    assert len(set(numbers.values())) == 8
    for picture in ("latency", "on-time", "goodput"):
        for ax in drawn[picture].axes:
            curves = {str(line.get_label()): line for line in ax.lines}
            for name in names:
                shade = to_hex(curves[name.rpartition(":")[2]].get_color())
                assert shade == numbers[name], picture
