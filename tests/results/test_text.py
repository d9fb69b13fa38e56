"""The sentences below a run's table: who lost the requests, and few values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgesim as es
from edgesim.results.online_summary import SUMMARY
from edgesim.results.text import gain_lines
from tests.command import edgesim

NO_LINK = {
    "bandwidth_hz": 20e6,
    "radius_m": 200.0,
    "tx_power_dbm": -200.0,
    "efficiency": "cqi-table-1",
}
WINDOW = {"workload.window_s": 40.0, "online.window_s": (30.0, 40.0)}
PLANS = {"run.solvers": ["greedy", "fcfs"]}


def text_of(scenario: str, **changes: object) -> str:
    """Return the table of a scenario with some values replaced, on one line."""
    return " ".join(
        es.run(es.read_scenario(scenario).replace(**changes)).table().split()
    )


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ({"cell.bandwidth_hz": 20.0}, "41 were lost in the upload"),
        ({"gpu.load_rate_bytes_per_s": 1e6}, "41 were lost on the GPU"),
        ({"gpu.memory_bytes": 1}, "41 asked for models that never fit in GPU memory"),
        ({"cell": NO_LINK}, "41 had no link"),
    ],
)
def test_nobody_is_served_by_plans(change: dict[str, object], lost: str) -> None:
    """What the requests were lost to stands at the end."""
    found = text_of("campus", **PLANS, **change, **{"run.repeats": 2})
    assert found.endswith(f"nobody is served in time: of 41 requests, {lost}")


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ({"cell.bandwidth_hz": 20.0}, "{} were lost in the upload"),
        ({"gpu.load_rate_bytes_per_s": 1e6}, "{} were lost on the GPU"),
        ({"gpu.memory_bytes": 1}, "{} asked for models that never fit in GPU memory"),
        ({"cell": NO_LINK}, "{} had no link"),
    ],
)
def test_nobody_is_served_online(change: dict[str, object], lost: str) -> None:
    """Likewise, of the requests that are measured."""
    window = {**WINDOW, "online.policies": ["edf", "greedy"]}
    found = text_of("online-campus", **window, **change)
    of, _, rest = found.partition("nobody is served in time: of ")[2].partition(" ")
    assert of
    assert rest == f"requests, {lost.format(of)}"


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ({"cell.bandwidth_hz": 2e6}, "upload"),
        ({"gpu.load_rate_bytes_per_s": 5e8}, "GPU"),
    ],
)
def test_some_are_lost(change: dict[str, float], lost: str) -> None:
    """A plan without room for all says what it lacked; all are accounted for."""
    scenario = es.read_scenario("campus").replace(**{**PLANS, **change})
    runs = es.run(scenario, repeats=2)
    counts = runs.summary["lost_to"]
    for name, entry in runs.summary["solvers"].items():
        in_time = entry["in_time"]["mean"] * 2
        assert sum(counts[name].values()) == sum(runs.summary["requests"]) - in_time
    assert max(counts["greedy"], key=counts["greedy"].__getitem__) == lost
    total = sum(counts["greedy"].values())
    text = " ".join(runs.table().split())
    assert f"of 41 requests, {total} are not served in time (by greedy): " in text


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ({"cell.bandwidth_hz": 4e6}, "upload"),
        ({"gpu.load_rate_bytes_per_s": 5e8}, "GPU"),
    ],
)
def test_some_are_lost_online(change: dict[str, float], lost: str) -> None:
    """An input that comes too late for the GPU is lost to its upload."""
    window = {**WINDOW, "online.policies": ["edf", "greedy"]}
    runs = es.run(es.read_scenario("online-campus").replace(**window, **change))
    counts = runs.summary["lost_to"]["edf"]
    entry = runs.summary["policies"]["edf"]["measures"]
    missed = 1 - entry["on_time_ratio"]["mean"]
    requests = sum(runs.summary["requests"])
    assert sum(counts.values()) == pytest.approx(missed * requests)
    assert max(counts, key=counts.__getitem__) == lost
    assert "are not served in time (by edf): " in " ".join(runs.table().split())


def test_all_are_served(tmp_path: Path) -> None:
    """Then there is no such sentence, nor a key in the summary."""
    out = tmp_path / "out"
    words = ("--solver", "dp", "--repeats", 3, "--set", "workload.deadline_s=9")
    finished = edgesim("run", "campus", *words, "--out", out)
    assert finished.code == 0, finished.err
    assert "not served in time" not in " ".join(finished.out.split())
    assert "means little" not in finished.out
    assert "lost_to" not in json.loads((out / "summary.json").read_text())


def test_two_values() -> None:
    """Of two repeats or two batches an interval means little, and that is said."""
    said = "n interval of 2 values means little"
    assert said in text_of("campus", **PLANS, **{"run.repeats": 2})
    assert said not in text_of("campus", **PLANS, **{"run.repeats": 1})
    window = {**WINDOW, "online.policies": ["edf"]}
    assert said in text_of("online-campus", **window, **{"online.batches": 2})
    assert said not in text_of("online-campus", **window)
    assert said in text_of("online-campus", **window, **{"run.repeats": 2})


def test_what_a_solver_leaves_out_is_not_lost_elsewhere() -> None:
    """Its plan is empty, and most of the requests could be served alone."""
    runs = es.run("campus", solvers=[lambda problem, uplink, options: []], repeats=1)
    lost = next(iter(runs.summary["lost_to"].values()))
    assert lost["policy"] > sum(lost.values()) / 2
    assert "were left out by choice" in " ".join(runs.table().split())


def test_latency_where_sharing_changes_nothing_in_time() -> None:
    """The line says what it changes instead; not where it gains, nor without a twin."""

    def said(on_time: float, *names: str) -> str:
        measures = {"latency_p95_s": {"mean": 0.0385}}
        whole = {"latency_p95_s": {"mean": 0.146}}
        policies = {"greedy": {"measures": measures}}
        policies |= {name: {"measures": whole} for name in names}
        gain = {"on_time_ratio": {"mean": on_time, "half_width_95": None}}
        (line,) = gain_lines(
            {"schema": SUMMARY, "policies": policies, "sharing_gain": {"greedy": gain}}
        )
        return line

    assert said(0.0, "greedy-noshare") == (
        "sharing gains greedy +0.0 points on time; its p95 latency is 38.5 ms, without "
        "sharing 146 ms"
    )
    assert said(0.05, "greedy-noshare") == "sharing gains greedy +5.0 points on time"
    assert said(0.0) == "sharing gains greedy +0.0 points on time"
