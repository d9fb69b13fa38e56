"""``edgesim run --set KEY=VALUE``: values, what is refused, and who is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgesim.cli.options import byte_size
from edgesim.shipped import data_file
from tests.command import edgesim
from tests.examples import SCENARIO, TRACE


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a small scenario; results and own code lie beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.csv").write_text(TRACE)
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO)
    return file


def ran(scenario: Path, *settings: str) -> dict[str, Any]:
    """Run with these settings; return the scenario that was run."""
    words = [word for one in settings for word in ("--set", one)]
    finished = edgesim("run", scenario, *words, "--out", "out")
    assert finished.code == 0, finished.err
    run: dict[str, Any] = json.loads(Path("out/run.json").read_text())
    return run["scenario"]


def refused(scenario: Path, *words: str) -> str:
    """Run what is refused: one line, exit code 2, no results."""
    finished = edgesim("run", scenario, *words, "--out", "out")
    assert (finished.code, finished.out) == (2, "")
    assert finished.err.count("\n") == 1
    assert not Path("out").exists()
    return finished.err.removeprefix("error: ").rstrip("\n")


def test_values_of_every_type(scenario: Path) -> None:
    """Numbers, whole ones as 2e9 too, lists, truth, text in quotes and plain words."""
    found = ran(
        scenario,
        "gpu.memory_bytes=2e9",
        'run.solvers=["greedy"]',
        "gpu.overlap = true",
        'about="a = b"',
        "workload.models=round-robin",
        "library.clusters[0].variants=4e0",
        "library.clusters.0.frozen_blocks=[1e1, 16]",
    )
    assert found["gpu"]["memory_bytes"] == 2_000_000_000
    assert found["run"]["solvers"] == ["greedy"]
    assert found["gpu"]["overlap"] is True
    assert found["about"] == "a = b"
    assert found["workload"]["models"] == "round-robin"
    assert found["library"]["clusters"][0]["variants"] == 4
    assert found["library"]["clusters"][0]["frozen_blocks"] == [10, 16]


def test_a_section_that_is_not_there(scenario: Path) -> None:
    """It is made; a whole section may be given as a table too."""
    found = ran(scenario, "noise.load_sigma=0.1", "gpu={load_rate_bytes_per_s=2e9}")
    assert found["noise"]["load_sigma"] == 0.1
    assert found["gpu"] == {
        "load_from": "pinned",
        "load_rate_bytes_per_s": 2e9,
        "weight_scale": 1.0,
        "load_time_scale": 1.0,
        "eviction": "lru",
        "residency": "previous",
        "overlap": False,
    }


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("cell.bandwidth_hz=-1", "--set cell.bandwidth_hz: input should be greater"),
        (
            "cell.bandwith_hz=1e6",
            "--set cell.bandwith_hz: unknown key; did you mean 'bandwidth_hz'?",
        ),
        ("cel.bandwidth_hz=1", "--set cel.bandwidth_hz: unknown key; did you mean"),
        ("library.kind=heaps", "--set library.kind: kind must be one of 'clusters'"),
        ("library.clusters[1].variants=2", "--set library.clusters[1].variants: no "),
        ("name.first=a", "--set name.first: no such key to replace"),
        ("run={repeats=0}", "--set run: run.repeats: input should be greater"),
        ("run.repeats=9", "--set run.repeats: 9 windows of 0.5 s"),
        ("profile=h2000", "--set profile: must be a file or one of clockwork-v100"),
        ("run.solvers=dp,greedy", "--set run.solvers: must be a TOML value"),
        ("run.seed=1\nx=2", "--set run.seed: must be a TOML value"),
        ("run.seed=", "--set run.seed: must be a TOML value"),
        ("run.seed", "--set: must be KEY=VALUE, found 'run.seed'"),
        ("=1", "--set: must be a key path, such as cell.bandwidth_hz"),
        ("a..b=1", "--set: must be a key path"),
    ],
)
def test_what_is_wrong_names_the_setting(
    scenario: Path, setting: str, told: str
) -> None:
    """By its option and key, with what is allowed."""
    assert refused(scenario, "--set", setting).startswith(told)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--set", "run.seed=1", "--set", "run.seed=1"),
            "--set run.seed: is given twice; give one value",
        ),
        (
            (
                *("--set", "library.clusters[0].variants=2"),
                *("--set", "library.clusters.0.variants=2"),
            ),
            "--set library.clusters.0.variants: is given twice; give one value",
        ),
        (
            ("--set", "run.seed=1", "--set", "run={seed=2}"),
            "--set run: is what --set run.seed sets; give one of them",
        ),
        (
            ("--set", "run.seed=1", "--seed", "2"),
            "--set run.seed: is what --seed sets; give one of them",
        ),
        (
            ("--set", "profile=h200", "--profile", "h200"),
            "--set profile: is what --profile sets; give one of them",
        ),
    ],
)
def test_one_value_a_key(scenario: Path, words: tuple[str, ...], told: str) -> None:
    """The same key twice, or one that another option sets, is refused."""
    assert refused(scenario, *words) == told


def test_what_the_file_has_wrong_is_the_files(scenario: Path) -> None:
    """A setting beside it is not blamed."""
    scenario.write_text(SCENARIO.replace('kind = "clusters"', 'kind = "heaps"'))
    told = refused(scenario, "--set", "library.clusters[0].variants=2")
    assert told.startswith(f"{scenario}: library: kind must be one of")


def test_own_code_named_by_hand_runs(scenario: Path) -> None:
    """As with ``--solver``: who names it consents to it."""
    Path("mine_for_set.py").write_text(
        "def solve(problem, uplink, options):\n    return []\n"
    )
    ran(scenario, 'run.solvers=["mine_for_set:solve"]')


def test_an_online_section_makes_it_online(scenario: Path) -> None:
    """Options for plans are then refused, as for a file that has the section."""
    settings = ("--set", 'online.policies=["edf"]')
    assert "--solver: is for plans" in refused(scenario, *settings, "--solver", "dp")


@pytest.mark.parametrize(
    "setting",
    ["gpu.load_from=disk", "gpu={load_from='disk'}", "library.kind=checkpoints"],
)
def test_what_is_set_is_not_chosen(setting: str, tmp_path: Path) -> None:
    """In ``own-models``, where edgesim chooses what is left open."""
    trace = tmp_path / "short.csv"
    trace.write_text(TRACE)
    given = ("--profile", "clockwork-v100", "--trace", trace, "--solver", "fcfs")
    finished = edgesim("run", *given, "--set", setting, "--out", tmp_path / "out")
    assert finished.code == 2
    assert ("'disk'" if "disk" in setting else "content") in finished.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--repeats", "1000"), "--repeats: 1000 windows"),
        (("--time-limit", "1e300"), "--time-limit: "),
    ],
)
def test_what_is_wrong_names_the_option(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """The file says nothing of the kind."""
    finished = edgesim(
        *("run", "campus", "--solver", "edf", *words, "--out", tmp_path / "out")
    )
    assert finished.code == 2
    assert finished.err.startswith(f"error: {said}")


def test_options_for_the_gpu_and_the_cell(scenario: Path) -> None:
    """Each sets a key; sizes may have a unit."""
    words = ("--memory", "2GiB", "--residency", "cache", "--overlap")
    words += ("--load-from", "pinned", "--deadline", "400ms", "--bandwidth", "30 MHz")
    finished = edgesim("run", scenario, "--solver", "greedy", *words, "--out", "out")
    assert finished.code == 0, finished.err
    found = json.loads(Path("out/run.json").read_text())["scenario"]
    assert found["gpu"]["memory_bytes"] == 2 * 1024**3
    assert found["gpu"]["residency"] == "cache"
    assert found["gpu"]["overlap"] is True
    assert found["gpu"]["load_from"] == "pinned"
    assert found["workload"]["deadline_s"] == 0.4
    assert found["cell"]["bandwidth_hz"] == 30e6


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e9", 1_000_000_000),
        ("1GB", 1_000_000_000),
        ("1.5 GB", 1_500_000_000),
        ("24GiB", 24 * 1024**3),
        ("512MB", 512_000_000),
        ("100kB", 100_000),
        ("7B", 7),
    ],
)
def test_sizes(text: str, value: int) -> None:
    """Decimal and binary units, or bytes."""
    assert byte_size("--memory", text) == value


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--memory", "many"),
            "--memory: must be bytes, as in 1e9, 16GB or 24GiB, found",
        ),
        (("--memory", ""), "--memory: must be bytes"),
        (("--memory", "1GHz"), "--memory: must be bytes"),
        (("--memory", "-1"), "--memory: must be bytes"),
        (("--memory", "nan"), "--memory: must be bytes"),
        (("--memory", "1.2.3"), "--memory: must be bytes"),
        (("--memory", "1e999"), "--memory: must be bytes"),
        (("--memory", "0.5"), "--memory: must be bytes"),
        (
            ("--bandwidth", "2GiHz"),
            "--bandwidth: must be Hz, as in 20e6, 20MHz or 1GHz",
        ),
        (("--residency", "cash"), "--residency: must be one of previous, cache"),
        (("--load-from", "tape"), "--load-from: must be one of pinned, pageable, disk"),
        (("--deadline", "0"), "--deadline: must be a time above 0, as in 0.5 or 500ms"),
        (
            ("--memory", "1GB", "--set", "gpu.memory_bytes=2"),
            "--set gpu.memory_bytes: is what --memory sets; give one of them",
        ),
        (
            ("--no-overlap", "--set", "gpu={overlap=true}"),
            "--set gpu: is what --overlap sets; give one of them",
        ),
        (
            ("--deadline", "1", "--set", "online.policies=['edf']"),
            "--deadline: is for plans",
        ),
    ],
)
def test_what_such_options_refuse(
    scenario: Path, words: tuple[str, ...], told: str
) -> None:
    """By their name, with what is allowed, and the same key set twice."""
    assert refused(scenario, *words).startswith(told)


@pytest.mark.parametrize("setting", ["workload.trace=./my.csv", "profile=mine.json"])
def test_typed_paths_are_relative_to_the_current_folder(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to the scenario's, which for a shipped one lies somewhere else."""
    monkeypatch.chdir(tmp_path)
    source = data_file("profiles", "clockwork-v100.json")
    assert source is not None
    shutil.copy(source, "mine.json")
    Path("my.csv").write_text(TRACE)
    words = ("--set", setting, "--solver", "fcfs", "--repeats", 1, "--out", "out")
    finished = edgesim("run", "campus", *words)
    assert finished.code == 0, finished.err
    files = json.loads(Path("out/run.json").read_text())["inputs"]
    role, _, name = setting.removeprefix("workload.").partition("=")
    assert files[role]["file"] == name.removeprefix("./")


def test_paths_beside_the_scenario_hold_too(scenario: Path) -> None:
    """A name that leads nowhere from the current folder is that of the scenario's."""
    folder = scenario.parent / "elsewhere"
    folder.mkdir()
    moved = scenario.rename(folder / "small.toml")
    (scenario.parent / "small.csv").rename(folder / "other.csv")
    finished = edgesim(
        *("run", moved, "--set", "workload.trace=other.csv", "--out", "out")
    )
    assert finished.code == 0, finished.err
