"""A profile and a trace are all a run needs: what is chosen, and that it is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesim.errors import InputError
from edgesim.experiment.defaults import (
    MOST_WINDOWS,
    choose,
    is_own_models,
    wide_cell,
)
from edgesim.profile.values import Profile
from edgesim.radio import mean_snr_db
from edgesim.scenario.file import locate_scenario, read_scenario
from edgesim.shipped import data_file
from edgesim.trace.requests import Trace
from tests.command import edgesim

SHARED = "5a" * 16
FILE = Path("p.json")
PLANS = read_scenario(locate_scenario("own-models"))


def document(tiers: dict[str, list[str]], *, content: bool = True) -> dict[str, Any]:
    """Make a profile of models that share one block, with load times from tiers."""
    return {
        "schema": "edgesim.profile/3",
        "name": "mine",
        "provenance": {"kind": "synthetic", "device": "none", "method": "by hand"},
        "models": {
            name: {
                "blocks": [
                    {
                        "name": "base",
                        "bytes": 40_000_000,
                        "load_s": {tier: {"median_s": 4e-2} for tier in held},
                    }
                    | ({"content": SHARED} if content else {}),
                    {
                        "name": "own",
                        "bytes": 1_000_000,
                        "load_s": {tier: {"median_s": 1e-3} for tier in held},
                    },
                ],
                "latency_s": {"1": 0.004, "8": 0.012},
            }
            for name, held in tiers.items()
        },
    }


def profile(tiers: dict[str, list[str]], *, content: bool = True) -> Profile:
    """Make the same as a value."""
    found = document(tiers, content=content)
    del found["schema"]
    return Profile.model_validate(found)


BOTH = {"cats": ["disk", "pageable"], "dogs": ["disk", "pageable"]}


def trace_at(*arrival_s: float, models: tuple[str, ...] = ("cats", "dogs")) -> Trace:
    """Make a trace of given arrivals, its models in turn."""
    n = len(arrival_s)
    return Trace(
        arrival_s=np.array(arrival_s, dtype=float),
        users=("u",),
        user=np.zeros(n, dtype=np.int32),
        models=models,
        model=np.arange(n, dtype=np.int32) % max(len(models), 1),
        input_bytes=np.full(n, 1000, dtype=np.int64),
        slo_s=np.full(n, 0.5),
    )


def written(tmp_path: Path, content: dict[str, Any], names: tuple[str, ...]) -> None:
    """Write mine.json, and a trace of 40 requests in 4 s that asks for some names."""
    (tmp_path / "mine.json").write_text(json.dumps(content))
    rows = [
        f"{i / 10},u{i % 7},{names[i % len(names)]},20000,0.08,3.5" for i in range(40)
    ]
    header = "arrival_s,user,model,input_bytes,slo_s,spectral_efficiency"
    (tmp_path / "mine.csv").write_text("\n".join([header, *rows]) + "\n")


@pytest.mark.parametrize(
    ("arrivals", "start_s", "repeats"),
    [
        ((0.0, 0.4), 0.0, 1),
        ((0.2, 1.0), 0.0, 1),
        ((0.0, 3.7), 0.0, 3),
        ((5.3, 7.9), 5.0, 2),
        ((5.3, 5.9), 5.0, 1),
        ((0.1, 999.0), 0.0, MOST_WINDOWS),
        ((), 0.0, 1),
    ],
)
def test_windows_follow_from_the_trace(
    arrivals: tuple[float, ...], start_s: float, repeats: int
) -> None:
    """Whole seconds from that of the first request on, at most ten; or all at once."""
    found = choose(FILE, profile(BOTH), trace_at(*arrivals), PLANS)
    assert found["workload.start_s"] == start_s
    assert found["run.repeats"] == repeats
    whole = max(arrivals, default=0.0) - start_s >= 1.0
    assert found["workload.window_s"] == (1.0 if whole else None)


def test_windows_that_have_the_number_of_requests() -> None:
    """Only seconds from which the trace has so many requests are planned."""
    trace = trace_at(*np.arange(40) / 10)
    for requests, repeats in ((10, 3), (25, 2), (40, 1), (41, 1)):
        scenario = PLANS.replace(**{"workload.requests": requests})
        assert choose(FILE, profile(BOTH), trace, scenario)["run.repeats"] == repeats


@pytest.mark.parametrize(
    ("tiers", "expected"),
    [
        (BOTH, "pageable"),
        ({"cats": ["disk", "pageable"], "dogs": ["pinned", "pageable"]}, "pageable"),
        ({"cats": ["disk", "pageable", "pinned"]}, "pinned"),
        ({"cats": ["disk"], "dogs": ["disk", "pinned"]}, "disk"),
    ],
)
def test_loads_come_from_the_fastest_tier_of_all(
    tiers: dict[str, list[str]], expected: str
) -> None:
    """Pinned, else pageable, else disk: the first that every model has."""
    found = choose(FILE, profile(tiers, content=False), trace_at(), PLANS)
    assert found["gpu.load_from"] == expected


def test_no_tier_in_common_is_refused() -> None:
    """The message says which model has which tier."""
    tiers = {"cats": ["disk"], "dogs": ["pinned"]}
    with pytest.raises(InputError) as caught:
        choose(FILE, profile(tiers, content=False), trace_at(), PLANS)
    assert caught.value.where == "p.json: models"
    assert caught.value.what.endswith("found cats: disk; dogs: pinned")


def test_sharing_and_names_decide_library_and_models() -> None:
    """Contents make it checkpoints; names that are not there are taken in turn."""
    known = choose(FILE, profile(BOTH), trace_at(0.0, 1.0), PLANS)
    assert known["library.kind"] == "checkpoints"
    assert known["workload.models"] == "name"
    strange = trace_at(0.0, 1.0, models=("cats", "cows"))
    mixed = choose(FILE, profile(BOTH), strange, PLANS)
    assert mixed["workload.models"] == "families"
    bare = profile(BOTH, content=False)
    other = choose(FILE, bare, strange, PLANS)
    assert other["library.kind"] == "profile"
    assert other["workload.models"] == "round-robin"


def test_checkpoints_run_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks are shared, sharing pays, and the output tells what was chosen."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, document(BOTH), ("cats", "dogs"))
    finished = edgesim("run", "--profile", "mine.json", "--trace", "mine.csv")
    assert finished.code == 0, finished.err
    for words in (
        "2 models in 1 cluster, laminar sharing: ",
        "assumed, since neither profile nor trace says so:",
        "library: models share all blocks of equal content",
        "loads: from pageable memory, as the profile times them; GPU memory: without",
        "cell: 100 GHz, so that uploads take next to no time and the GPU alone decides",
        "blocks that stay in GPU memory: those of the round before; no load while",
        "3 windows of 1 s, from 0 to 3 s, each planned as a whole: 30 of the 40 in the "
        "trace, which ends at 3.9 s",
        "models: the trace's, found in the profile by their names",
    ):
        assert words in finished.out, words
    out = tmp_path / "results" / "own-models"
    run = json.loads((out / "run.json").read_text())
    assert run["inputs"]["profile"]["file"] == "mine.json"
    assert len(run["inputs"]["profile"]["sha256"]) == 64
    assert run["inputs"]["scenario"]["file"] == "own-models.toml"
    assert run["scenario"]["profile"] == "mine.json"
    assert run["scenario"]["library"] == {"kind": "checkpoints"}
    assert run["scenario"]["gpu"]["load_from"] == "pageable"
    assert run["scenario"]["run"]["repeats"] == 3
    assert [f"  {line}" in finished.out for line in run["assumed"]] == [True] * 7
    solvers = json.loads((out / "summary.json").read_text())["solvers"]
    assert list(solvers) == [
        *("greedy", "greedy-noshare", "local-search", "local-search-noshare"),
    ]
    instance = json.loads((out / "plans" / "0" / "instance.json").read_text())
    assert set(instance["blocks"]) == {"cats/base", "cats/own", "dogs/own"}
    assert {user["deadline_s"] for user in instance["users"]} == {0.08}
    gained = solvers["local-search"]["in_time"]["mean"]
    assert gained > solvers["local-search-noshare"]["in_time"]["mean"]


def test_same_inputs_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Local search is limited by iterations, so two runs differ in run.json alone."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, document(BOTH), ("cats", "dogs"))
    for name in ("one", "two"):
        edgesim(
            *("run", "--profile", "mine.json", "--trace", "mine.csv"),
            *("--repeats", 1, "--out", name),
        )
    files = [p.relative_to("one") for p in Path("one").rglob("*") if p.is_file()]
    assert len(files) >= 10
    for file in files:
        if file.name != "run.json":
            assert (Path("one") / file).read_bytes() == (
                Path("two") / file
            ).read_bytes()


def test_other_names_are_taken_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By popularity, wrapping round; the output names what became what."""
    monkeypatch.chdir(tmp_path)
    names = ("m000", "m001", "m000", "m002")
    written(tmp_path, document(BOTH, content=False), names)
    finished = edgesim(
        *("run", "--profile", "mine.json", "--trace", "mine.csv", "--repeats", 1),
        *("--solver", "greedy"),
    )
    assert finished.code == 0, finished.err
    assert (
        "models: 'm000' of the trace is not in the profile, so its 3 models become the "
        "profile's 2 in turn, the most requested first (m000 as cats, m001 as dogs, "
        "m002 as cats)"
    ) in finished.out
    assert "models share nothing" in finished.out
    assert "1 window of 1 s, from 0 to 1 s" in finished.out
    assert "sharing gains" not in finished.out


