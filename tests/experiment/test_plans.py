"""The main job, from a scenario and a trace to its outputs."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

from edgesim.experiment.inputs import Inputs, load_inputs
from edgesim.experiment.run import run_all
from edgesim.experiment.trial import Trial
from edgesim.instances import read_instance, read_schedule
from edgesim.profile.file import read_profile
from edgesim.storage.manifest import MANIFEST
from solvers import UPLINKS, Result, solve, verify
from tests.command import edgesim
from tests.engine.plan_records import records_of
from tests.examples import SCENARIO, TRACE

OUTPUTS = {
    MANIFEST,
    "summary.json",
    "requests.csv",
    "rounds.csv",
    "run.json",
    "throughput.png",
    "timeline.png",
    "perfetto.json",
    "plans",
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Write a small scenario and its trace."""
    (tmp_path / "small.csv").write_text(TRACE)
    (tmp_path / "small.toml").write_text(SCENARIO)
    return tmp_path / "small.toml"


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def _edit(file: Path, **replaced: Any) -> None:
    text = file.read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def trials_of(inputs: Inputs) -> list[Trial]:
    """Run every repeat under every solver."""
    return list(run_all(inputs))


def test_outputs(small: Path, tmp_path: Path) -> None:
    """A run leaves every output, and every request once a solver and repeat."""
    finished = edgesim("run", small, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    assert {p.name for p in (tmp_path / "out").iterdir()} == OUTPUTS
    requests = _rows(tmp_path / "out" / "requests.csv")
    assert len(requests) == 2 * 4  # two solvers, four requests in two windows
    assert {r["outcome"] for r in requests} <= {"in time", "late", "dropped"}
    assert [r["user"] for r in requests[:3]] == ["ann", "bob", "cid"]
    served = sum(r["outcome"] == "in time" for r in requests if r["solver"] == "dp")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert sum(summary["solvers"]["dp"]["in_time"]["values"]) == served > 0
    assert summary["requests"] == [3, 1]
    assert "dp" in finished.out
    assert "bound" in finished.out


def test_plans_verify(small: Path, tmp_path: Path) -> None:
    """The plans written are feasible for the instance written beside them."""
    edgesim("run", small, "--out", tmp_path / "out")
    for repeat in (tmp_path / "out" / "plans").iterdir():
        problem = read_instance(repeat / "instance.json")
        for solver in ("dp", "dp-noshare"):
            verify(problem, read_schedule(repeat / f"{solver}.json"))


def test_same_inputs_same_bytes(small: Path, tmp_path: Path) -> None:
    """Two runs differ in nothing but run.json, which holds run times."""
    for name in ("one", "two"):
        assert edgesim("run", small, "--out", tmp_path / name).code == 0
    files = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*")]
    compared = [f for f in files if f.suffix and f.name != "run.json"]
    assert len(compared) >= 10
    for file in compared:
        one, two = tmp_path / "one" / file, tmp_path / "two" / file
        assert one.read_bytes() == two.read_bytes(), file


def test_seed_changes_the_channels(small: Path, tmp_path: Path) -> None:
    """Another seed draws other places and channels."""
    for seed in (0, 1):
        edgesim("run", small, "--seed", seed, "--out", tmp_path / str(seed))
    found = [
        (tmp_path / str(seed) / "plans/0/instance.json").read_bytes() for seed in (0, 1)
    ]
    assert found[0] != found[1]


def test_first_repeats_do_not_depend_on_their_number(small: Path) -> None:
    """Repeat 0 of two repeats is repeat 0 of one."""
    one = trials_of(load_inputs(small, overrides={"run.repeats": 1}))
    two = trials_of(load_inputs(small, overrides={"run.repeats": 2}))
    assert [r.result and r.result.schedule for r in one] == [
        r.result and r.result.schedule for r in two if r.repeat == 0
    ]


@pytest.mark.parametrize("uplink", UPLINKS)
def test_nominal_run_lands_on_the_plan(small: Path, uplink: str) -> None:
    """Without noise every round ends when planned, within 1e-9 s."""
    runs = trials_of(load_inputs(small, overrides={"run.uplink": uplink}))
    compared = 0
    for one in runs:
        assert one.measures.in_time == one.result.served
        for actual, planned in zip(
            records_of(one.account).rounds, one.result.schedule.rounds, strict=True
        ):
            for name in ("load_start_s", "load_s", "compute_start_s", "end_s"):
                error_s = getattr(actual, name) - getattr(planned, name)
                assert abs(error_s) <= 1e-9, (one.name, name)
                compared += 1
    assert compared > 0


def test_every_load_takes_longer_than_planned(small: Path) -> None:
    """Plans are those of the profile; each load of a run takes the factor times it."""
    plain = trials_of(load_inputs(small))
    slow = trials_of(load_inputs(small, overrides={"noise.load_factor": 2.0}))
    loads = 0
    for one, other in zip(plain, slow, strict=True):
        assert one.result is not None
        assert other.result is not None
        assert one.result.schedule == other.result.schedule
        for planned, actual in zip(
            other.result.schedule.rounds, records_of(other.account).rounds, strict=True
        ):
            assert actual.load_s == pytest.approx(2.0 * planned.load_s)
            loads += planned.load_s > 0
        ends = zip(
            records_of(one.account).rounds,
            records_of(other.account).rounds,
            strict=True,
        )
        assert all(late.end_s >= early.end_s for early, late in ends)
    assert loads


def test_noise_makes_plans_slip(small: Path) -> None:
    """With noise rounds keep their order but not their times; solvers see the same."""
    _edit(small, **{"[run]": "[noise]\nfading = true\nload_sigma = 0.5\n\n[run]"})
    runs = trials_of(load_inputs(small, overrides={"run.solvers": ["dp", "ilp"]}))
    for one in runs:
        models = [r.model for r in one.result.schedule.rounds]
        assert [r.model for r in records_of(one.account).rounds] == models
    planned = [r.end_s for one in runs for r in one.result.schedule.rounds]
    actual = [r.end_s for one in runs for r in records_of(one.account).rounds]
    assert planned != actual


def test_solvers_meet_the_same_noise(small: Path) -> None:
    """Two solvers with the same plan have the same run, noise and all."""
    _edit(small, **{"[run]": "[noise]\nfading = true\nload_sigma = 0.5\n\n[run]"})
    runs = trials_of(
        load_inputs(small, overrides={"run.solvers": ["dp", "dp-noshare"]})
    )
    pairs = [(runs[0], runs[1]), (runs[2], runs[3])]
    same = [
        (records_of(a.account).rounds, records_of(b.account).rounds)
        for a, b in pairs
        if a.result.schedule.rounds == b.result.schedule.rounds
    ]
    assert same
    assert all(a == b for a, b in same)


def test_measured_spreads_of_the_profile_are_used(small: Path) -> None:
    """``"profile"`` is the median over blocks for loads, over models for batches."""
    content = read_profile("clockwork-v100").document() | {"name": "spread"}
    net = content["models"]["resnet50"]

    def with_deciles(median_s: float, ratio: float) -> dict[str, float]:
        return {
            "median_s": median_s,
            "p10_s": median_s / ratio,
            "p90_s": median_s * ratio,
        }

    for block in net["blocks"]:
        load_s = block["load_s"]["pinned"]["median_s"]
        block["load_s"]["pinned"] = with_deciles(load_s, 1.5)
    net["latency_s"] = {b: with_deciles(s, 1.2) for b, s in net["latency_s"].items()}
    small.with_name("spread.json").write_text(json.dumps(content))
    _edit(
        small,
        **{
            "clockwork-v100": "spread.json",
            "load_rate_bytes_per_s = 1e9": "",
            "[run]": '[noise]\nload_sigma = "profile"\n'
            'compute_sigma = "profile"\n[run]',
        },
    )
    load, compute = (math.log(ratio) / 1.2815515655446004 for ratio in (1.5, 1.2))
    taken = load_inputs(small)
    assert set(taken.library.compute_sigma) == set(taken.library.models)
    stated = load_inputs(
        small, overrides={"noise.load_sigma": load, "noise.compute_sigma": compute}
    )
    plain = load_inputs(small, overrides={"noise": {}})

    def ends(inputs: Inputs) -> list[float]:
        return [
            r.end_s for one in trials_of(inputs) for r in records_of(one.account).rounds
        ]

    assert ends(taken) == pytest.approx(ends(stated), rel=1e-12)
    assert ends(taken) != pytest.approx(ends(plain), rel=1e-6)


def test_options_replace_the_scenario(small: Path, tmp_path: Path) -> None:
    """Options win over the file, and run.json says what was run."""
    finished = edgesim(
        *("run", small, "--solver", "greedy,fcfs", "--uplink", "static"),
        *("--repeats", 1, "--iterations", 5, "--time-limit", 2.5),
        *("--out", tmp_path / "out"),
    )
    assert finished.code == 0, finished.err
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["scenario"]["run"]["solvers"] == ["greedy", "fcfs"]
    assert run["scenario"]["run"]["uplink"] == "static"
    assert run["scenario"]["run"]["iterations"] == 5
    assert run["scenario"]["run"]["time_limit_s"] == 2.5
    assert run["inputs"]["trace"]["file"] == "small.csv"
    assert len(run["inputs"]["trace"]["sha256"]) == 64


def test_own_releases_and_deadlines(small: Path) -> None:
    """With releases from the trace, requests come at their times in the window."""
    _edit(
        small,
        **{
            "window_s": 'releases = "trace"\nwindow_s',
            '"dp", "dp-noshare"': '"greedy"',
        },
    )
    runs = trials_of(load_inputs(small))
    users = runs[0].account.tables.problem.users
    assert [u.release_s for u in users] == [0.0, 0.1, 0.1]
    assert [u.deadline_s for u in users] == pytest.approx([0.5, 0.6, 0.6])


def test_what_stays_in_memory_is_for_the_scenario_to_say(small: Path) -> None:
    """``[gpu]`` reaches the problem; loads overlap batches, and the run lands on it."""
    assert (
        trials_of(load_inputs(small))[0].account.tables.problem.residency == "previous"
    )
    _edit(small, **{'"dp", "dp-noshare"': '"greedy", "greedy-noshare"'})
    rules = {"residency": "cache", "eviction": "furthest-next-use", "overlap": True}
    _edit(
        small,
        **{
            "[gpu]": '[gpu]\nresidency = "cache"\noverlap = true\n'
            'eviction = "furthest-next-use"'
        },
    )
    runs = trials_of(load_inputs(small))
    beside = 0
    for one in runs:
        assert rules.items() <= one.account.tables.problem.model_dump().items()
        assert one.measures.in_time == one.result.served
        ends_s = [record.end_s for record in records_of(one.account).rounds]
        starts_s = [
            record.load_start_s for record in records_of(one.account).rounds[1:]
        ]
        beside += sum(
            start_s < end_s for start_s, end_s in zip(starts_s, ends_s, strict=False)
        )
    assert beside > 0


def test_limits_reach_the_solver(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``time_limit_s`` and ``iterations`` of ``[run]`` are handed to every solver."""
    given = []

    def spy(*args: Any, **options: Any) -> Result:
        given.append((options["time_limit_s"], options["iterations"]))
        return solve(*args, **options)

    monkeypatch.setattr("edgesim.experiment.own_solvers.solve", spy)
    _edit(small, **{"[run]": "[run]\niterations = 7\ntime_limit_s = 2.5"})
    trials_of(load_inputs(small))
    trials_of(load_inputs(small, overrides={"run.iterations": 9}))
    assert given == [(2.5, 7)] * 4 + [(2.5, 9)] * 4


def test_common_deadline_replaces_slo(small: Path) -> None:
    """``workload.deadline_s`` is everybody's deadline."""
    inputs = load_inputs(small, overrides={"workload.deadline_s": 0.25})
    problem = trials_of(inputs)[0].account.tables.problem
    assert {u.deadline_s for u in problem.users} == {0.25}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("rank", ["resnet50-v01", "resnet50-v02"]), ("round-robin", None)],
)
def test_model_maps(small: Path, rule: str, expected: list[str] | None) -> None:
    """Ranks go to the library in its order; round robin wraps around it."""
    inputs = load_inputs(small, overrides={"workload.models": rule})
    assert list(inputs.model_names) == (expected or ["resnet50-v01", "resnet50-v02"])
    if rule == "round-robin":
        inputs = load_inputs(
            small,
            overrides={"workload.models": rule, "library.clusters.0.variants": 1},
        )
        assert list(inputs.model_names) == ["resnet50-v01", "resnet50-v01"]


