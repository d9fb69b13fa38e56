"""The words, files and tables of a replay."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from edgesim.errors import InputError
from edgesim.profile.values import Measured, Profile, Tier
from edgesim.replay import accuracy
from edgesim.replay import comparison as pairs
from edgesim.replay.comparison import RoundTime
from edgesim.replay.plan import make_plan
from edgesim.replay.report import OUTPUTS, Replayed, Setting, text, write_report
from edgesim.storage.manifest import MANIFEST
from solvers import Problem
from tests.replay import cases

TIMES = (
    RoundTime(0.007, 0.009, 0.017),
    RoundTime(0.002, 0.011, 0.031),
    RoundTime(0.003, 0.010, 0.501),
)
DEVICE = "NVIDIA Test"


def _replayed(
    problem: Problem | None = None,
    times: tuple[RoundTime, ...] = TIMES,
    *,
    profile: Profile | None = None,
    tier: Tier = "pageable",
    **setting: Any,
) -> Replayed:
    problem = cases.problem() if problem is None else problem
    profile = cases.profile() if profile is None else profile
    options: dict[str, Any] = {
        "tier_of_profile": True,
        "has_graphs": False,
        "paced": True,
        "seed": 3,
    } | setting
    return Replayed(
        make_plan(problem, cases.schedule(problem), profile),
        Setting(
            profile=profile,
            tier=tier,
            device=DEVICE,
            driver="999.1",
            versions={"torch": "2.0"},
            machine={"cores": "2"},
            date="2026-01-02 03:04 UTC",
            command="edgesim replay edf.json",
            sources={"schedule": ("edf.json", "ab" * 32), "instance": ("pipe", None)},
            **options,
        ),
        [times, times],
    )


def _line(replayed: Replayed, start: str) -> str:
    (line,) = [
        line
        for line in text(replayed).splitlines()
        if line.startswith((f"- {start}:", f"{start}:"))
    ]
    return line


def test_the_first_line_says_whose_times_are_compared() -> None:
    """Numbers of another device say so; those of this one too."""
    assert text(_replayed()).splitlines()[0] == (
        "The simulated times are of a board (published), the measured ones of "
        "NVIDIA Test: two devices."
    )
    here = Measured(
        kind="measured",
        device=DEVICE,
        driver="1",
        versions={"torch": "2"},
        date="2026-01-01",
        command="edgesim profile measure",
    )
    profile = cases.profile().model_copy(update={"provenance": here})
    assert text(_replayed(profile=profile)).splitlines()[0] == (
        "Simulated and measured on the same kind of device: NVIDIA Test."
    )
    assert "measured on 2026-01-01" in _line(_replayed(profile=profile), "Profile")


def test_the_words_say_what_was_done() -> None:
    """Schedule, device, command, copies, networks and users, by hand."""
    replayed = _replayed()
    assert _line(replayed, "Schedule") == (
        "- Schedule: tiny, edf, dynamic uplink, 3 rounds, 3 users; 2 repeats after one "
        "to warm up; paced: a batch waits for its inputs."
    )
    assert _line(replayed, "Device") == (
        "- Device: NVIDIA Test; driver 999.1; torch 2.0; cores 2."
    )
    loads = _line(replayed, "Loads")
    assert "4 copies a repeat, 0.0 MB, of 3 blocks" in loads
    assert "at most 4,700 bytes; placed in 5,120." in loads
    compute = _line(replayed, "Compute")
    assert cases.NETWORK in compute
    assert "random weights of its own, apart from the loaded blocks" in compute
    assert "0 of 3 batches are padded" in compute
    assert _line(replayed, "Users in time") == (
        "- Users in time: planned 3, with measured times 2; the latest is 1.000 ms "
        "late."
    )
    assert "edgesim replay edf.json" in text(replayed)


def test_what_was_left_out_is_named() -> None:
    """Every model without a network, and why; then no user is judged."""
    times = tuple(RoundTime(t.load_s, None, t.end_s) for t in TIMES)
    replayed = _replayed(times=times, profile=cases.profile(architecture=None))
    assert _line(replayed, "Left out") == (
        "- Left out: compute of net-v01, net-v02 (the profile states no architecture "
        "of 'net'); nothing stands in for it."
    )
    assert "not told" in _line(replayed, "Users in time")
    assert "Compute:" not in text(replayed)


def test_back_to_back_says_that_nothing_waits() -> None:
    """The pace, and that users were judged by the plan's rules."""
    words = text(_replayed(paced=False))
    assert "back to back: nothing waits for inputs" in words
    assert "measured loads and batches put through the plan's rules" in words


