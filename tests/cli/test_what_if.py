"""``edgesim figure --profile FILE --trace FILE --vary memory=…``: a what-if."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.command import edgesim
from tests.experiment.test_defaults import BOTH, document

MEMORY = ("--vary", "memory=60e6,100e6")
FILES = ("--profile", "mine.json", "--trace", "mine.csv")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models of 41 MB that share 40, and a trace whose first requests may wait."""
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text(json.dumps(document(BOTH)))
    rows = [
        f"{i / 10},u{i % 7},{('cats', 'dogs')[i % 2]},20000,{0.5 if i < 4 else 0.03}"
        for i in range(40)
    ]
    header = "arrival_s,user,model,input_bytes,slo_s"
    Path("mine.csv").write_text("\n".join([header, *rows]) + "\n")
    return tmp_path


def shown(stem: str) -> dict[tuple[float, str], float]:
    """Return what the picture shows, by value and solver or policy."""
    file = Path("results") / f"figure-{stem}" / f"{stem}.shown.csv"
    with file.open(newline="") as rows:
        return {
            (float(row["value"]), row.get("policy") or row["solver"]): float(
                row["mean"]
            )
            for row in csv.DictReader(rows)
        }


def test_on_time_share_against_memory() -> None:
    """Between the bytes that both take with sharing and without, sharing decides."""
    finished = edgesim("figure", "own-models-online", *FILES, *MEMORY, "--jobs", 1)
    assert finished.code == 0, finished.err
    found = shown("own-models-online")
    assert found[60e6, "greedy"] > 0.9
    assert found[60e6, "greedy-noshare"] < 0.5
    assert found[100e6, "greedy"] == found[100e6, "greedy-noshare"] > 0.9
    assert Path("results/figure-own-models-online/own-models-online.png").is_file()
    assert "assumed, since neither profile nor trace says so:" in finished.out
    assert "models: the trace's, found in the profile by their names" in finished.out
    assert "  memory = 60000000.0: loads: " in finished.out
    assert "GPU memory: 60,000,000 bytes (and at 1 other value)" in finished.out
    kept = Path("results/figure-own-models-online/own-models-online.toml").read_text()
    profile, trace = (Path(FILES[i]).stem for i in (1, 3))
    assert f'title = "own-models-online: profile {profile}, trace {trace}"' in kept
    data = Path("results/figure-own-models-online/own-models-online.csv")
    assert str(Path.cwd()) not in data.read_text()


def test_no_scenario_is_needed() -> None:
    """A profile and a trace are enough: plans, or with --policy an online run."""
    finished = edgesim(
        *("figure", *FILES, *MEMORY, "--solver", "greedy", "--jobs", 1),
        *("--repeats", 1),
    )
    assert finished.code == 0, finished.err
    assert set(shown("own-models")) == {(60e6, "greedy"), (100e6, "greedy")}
    finished = edgesim(
        "figure", *FILES, *MEMORY, "--policy", "fcfs,fcfs-noshare", "--jobs", 1
    )
    assert finished.code == 0, finished.err
    assert {name for _, name in shown("own-models-online")} == {"fcfs", "fcfs-noshare"}


def test_typed_paths_are_relative_to_the_current_folder() -> None:
    """Those of --set too, and a figure that is kept finds its files again."""
    words = ("--set", "profile=./mine.json", "--set", "workload.trace=mine.csv")
    finished = edgesim(
        *("figure", "own-models-online", *words, *MEMORY, "--jobs", 1),
        *("--policy", "greedy", "--write", "kept.toml", "--out", "one"),
    )
    assert finished.code == 0, finished.err
    again = edgesim("figure", "kept.toml", "--jobs", 1, "--out", "two")
    assert again.code == 0, again.err
    assert Path("one/kept.csv").read_text() == Path("two/kept.csv").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            MEMORY,
            "FIGURE: is needed: a figure, a scenario with --vary, or --vary with ",
        ),
        (("--profile", "mine.json", *MEMORY), "--trace: is needed: a trace says who"),
        (
            ("--profile", "no.json", "--trace", "mine.csv", *MEMORY),
            "--profile: must be a file or one of ",
        ),
        (
            ("--profile", "mine.json", "--trace", "no.csv", *MEMORY),
            "--trace: must be a file or one of ",
        ),
        (
            (*FILES, *MEMORY, "--set", "workload.trace=mine.csv"),
            "--set workload.trace: is what --trace sets; give one of them",
        ),
        (FILES, "own-models: is a scenario; say what to vary in it"),
    ],
)
def test_what_is_missing_is_named(words: tuple[str, ...], told: str) -> None:
    """One line, exit code 2, no results."""
    finished = edgesim("figure", *words)
    assert (finished.code, finished.out) == (2, "")
    assert finished.err.startswith(f"error: {told}")
    assert not Path("results").exists()
