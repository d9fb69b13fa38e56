"""The online job, from a scenario and a trace to its outputs."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from edgesim.engine.records import REASONS
from edgesim.results.series_table import SERIES_COLUMNS
from edgesim.results.tables import REQUEST_COLUMNS, ROUND_COLUMNS
from tests.command import edgesim
from tests.experiment.served import FILES, edit, rows_of, summary_of

REPOSITORY = Path(__file__).parents[2]


def test_outputs(served: Path, tmp_path: Path) -> None:
    """A run leaves every output, and every request of the trace once a policy."""
    out = tmp_path / "out"
    finished = edgesim("run", served, "--out", out)
    assert finished.code == 0, finished.err
    assert {p.name for p in out.iterdir()} == FILES | {"perfetto"}
    trace = rows_of(tmp_path / "served.csv")
    for policy in ("fcfs", "fcfs-noshare", "greedy"):
        mine = [r for r in rows_of(out / "requests.csv") if r["policy"] == policy]
        assert [r["id"] for r in mine] == [str(i) for i in range(len(trace))]
        assert [r["user"] for r in mine] == [r["user"] for r in trace]
        assert {r["outcome"] for r in mine} <= {"in time", "late", "dropped"}
        assert all((r["outcome"] == "dropped") == bool(r["reason"]) for r in mine)
        computed = Counter(r["round"] for r in mine if r["round"])
        rounds = [r for r in rows_of(out / "rounds.csv") if r["policy"] == policy]
        assert [int(r["batch"]) for r in rounds] == [
            computed[r["round"]] for r in rounds
        ]
        assert (out / "perfetto" / f"0-{policy}.json").is_file()
    assert "sharing gains fcfs" in finished.out
    assert "4 batch means" in finished.out


def test_summary_counts_what_the_tables_hold(served: Path, tmp_path: Path) -> None:
    """Counts of the summary are those of requests.csv after the warm-up."""
    assert edgesim("run", served, "--out", tmp_path / "out").code == 0
    summary = summary_of(tmp_path / "out")
    rows = rows_of(tmp_path / "out" / "requests.csv")
    for policy, found in summary["policies"].items():
        mine = Counter(
            r["outcome"]
            for r in rows
            if r["policy"] == policy and float(r["arrival_s"]) >= 2.0
        )
        assert found["in_time"] == mine["in time"] > 0
        assert found["late"] == mine["late"]
        assert found["dropped"] == mine["dropped"] == sum(found["dropped_by"].values())
        assert mine.total() == summary["requests"][0]
        ratio = found["measures"]["on_time_ratio"]
        assert ratio["mean"] == pytest.approx(mine["in time"] / mine.total())
        assert len(ratio["values"]) == 4
        assert ratio["half_width_95"] > 0
    gain = summary["sharing_gain"]["fcfs"]["in_time_per_s"]["mean"]
    by_policy = summary["policies"]
    difference = by_policy["fcfs"]["in_time"] - by_policy["fcfs-noshare"]["in_time"]
    assert gain * sum(summary["measured_s"]) == pytest.approx(difference)


def test_same_inputs_same_bytes(served: Path, tmp_path: Path) -> None:
    """Two runs differ in run.json alone; another seed differs."""
    edit(served, "[online]", "[noise]\nload_sigma = 0.3\ncompute_sigma = 0.2\n[online]")
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        finished = edgesim("run", served, "--seed", seed, "--out", tmp_path / name)
        assert finished.code == 0, finished.err
    files = sorted(p for p in (tmp_path / "one").rglob("*") if p.is_file())
    for file in files:
        twin = tmp_path / "two" / file.relative_to(tmp_path / "one")
        same = file.read_bytes() == twin.read_bytes()
        assert same or file.name == "run.json", file.name
    one, other = (tmp_path / name / "requests.csv" for name in ("one", "other"))
    assert one.read_bytes() != other.read_bytes()


def test_policies_meet_the_same_noise(served: Path, tmp_path: Path) -> None:
    """A policy's run does not depend on which others ran before it."""
    edit(served, "[online]", "[noise]\nload_sigma = 0.5\n[online]")
    for name, policies in (("alone", "greedy"), ("after", "fcfs,greedy")):
        assert (
            edgesim("run", served, "--policy", policies, "--out", tmp_path / name).code
            == 0
        )
    alone, after = (
        [r for r in rows_of(tmp_path / name / "rounds.csv") if r["policy"] == "greedy"]
        for name in ("alone", "after")
    )
    assert alone == after
    loads = [(int(r["loaded_bytes"]), float(r["load_s"])) for r in alone]
    factors = {round(s / (size / 1e9), 6) for size, s in loads if size}
    assert len(factors) > 20  # drawn anew for every round


