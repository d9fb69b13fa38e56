"""Values that are typed or passed, drawn from all kinds: refused by name, or taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import edgesim as es
from edgesim.cli.settings import naming_settings, read_settings
from edgesim.engine.policy import PolicyError
from edgesim.errors import InputError
from edgesim.experiment.inputs import load_inputs
from solvers import ArgumentError, OwnSolverError, RefusalError
from solvers.problem import Problem
from tests.examples import SCENARIO, TRACE, instance
from tests.fuzz.formats import scenarios

REFUSALS = (InputError, ArgumentError, RefusalError, OwnSolverError, PolicyError)

EXAMPLES = 300

FEW = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**63 - 1, 2**63, 10**400, -(10**400)]),
    st.floats(),
    st.sampled_from([5e-324, 1e308, -0.0, 1e-300]),
    st.sampled_from([np.float64(math.nan), np.int64(3), np.float32(0.5), np.bool_(1)]),
)
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            *("", " ", "greedy", "fcfs-noshare", "a:b", "os:system", "../x", "/"),
            *("campus", "x" * 300, "\x00", "\x1b[31m", "\udcff", "dp\n", "-noshare"),
        ]
    ),
)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), NUMBERS, TEXTS, st.binary(max_size=4),
        st.builds(object), st.just(1j), st.builds(Path, st.just("nowhere")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.tuples(inner, inner),
        st.dictionaries(TEXTS, inner, max_size=2),
    ),
    max_leaves=3,
)  # fmt: skip


def _tried(
    call: Callable[..., object], valid: Mapping[str, Any], drawn: Mapping[str, Any]
) -> None:
    """Call with some values replaced: an error names what it is about, in one line."""
    try:
        call(**{**valid, **drawn})
    except REFUSALS as error:
        text = str(error)
        assert text
        assert all(c.isprintable() or "\ud800" <= c <= "\udfff" for c in text)


def _some(names: Mapping[str, object]) -> st.SearchStrategy[dict[str, Any]]:
    keys = st.lists(st.sampled_from(sorted(names)), min_size=1, max_size=2, unique=True)
    return keys.flatmap(
        lambda chosen: st.fixed_dictionaries(dict.fromkeys(chosen, VALUES))
    )


SOLVE: dict[str, Any] = {
    "problem": Problem.model_validate(
        {key: value for key, value in instance().items() if key != "schema"}
    ),
    "solver": "greedy",
    "uplink": "dynamic",
    "time_limit_s": 5.0,
    "seed": 0,
    "mip": "highs",
    "iterations": 3,
    "name": None,
    "sharing": True,
}


@FEW
@given(_some(SOLVE))
def test_solve_refuses_by_name_or_solves(drawn: dict[str, Any]) -> None:
    """Whatever is passed for one or two of its parameters."""
    _tried(es.solve, SOLVE, drawn)


SIMULATE: dict[str, Any] = {
    "library": SOLVE["problem"],
    "requests": [],
    "policy": "fcfs",
    "uplink": "fifo",
    "late": "drop",
    "bandwidth_hz": 1e6,
    "gpu_memory_bytes": None,
    "residency": "previous",
    "overlap": False,
    "queue_limit": None,
    "sharing": True,
}


@FEW
@given(_some(SIMULATE))
def test_simulate_refuses_by_name_or_simulates(drawn: dict[str, Any]) -> None:
    """Whatever is passed for one or two of its parameters."""
    _tried(es.simulate, SIMULATE, drawn)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """Write a small scenario and its trace."""
    (tmp_path / "small.csv").write_text(TRACE)
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO)
    return file


@FEW
@given(data=st.data())
def test_run_refuses_by_name_or_runs(scenario: Path, data: st.DataObject) -> None:
    """Whatever is passed for one or two of its parameters."""
    valid: dict[str, Any] = {
        "scenario": scenario,
        "solvers": ["fcfs"],
        "policies": None,
        "trace": None,
        "profile": None,
        "uplink": None,
        "repeats": 1,
        "seed": 1,
        "time_limit_s": 5.0,
        "iterations": 3,
    }
    drawn = data.draw(_some(valid))
    # A number of repeats that is right and large would take its time.
    repeats = drawn.get("repeats")
    if isinstance(repeats, (int, np.integer)) and repeats > 3:
        return
    _tried(es.run, valid, drawn)


REQUEST: dict[str, Any] = {
    "arrival_s": 0.0,
    "user": "ann",
    "model": "cats",
    "input_bits": 1000.0,
    "slo_s": 1.0,
    "spectral_efficiency": 2.0,
}


@FEW
@given(_some(REQUEST))
def test_a_request_is_refused_by_name_or_simulated(drawn: dict[str, Any]) -> None:
    """Whatever is passed for one or two of its fields."""

    def call(**fields: Any) -> None:
        es.simulate(SOLVE["problem"], [es.Request(**fields)], "fcfs")

    _tried(call, REQUEST, drawn)


KEYS = st.sampled_from(
    [
        *("gpu.memory_bytes", "gpu.residency", "gpu", "run.solvers", "run.repeats"),
        *(
            "library.clusters[0].variants",
            "library.clusters[1].base",
            "library.clusters",
        ),
        *("workload.trace", "workload.window_s", "workload.deadline_s", "noise.fading"),
        *("online.policies", "online.faults[0].kind", "online.rolling.most", "name"),
        *(
            "cell.bandwidth_hz",
            "profile",
            "schema",
            "run.time_limit_s",
            "workload.zipf",
        ),
    ]
)
BROKEN_KEYS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            *("", ".", "gpu.", ".gpu", "gpu..x", "library.clusters[", "a[0", "a[-1]"),
            *(
                "a[1e9]",
                "library.clusters[99999999999]",
                "gpu[0]",
                "x" * 500,
                "a.b[0][0]",
            ),
            *("__class__", "gpu.__dict__", "gpu.memory_bytes.x", "[0]", "gpu memory"),
        ]
    ),
)
TYPED = """\
1 -1 0 1e400 -1e400 nan inf 0x10 1_000 1e-400 2GB true 2020-01-01 07:32:00 "x" x [ [[[[
[1,2 {a=1} { \\"\\" "\\\\u0000" "\\\\ud800" ['fcfs'] ['fcfs','fcfs']
1#x [{kind='burst'}]
"""
TOML = st.one_of(
    st.text(max_size=12),
    st.sampled_from([*TYPED.split(), "9" * 5000, "[" * 500, "", " "]),
)


@FEW
@given(
    st.sampled_from(sorted(scenarios())),
    st.one_of(KEYS, BROKEN_KEYS),
    TOML,
    st.sampled_from(["=", " = ", "", "=="]),
)
@example("plan", "gpu.memory_bytes", "9" * 5000, "=")
def test_settings_are_refused_by_name_or_set(
    shipped: Mapping[str, Path], name: str, key: str, value: str, equals: str
) -> None:
    """Whatever is typed after ``--set``, for scenarios of every kind."""
    file = shipped[name]

    def call() -> None:
        typed = read_settings([f"{key}{equals}{value}"], {})
        with naming_settings(file, {one: f"--set {one}" for one in typed}):
            load_inputs(file, overrides=typed)

    _tried(call, {}, {})


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Write a scenario of every kind."""
    import tomli_w

    folder = tmp_path_factory.mktemp("scenarios")
    (folder / "small.csv").write_text(TRACE)
    found = {}
    for name, content in scenarios().items():
        found[name] = folder / f"{name}.toml"
        found[name].write_text(tomli_w.dumps(content))
    return found