def test_trace_says_efficiency_or_place(small: Path) -> None:
    """Efficiencies and places of the trace are taken as they stand."""
    lines = TRACE.splitlines()
    small.with_name("small.csv").write_text(
        "\n".join([lines[0] + ",spectral_efficiency", *(x + ",2.5" for x in lines[1:])])
    )
    users = trials_of(load_inputs(small))[0].account.tables.problem.users
    assert {u.spectral_efficiency for u in users} == {2.5}
    small.with_name("small.csv").write_text(
        "\n".join([lines[0] + ",x_m,y_m", *(x + ",30.0,40.0" for x in lines[1:])])
    )
    inputs = load_inputs(
        small, overrides={"cell.fading": "none", "cell.path_loss": "log-distance"}
    )
    users = trials_of(inputs)[0].account.tables.problem.users
    assert len({u.spectral_efficiency for u in users}) == 1


def test_shipped_scenarios_run(tmp_path: Path) -> None:
    """Each shipped scenario runs by name; sharing helps where it says it does."""
    gains = {}
    for name in (
        *("campus", "campus-noisy", "pinned-small-cnns", "lora-adapters"),
        *("campus-h200", "lora-h200"),
        *("gpu-replay", "gpu-replay-disk", "gpu-replay-lora"),
    ):
        finished = edgesim(
            *("run", name, "--solver", "dp,dp-noshare", "--out", tmp_path / name),
        )
        assert finished.code == 0, finished.err
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        solvers = summary["solvers"]
        gains[name] = (
            solvers["dp"]["in_time"]["mean"] / solvers["dp-noshare"]["in_time"]["mean"]
        )
    assert gains["campus"] > 1.15
    assert 1.0 <= gains["pinned-small-cnns"] < 1.03
    assert gains["lora-adapters"] > 1.3
    assert gains["campus-h200"] > 1.2
    assert gains["lora-h200"] > 1.3


