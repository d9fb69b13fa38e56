"""From two fine-tuned checkpoints on disk to a replayed schedule, on the CPU."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from edgesim.instances import read_instance, read_schedule
from edgesim.profile.file import read_profile
from edgesim.profile.values import Measured
from tests.command import edgesim
from tests.small_networks import SHARED, WHOLE, save_pets


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Save two fine-tunes, one in each file format."""
    return save_pets(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def library(
    checkpoints: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Measure the two checkpoints together on the CPU."""
    out = tmp_path_factory.mktemp("library") / "pets.json"
    finished = edgesim(
        *("profile", "measure", *checkpoints, "--device", "cpu", "--batch", "1,2,4"),
        *("--factory", "tests.small_networks:convnet", "--input", "3x16x16"),
        *("--repeats", "10", "--out", out),
    )
    assert finished.code == 0, finished.err
    return out


def test_sharing_is_found_exactly(checkpoints: tuple[Path, Path]) -> None:
    """The command names the bytes that the two files have in common, to the byte."""
    finished = edgesim("profile", "sharing", *checkpoints)
    assert finished.code == 0, finished.err
    for count in (WHOLE, SHARED):
        assert f"{count:,}" in finished.out or str(count) in finished.out
    assert "laminar" in finished.out


def test_profile_holds_the_shared_block_once(library: Path) -> None:
    """Two blocks a model, the shared one known by its content, measured on the CPU."""
    profile = read_profile(library)
    assert isinstance(profile.provenance, Measured)
    cats, dogs = profile.models["cats"], profile.models["dogs"]
    sizes = {b.content: b.bytes for b in (*cats.blocks, *dogs.blocks)}
    assert len(cats.blocks) == len(dogs.blocks) == 2
    assert sorted(sizes.values()) == sorted([SHARED, WHOLE - SHARED, WHOLE - SHARED])
    for model in (cats, dogs):
        assert set(model.tiers) == {"pageable", "disk"}
        assert set(model.latency_s) == {"1", "2", "4"}
        assert model.architecture == "tests.small_networks:convnet"


def test_from_profile_to_replay(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Profile and trace are all a run needs, and a schedule of it runs for real."""
    monkeypatch.chdir(tmp_path)
    finished = edgesim(
        *("trace", "generate", "--rate", 10, "--duration-s", 3, "--models", 2),
        *("--slo-s", 0.5, "--seed", 3, "--out", "pets.csv"),
    )
    assert finished.code == 0, finished.err
    finished = edgesim("run", "--profile", library, "--trace", "pets.csv", "--out", "r")
    assert finished.code == 0, finished.err
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary

    plan = tmp_path / "r" / "plans" / "0"
    problem = read_instance(plan / "instance.json")
    assert sum(block.bytes for block in problem.blocks.values()) == 2 * WHOLE - SHARED
    schedule = read_schedule(plan / "greedy.json")
    assert schedule.rounds

    finished = edgesim(
        *("replay", plan / "greedy.json", "--profile", library, "--device", "cpu"),
        *("--repeats", 2, "--back-to-back", "--factories", "call", "--out", "replayed"),
    )
    assert finished.code == 0, finished.err
    with (tmp_path / "replayed" / "rounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(schedule.rounds)
    for row, planned in zip(rows, schedule.rounds * 2, strict=True):
        assert row["model"] == planned.model
        assert int(row["loaded_bytes"]) == planned.loaded_bytes
        assert float(row["measured_compute_s"]) > 0
    assert (tmp_path / "replayed" / "errors.md").is_file()
    assert (tmp_path / "replayed" / "replay.png").is_file()
