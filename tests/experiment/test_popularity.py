"""Models drawn by Zipf's law: shares, and the same numbers for every exponent."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesim.experiment.inputs import Inputs, load_inputs
from edgesim.experiment.plans import _epoch
from edgesim.experiment.popularity import drawn_ranks
from edgesim.experiment.stream import Stream, make_stream
from edgesim.shipped import locate
from edgesim.trace import scale
from edgesim.trace.stored import StoredTrace
from tests.command import edgesim

CAMPUS = locate("scenario", "campus")
ONLINE = locate("scenario", "online-campus")


def users_of(**workload: Any) -> list[dict[str, Any]]:
    """Return the requests of one plan."""
    values = {f"workload.{key}": value for key, value in workload.items()}
    values |= {"run.repeats": 1, "run.solvers": ["greedy"]}
    epoch, _ = _epoch(load_inputs(CAMPUS, overrides=values), 0)
    return [user.model_dump(exclude={"id"}) for user in epoch.problem.users]


def stream_of(inputs: Inputs) -> Stream:
    """Prepare the first repeat of an online run."""
    assert isinstance(inputs.trace, StoredTrace)
    names, rng = inputs.model_names, np.random.default_rng(3)
    return make_stream(
        inputs.trace, inputs.scenario, ONLINE, inputs.library, names, 0, rng
    )


@given(
    exponent=st.floats(0, 1e18),
    models=st.integers(1, 50),
    count=st.integers(0, 30),
    split=st.integers(0, 30),
)
def test_draws_continue(exponent: float, models: int, count: int, split: int) -> None:
    """Ranks are those of the library, however the requests are divided into calls."""
    rng = np.random.default_rng(1)
    whole = drawn_ranks(count + split, models, exponent, rng)
    assert ((whole >= 0) & (whole < models)).all()
    rng = np.random.default_rng(1)
    parts = [drawn_ranks(n, models, exponent, rng) for n in (count, split)]
    assert np.concatenate(parts).tolist() == whole.tolist()


@pytest.mark.parametrize("exponent", [0.0, 0.8, 2.0])
def test_shares_are_those_of_the_law(exponent: float) -> None:
    """Within 5 standard deviations of 200,000 draws."""
    draws, models = 200_000, 8
    ranks = drawn_ranks(draws, models, exponent, np.random.default_rng(7))
    weight = [1 / r**exponent for r in range(1, models + 1)]
    for rank, count in enumerate(np.bincount(ranks, minlength=models).tolist()):
        share = weight[rank] / sum(weight)
        deviation = (share * (1 - share) / draws) ** 0.5
        assert abs(count / draws - share) < 5 * deviation


def test_a_request_keeps_its_number() -> None:
    """A larger exponent moves no request to a less popular model."""
    drawn = [
        drawn_ranks(500, 20, exponent, np.random.default_rng(2))
        for exponent in (0.0, 0.5, 1.0, 3.0)
    ]
    for one, other in pairwise(drawn):
        assert (other <= one).all()


def test_only_models_change() -> None:
    """Sizes, links and deadlines of a plan are those without the key."""
    bare = users_of()
    for exponent in (0, 1.5):
        found = users_of(zipf=exponent)
        assert [{**one, "model": ""} for one in found] == [
            {**one, "model": ""} for one in bare
        ]
        assert found != bare


def test_the_order_does_not_depend_on_the_exponent() -> None:
    """The most popular model is the same; the mapping of the trace does not matter."""
    names = {
        load_inputs(
            CAMPUS,
            overrides={"workload.zipf": exponent, "workload.models": rule},
        ).model_names
        for exponent in (0.0, 2.0)
        for rule in ("name", "rank", "random")
    }
    assert len(names) == 1
    (order,) = names
    assert sorted(order) == sorted(load_inputs(CAMPUS).library.models)
    counts = Counter(user["model"] for user in users_of(zipf=2.0, requests=500))
    assert [name for name, _ in counts.most_common(2)] == list(order[:2])


def test_nested_with_a_number_of_requests() -> None:
    """The first 10 of 20 requests have the models of 10."""
    assert users_of(zipf=0.7, requests=20)[:10] == users_of(zipf=0.7, requests=10)


def test_fewer_models_than_the_trace_has() -> None:
    """The library may have any number of models."""
    values = {"workload.zipf": 1.0, "library.clusters[0].variants": 1}
    inputs = load_inputs(CAMPUS, overrides=values)
    assert len(inputs.library.models) == 2 < len(inputs.trace.models)
    epoch, _ = _epoch(inputs, 0)
    assert {user.model for user in epoch.problem.users} == set(inputs.library.models)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"workload.rate_scale": 1.7, "workload.cv_scale": 2.0},
        {
            "online.faults": [
                {"kind": "burst", "at_s": 5.0, "for_s": 20.0, "factor": 3.0}
            ]
        },
    ],
)
def test_streams(extra: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same each time and in pieces of any size; only models differ from without."""
    window = {"workload.window_s": 120.0, **extra}
    inputs = load_inputs(ONLINE, overrides={**window, "workload.zipf": 1.0})
    stream = stream_of(inputs)
    first = list(stream)
    assert first == list(stream)
    monkeypatch.setattr(scale, "PIECE_ROWS", 7)
    assert first == list(stream)
    number = Counter(model for _, _, model, _, _ in first)
    assert [number[m] for m in range(len(stream.per_model))] == list(stream.per_model)
    assert stream.requests == len(first)
    bare = list(stream_of(load_inputs(ONLINE, overrides=window)))
    assert [(a, u, d, s) for a, u, _, d, s in first] == [
        (a, u, d, s) for a, u, _, d, s in bare
    ]
    assert [m for _, _, m, _, _ in first] != [m for _, _, m, _, _ in bare]


def test_from_the_command_line(tmp_path: Path) -> None:
    """Plans and online, on scenarios whose models are mapped by another rule."""
    short = "workload.window_s=40", "online.window_s=[5.0, 6.0]"
    for words in (
        ("campus", "--repeats", 1, "--solver", "dp"),
        ("online-campus", "--policy", "fcfs", "--set", short[0], "--set", short[1]),
    ):
        out = tmp_path / words[0]
        finished = edgesim("run", *words, "--set", "workload.zipf=1", "--out", out)
        assert finished.code == 0, finished.err
    finished = edgesim("run", "campus", "--set", "workload.zipf=-1", "--out", tmp_path)
    assert finished.code == 2
    assert "workload.zipf" in finished.err


def test_what_is_assumed_says_so(tmp_path: Path) -> None:
    """A run of the user's own models states how they are requested."""
    finished = edgesim(
        *("run", "own-models", "--profile", "clockwork-v100", "--trace", "campus"),
        *("--solver", "dp", "--repeats", 1, "--set", "workload.zipf=0.8"),
        *("--set", "workload.requests=5", "--out", tmp_path / "out"),
    )
    assert finished.code == 0, finished.err
    assert "by Zipf's law with exponent 0.8" in finished.out
    assert "1 plan of 5 each from 0 s on" in finished.out
