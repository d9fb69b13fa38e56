"""What a figure writes: marks of time limits, and what a failure leaves."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edgesim.errors import InputError
from edgesim.experiment.point import Point
from edgesim.results.figure import Kept, Shard, run_figure
from edgesim.results.figure_source import open_figure
from tests.examples import FIGURE, SCENARIO, TRACE


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    """Write a small figure, its scenario and its trace."""
    (tmp_path / "small.csv").write_text(TRACE)
    (tmp_path / "small.toml").write_text(SCENARIO)
    path = tmp_path / "sweep.toml"
    path.write_text(FIGURE)
    return path


def test_rows_that_a_time_limit_may_change_say_so(figure: Path) -> None:
    """Those of solvers that it ends, and only of them."""
    figure.write_text(
        FIGURE
        + '\n[set]\n"run.time_limit_s" = 7.0\n'
        + '"run.solvers" = ["dp", "ilp", "ilp-noshare", "local-search"]\n'
    )
    run_figure(figure)
    with figure.with_suffix(".csv").open(newline="") as file:
        limits = {row["solver"]: row["time_limit_s"] for row in csv.DictReader(file)}
    assert limits == {
        "dp": "",
        "ilp": "7.0",
        "ilp-noshare": "7.0",
        "local-search": "7.0",
    }


def test_a_failure_says_what_is_kept(
    figure: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run computes the rest; tables and pictures are not written."""
    monkeypatch.chdir(figure.parent)
    own = figure.parent / "failing_in_figure.py"
    own.write_text(
        "def solve(problem, uplink, options):\n"
        "    return 1 / (problem.bandwidth_hz < 1e7) and []\n"
    )
    text = FIGURE + '\n[set]\n"run.solvers" = ["dp", "failing_in_figure:solve"]\n'
    figure.write_text(text)
    with pytest.raises(InputError, match=r"; 5 of 8 points kept in .*\.points$"):
        run_figure(figure, own_code=True)
    assert not figure.with_suffix(".csv").exists()


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 9])
def test_every_shard_has_its_part_of_every_solver(
    figure: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    """However many solvers there are: one may take a thousand times as long."""
    taken: list[list[Point]] = []
    monkeypatch.setattr(
        "edgesim.results.figure.run_points",
        lambda points, *_: taken.append(list(points)) or {},
    )
    for number in range(1, parts + 1):
        run_figure(figure, shard=Shard(number, parts))
    assert len({point.key for points in taken for point in points}) == 8
    assert sum(map(len, taken)) == 8
    for name in ("dp", "dp-noshare"):
        counts = [sum(one.name == name for one in points) for points in taken]
        assert max(counts) - min(counts) <= 1
    assert max(map(len, taken)) - min(map(len, taken)) <= 1


def test_an_interrupt_says_what_is_kept(figure: Path) -> None:
    """The caller is told, and the interrupt goes on."""
    told: list[Kept] = []

    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_figure(figure, done=interrupt, stopped=told.append)
    assert [str(kept) for kept in told] == [
        f"3 of 8 points kept in {figure.parent / '.points'}"
    ]


def test_a_folder_that_cannot_be_made_is_one_line(figure: Path) -> None:
    """It is told by name."""
    with pytest.raises(InputError, match=r"small\.csv/deeper"):
        run_figure(open_figure(figure, figure.parent / "small.csv" / "deeper"))
