"""What a point depends on: it is computed anew if that changed, and only then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgesim.errors import InputError
from edgesim.experiment import identity as identity_module
from edgesim.experiment.identity import code_sha256, installed, versions
from edgesim.results.figure import run_figure
from edgesim.shipped import locate
from tests.examples import FIGURE, SCENARIO, TRACE
from tests.experiment.background import points_in

POINTS = 8

OWN = """\
import {helper}


def solve(problem, uplink, options):
    return {helper}.ROUNDS
"""


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    """Write a small figure of 8 points, its scenario, trace and profile."""
    (tmp_path / "small.csv").write_text(TRACE)
    profile = locate("profile", "clockwork-v100")
    (tmp_path / "device.json").write_bytes(profile.read_bytes())
    text = SCENARIO.replace('"clockwork-v100"', '"device.json"')
    text = text.replace("window_s = 0.5", "window_s = 0.2")
    (tmp_path / "small.toml").write_text(text)
    path = tmp_path / "sweep.toml"
    path.write_text(FIGURE)
    return path


def _computed(figure: Path, **options: bool) -> int:
    """Return how many points a run computes."""
    store = figure.parent / ".points"
    before = points_in(store)
    run_figure(figure, **options)
    return points_in(store) - before


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_nothing_changed(figure: Path) -> None:
    """All is computed once."""
    assert [_computed(figure) for _ in range(2)] == [POINTS, 0]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("small.csv", "0.0,ann,m000,120000", "0.0,ann,m000,120001"),
        ("device.json", "\n", "\n\n"),
        ("small.toml", "[run]", "[run]\nseed = 5"),
        ("small.toml", "radius_m = 100.0", "radius_m = 101.0"),
        ("small.toml", "window_s = 0.2", "window_s = 0.3"),
        ("small.toml", "[run]", '[run]\nuplink = "static"'),
        ("small.toml", "[run]", "[run]\ntime_limit_s = 9.0"),
        ("sweep.toml", "[plot]", '[set]\n"gpu.load_time_scale" = 1.1\n\n[plot]'),
    ],
)
def test_what_matters(figure: Path, name: str, old: str, new: str) -> None:
    """Contents of files, and every value of the scenario."""
    _computed(figure)
    _replace(figure.parent / name, old, new)
    assert _computed(figure) == POINTS


def test_what_does_not_matter(figure: Path) -> None:
    """Titles, labels, the order of values and solvers, and names of files."""
    _computed(figure)
    folder = figure.parent
    _replace(figure, "A small figure", "Another title")
    _replace(figure, 'x_label = "bandwidth (MHz)"', 'x_label = "Hz"\nmeasure = "late"')
    _replace(figure, "[5e6, 20e6]", "[20e6, 5e6]")
    _replace(folder / "small.toml", '["dp", "dp-noshare"]', '["dp-noshare", "dp"]')
    _replace(folder / "small.toml", 'name = "small"', 'name = "x"\nabout = "other"')
    (folder / "small.csv").rename(folder / "renamed.csv")
    (folder / "device.json").rename(folder / "renamed.json")
    _replace(folder / "small.toml", "small.csv", "renamed.csv")
    _replace(folder / "small.toml", "device.json", "renamed.json")
    (folder / "small.toml").rename(folder / "other.toml")
    _replace(figure, "small.toml", "other.toml")
    assert _computed(figure) == 0
    _replace(figure, "[plot]", '[[panel]]\ntitle = "one"\n\n[plot]')
    _replace(figure, '"one"', '"two"')
    assert _computed(figure) == 0


@pytest.mark.parametrize(
    ("name", "old", "new", "more"),
    [
        ("sweep.toml", "[5e6, 20e6]", "[5e6, 10e6, 20e6]", 4),
        ("small.toml", '["dp", "dp-noshare"]', '["dp", "dp-noshare", "greedy"]', 4),
        ("small.toml", "repeats = 2", "repeats = 3", 4),
        ("small.toml", "repeats = 2", "repeats = 1", 0),
        ("sweep.toml", "[5e6, 20e6]", "[20e6]", 0),
    ],
)
def test_what_is_added_is_computed_alone(
    figure: Path, name: str, old: str, new: str, more: int
) -> None:
    """And the result is that of a run in one go."""
    _computed(figure)
    _replace(figure.parent / name, old, new)
    assert _computed(figure) == more
    names = [figure.with_suffix(one) for one in (".csv", ".shown.csv", ".png")]
    before = [one.read_bytes() for one in names]
    run_figure(figure, fresh=True)
    assert [one.read_bytes() for one in names] == before


@pytest.mark.parametrize("what", ["code_sha256", "versions"])
def test_another_edgesim_computes_anew(
    figure: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The source, and the libraries that results may depend on."""
    _computed(figure)
    for module in ("identity", "point", "store"):
        monkeypatch.setattr(
            f"edgesim.experiment.{module}.{what}", lambda: "other", raising=False
        )
    assert _computed(figure) == POINTS


