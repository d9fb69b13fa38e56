"""The online job, from a scenario and a trace to its outputs."""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edgesim.online.log import REASONS
from edgesim.online.run import load_online, run_repeat
from edgesim.online.series import SERIES_COLUMNS
from edgesim.online.spec import OnlineSpec
from edgesim.online.tables import REQUEST_COLUMNS, ROUND_COLUMNS
from tests.command import edgesim
from tests.shared_data import require_shared

REPOSITORY = Path(__file__).parents[2]

FILES = {
    "summary.json",
    "requests.csv",
    "rounds.csv",
    "series.csv",
    "run.json",
    "latency.png",
    "on-time.png",
    "gpu-time.png",
    "goodput.png",
}

SCENARIO = """\
schema = "edgesim.scenario/1"
name = "served"
profile = "clockwork-v100"

[library]
kind = "clusters"

[[library.clusters]]
base = ["resnet18", "resnet50"]
variants = 4
frozen_fraction = [0.7, 0.95]

[gpu]
memory_bytes = 400_000_000
load_rate_bytes_per_s = 1e9

[cell]
bandwidth_hz = 20e6
radius_m = 100.0

[workload]
trace = "served.csv"

[online]
policies = ["fcfs", "fcfs-noshare", "greedy"]
warmup_s = 2.0
batches = 4
window_s = [4.0, 6.0]
"""


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """Write a scenario and a trace of 20 s at 15 requests a second."""
    finished = edgesim(
        *("trace", "generate", "--arrivals", "gamma", "--cv", 2, "--rate", 15),
        *("--duration-s", 20, "--models", 8, "--slo-s", 0.4, "--seed", 3),
        *("--input-bytes", 60000, "--out", tmp_path / "served.csv"),
    )
    assert finished.code == 0, finished.err
    file = tmp_path / "served.toml"
    file.write_text(SCENARIO.replace('"served.csv"', '"served.csv"\nmodels = "rank"'))
    return file


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def _summary(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text())


def test_outputs(served: Path, tmp_path: Path) -> None:
    """A run leaves every output, and every request of the trace once a policy."""
    out = tmp_path / "out"
    finished = edgesim("run", served, "--out", out)
    assert finished.code == 0, finished.err
    assert {p.name for p in out.iterdir()} == FILES | {"perfetto"}
    trace = _rows(tmp_path / "served.csv")
    for policy in ("fcfs", "fcfs-noshare", "greedy"):
        mine = [r for r in _rows(out / "requests.csv") if r["policy"] == policy]
        assert [r["id"] for r in mine] == [str(i) for i in range(len(trace))]
        assert [r["user"] for r in mine] == [r["user"] for r in trace]
        assert {r["outcome"] for r in mine} <= {"in time", "late", "dropped"}
        assert all((r["outcome"] == "dropped") == bool(r["reason"]) for r in mine)
        computed = Counter(r["round"] for r in mine if r["round"])
        rounds = [r for r in _rows(out / "rounds.csv") if r["policy"] == policy]
        assert [int(r["batch"]) for r in rounds] == [
            computed[r["round"]] for r in rounds
        ]
        assert (out / "perfetto" / f"0-{policy}.json").is_file()
    assert "sharing gains fcfs" in finished.out
    assert "4 batch means" in finished.out


def test_summary_counts_what_the_tables_hold(served: Path, tmp_path: Path) -> None:
    """Counts of the summary are those of requests.csv after the warm-up."""
    assert edgesim("run", served, "--out", tmp_path / "out").code == 0
    summary = _summary(tmp_path / "out")
    rows = _rows(tmp_path / "out" / "requests.csv")
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
    _edit(
        served, "[online]", "[noise]\nload_sigma = 0.3\ncompute_sigma = 0.2\n[online]"
    )
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
    _edit(served, "[online]", "[noise]\nload_sigma = 0.5\n[online]")
    for name, policies in (("alone", "greedy"), ("after", "fcfs,greedy")):
        assert (
            edgesim("run", served, "--policy", policies, "--out", tmp_path / name).code
            == 0
        )
    alone, after = (
        [r for r in _rows(tmp_path / name / "rounds.csv") if r["policy"] == "greedy"]
        for name in ("alone", "after")
    )
    assert alone == after
    loads = [(int(r["loaded_bytes"]), float(r["load_s"])) for r in alone]
    factors = {round(s / (size / 1e9), 6) for size, s in loads if size}
    assert len(factors) > 20  # drawn anew for every round


