"""A given number of requests a plan: which they are, and that they are nested."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from edgesim.errors import InputError
from edgesim.experiment.inputs import load_inputs
from edgesim.experiment.plans import _epoch, _realisation
from edgesim.experiment.run import run_all
from edgesim.experiment.workload import Epoch
from edgesim.schemas import json_schema
from edgesim.shipped import locate
from edgesim.trace.requests import Trace, read_trace
from solvers import User
from tests.command import edgesim

CAMPUS = locate("scenario", "campus")
NOISE = {
    "noise.fading": True,
    "noise.load_sigma": 0.3,
    "noise.compute_sigma": 0.2,
}


def epochs_of(
    values: dict[str, Any], trace: Trace | None = None
) -> list[tuple[Epoch, Any]]:
    """Return the problem of each repeat and what its run will be like."""
    given = {"run.solvers": ["greedy"], "run.repeats": 2, **values}
    inputs = load_inputs(CAMPUS, overrides=given, trace=trace)
    drawn = [_epoch(inputs, repeat) for repeat in range(inputs.scenario.run.repeats)]
    return [(epoch, _realisation(inputs, epoch, rng)) for epoch, rng in drawn]


def alike(user: User) -> dict[str, Any]:
    """All of a request but its id, whose zeros depend on the number."""
    return user.model_dump(exclude={"id"})


def with_places(trace: Trace) -> Trace:
    """Let the users of a trace wander."""
    metres = np.linspace(10.0, 150.0, len(trace))
    return replace(trace, x_m=metres, y_m=-metres[::-1])


def with_links(trace: Trace) -> Trace:
    """Let a trace state its links."""
    return replace(trace, spectral_efficiency=np.linspace(1.0, 5.0, len(trace)))


@pytest.mark.parametrize("change", [None, with_places, with_links])
@pytest.mark.parametrize("releases", ["zero", "trace"])
def test_smaller_numbers_are_nested(change: Any, releases: str) -> None:
    """The first 10 of 20 and of 200 requests are those of 10, noise included."""
    trace = change(read_trace(locate("trace", "campus"))) if change else None
    sizes = (10, 20, 200)
    few, *more = (
        epochs_of(
            {"workload.requests": size, "workload.releases": releases, **NOISE}, trace
        )
        for size in sizes
    )
    for size, found in zip(sizes[1:], more, strict=True):
        for (epoch, real), (larger, larger_real) in zip(few, found, strict=True):
            users, others = epoch.problem.users, larger.problem.users
            assert (len(users), len(others)) == (10, size)
            assert [alike(one) for one in users] == [alike(one) for one in others[:10]]
            assert epoch.trace_users == larger.trace_users[:10]
            assert epoch.mean_snr_db.tolist() == larger.mean_snr_db[:10].tolist()
            for name in ("load_factor", "compute_factor"):
                ours, theirs = getattr(real, name), getattr(larger_real, name)
                assert ours.tolist() == theirs[:10].tolist()
            for i in (0, 9):
                ours, theirs = real.channels[i], larger_real.channels[i]
                assert ours.bits(1e6, 0.0, 1.0) == theirs.bits(1e6, 0.0, 1.0)


def test_repeats_begin_where_their_windows_do() -> None:
    """With windows the requests may come from beyond; times count from the start."""
    trace = read_trace(locate("trace", "campus"))
    values = {"workload.requests": 40, "workload.releases": "trace"}
    for repeat, (epoch, _) in enumerate(
        epochs_of({**values, "workload.window_s": 0.5})
    ):
        first = int(np.searchsorted(trace.arrival_s, 0.5 * repeat))
        expected = trace.arrival_s[first : first + 40] - 0.5 * repeat
        assert [user.release_s for user in epoch.problem.users] == expected.tolist()
        assert epoch.length_s == expected[-1] > 0.5


def test_repeats_take_the_next_without_windows() -> None:
    """A repeat starts as its first request arrives, after those of the one before."""
    trace = read_trace(locate("trace", "campus"))
    found = epochs_of(
        {
            "workload.requests": 7,
            "workload.window_s": None,
            "workload.releases": "trace",
            "workload.start_s": 2.0,
            "workload.time_scale": 2.0,
        }
    )
    first = int(np.searchsorted(2.0 * trace.arrival_s, 2.0))
    for repeat, (epoch, _) in enumerate(found):
        rows = slice(first + 7 * repeat, first + 7 * repeat + 7)
        at_s = 2.0 * trace.arrival_s[rows]
        assert [user.release_s for user in epoch.problem.users] == (
            at_s - at_s[0]
        ).tolist()
        assert epoch.trace_users == tuple(trace.users[i] for i in trace.user[rows])
        assert epoch.length_s == at_s[-1] - at_s[0]


def test_measures_of_one_request() -> None:
    """A repeat that lasts no time is measured like any other."""
    values = {"run.solvers": ["dp"], "run.repeats": 2, "workload.requests": 1}
    trials = list(
        run_all(load_inputs(CAMPUS, overrides={**values, "workload.window_s": None}))
    )
    assert [trial.measures.requests for trial in trials] == [1, 1]
    assert [trial.duration_s for trial in trials] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"requests": 1500},
            "must be at most 1424, since .* has 1424 requests from 0.5 s",
        ),
        (
            {"requests": 800, "window_s": None},
            "must be at most 720 in each of 2 repeats, since .* has 1441 requests",
        ),
        ({"requests": 0}, "workload.requests"),
        ({"requests": 10, "rate_scale": 2.0}, "rate_scale must be 1 with requests"),
        ({"requests": 10, "cv_scale": 2.0}, "cv_scale must be 1 with requests"),
        ({"window_s": None}, "workload.window_s is needed .* next workload.requests"),
    ],
)
def test_numbers_that_cannot_be(values: dict[str, Any], message: str) -> None:
    """One line says how many there are, or what does not go together."""
    with pytest.raises(InputError, match=message) as caught:
        epochs_of({f"workload.{key}": value for key, value in values.items()})
    assert "\n" not in str(caught.value)


def test_windows_without_requests() -> None:
    """Refused if no window has any; one that has none among others counts."""
    whole = read_trace(locate("trace", "campus"))
    first = {name: values[:3] for name, values in whole.columns().items()}
    trace = replace(whole, **first | {"arrival_s": np.array([0.5, 0.6, 2.5])})
    values = {"run.repeats": 3, "workload.window_s": 1.0}
    found = epochs_of(values, trace)
    assert [len(epoch.problem.users) for epoch, _ in found] == [2, 0, 1]
    with pytest.raises(InputError) as caught:
        epochs_of({"run.repeats": 4, "workload.window_s": 0.1}, trace)
    assert caught.value.where == f"{CAMPUS}: workload.window_s"
    assert caught.value.what == (
        "must be long enough for a request, found 0.1 s, and (in memory) has none in "
        "the 4 windows from 0 s on"
    )
    none = replace(trace, **{k: v[:0] for k, v in trace.columns().items()})
    with pytest.raises(InputError, match="must hold requests, found none"):
        epochs_of(values, none)


@pytest.mark.parametrize(
    ("workload", "online", "valid"),
    [
        ({"requests": 5}, False, True),
        ({"requests": 5, "rate_scale": 2.0}, False, False),
        ({}, False, False),
        ({"requests": 5}, True, False),
    ],
)
def test_schema_of_a_number(
    workload: dict[str, Any], online: bool, valid: bool
) -> None:
    """Two repeats need windows or a number, which is for plans and not scaled."""
    run: dict[str, Any] = {"repeats": 2}
    document = {
        "schema": "edgesim.scenario/1",
        "name": "x",
        "profile": "p",
        "library": {"kind": "profile"},
        "cell": {"bandwidth_hz": 1e6, "radius_m": 100.0},
        "workload": workload,
        "run": run if online else {**run, "solvers": ["dp"]},
        **({"online": {"policies": ["fcfs"]}} if online else {}),
    }
    schema = json_schema("scenario")
    assert jsonschema.Draft202012Validator(schema).is_valid(document) is valid


def test_from_the_command_line(tmp_path: Path) -> None:
    """``--set workload.requests`` plans that many in every repeat."""
    out = tmp_path / "out"
    finished = edgesim(
        *("run", "campus", "--set", "workload.requests=20", "--repeats", 2),
        *("--solver", "dp,greedy", "--out", out),
    )
    assert finished.code == 0, finished.err
    assert json.loads((out / "summary.json").read_text())["requests"] == [20, 20]
