"""Several live runs as one table, and its command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgesim.live.table import read_cases, text
from edgesim.profile.file import write_profile
from tests.command import edgesim
from tests.live import cases


def _entry(live: float, simulated: float, **changes: Any) -> dict[str, Any]:
    return {
        "requests": 600,
        "live": {"on_time_ratio": live},
        "closed": {"on_time_ratio": simulated},
        "with dispatch": {"on_time_ratio": simulated - 0.01},
        "load_error_ratio": 0.02,
        "batch_error_ratio": -0.01,
        "other_deliveries": 0,
        "time": {"load_s": 10.0, "compute_s": 40.0},
        "deciding_s": 0.5,
        "lateness_s": {"p50": 0.0, "p99": 0.004, "max": 0.1},
        "ended": False,
    } | changes


def _write(
    folder: Path, policies: Mapping[str, Any], command: str = "edgesim live x"
) -> Path:
    folder.mkdir()
    document = {
        "schema": "edgesim.live/1",
        "command": command,
        "residency": "cache",
        "late": "drop",
        "duration_s": 60.0,
        "device": "a board",
        "date": f"2026-11-27 1{len(command) % 10}:00 UTC",
        "policies": policies,
    }
    (folder / "live.json").write_text(json.dumps(document))
    return folder


def test_runs_of_one_command_are_one_case(tmp_path: Path) -> None:
    """Their mean is compared with the simulation, and they with each other."""
    one = _write(tmp_path / "1", {"fcfs": _entry(0.80, 0.79)})
    two = _write(
        tmp_path / "2",
        {"fcfs": _entry(0.82, 0.79, lateness_s=None), "edf": _entry(0.7, 0.76)},
    )
    other = _write(tmp_path / "3", {"fcfs": _entry(0.97, 0.97)}, "edgesim live y")
    fcfs, edf, last = read_cases([one, two, other])
    assert fcfs.live == (0.80, 0.82)
    assert fcfs.error == pytest.approx(0.02)
    assert fcfs.dispatched_error == pytest.approx(0.03)
    assert fcfs.between == pytest.approx(0.02)
    assert fcfs.requests_per_s == 10.0
    assert fcfs.deciding == pytest.approx(0.01)
    assert fcfs.lateness_p99_s == 0.004
    assert (edf.policy, edf.between) == ("edf", None)
    assert last.live == (0.97,)
    found = text([fcfs, edf, last])
    assert "3 cases, 4 live runs" in found
    assert "share of requests in time: 2.67 points, at most 6.00." in found
    counted = "deciding and dispatch as measured before the runs: 3.00 points, at most"
    assert counted in found
    assert "Wanted is a mean of at most 2.00 points: not met." in found
    assert "Simulated shares outside 60 to 95 %: 1 case." in found
    assert "drift" not in found
    assert "met." in text([last])
    assert "not met" not in text([last])


def test_the_command_states_the_drift_and_writes_the_table(tmp_path: Path) -> None:
    """Of the profile measured again after the runs."""
    folder = _write(tmp_path / "1", {"fcfs": _entry(0.8, 0.79)})
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    write_profile(before, cases.profile())
    write_profile(
        after, cases.profile(latency_s={"1": 1.1 * cases.ONE_S, "4": cases.FOUR_S})
    )
    out = tmp_path / "table.md"
    words = ("live-table", folder, "--before", before, "--after", after, "--out", out)
    for _ in range(2):
        done = edgesim(*words)
        assert done.code == 0, done.err
        assert out.read_text() == done.out
    assert "| net   |    +0.0 |      +3.3 |" in done.out
    out.write_text("# Notes\n")
    done = edgesim(*words)
    assert (done.code, done.out) == (2, "")
    assert "must be a new file or a table of live runs, which is" in done.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ended": True}, "fcfs must be a whole run, found one that ended early"),
        ({"live": {"on_time_ratio": None}}, "fcfs must have requests, found none"),
        ({"time": {}}, "must be what edgesim live writes"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    changes: Mapping[str, Any], words: str, tmp_path: Path
) -> None:
    """In one line that names the file."""
    folder = _write(tmp_path / "1", {"fcfs": _entry(0.8, 0.79) | changes})
    done = edgesim("live-table", folder)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert str(folder / "live.json") in done.err
    assert words in done.err


def test_files_that_are_no_live_runs_are_refused(tmp_path: Path) -> None:
    """Another file, an empty result, one profile of two, a name that is no table's."""
    folder = _write(tmp_path / "1", {})
    for words, message in (
        ([tmp_path], "live.json"),
        ([folder], "must hold a policy that was run"),
        ([folder, "--before", "x.json"], "--before: needs --after too"),
        ([folder, "--after", "x.json"], "--after: needs --before too"),
        ([folder, "--out", tmp_path / "t.txt"], "--out: must be a file ending in .md"),
    ):
        done = edgesim("live-table", *words)
        assert done.code == 2
        assert message in done.err
    (folder / "live.json").write_text('{"schema": "edgesim.run/1"}')
    assert "must be of schema 'edgesim.live/1'" in edgesim("live-table", folder).err