def test_a_plan_of_other_numbers_is_told() -> None:
    """Load times and latencies that are not the profile's, counted."""
    slower = cases.profile(latency_s={"1": 1.0, "4": 2.0})
    assert "2 of 2 models" in _line(_replayed(profile=slower), "Plan")
    blocks = cases.profile().document()["models"]["net"]["blocks"]
    blocks[0]["load_s"]["pageable"]["median_s"] = 1.0
    other = cases.profile(blocks=blocks)
    assert "1 of 3 blocks" in _line(_replayed(profile=other), "Plan")
    assert "no disk load times" in _line(
        _replayed(tier="disk", tier_of_profile=False), "Tier"
    )


def test_how_batches_were_run_is_told_where_the_profile_has_graphs() -> None:
    """As graphs where the device has them; else that the two are not alike."""
    profile = cases.profile()
    model = profile.models["net"].model_copy(update={"latency_mode": "graph"})
    profile = profile.model_copy(update={"models": {"net": model}})
    assert "captured graphs, as the" in text(
        _replayed(profile=profile, has_graphs=True)
    )
    assert "this device has not" in text(_replayed(profile=profile, has_graphs=False))
    assert "captured graphs" not in text(_replayed(has_graphs=True))


def test_gaps_that_take_more_than_the_plans_memory_are_told() -> None:
    """4700 B are enough for the blocks at once, their places take 5120."""
    problem = cases.problem(gpu_memory_bytes=4700)
    assert "4,700 bytes" in _line(_replayed(problem), "Memory")
    roomy = cases.problem(gpu_memory_bytes=5120)
    assert "Memory:" not in text(_replayed(roomy))


def test_the_folder_holds_everything(tmp_path: Path) -> None:
    """Each file, read back: rounds, errors, words, versions and hashes; twice alike."""
    replayed = _replayed()
    write_report(tmp_path / "a", replayed)
    write_report(tmp_path / "b", replayed)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {MANIFEST, *OUTPUTS}
    for name in OUTPUTS:
        first, second = (tmp_path / folder / name for folder in "ab")
        assert first.read_bytes() == second.read_bytes()
    with (tmp_path / "a" / "rounds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == pairs.COLUMNS
    assert [(row["repeat"], row["round"]) for row in rows] == [
        (str(repeat), str(r)) for repeat in range(2) for r in range(3)
    ]
    assert float(rows[0]["load_error_s"]) == pytest.approx(0.001)
    with (tmp_path / "a" / "errors.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["quantity"] for row in table] == list(accuracy.QUANTITIES)
    assert (tmp_path / "a" / "errors.md").read_text() == f"{text(replayed)}\n"
    document = json.loads((tmp_path / "a" / "replay.json").read_text())
    assert document["schema"] == "edgesim.replay/1"
    assert document["inputs"]["schedule"] == {"file": "edf.json", "sha256": "ab" * 32}
    assert document["options"] == {
        "load_from": "pageable",
        "repeats": 2,
        "seed": 3,
        "paced": True,
    }
    assert document["users_in_time"] == {"planned": 3, "kept": [2, 2]}
    assert (document["resident_bytes"], document["buffer_bytes"]) == (4700, 5120)
    assert document["networks"][0]["architecture"] == cases.NETWORK


def test_no_rounds_give_an_empty_table(tmp_path: Path) -> None:
    """Valid input: the words say so, every file is there."""
    replayed = _replayed(cases.problem(()), ())
    words = text(replayed)
    assert "The schedule has no rounds: nothing was executed." in words
    assert words.count("–") == 5 * (9 + 8)
    write_report(tmp_path / "out", replayed)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {MANIFEST, *OUTPUTS}
    assert (tmp_path / "out" / "rounds.csv").read_text().count("\n") == 1


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    """A file that no replay wrote keeps the folder as it is."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        write_report(tmp_path, _replayed())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