def renamed(prefixes: tuple[str, str]) -> dict[str, Any]:
    """Make a profile of two families of six, the first and the second so named."""
    found = document({}, content=True)
    for family, prefix in enumerate(prefixes):
        for number in range(6):
            contents = ("ab"[family] * 64, f"{family}{number}" * 32)
            found["models"][f"{prefix}{number}"] = {
                "blocks": [
                    {
                        "name": "base" if place == 0 else "own",
                        "bytes": 20_000_000 if place == 0 else 4_000_000,
                        "load_s": {"pinned": {"median_s": (0.02, 0.004)[place]}},
                        "content": content,
                    }
                    for place, content in enumerate(contents)
                ],
                "latency_s": {"1": 0.004, "8": 0.012},
            }
    found["models"] = dict(sorted(found["models"].items()))
    return found


def test_names_do_not_decide_how_popular_families_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same contents under other names: the same popularity, the same result."""
    monkeypatch.chdir(tmp_path)
    found = []
    for prefixes in (("cats", "dogs"), ("zebras", "dogs"), ("a", "a1")):
        names = ("m0", "m0", "m0", "m1", "m1", "m2", "m3", "m4", "m5", "m0")
        written(tmp_path, renamed(prefixes), names)
        finished = edgesim(
            *("run", "--profile", "mine.json", "--trace", "mine.csv"),
            *("--solver", "greedy,greedy-noshare"),
        )
        assert finished.code == 0, finished.err
        assert "profile's 12 in turn, its families mixed, the most" in finished.out
        summary = json.loads(Path("results/own-models/summary.json").read_text())
        found.append(summary["sharing_gain_in_time"]["greedy"])
    assert found[0] == found[1] == found[2]


def test_a_mapping_that_was_asked_for_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the line says follows from the rule, not from what would be chosen."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, document(BOTH), ("m0", "m1"))
    for rule, what in (
        ("random", "the trace's 2 models become the profile's 2 in an order drawn "),
        ("rank", "the trace's 2 models become the profile's 2 in order, the most "),
        ("round-robin", "the trace's 2 models become the profile's 2 in turn, the "),
        ("families", "'m0' of the trace is not in the profile, so its 2 models become"),
    ):
        finished = edgesim(
            *("run", "--profile", "mine.json", "--trace", "mine.csv"),
            *("--solver", "greedy", "--set", f"workload.models={rule}"),
        )
        assert f"models: {what}" in finished.out


def test_unasked_models_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model without requests is named, lest its absence be taken for a result."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, document(BOTH), ("dogs",))
    finished = edgesim(
        *("run", "--profile", "mine.json", "--trace", "mine.csv", "--solver", "greedy")
    )
    assert "by their names; 1 other is not requested" in finished.out


def test_shipped_names_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profile and trace may be shipped ones; a trace so named replaces any other."""
    monkeypatch.chdir(tmp_path)
    finished = edgesim(
        *("run", "--profile", "clockwork-v100", "--trace", "campus.csv"),
        *("--solver", "greedy", "--repeats", 2),
    )
    assert finished.code == 0, finished.err
    assert "loads: from pinned memory" in finished.out
    assert "its 24 models become the profile's 5 in turn" in finished.out
    run = json.loads(Path("results/own-models/run.json").read_text())
    assert run["scenario"]["profile"] == "clockwork-v100"
    assert run["inputs"]["profile"]["file"] == "clockwork-v100.json"
    assert run["inputs"]["trace"]["file"] == "campus.csv"


