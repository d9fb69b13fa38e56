"""Where points are computed: this process, a thread, processes, and shards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgesim.errors import InputError
from edgesim.experiment.executors import cores, processes
from edgesim.results.figure import Shard, run_figure
from tests.command import edgesim
from tests.examples import FIGURE, SCENARIO, TRACE
from tests.experiment.background import ENVIRONMENT, points_in

NAMES = ("sweep.csv", "sweep.shown.csv", "sweep.png")


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    """Write a small figure of 8 points, its scenario and its trace."""
    (tmp_path / "small.csv").write_text(TRACE)
    (tmp_path / "small.toml").write_text(SCENARIO)
    path = tmp_path / "sweep.toml"
    path.write_text(FIGURE)
    return path


def _written(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in NAMES]


@pytest.fixture
def whole(figure: Path) -> list[bytes]:
    """Compute the figure in this process, and forget its points."""
    run_figure(figure, store=figure.parent / "whole")
    return _written(figure.parent)


def test_a_thread_computes_the_same(figure: Path, whole: list[bytes]) -> None:
    """Two at once too, in the process of whoever calls."""
    folder = figure.parent
    places = [folder / "one", folder / "two"]
    files = []
    for place in places:
        place.mkdir()
        file = place / "sweep.toml"
        file.write_text(FIGURE.replace("small.toml", "../small.toml"))
        files.append(file)
    threads = [threading.Thread(target=run_figure, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [_written(place) for place in places] == [whole, whole]


@pytest.mark.parametrize("way", ["stdin", "thread"])
def test_no_guard_is_needed_in_this_process(
    figure: Path, whole: list[bytes], way: str
) -> None:
    """As in a notebook, or in a script without ``if __name__ == "__main__"``."""
    call = f"run_figure({str(figure)!r})"
    if way == "thread":
        call = f"t = threading.Thread(target=lambda: {call}); t.start(); t.join()"
    code = f"import threading\nfrom edgesim.results.figure import run_figure\n{call}\n"
    run = subprocess.run(
        [sys.executable, "-"],
        input=code,
        env=ENVIRONMENT,
        text=True,
        capture_output=True,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert _written(figure.parent) == whole


def test_a_process_that_dies_is_one_line(
    figure: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2; the points before are kept, and the rest can be computed later."""
    monkeypatch.chdir(figure.parent)
    (figure.parent / "dying.py").write_text(
        "import os\n\n\ndef solve(problem, uplink, options):\n    os._exit(3)\n"
    )
    solvers = '--set=run.solvers=["dp", "dying:solve"]'
    found = edgesim("figure", "sweep.toml", solvers, "--own-code", "--jobs", 2)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "error: --jobs: one of the 2 processes ended before" in found.err


def test_processes_are_counted(figure: Path) -> None:
    """By default one a core; fewer than one cannot be."""
    assert 1 <= cores() <= (os.cpu_count() or 1)
    with pytest.raises(InputError, match="must be 1 or more"), processes(0):
        pass


@pytest.mark.parametrize("apart", [True, False])
def test_shards_make_the_figure(figure: Path, whole: list[bytes], apart: bool) -> None:
    """In one store, or in several that are copied together: the same bytes."""
    folder = figure.parent
    for file in (*NAMES, "sweep.times.csv"):
        (folder / file).unlink()
    stores = [folder / (f"store-{i}" if apart else "store") for i in range(3)]
    for number, store in enumerate(stores, 1):
        found = edgesim(
            *("figure", figure, "--shard", f"{number}/3", "--store", store),
            *("--jobs", 1),
        )
        assert (found.code, found.err) == (0, "")
        assert f"part {number} of 3 of sweep is in " in found.out
        assert not (folder / "sweep.csv").exists()
    for store in stores[1:] if apart else ():
        for file in store.iterdir():
            file.rename(stores[0] / file.name)
    assert points_in(stores[0]) == 8
    found = edgesim("figure", figure, "--merge", "--store", stores[0])
    assert (found.code, found.err) == (0, "")
    assert points_in(stores[0]) == 8
    assert _written(folder) == whole


def test_more_shards_than_points(figure: Path) -> None:
    """Those without a point are done at once."""
    run_figure(figure, shard=Shard(9, 20))
    assert not (figure.parent / ".points").exists()


def test_a_merge_that_cannot_be(figure: Path) -> None:
    """One line that says what is missing, and how it comes."""
    store = figure.parent / ".points"

    def refused(*words: object) -> str:
        found = edgesim("figure", figure, "--merge", *words)
        assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
        assert not figure.with_suffix(".csv").exists()
        return found.err

    err = refused()
    assert f"{store}: 8 of the 8 points of {figure} are missing: the folder is" in err
    assert err.endswith("compute them with --shard or without --merge\n")
    run_figure(figure, shard=Shard(2, 2))
    err = refused()
    assert "4 of the 8 points" in err
    assert "the first is cell.bandwidth_hz = 5000000.0, repeat 0, dp;" in err
    scenario = figure.parent / "small.toml"
    scenario.write_text(SCENARIO.replace("radius_m = 100.0", "radius_m = 99.0"))
    err = refused()
    assert "8 of the 8 points" in err
    assert "there are points of another figure" in err
    for words in (("--fresh",), ("--shard", "1/2"), ("--dask", "tcp://x:1")):
        assert refused(*words).startswith("error: --merge: does not go together with")