@pytest.mark.parametrize("policy", ["fcfs", "rolling"])
def test_every_load_takes_longer_than_policies_know(
    served: Path, tmp_path: Path, policy: str
) -> None:
    """The factor is that of every load, or of every draw with noise."""
    edit(served, "[online]", "[noise]\nload_factor = 2.5\n[online]")
    factors = {}
    for sigma in (0, 0.5):
        out = tmp_path / str(sigma)
        settings = "--set", f"noise.load_sigma={sigma}", "--policy", policy
        finished = edgesim("run", served, *settings, "--out", out)
        assert finished.code == 0, finished.err
        rows = [row for row in rows_of(out / "rounds.csv") if int(row["loaded_bytes"])]
        factors[sigma] = [
            float(row["load_s"]) / (int(row["loaded_bytes"]) / 1e9) for row in rows
        ]
    assert factors[0] == pytest.approx([2.5] * len(factors[0]))
    middle = sorted(factors[0.5])[len(factors[0.5]) // 2]
    assert 1.8 < middle < 3.4
    assert max(factors[0.5]) > 4


def test_repeats_are_windows(served: Path, tmp_path: Path) -> None:
    """Repeats take one window of the trace after another, and time starts anew."""
    edit(served, 'trace = "served.csv"', 'trace = "served.csv"\nwindow_s = 6.0')
    finished = edgesim("run", served, "--repeats", 3, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    assert "3 independent repeats" in finished.out
    arrivals = [float(r["arrival_s"]) for r in rows_of(tmp_path / "served.csv")]
    rows = rows_of(tmp_path / "out" / "requests.csv")
    for repeat in range(3):
        expected = [a - 6 * repeat for a in arrivals if 0 <= a - 6 * repeat < 6]
        mine = [
            float(r["arrival_s"])
            for r in rows
            if r["repeat"] == str(repeat) and r["policy"] == "greedy"
        ]
        assert mine == pytest.approx(expected, abs=1e-9)
    values = summary_of(tmp_path / "out")["policies"]["fcfs"]["measures"]
    assert len(values["on_time_ratio"]["values"]) == 3


def test_records_of_a_window_or_none(served: Path, tmp_path: Path) -> None:
    """With records = "window" the tables hold the window; with "none" none are made."""
    edit(served, "batches = 4", 'batches = 4\nrecords = "window"')
    assert edgesim("run", served, "--out", tmp_path / "out").code == 0
    rows = rows_of(tmp_path / "out" / "requests.csv")
    assert rows
    assert all(float(r["arrival_s"]) < 6 and float(r["end_s"]) >= 4 for r in rows)
    edit(served, '"window"', '"none"')
    assert edgesim("run", served, "--out", tmp_path / "out").code == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == (
        FILES - {"requests.csv", "rounds.csv"} | {"perfetto"}
    )


def test_ctrl_c_leaves_the_runs_that_were_done(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are told; nothing else is left, nor the trace's columns elsewhere."""
    (tmp_path / "stopped_for_test.py").write_text(
        "from edgesim import Policy\n"
        "class Stopped(Policy):\n"
        "    def choose(self, server):\n"
        "        raise KeyboardInterrupt\n"
    )
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    finished = edgesim("run", served, "--policy", "stopped_for_test:Stopped")
    assert finished.code == 130
    assert set(tmp_path.rglob("*")) == before
    whole = edgesim("run", served, "--policy", "fcfs", "--out", "whole")
    assert whole.code == 0
    finished = edgesim("run", served, "--policy", "fcfs,stopped_for_test:Stopped")
    assert finished.code == 130
    assert finished.err == (
        "warning: what is done is kept in results/served.partial: 1 run\n"
    )
    assert [path.name for path in Path("results").iterdir()] == ["served.partial"]
    kept = Path("results", "served.partial")
    for table in ("requests.csv", "rounds.csv", "series.csv"):
        assert (kept / table).read_bytes() == Path("whole", table).read_bytes()


def test_every_output_is_explained(served: Path, tmp_path: Path) -> None:
    """Columns of the tables and keys of the summary stand in docs/results.md."""
    assert edgesim("run", served, "--out", tmp_path / "out").code == 0
    text = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    section = text.partition("## What an online run leaves")[2].partition("\n## ")[0]
    summary = summary_of(tmp_path / "out")
    names = {*REQUEST_COLUMNS, *ROUND_COLUMNS, *SERIES_COLUMNS}
    by_name = {"policies", "sharing_gain", "lost_to"}
    names |= set(summary) - by_name | {f"{key}.NAME" for key in by_name}
    names |= set(summary["policies"]["fcfs"])
    names |= set(summary["policies"]["fcfs"]["measures"]["on_time_ratio"])
    names |= FILES | set(REASONS)
    assert {name for name in names if f"`{name}`" not in section} == set()


def test_words_stay_on_the_page(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long names are cut in their middle, and sentences wrapped."""
    module = "a_module_of_somebody_with_much_to_say_for_test"
    (tmp_path / f"{module}.py").write_text(
        "from edgesim import Policy\n"
        "class FirstOfAllQueuesThatAreNotEmptyAtThisTime(Policy):\n"
        "    def choose(self, server):\n"
        "        return next((q[:1] for q in server.waiting if q), None)\n"
    )
    monkeypatch.chdir(tmp_path)
    name = f"{module}:FirstOfAllQueuesThatAreNotEmptyAtThisTime"
    finished = edgesim("run", served, "--policy", f"{name},{name}-noshare,fcfs")
    assert finished.code == 0, finished.err
    lines = finished.out.splitlines()
    rows = [line for line in lines if " ms " in line]
    assert len(rows) == 3
    assert len({len(row) for row in rows}) == 1
    assert max(map(len, lines)) <= 150
    assert sum("…" in line for line in lines) >= 3