def test_a_profile_replaces_that_of_a_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a scenario given nothing is chosen: its library stands on the profile."""
    monkeypatch.chdir(tmp_path)
    source = data_file("profiles", "clockwork-v100.json")
    assert source is not None
    shutil.copy(source, "copy.json")
    finished = edgesim(
        *("run", "campus", "--profile", "copy.json", "--solver", "dp", "--repeats", 1)
    )
    assert finished.code == 0, finished.err
    assert "assumed" not in finished.out
    run = json.loads(Path("results/campus/run.json").read_text())
    assert run["inputs"]["profile"]["file"] == run["scenario"]["profile"] == "copy.json"
    assert run["assumed"] == []
    written(tmp_path, document(BOTH), ("cats",))
    finished = edgesim("run", "campus", "--profile", "mine.json")
    assert finished.code == 2
    assert "library.clusters[0].base: must be a model of profile 'mine'" in finished.err


def test_a_copy_of_the_scenario_chooses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in a copy holds: one window of 1 s, nothing shared."""
    monkeypatch.chdir(tmp_path)
    shipped = data_file("traces", "own-models.toml")
    assert shipped is not None
    assert is_own_models(shipped)
    shutil.copy(shipped, "own-models.toml")
    assert not is_own_models(Path("own-models.toml"))
    tiers = {"cats": ["pinned"], "dogs": ["pinned"]}
    written(tmp_path, document(tiers), ("cats", "dogs"))
    finished = edgesim(
        *("run", "own-models.toml", "--profile", "mine.json", "--trace", "mine.csv"),
        *("--solver", "greedy"),
    )
    assert finished.code == 0, finished.err
    assert "assumed" not in finished.out
    assert "of 10.0 requests" in finished.out
    assert "2 models in 2 clusters" in finished.out