def test_it_knows_its_source_and_its_libraries() -> None:
    """As hashes are compared between machines."""
    assert installed() == (code_sha256(), versions())
    assert len(code_sha256()) == 64
    assert "numpy " in versions()
    assert "highspy " in versions()
    assert versions().startswith("python 3.")


@pytest.fixture
def own_figure(figure: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """Let a solver of the user's own run, whose module imports another beside it."""
    monkeypatch.chdir(figure.parent)
    # A name for each test: modules stay imported.
    name = f"own_{abs(hash(str(figure))) % 10**9}"
    (figure.parent / f"{name}.py").write_text(OWN.format(helper=f"{name}_beside"))
    (figure.parent / f"{name}_beside.py").write_text("ROUNDS = []\n")
    _replace(
        figure.parent / "small.toml", '["dp", "dp-noshare"]', f'["dp", "{name}:solve"]'
    )
    return figure, name


@pytest.mark.parametrize("suffix", ["", "_beside"])
def test_own_code_that_changes(own_figure: tuple[Path, str], suffix: str) -> None:
    """Its own points are computed anew, in the same process too, by the new code."""
    figure, name = own_figure
    assert _computed(figure, own_code=True) == POINTS
    assert _computed(figure, own_code=True) == 0
    file = figure.parent / f"{name}{suffix}.py"
    file.write_text(file.read_text() + "# a remark\n")
    assert _computed(figure, own_code=True) == POINTS // 2
    file.write_text(
        file.read_text().replace("ROUNDS\n", "ROUNDS + [('x', [])]\n")
        + ("ROUNDS = [('x', [])]\n" if suffix else "")
    )
    with pytest.raises(InputError, match=f"{name}:solve"):
        run_figure(figure, own_code=True)


def test_own_code_imported_before_it_changed(own_figure: tuple[Path, str]) -> None:
    """As in a notebook: what runs is what the key states."""
    figure, name = own_figure
    import importlib
    import sys

    sys.path.insert(0, str(figure.parent))
    try:
        importlib.import_module(name)
    finally:
        sys.path.remove(str(figure.parent))
    beside = figure.parent / f"{name}_beside.py"
    beside.write_text("ROUNDS = [('nothing', [])]\n")
    with pytest.raises(InputError, match="nothing"):
        run_figure(figure, own_code=True)


def test_a_module_of_the_same_name_in_another_folder(
    own_figure: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the current folder is run."""
    figure, name = own_figure
    _computed(figure, own_code=True)
    other = figure.parent / "other"
    other.mkdir()
    (other / f"{name}.py").write_text("def solve(p, u, o):\n    return [('x', [])]\n")
    monkeypatch.chdir(other)
    with pytest.raises(InputError, match=f"{name}:solve"):
        run_figure(figure, own_code=True)


def test_a_module_that_nobody_imports_does_not_matter(
    own_figure: tuple[Path, str],
) -> None:
    """Nor do other files of the folder."""
    figure, _ = own_figure
    _computed(figure, own_code=True)
    (figure.parent / "unrelated.py").write_text("X = 1\n")
    assert _computed(figure, own_code=True) == 0


def test_options_of_a_policy_concern_it_alone(tmp_path: Path) -> None:
    """Those of the others are kept."""
    path = tmp_path / "online.toml"
    path.write_text(
        FIGURE.replace("small.toml", "online-campus").replace("[5e6, 20e6]", "[20e6]")
        + '\n[set]\n"workload.window_s" = 10.0\n"run.repeats" = 1\n'
        '"online.warmup_s" = 2.0\n"online.policies" = ["fcfs", "rolling"]\n'
    )
    assert _computed(path) == 2
    with path.open("a") as file:
        file.write('"online.rolling.solver" = "greedy"\n')
    assert _computed(path) <= 1
    with path.open("a") as file:
        file.write('"online.rolling.time_limit_s" = 0.5\n')
    assert _computed(path) == 1
    with path.open("a") as file:
        file.write('"online.queue_limit" = 50\n')
    assert _computed(path) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_a_trace_from_a_pipe_is_refused(figure: Path) -> None:
    """Its content cannot be compared, and it can be read only once."""
    inputs = type("Inputs", (), {})()
    source = type("Source", (), {"path": Path("pipe"), "sha256": None})()
    inputs.sources = {"trace": source, "profile": source}
    with pytest.raises(InputError, match="pipe: is no file; a figure needs its trace"):
        identity_module._hash_of(inputs, "trace")
