"""Shipped names: the same in every command and in every key of every file."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgesim as es
from edgesim.errors import InputError
from edgesim.shipped import KINDS, data_file, locate, shipped_names
from tests.command import edgesim
from tests.examples import FIGURE, SCENARIO, TRACE


@pytest.mark.parametrize("kind", KINDS)
def test_names_hold_with_and_without_suffix(kind: str) -> None:
    """Each leads to its file in the folder of its kind."""
    folder, suffix = KINDS[kind]
    assert shipped_names(kind)
    for name in shipped_names(kind):
        file = data_file(folder, f"{name}{suffix}")
        assert locate(kind, name) == locate(kind, f"{name}{suffix}") == file


def test_a_file_of_that_name_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the current folder, or beside the file that names it."""
    monkeypatch.chdir(tmp_path)
    Path("campus").write_text("")
    assert locate("scenario", "campus") == Path("campus")
    beside = tmp_path / "deep" / "figure.toml"
    assert locate("scenario", "campus", beside=beside) == data_file(
        "traces", "campus.toml"
    )
    beside.parent.mkdir()
    (beside.parent / "campus").write_text("")
    assert locate("scenario", "campus", beside=beside) == beside.parent / "campus"


@pytest.mark.parametrize(
    ("name", "where", "told"),
    [
        ("campu", None, "^campu: no such scenario; .*; did you mean 'campus'?"),
        ("x/campus", None, "^x/campus: no such file; give the path"),
        ("../traces/campus", None, "no such file"),
        (
            "campu",
            "--s",
            "^--s: must be a file or one of azure-day, .*found 'campu'; d",
        ),
    ],
)
def test_what_is_neither(name: str, where: str | None, told: str) -> None:
    """The message names those there are, and the one that is meant."""
    with pytest.raises(InputError, match=told):
        locate("scenario", name, where=where)


def test_keys_of_files(tmp_path: Path) -> None:
    """A scenario's ``profile`` and ``trace``, a figure's ``scenario``, bare or not."""
    settings = {"run.repeats": 1, "run.solvers": ["greedy"]}
    campus = es.read_scenario("campus.toml").replace(**settings)
    expected = es.run(campus).summary
    for profile, trace in (
        ("clockwork-v100", "campus"),
        ("clockwork-v100.json", "campus.csv"),
    ):
        changed = campus.replace(**{"profile": profile, "workload.trace": trace})
        assert es.run(changed).summary == expected
        assert es.read_trace(trace) is not None
        assert es.read_profile(profile).name == "clockwork-v100"
    for scenario in ("campus", "campus.toml"):
        file = tmp_path / "f.toml"
        text = FIGURE.replace("small.toml", scenario).replace("[5e6, 20e6]", "[20e6]")
        file.write_text(
            f'{text}\n[set]\n"run.repeats" = 1\n"run.solvers" = ["greedy"]\n'
        )
        finished = edgesim("figure", file)
        assert finished.code == 0, finished.err
    file.write_text(FIGURE.replace("small.toml", "campos"))
    told = edgesim("figure", file).err
    assert told.startswith(f"error: {file}: scenario: must be a file or one of ")
    assert told.endswith("; did you mean 'campus'?\n")


def test_options_and_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ``run``, ``trace show``, ``trace scale`` and ``profile show``."""
    monkeypatch.chdir(tmp_path)
    scaled = ("trace", "scale", "campus", "scaled.csv", "--window-s", 1)
    for words in (
        (
            *("run", "campus.toml", "--trace", "campus", "--profile", "h200.json"),
            *("--solver", "greedy", "--repeats", 1),
        ),
        ("trace", "show", "campus"),
        scaled,
        ("profile", "show", "h200.json"),
    ):
        finished = edgesim(*words)
        assert finished.code == 0, finished.err


def test_a_shipped_figure_is_made_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its data and picture land below the current folder, not where it is shipped."""
    (tmp_path / "small.toml").write_text(SCENARIO)
    (tmp_path / "small.csv").write_text(TRACE)
    (tmp_path / "mine.toml").write_text(FIGURE)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def found(folder: str, name: str) -> Path | None:
        return tmp_path / name if folder == "figures" else data_file(folder, name)

    monkeypatch.setattr("edgesim.shipped.data_file", found)
    finished = edgesim("figure", "mine")
    assert finished.code == 0, finished.err
    names = ["mine.csv", "mine.times.csv", "mine.shown.csv", "mine.png", "mine.toml"]
    folder = Path("results/figure-mine")
    assert finished.out.splitlines() == [str(folder / name) for name in names]
    assert {file.name for file in folder.iterdir()} == {*names, ".points"}
    assert not (tmp_path / "mine.csv").exists()