def test_what_is_missing_or_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, exit code 2, no results."""
    monkeypatch.chdir(tmp_path)
    content = document(BOTH)
    del content["models"]["dogs"]["latency_s"]
    written(tmp_path, content, ("cats", "dogs"))
    (tmp_path / "bad.json").write_text("{}")
    before = set(tmp_path.rglob("*"))
    for words, what in (
        (["--profile", "mine.json"], "--trace: is needed: "),
        (["--profile", "mine.json"], "edgesim trace generate"),
        (
            ["--profile", "none.json", "--trace", "mine.csv"],
            "--profile: must be a file",
        ),
        (["--profile", "", "--trace", "mine.csv"], "--profile: must be a file"),
        (["--profile", ".", "--trace", "mine.csv"], "--profile: must be a file"),
        (["--profile", "bad.json", "--trace", "mine.csv"], "bad.json: schema"),
        (["--profile", "mine.json", "--trace", "no.csv"], "--trace: must be a file"),
        (
            ["--profile", "mine.json", "--trace", "mine.csv"],
            "profile 'mine' holds no latency of 'dogs'",
        ),
        (["own-models"], "--trace: is needed: "),
        (["campus", "--trace", "no.csv"], "--trace: must be a file"),
    ):
        finished = edgesim("run", *words)
        assert (finished.code, finished.out) == (2, ""), words
        assert what in finished.err
        assert len(finished.err.splitlines()) == 1
    assert set(tmp_path.rglob("*")) == before


def test_own_models_are_served_as_requests_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --policy all requests of the trace are served online; shared blocks help."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, document(BOTH), ("cats", "dogs"))
    finished = edgesim(
        *("run", "--profile", "mine.json", "--trace", "mine.csv"),
        *("--policy", "greedy,greedy-noshare"),
    )
    assert finished.code == 0, finished.err
    assert "library: models share all blocks of equal content" in finished.out
    assert "blocks that stay in GPU memory: those of the round before" in finished.out
    assert "by their names" in finished.out
    folder = tmp_path / "results" / "own-models-online"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["requests"] == [40]
    assert summary["sharing_gain"]["greedy"]["bytes_loaded_per_s"]["mean"] < 0
    run = json.loads((folder / "run.json").read_text())
    assert len(run["assumed"]) == 5
    assert run["scenario"]["library"]["kind"] == "checkpoints"
    # Unknown names are mapped, the shipped scenario needs a trace, a copy chooses none.
    written(tmp_path, document(BOTH), ("horses",))
    words = ("run", "--profile", "mine.json", "--policy", "fcfs")
    finished = edgesim(*words, "--trace", "mine.csv")
    assert "its 1 model becomes the profile's 2 in turn, its families" in finished.out
    finished = edgesim(*words)
    assert (finished.code, finished.out) == (2, "")
    assert finished.err.startswith("error: --trace: is needed")
    shipped = data_file("traces", "own-models-online.toml")
    assert shipped is not None
    assert is_own_models(shipped)
    shutil.copy(shipped, "copy.toml")
    # The profile knows no times from pinned memory, which the copy states.
    finished = edgesim(
        *("run", "copy.toml", "--profile", "mine.json", "--trace", "mine.csv")
    )
    assert finished.code == 2
    assert "copy.toml: gpu.load_from" in finished.err


def crowded(tmp_path: Path) -> None:
    """Write mine.json and mine.csv: large inputs, and a user far away every time."""
    written(tmp_path, document(BOTH), ("cats", "dogs"))
    rows = [
        f"{i / 10},u{i},{('cats', 'dogs')[i % 2]},900000,0.3,{200 - i % 3},0.0"
        for i in range(30)
    ]
    header = "arrival_s,user,model,input_bytes,slo_s,x_m,y_m"
    (tmp_path / "mine.csv").write_text("\n".join([header, *rows]) + "\n")


def causes(folder: Path) -> set[str]:
    """Return what requests were lost to in a run, by any of its solvers."""
    summary = json.loads((folder / "summary.json").read_text())
    return {cause for of in summary.get("lost_to", {}).values() for cause in of}


@pytest.mark.parametrize("policy", [(), ("--policy", "greedy")])
def test_the_cell_takes_no_requests(
    policy: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless a bandwidth is given: then it is the campus cell, fading and all."""
    monkeypatch.chdir(tmp_path)
    crowded(tmp_path)
    words = ("run", "--profile", "mine.json", "--trace", "mine.csv", *policy)
    wide = edgesim(*words, "--out", "wide")
    assert wide.code == 0, wide.err
    assert causes(Path("wide")) <= {"GPU"}
    narrow = edgesim(*words, "--bandwidth", "2MHz", "--out", "narrow")
    assert "cell: 2 MHz at 3.5 GHz, radius 200 m, umi path loss, rayleigh" in narrow.out
    assert "upload" in causes(Path("narrow"))
    assert "lost in the upload" in " ".join(narrow.out.split())
    run = json.loads(Path("narrow/run.json").read_text())
    assert run["scenario"]["cell"]["tx_power_dbm"] == 23.0


