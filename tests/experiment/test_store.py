"""The store of points: what is kept is read back, what is damaged is not there."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from edgesim.experiment.store import Outcome, Store
from edgesim.results.figure import run_figure
from tests.command import edgesim
from tests.examples import FIGURE, SCENARIO, TRACE
from tests.experiment.background import ENVIRONMENT, points_in

ONE = Outcome(
    {"in_time": 3, "load_s": 0.1 + 0.2, "gap": None, "goodput": {"m": 1}}, 2.5
)
TWO = Outcome({"in_time": 0, "status": "optimal"}, 1e-9)


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    """Write a small figure, its scenario and its trace."""
    (tmp_path / "small.csv").write_text(TRACE)
    (tmp_path / "small.toml").write_text(SCENARIO)
    path = tmp_path / "sweep.toml"
    path.write_text(FIGURE)
    return path


def _stored(folder: Path) -> Path:
    """Keep two points; return the only file."""
    store = Store(folder)
    store.add("one", ONE)
    store.add("two", TWO)
    store.close()
    (file,) = folder.glob("*.jsonl")
    return file


def _computed(figure: Path) -> tuple[int, tuple[bytes, ...]]:
    """Return how many points a run computes, and what it writes."""
    before = points_in(figure.parent / ".points")
    run_figure(figure)
    names = ("sweep.csv", "sweep.shown.csv", "sweep.png")
    written = tuple((figure.parent / name).read_bytes() for name in names)
    return points_in(figure.parent / ".points") - before, written


def test_points_are_read_back(tmp_path: Path) -> None:
    """Every number as it was, in another process' store; not if asked to be fresh."""
    file = _stored(tmp_path / "kept")
    store = Store(tmp_path / "kept")
    assert (store.get("one"), store.get("two"), len(store)) == (ONE, TWO, 2)
    assert store.get("three") is None
    store.close()
    assert list(file.parent.iterdir()) == [file]
    assert len(Store(tmp_path / "kept", fresh=True)) == 0


def test_the_last_of_a_key_counts(tmp_path: Path) -> None:
    """What was computed afresh replaces what there was."""
    _stored(tmp_path)
    store = Store(tmp_path, fresh=True)
    store.add("one", TWO)
    store.close()
    assert Store(tmp_path).get("one") == TWO


def test_a_file_of_a_run_that_adds_nothing_is_removed(tmp_path: Path) -> None:
    """Else they would be many."""
    store = Store(tmp_path / "new")
    store.open()
    store.close()
    assert not list((tmp_path / "new").iterdir())


def test_any_damage_is_a_point_that_is_not_there(tmp_path: Path) -> None:
    """Cut off anywhere, or with any byte changed, a point is as it was or absent."""
    file = _stored(tmp_path)
    whole = file.read_bytes()
    draw = random.Random(3)
    for _ in range(300):
        content = bytearray(whole)
        if draw.random() < 0.3:
            del content[draw.randrange(len(content)) :]
        else:
            content[draw.randrange(len(content))] = draw.randrange(256)
        file.write_bytes(content)
        store = Store(tmp_path)
        assert store.get("one") in (None, ONE)
        assert store.get("two") in (None, TWO)
        assert len(store) <= 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\x00\xff\xfe" * 1000,
        b"[" * 100_000,
        b"null\n1\n[]\n{}\n",
        b'{"key": "one", "runtime_s": NaN, "columns": {}}\n',
        b'{"key": "one", "runtime_s": 1.0, "columns": {}}\n',
        b'{"key": "one", "runtime_s": 1.0, "columns": [1], "sha256": ""}\n',
        b'{"key": [], "runtime_s": "x", "columns": 3}\n',
    ],
)
def test_garbage_is_passed_over(tmp_path: Path, content: bytes) -> None:
    """Beside points that are whole, which are read."""
    file = _stored(tmp_path)
    prefix = file.name.partition("-")[0]
    (tmp_path / f"{prefix}-garbage.jsonl").write_bytes(content)
    (tmp_path / f"{prefix}-folder.jsonl").mkdir()
    (tmp_path / f"{prefix}-nowhere.jsonl").symlink_to(tmp_path / "nothing")
    file.write_bytes(content + b"\n" + file.read_bytes() + content)
    store = Store(tmp_path)
    assert (store.get("one"), store.get("two"), len(store)) == (ONE, TWO, 2)


def test_a_line_under_another_key_is_not_taken(tmp_path: Path) -> None:
    """A point is under the key that it was computed for."""
    file = _stored(tmp_path)
    one, two = map(json.loads, file.read_text().splitlines())
    one["key"], two["key"] = two["key"], one["key"]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in (one, two)))
    assert len(Store(tmp_path)) == 0


def test_a_damaged_store_computes_what_it_lost(figure: Path) -> None:
    """The figure is the same, and no more is computed than was damaged."""
    assert _computed(figure)[0] == 8
    _, whole = _computed(figure)
    (file,) = (figure.parent / ".points").glob("*.jsonl")
    lines = file.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b'"in_time": ', b'"in_time": 1')
    lines[4] = b"\x00" * 50
    file.write_bytes(b"\n".join(lines)[:-20])
    assert _computed(figure) == (3, whole)
    assert _computed(figure) == (0, whole)


@pytest.mark.parametrize("taken", ["file", "full", "within"])
def test_a_store_that_cannot_be(figure: Path, taken: str) -> None:
    """One line, exit 2, before anything is computed."""
    (figure.parent / "taken").write_text("")
    place = {
        "file": figure.parent / "taken",
        "full": Path("/dev/full"),
        "within": figure.parent / "taken" / "deeper",
    }[taken]
    found = edgesim("figure", figure, "--store", place, "--jobs", 1)
    assert (found.code, found.err.count("\n")) == (2, 1), found.err
    assert found.err.startswith(f"error: {place}: ")
    assert not figure.with_suffix(".csv").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_disk_that_is_full_keeps_what_there_is(figure: Path) -> None:
    """The line that did not fit is not there; the next run computes the rest."""
    limited = (
        "import resource, runpy, sys; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); "
        "runpy.run_module('edgesim', run_name='__main__')"
    )
    run = subprocess.run(
        [sys.executable, "-c", limited, "figure", str(figure), "--jobs", "1"],
        env=ENVIRONMENT
        | {"PYTHONDONTWRITEBYTECODE": "1", "COVERAGE_PROCESS_CONFIG": ""},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
    store = figure.parent / ".points"
    assert run.stderr.startswith(f"error: {store}: points cannot be kept here: ")
    kept = points_in(store)
    assert 0 < kept < 8
    assert f"{kept} of 8 points kept in {store}" in run.stderr
    assert _computed(figure)[0] == 8 - kept


@pytest.mark.parametrize("suffix", [".csv", ".times.csv", ".shown.csv", ".png"])
def test_a_disk_that_is_full_at_the_end_loses_nothing(
    figure: Path, suffix: str
) -> None:
    """One line, exit 2; the next run computes nothing."""
    figure.with_suffix(suffix).symlink_to("/dev/full")
    found = edgesim("figure", figure, "--jobs", 1)
    assert (found.code, found.err.count("\n")) == (2, 1), found.err
    assert f"sweep{suffix}: cannot be written" in found.err
    assert points_in(figure.parent / ".points") == 8
    figure.with_suffix(suffix).unlink()
    assert _computed(figure)[0] == 0