def test_repeats_are_windows(served: Path, tmp_path: Path) -> None:
    """Repeats take one window of the trace after another, and time starts anew."""
    _edit(served, 'trace = "served.csv"', 'trace = "served.csv"\nwindow_s = 6.0')
    finished = edgesim("run", served, "--repeats", 3, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    assert "3 independent repeats" in finished.out
    arrivals = [float(r["arrival_s"]) for r in _rows(tmp_path / "served.csv")]
    rows = _rows(tmp_path / "out" / "requests.csv")
    for repeat in range(3):
        expected = [a - 6 * repeat for a in arrivals if 0 <= a - 6 * repeat < 6]
        mine = [
            float(r["arrival_s"])
            for r in rows
            if r["repeat"] == str(repeat) and r["policy"] == "greedy"
        ]
        assert mine == pytest.approx(expected, abs=1e-9)
    values = _summary(tmp_path / "out")["policies"]["fcfs"]["measures"]
    assert len(values["on_time_ratio"]["values"]) == 3


def test_records_of_a_window_or_none(served: Path, tmp_path: Path) -> None:
    """With records = "window" the tables hold the window; with "none" none are made."""
    _edit(served, "batches = 4", 'batches = 4\nrecords = "window"')
    assert edgesim("run", served, "--out", tmp_path / "out").code == 0
    rows = _rows(tmp_path / "out" / "requests.csv")
    assert rows
    assert all(float(r["arrival_s"]) < 6 and float(r["end_s"]) >= 4 for r in rows)
    _edit(served, '"window"', '"none"')
    assert edgesim("run", served, "--out", tmp_path / "out").code == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == (
        FILES - {"requests.csv", "rounds.csv"} | {"perfetto"}
    )


def test_own_policy(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class in a file of the current folder runs by name, with its options."""
    (tmp_path / "mine_for_test.py").write_text(
        "from edgesim.online import Policy\n"
        "class OneAtATime(Policy):\n"
        "    def __init__(self, least=1):\n"
        "        self.least = least\n"
        "    def choose(self, server):\n"
        "        for queue in server.waiting:\n"
        "            if len(queue) >= self.least:\n"
        "                return queue[:1]\n"
        "        return None\n"
    )
    monkeypatch.chdir(tmp_path)
    names = "mine_for_test:OneAtATime,mine_for_test:OneAtATime-noshare"
    finished = edgesim("run", served, "--policy", names, "--out", "out")
    assert finished.code == 0, finished.err
    rounds = _rows(tmp_path / "out" / "rounds.csv")
    assert {r["batch"] for r in rounds} <= {"0", "1"}
    assert "sharing gains mine_for_test:OneAtATime " in finished.out


def test_a_policy_that_errs_is_told_in_one_line(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Choosing too many requests ends the run: exit 2, one line, nothing written."""
    (tmp_path / "errs_for_test.py").write_text(
        "from edgesim.online import Policy\n"
        "class Greedy(Policy):\n"
        "    def choose(self, server):\n"
        "        return [r for queue in server.waiting for r in queue][:40] or None\n"
        "class OddError(Exception):\n"
        "    def __init__(self, one, two):\n"
        "        super().__init__(one + two)\n"
        "class Raises(Policy):\n"
        "    def choose(self, server):\n"
        "        raise OddError('not', ' today')\n"
        "class Waits(Policy):\n"
        "    def choose(self, server):\n"
        "        return None\n"
    )
    monkeypatch.chdir(tmp_path)
    finished = edgesim("run", served, "--policy", "errs_for_test:Greedy", "--out", "x")
    assert finished.code == 2
    assert finished.err.count("\n") == 1
    assert "errs_for_test:Greedy" in finished.err
    assert not (tmp_path / "x").exists()
    # So does an exception of its own, whatever that is made of.
    finished = edgesim("run", served, "--policy", "errs_for_test:Raises", "--out", "x")
    assert finished.code == 2
    assert finished.err == (
        f"error: {served}: online.policies: errs_for_test:Raises: "
        f"choose raised OddError: 'not today', at errs_for_test.py:10\n"
    )
    assert not (tmp_path / "x").exists()
    # One that never chooses ends too: everything is dropped, and why is said.
    finished = edgesim("run", served, "--policy", "errs_for_test:Waits", "--out", "y")
    assert finished.code == 0, finished.err
    found = _summary(tmp_path / "y")["policies"]["errs_for_test:Waits"]
    assert found["in_time"] == 0
    assert found["dropped"] == sum(found["dropped_by"].values()) > 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--solver", "dp"), "--solver"),
        (("--time-limit", "1"), "--time-limit"),
        (("--uplink", "dynamic"), "--uplink"),
        (("--policy", "nothing"), "--policy: must be of fcfs"),
        (("--policy", "fcfs,fcfs"), "--policy: must name each"),
        (("--policy", ""), "--policy: must be of fcfs"),
        (("--uplink", ""), "--uplink: must be one of fifo"),
        (("--repeats", "2"), "window_s"),
    ],
)
def test_options_that_do_not_fit(
    served: Path, tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    """Options of plans, unknown names and too many repeats: exit 2 and one line."""
    finished = edgesim("run", served, *options, "--out", tmp_path / "out")
    assert finished.code == 2
    assert finished.err.count("\n") == 1
    assert named in finished.err
    assert not (tmp_path / "out").exists()


def test_policies_are_refused_for_plans(tmp_path: Path) -> None:
    """--policy with a scenario that plans says so."""
    finished = edgesim("run", "campus", "--policy", "fcfs", "--out", tmp_path / "out")
    assert finished.code == 2
    assert "--policy" in finished.err


def test_a_warm_up_longer_than_the_trace_is_refused(
    served: Path, tmp_path: Path
) -> None:
    """Nothing would be measured, so nothing is written."""
    _edit(served, "warmup_s = 2.0", "warmup_s = 50.0")
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert finished.code == 2
    assert "warmup_s" in finished.err
    assert not (tmp_path / "out").exists()


HEADER = "arrival_s,user,model,input_bytes,slo_s\n"
FAULT = (
    "warmup_s = 2.0\nfaults = [{{ kind = 'burst', at_s = {}, for_s = 1, factor = 2 }}]"
)
OUT_OF_PLACE = {
    "window after the run": (
        "window_s = [4.0, 6.0]",
        "window_s = [50.0, 60.0]",
        "online.window_s: must begin within the 19.",
    ),
    "fault after the run": (
        "warmup_s = 2.0",
        FAULT.format(50),
        "online.faults[0].at_s: must lie within the 19.",
    ),
    "tiny step": (
        "batches = 4",
        "batches = 4\nsample_s = 5e-324",
        "online.sample_s: must give at most 1000000 rows",
    ),
    "start after the trace": (
        "[online]",
        "start_s = 30.0\n[online]",
        "workload.start_s: must not be after the last arrival",
    ),
    "options": (
        "batches = 4",
        "batches = 4\ngreedy = { level = 3 }",
        "online.greedy: got an unexpected keyword argument 'level'; allowed are no opt",
    ),
    "no such module": (
        '"greedy"]',
        '"not_there_at_all:Mine"]',
        "not_there_at_all:Mine: there is no module",
    ),
}


@pytest.mark.parametrize(
    ("old", "new", "message"), OUT_OF_PLACE.values(), ids=OUT_OF_PLACE
)
def test_what_has_no_place_in_the_run(
    served: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    """File and key in one line, before anything is simulated or written."""
    _edit(served, old, new)
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert finished.code == 2
    assert finished.err.startswith(f"error: {served}: {message}")
    assert finished.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rows", ["", "0.0,ann,m000,1000,0.5\n" * 3])
def test_requests_that_take_no_time_need_a_window(
    served: Path, tmp_path: Path, rows: str
) -> None:
    """An empty trace, or all at once: the window's length is asked for, and serves."""
    (tmp_path / "served.csv").write_text(HEADER + rows)
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert finished.code == 2
    assert f"{served}: workload.window_s: must be given" in finished.err
    _edit(served, 'trace = "served.csv"', 'trace = "served.csv"\nwindow_s = 10.0')
    _edit(served, "warmup_s = 2.0", "warmup_s = 0")
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    found = _summary(tmp_path / "out")["policies"]["fcfs"]
    assert found["in_time"] + found["dropped"] == rows.count("\n")
    assert ("no requests are measured" in finished.out) == (not rows)


def test_names_with_signs_of_csv(served: Path, tmp_path: Path) -> None:
    """Commas, quotes and other alphabets come out of the tables as they went in."""
    user, model = 'ann, "the ü漢"', 'm,"x" é'
    row = ",".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in (user, model))
    lines = [f"{i / 10},{row},1000,0.5\n" for i in range(50)]
    (tmp_path / "served.csv").write_text(HEADER + "".join(lines), encoding="utf-8")
    down = f"kind = 'link-down', at_s = 1, for_s = 2, user = '{user}'"
    _edit(served, "[online]\n", f"[online]\nfaults = [{{ {down} }}]\n")
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    rows = _rows(tmp_path / "out" / "requests.csv")
    assert len(rows) == 3 * 50
    assert {r["user"] for r in rows} == {user}
    assert {r["reason"] for r in rows if r["outcome"] == "dropped"} == {"too late"}
    events = json.loads((tmp_path / "out" / "perfetto" / "0-fcfs.json").read_text())
    assert user in {e["name"] for e in events["traceEvents"]}


def test_what_no_policy_can_serve_is_told(served: Path, tmp_path: Path) -> None:
    """Models that never fit drop every request, and the words say so."""
    _edit(served, "400_000_000", "1_000_000")
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    found = _summary(tmp_path / "out")["policies"]["greedy"]
    assert found["dropped_by"] == {"never fits in GPU memory": found["dropped"]}
    line = f"{found['dropped']} requests dropped by all: never fits in GPU memory"
    assert line in finished.out.splitlines()


def test_ctrl_c_leaves_nothing(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither outputs nor a folder beside them, nor the trace's columns elsewhere."""
    (tmp_path / "stopped_for_test.py").write_text(
        "from edgesim.online import Policy\n"
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
    assert set(tmp_path.rglob("*")) - before <= {tmp_path / "results"}
    assert not list((tmp_path / "results").iterdir())


def test_every_output_is_explained(served: Path, tmp_path: Path) -> None:
    """Columns of the tables and keys of the summary stand in traces/README.md."""
    assert edgesim("run", served, "--out", tmp_path / "out").code == 0
    text = (REPOSITORY / "traces" / "README.md").read_text(encoding="utf-8")
    section = text.partition("## What an online run leaves")[2].partition("\n## ")[0]
    summary = _summary(tmp_path / "out")
    names = {*REQUEST_COLUMNS, *ROUND_COLUMNS, *SERIES_COLUMNS}
    names |= set(summary) - {"policies", "sharing_gain"}
    names |= set(summary["policies"]["fcfs"]) | {"policies.NAME", "sharing_gain.NAME"}
    names |= set(summary["policies"]["fcfs"]["measures"]["on_time_ratio"])
    names |= FILES | set(REASONS)
    assert {name for name in names if f"`{name}`" not in section} == set()


def test_words_stay_on_the_page(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long names are cut in their middle, and sentences wrapped."""
    module = "a_module_of_somebody_with_much_to_say_for_test"
    (tmp_path / f"{module}.py").write_text(
        "from edgesim.online import Policy\n"
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


HOUR = SCENARIO.replace(
    'base = ["resnet18", "resnet50"]\nvariants = 4',
    'base = ["resnet50", "resnet101"]\nvariants = 50',
).replace("batches = 4\nwindow_s = [4.0, 6.0]", 'records = "none"')


def test_an_hour_of_azure_functions_under_every_policy(tmp_path: Path) -> None:
    """An hour of a real day, 100 models, every policy: nobody is lost or doubled."""
    source = require_shared("requests/azure_functions_2019_sample100_inv.csv")
    trace = tmp_path / "served.csv"
    finished = edgesim(
        *("trace", "convert", "azure-functions-2019", source, trace),
        *("--slo-s", 1, "--start-s", 36000, "--duration-s", 3600),
    )
    assert finished.code == 0, finished.err
    file = tmp_path / "hour.toml"
    policies = tuple(
        name + twin
        for name in ("fcfs", "edf", "clockwork", "greedy", "rolling")
        for twin in ("", "-noshare")
    )
    text = HOUR.replace('"served.csv"', '"served.csv"\nmodels = "random"')
    text = text.replace("bandwidth_hz = 20e6", "bandwidth_hz = 100e6")
    file.write_text(
        text.replace('["fcfs", "fcfs-noshare", "greedy"]', json.dumps(policies))
    )
    with trace.open() as lines:
        requests = sum(1 for _ in lines) - 1
    inputs = load_online(file, tmp_path)
    assert isinstance(inputs.online, OnlineSpec)
    names = []
    # run_repeat checks that every request has one outcome: Log.run raises if not.
    for one in run_repeat(inputs, 0):
        names.append(one.policy)
        columns = one.run.requests
        assert len(columns.outcome) == requests
        batches = one.run.rounds.batch
        assert int(batches.sum()) == int((columns.round >= 0).sum()) > 0
    assert tuple(names) == policies