def test_everybody_keeps_their_signal_in_the_wide_cell() -> None:
    """At the same power a Hz the mean SNR is that of the campus cell."""
    cell = PLANS.cell
    wide = wide_cell(cell)
    loss_db = np.array([80.0, 110.0])
    assert mean_snr_db(loss_db, wide) == pytest.approx(
        mean_snr_db(loss_db, cell), abs=1e-3
    )
    assert wide.bandwidth_hz >= 1000 * cell.bandwidth_hz


def test_fading_that_is_asked_for_keeps_the_cell() -> None:
    """Noise of the channel is a statement about it."""
    faded = PLANS.replace(**{"noise.fading": True, "noise.coherence_s": 0.01})
    assert "cell" not in choose(FILE, profile(BOTH), trace_at(0.0), faded)
    assert "cell" in choose(FILE, profile(BOTH), trace_at(0.0), PLANS)


def test_bounded_memory_keeps_what_it_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless a residency is given, or a solver does not take that."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, document(BOTH), ("cats", "dogs"))
    words = ("run", "--profile", "mine.json", "--trace", "mine.csv")
    for more, residency in (
        (("--solver", "greedy"), "previous"),
        (("--solver", "greedy", "--memory", "1GB"), "cache"),
        (
            ("--solver", "greedy", "--memory", "1e9", "--residency", "previous"),
            "previous",
        ),
        (("--solver", "greedy,edf", "--memory", "1e9"), "previous"),
        (("--policy", "greedy", "--memory", "1e9"), "cache"),
    ):
        out = tmp_path / "-".join(more)
        finished = edgesim(*words, *more, "--out", out)
        assert finished.code == 0, finished.err
        run = json.loads((out / "run.json").read_text())
        assert run["scenario"]["gpu"]["residency"] == residency, more
        said = "what it has room for" if residency == "cache" else "those of the round"
        assert f"blocks that stay in GPU memory: {said}" in finished.out
