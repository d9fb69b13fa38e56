"""The ``[online]`` section: what it takes, and every mistake in one line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgesim.engine.faults import Outage, Span
from edgesim.errors import InputError, from_validation
from edgesim.experiment.faults import online_faults
from edgesim.names import POLICY_PATTERN, is_policy
from edgesim.scenario import Scenario, read_scenario
from edgesim.scenario.online import OnlineSpec
from edgesim.schemas import json_schema
from edgesim.shipped import data_file
from edgesim.trace import scale
from tests.command import edgesim
from tests.examples import SCENARIO, TRACE

FULL = """\
policies = ["fcfs", "fcfs-noshare", "rolling", "my.policies:Mine"]
uplink = "equal-share"
late = "serve"
queue_limit = 1000
warmup_s = 60
batches = 10
sample_s = 0.5
records = "window"
window_s = [100, 110.5]
[rolling]
solver = "greedy"
horizon_s = 2.0
["my.policies:Mine"]
level = 3
[[faults]]
kind = "gpu-stall"
at_s = 10
for_s = 1
[[faults]]
kind = "slow-load"
at_s = 30
for_s = 5.0
factor = 10
[[faults]]
kind = "slow-load"
at_s = 10.0
for_s = 5.0
factor = 2.0
[[faults]]
kind = "link-down"
at_s = 10.0
for_s = 5.0
user = "u1"
[[faults]]
kind = "link-down"
at_s = 15.0
for_s = 1.0
[[faults]]
kind = "burst"
at_s = 40.0
for_s = 1.0
factor = 100.0
"""


def spec(text: str) -> OnlineSpec:
    """Read a section as TOML."""
    return OnlineSpec.model_validate(tomllib.loads(text))


def test_a_full_section() -> None:
    """Every key is taken; options belong to a policy with and without sharing."""
    full = spec(FULL)
    assert full.policies == ("fcfs", "fcfs-noshare", "rolling", "my.policies:Mine")
    assert full.window_s == (100.0, 110.5)
    assert full.options("rolling") == {"solver": "greedy", "horizon_s": 2.0}
    assert full.options("rolling-noshare") == full.options("rolling")
    assert full.options("my.policies:Mine") == {"level": 3}
    assert full.options("fcfs") == {}
    assert full.bursts == (scale.Burst(40.0, 41.0, 100.0),)


def test_faults_of_a_run() -> None:
    """Spans come in order of time; an outage of nobody's is everybody's."""
    faults = online_faults("file.toml", spec(FULL), ("u0", "u1", "u2"))
    assert faults.stalls == (Span(10.0, 11.0),)
    assert faults.slow_loads == (Span(10.0, 15.0, 2.0), Span(30.0, 35.0, 10.0))
    assert faults.outages == (
        Outage(1, 10.0, 15.0),
        *(Outage(user, 15.0, 16.0) for user in range(3)),
    )


def test_a_user_who_is_not_there() -> None:
    """The message names the fault and the user."""
    with pytest.raises(InputError) as caught:
        online_faults("file.toml", spec(FULL), ("ann", "bob"))
    assert str(caught.value) == (
        "file.toml: online.faults[3].user: must be a user of the trace "
        "(['ann', 'bob']), found 'u1'"
    )


def fault(kind: str, keys: str) -> str:
    """Write a section with one fault."""
    return f'policies = ["fcfs"]\n[[faults]]\nkind = "{kind}"\n{keys}'


FACTOR = "at_s = 1\nfor_s = 1\nfactor"
WRONG = {
    "no policy": ("policies = []", "policies: must not be empty"),
    "policies missing": ("", "policies: required key is missing"),
    "unknown policy": ('policies = ["lifo"]', "policies: must be of fcfs, edf,"),
    "policy twice": ('policies = ["edf", "edf"]', "policies: must name each policy"),
    "policies a word": ('policies = "edf"', "policies: must be a list, found"),
    "unknown key": ('policies = ["edf"]\nque = 3', "que: unknown key"),
    "options of nobody": (
        'policies = ["edf"]\n[rolling]\nmost = 3',
        "options must be of a policy that is run (edf), found 'rolling'",
    ),
    "unknown uplink": (
        'policies = ["edf"]\nuplink = "dynamic"',
        "uplink: input should",
    ),
    "unknown late": ('policies = ["edf"]\nlate = "keep"', "late: input should be"),
    "limit 0": ('policies = ["edf"]\nqueue_limit = 0', "queue_limit: input should be"),
    "warm-up nan": ('policies = ["edf"]\nwarmup_s = nan', "warmup_s: input should be"),
    "one batch": ('policies = ["edf"]\nbatches = 1', "batches: input should be"),
    "sample 0": ('policies = ["edf"]\nsample_s = 0', "sample_s: input should be"),
    "records of words": (
        'policies = ["edf"]\nrecords = "some"',
        "records: input should",
    ),
    "window backwards": (
        'policies = ["edf"]\nwindow_s = [2, 1]',
        "window_s: must be a pair [start, end], the start before the end, found 2",
    ),
    "window a number": ('policies = ["edf"]\nwindow_s = 5', "window_s: must be a pair"),
    "window of three": (
        'policies = ["edf"]\nwindow_s = [1, 2, 3]',
        "window_s: must be a pair [start, end], found [1, 2, 3]",
    ),
    "faults a number": ('policies = ["edf"]\nfaults = 3', "faults: must be a list, fo"),
    "a fault a word": (
        'policies = ["edf"]\nfaults = ["fire"]',
        "faults[0]: must be a table or object, found 'fire'",
    ),
    "window of one": ('policies = ["edf"]\nwindow_s = [2]', "window_s: must be a pair"),
    "window of words": (
        'policies = ["edf"]\nwindow_s = ["a", 1]',
        "window_s[0]: input",
    ),
    "no window": (
        'policies = ["edf"]\nrecords = "window"',
        "window_s is needed for records = 'window'",
    ),
    "unknown fault": (fault("fire", ""), "faults[0]: kind must be one of 'gpu-stall'"),
    "fault without time": (fault("gpu-stall", "at_s = 1"), "faults[0].for_s: required"),
    "fault of 0 s": (fault("gpu-stall", "at_s = 1\nfor_s = 0"), "faults[0].for_s: in"),
    "factor of a stall": (fault("gpu-stall", f"{FACTOR} = 2"), "faults[0].factor: unk"),
    "factor missing": (fault("slow-load", "at_s = 1\nfor_s = 1"), "faults[0].factor"),
    "factor 0": (fault("burst", f"{FACTOR} = 0"), "faults[0].factor: input should be"),
    "factor inf": (fault("burst", f"{FACTOR} = inf"), "faults[0].factor: input should"),
    "user empty": (fault("link-down", "at_s=1\nfor_s=1\nuser=''"), "faults[0].user"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_refuses(text: str, message: str) -> None:
    """Whatever is wrong is told with its key, in one line."""
    with pytest.raises(ValidationError) as caught:
        spec(text)
    told = str(from_validation("online", caught.value))
    assert told.startswith(f"online: {message}")
    assert "\n" not in told


spans = st.lists(
    st.tuples(
        st.sampled_from(["slow-load", "gpu-stall", "link-down", "link-down a"]),
        st.integers(0, 10),
        st.integers(1, 5),
    ),
    max_size=4,
)


@given(spans=spans)
def test_faults_of_one_kind_may_not_overlap(spans: list[tuple[str, int, int]]) -> None:
    """They may touch; by plain comparison of the seconds that each covers."""
    content = []
    covered: list[tuple[str, int]] = []
    for words, at_s, for_s in spans:
        kind, *user = words.split()
        content.append(
            {"kind": kind, "at_s": float(at_s), "for_s": float(for_s)}
            | ({"factor": 2.0} if kind == "slow-load" else {})
            | ({"user": "a"} if user else {})
        )
        # A link that is down for everybody is down for a, and for the others.
        links = ["a"] if user else ["a", "others"] if kind == "link-down" else [""]
        covered += [
            (f"{kind} {link}", second)
            for link in links
            for second in range(at_s, at_s + for_s)
        ]
    document = {"policies": ["fcfs"], "faults": content}
    if len(set(covered)) == len(covered):
        assert len(OnlineSpec.model_validate(document).faults) == len(spans)
    else:
        with pytest.raises(ValidationError, match="must not overlap"):
            OnlineSpec.model_validate(document)


ONLINE = SCENARIO.replace('solvers = ["dp", "dp-noshare"]\n', "").replace(
    "[gpu]", '[online]\npolicies = ["fcfs"]\nwarmup_s = 0.1\n[gpu]'
)


def test_a_plan_takes_no_dispatch(tmp_path: Path) -> None:
    """It would not be told of it, and slip."""
    file = tmp_path / "plan.toml"
    file.write_text(SCENARIO.replace("[gpu]", "[gpu]\ndispatch_s = 0.001", 1))
    with pytest.raises(InputError, match=r"gpu\.dispatch_s is for scenarios with"):
        read_scenario(file)


def test_a_scenario_is_one_or_the_other(tmp_path: Path) -> None:
    """It plans with solvers or serves online; ``[run]`` may be left out online."""
    file = tmp_path / "online.toml"
    file.write_text(ONLINE)
    scenario = read_scenario(file)
    assert scenario.online is not None
    assert scenario.run.solvers == ()
    file.write_text(ONLINE[: ONLINE.index("[run]")])
    assert read_scenario(file).run.seed == 0


# What is replaced in a valid online scenario, by what, and what the message must name.
ODD = {
    "both": ("[run]", '[run]\nsolvers = ["dp"]', "run.solvers plans, [online] serves"),
    "neither": (
        '[online]\npolicies = ["fcfs"]\nwarmup_s = 0.1',
        "",
        "run.solvers is ne",
    ),
    "uplink of plans": ("[run]", '[run]\nuplink = "static"', "run.uplink is for plans"),
    "time limit": (
        "[run]",
        "[run]\ntime_limit_s = 1.0",
        "run.time_limit_s is for plans",
    ),
    "iterations": ("[run]", "[run]\niterations = 9", "run.iterations is for plans"),
    "releases": (
        "window_s",
        'releases = "trace"\nwindow_s',
        "workload.releases is for",
    ),
    "deadline": (
        "window_s",
        "deadline_s = 1.0\nwindow_s",
        "workload.deadline_s is for",
    ),
    "eviction": (
        "[gpu]",
        '[gpu]\neviction = "furthest-next-use"',
        "gpu.eviction must be 'lru' online",
    ),
    "fading": ("[run]", "[noise]\nfading = true\n[run]", "noise.fading does not apply"),
    "warm-up of all": (
        "warmup_s = 0.1",
        "warmup_s = 0.5",
        "online.warmup_s must be less",
    ),
    "no window": ("window_s = 0.5", "", "workload.window_s is needed"),
    "scale 0": ("window_s", "rate_scale = 0.0\nwindow_s", "workload.rate_scale"),
    "scale nan": ("window_s", "cv_scale = nan\nwindow_s", "workload.cv_scale"),
    "scale 1e9": ("window_s", "time_scale = 1e9\nwindow_s", "workload.time_scale"),
    "interval 0": ("window_s", "scale_interval_s = 0\nwindow_s", "workload.scale_int"),
    "unknown policy": ('"fcfs"', '"lifo"', "online.policies"),
    "online a word": (
        "[gpu]",
        "[[online.policy]]\n[gpu]",
        "online.policy: unknown key",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), ODD.values(), ids=ODD)
def test_refuses_what_means_nothing_online(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    """The command ends with 2 and one line that names the key, and writes nothing."""
    assert ONLINE.count(old) >= 1
    (tmp_path / "small.csv").write_text(TRACE)
    (tmp_path / "bad.toml").write_text(ONLINE.replace(old, new, 1))
    finished = edgesim("run", tmp_path / "bad.toml", "--out", tmp_path / "out")
    assert finished.code == 2
    assert finished.err.startswith("error: ")
    assert finished.err.count("\n") == 1
    assert message in finished.err
    assert not (tmp_path / "out").exists()


def test_schema_is_true() -> None:
    """The JSON Schema takes what the scenario takes, of both sorts, and no mixture."""
    schema = json_schema("scenario")
    jsonschema.Draft202012Validator.check_schema(schema)
    planned, online = tomllib.loads(SCENARIO), tomllib.loads(ONLINE)
    online["online"] |= tomllib.loads(FULL)
    for document in (planned, online, {**online, "run": {}}):
        jsonschema.validate(document, schema)
    bare = {key: value for key, value in planned.items() if key != "run"}
    for document in (
        {**planned, "online": online["online"]},
        {**online, "run": planned["run"]},
        {**planned, "run": {}},
        bare,
        {**online, "online": {**online["online"], "que": 3}},
        {**online, "online": {**online["online"], "faults": [{"kind": "fire"}]}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, schema)
        with pytest.raises(ValidationError):
            Scenario.model_validate(
                {k: v for k, v in document.items() if k != "schema"}
            )


# What no JSON Schema can say: how two values compare, and numbers that JSON has not.
BEYOND_SCHEMA = {"warm-up of all", "scale nan"}


@pytest.mark.parametrize("name", ODD)
def test_schema_refuses_what_means_nothing_online(name: str) -> None:
    """What the reader refuses the schema refuses, unless values must be compared."""
    old, new, _ = ODD[name]
    document = tomllib.loads(ONLINE.replace(old, new, 1))
    valid = jsonschema.Draft202012Validator(json_schema("scenario")).is_valid(document)
    assert valid == (name in BEYOND_SCHEMA)


@given(
    name=st.one_of(
        st.text(alphabet="ab1._:-é ", max_size=8),
        st.sampled_from(["fcfs", "rolling-noshare", "a.b:C-noshare", "fcfs-noshare-x"]),
        st.from_regex(re.compile(POLICY_PATTERN, re.ASCII)),
    )
)
def test_schema_knows_names_of_policies(name: str) -> None:
    """Its pattern takes what the reader takes."""
    assert bool(re.search(POLICY_PATTERN.replace("$", r"\Z"), name)) == is_policy(name)


def test_schema_takes_every_shipped_scenario() -> None:
    """Those that plan and those that serve online."""
    schema = json_schema("scenario")
    files = sorted(Path(str(data_file("traces", "campus.toml"))).parent.glob("*.toml"))
    online = 0
    for file in files:
        document = tomllib.loads(file.read_text())
        jsonschema.validate(document, schema)
        online += "online" in document
    assert 0 < online < len(files)