def test_instance_of_a_plan_can_be_solved_again(small: Path, tmp_path: Path) -> None:
    """The instance written is the one planned: solving it gives the same schedule."""
    edgesim("run", small, "--out", tmp_path / "out")
    place = tmp_path / "out" / "plans" / "0"
    again = solve(read_instance(place / "instance.json"), "dp").schedule
    assert again == read_schedule(place / "dp.json")


@pytest.mark.parametrize("solver", ["dp-noshare", "fcfs", "greedy-noshare,random"])
def test_any_choice_of_solvers_can_be_drawn(
    small: Path, tmp_path: Path, solver: str
) -> None:
    """A run without a sharing solver has no bound to draw; it is drawn nevertheless."""
    finished = edgesim("run", small, "--solver", solver, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    assert {p.name for p in (tmp_path / "out").iterdir()} == OUTPUTS


def test_one_bound_for_all_that_solve_the_same_problem(tmp_path: Path) -> None:
    """Equal plans have equal gaps: the least bound of the repeat holds for each."""
    out = tmp_path / "out"
    names = ("dp-noshare", "ilp-noshare", "edf", "dp")
    finished = edgesim(
        *("run", "campus", "--solver", ",".join(names), "--repeats", 2, "--out", out),
        *("--set", "run.uplink=static"),
    )
    assert finished.code == 0, finished.err
    own = {
        name: [
            json.loads((out / "plans" / str(repeat) / f"{name}.json").read_text())
            for repeat in range(2)
        ]
        for name in names
    }
    found = json.loads((out / "summary.json").read_text())["solvers"]
    bounds = {name: [plan["bound"] for plan in plans] for name, plans in own.items()}
    assert bounds["dp-noshare"] != bounds["ilp-noshare"]
    for group in (names[:2], names[2:]):
        for repeat in range(2):
            least = min(bounds[name][repeat] for name in group)
            for name in group:
                served = own[name][repeat]["served"]
                assert found[name]["bound"]["values"][repeat] == least
                gap = found[name]["gap"]["values"][repeat]
                assert gap == (least - served) / least
                optimal = found[name]["status"][repeat] == "optimal"
                assert optimal == (served == least)


def test_nothing_to_serve(small: Path, tmp_path: Path) -> None:
    """Requests without a link make empty plans and all outputs."""
    header, first = TRACE.splitlines()[:2]
    trace = tmp_path / "no-link.csv"
    trace.write_text(f"{header},spectral_efficiency\n{first},0\n")
    out = tmp_path / "out"
    finished = edgesim(
        *("run", small, "--trace", trace, "--repeats", 1),
        *("--solver", "dp,dp-noshare,greedy,ilp,fcfs", "--out", out),
    )
    assert finished.code == 0, finished.err
    outcomes = {(r["outcome"], r["reason"]) for r in _rows(out / "requests.csv")}
    assert outcomes == {("dropped", "no link")}


def test_a_model_that_fits_in_no_memory_is_named(tmp_path: Path) -> None:
    """As online: its requests have that reason, and the table counts them."""
    text = SCENARIO.replace('base = "resnet50"', 'base = ["resnet18", "resnet152"]')
    text = text.replace("variants = 3", "variants = 1")
    text = text.replace("frozen_blocks = [12, 16]", "frozen_blocks = 2")
    text = text.replace("memory_bytes = 8_000_000_000", "memory_bytes = 100_000_000")
    file = tmp_path / "small.toml"
    file.write_text(text)
    (tmp_path / "small.csv").write_text(TRACE)
    finished = edgesim("run", file, "--repeats", 1, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    assert "1 request dropped by all: never fits in GPU memory" in finished.out
    with (tmp_path / "out" / "requests.csv").open(newline="") as rows:
        reasons = [row["reason"] for row in csv.DictReader(rows)]
    assert reasons == ["", "never fits in GPU memory", ""] * 2
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["solvers"]["dp"]["dropped_by"] == {"never fits in GPU memory": 1}
