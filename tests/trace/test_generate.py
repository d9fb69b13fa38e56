"""Synthetic traces: rates, burstiness, popularity, sizes, deadlines and seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edgesim.cli.trace import app
from edgesim.errors import InputError
from edgesim.trace.generate import (
    gamma_arrivals,
    generate,
    generator,
    numbered,
    on_off_arrivals,
)
from edgesim.trace.requests import Trace, read_trace, write_trace

ON_OFF = {"arrivals": "on-off", "on_s": 5.0, "off_s": 15.0}


def make(**options: Any) -> Trace:
    """Draw 100 s at 50 requests a second, with some options replaced."""
    given: dict[str, Any] = {"rate_per_s": 50.0, "duration_s": 100.0, "slo_s": [0.5]}
    return generate(**{**given, **options})


@pytest.mark.parametrize(
    "process",
    [
        {},
        {"arrivals": "gamma", "cv": 0.1},
        {"arrivals": "gamma", "cv": 4.0},
        ON_OFF,
        {**ON_OFF, "burst_factor": 2.5},
    ],
    ids=["poisson", "regular", "bursty", "on-off", "on-off, never silent"],
)
def test_every_process_keeps_the_mean_rate(process: dict[str, Any]) -> None:
    """Over 200 short traces the mean count is rate times duration, 5 errors at most.

    The traces are as long as a burst: a process that began anywhere but in its
    stationary state would show here.
    """
    counts = np.array(
        [
            len(make(rate_per_s=8.0, duration_s=10.0, seed=seed, **process))
            for seed in range(200)
        ]
    )
    error = max(counts.std(), 0.3) / 200**0.5
    assert abs(counts.mean() - 80) < 5 * error


@pytest.mark.parametrize("cv", [0.2, 1.0, 3.0])
def test_gamma_has_its_coefficient_of_variation(cv: float) -> None:
    """Inter-arrival times spread as asked."""
    gaps = np.diff(gamma_arrivals(100.0, 2000.0, cv, generator(1)))
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.03)


def test_poisson_is_poisson() -> None:
    """Inter-arrival times have CV 1, counts per second a variance equal to the mean."""
    trace = make(duration_s=2000.0)
    gaps = np.diff(trace.arrival_s)
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.02)
    counts = np.bincount(trace.arrival_s.astype(int), minlength=2000)
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.15)


def test_on_off_is_silent_between_bursts() -> None:
    """By default nothing arrives in off phases: a quarter of the time holds all."""
    times_s = on_off_arrivals(400.0, 4000.0, 5.0, 15.0, None, generator(3))
    busy = np.bincount((times_s * 10).astype(int), minlength=40_000) > 0
    assert busy.mean() == pytest.approx(0.25, abs=0.05)


def test_on_off_rates_are_the_factor_apart() -> None:
    """With B = 2 of at most 4, on phases run at 2 R and off phases at 2/3 R."""
    times_s = on_off_arrivals(3000.0, 2000.0, 5.0, 15.0, 2.0, generator(4))
    counts = np.bincount((times_s * 10).astype(int), minlength=20_000) / 300.0
    on = counts[counts > 4 / 3]
    off = counts[counts < 4 / 3]
    assert np.median(on) == pytest.approx(2, rel=0.01)
    assert np.median(off) == pytest.approx(2 / 3, rel=0.01)
    assert len(on) / len(counts) == pytest.approx(0.25, abs=0.06)


def test_burst_factor_one_is_poisson() -> None:
    """Without bursts the phases do not show."""
    times_s = on_off_arrivals(100.0, 2000.0, 5.0, 15.0, 1.0, generator(5))
    counts = np.bincount(times_s.astype(int), minlength=2000)
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.15)


def test_popularity_follows_zipf() -> None:
    """The share of rank r is proportional to 1/r^s; names follow the rank."""
    trace = make(duration_s=2000.0, models=5, zipf=1.5)
    weight = np.arange(1, 6) ** -1.5
    share = np.bincount(trace.model) / len(trace)
    assert trace.models == ("m000", "m001", "m002", "m003", "m004")
    assert share == pytest.approx(weight / weight.sum(), abs=0.01)


def test_zipf_zero_is_uniform() -> None:
    """Exponent 0 makes all models equally popular."""
    trace = make(duration_s=2000.0, models=4, zipf=0.0)
    assert np.bincount(trace.model) / len(trace) == pytest.approx(0.25, abs=0.01)


def test_sizes_have_their_mean_and_spread() -> None:
    """Lognormal sizes are whole, at least 1, of the mean and the CV asked for."""
    trace = make(duration_s=2000.0, input_bytes=5000, input_bytes_cv=0.8)
    sizes = trace.input_bytes
    assert sizes.mean() == pytest.approx(5000, rel=0.02)
    assert sizes.std() / sizes.mean() == pytest.approx(0.8, rel=0.05)
    assert (make(input_bytes=5000).input_bytes == 5000).all()
    assert make(input_bytes=1, input_bytes_cv=10.0).input_bytes.min() == 1


def test_deadlines_go_to_models_in_turn() -> None:
    """Every request of a model has the model's deadline."""
    trace = make(slo_s=[0.1, 0.5, 2.0], models=4)
    assert {
        (trace.models[model], slo)
        for model, slo in zip(trace.model.tolist(), trace.slo_s.tolist(), strict=True)
    } == {("m000", 0.1), ("m001", 0.5), ("m002", 2.0), ("m003", 0.1)}


def test_users_are_uniform() -> None:
    """All users come, about equally often."""
    trace = make(users=10)
    assert np.bincount(trace.user) / len(trace) == pytest.approx(0.1, abs=0.02)


def test_names_have_three_digits_or_more() -> None:
    """Names sort as numbers do."""
    assert numbered("m", 1) == ("m000",)
    assert numbered("u", 1000)[-1] == "u999"
    assert numbered("u", 1001)[::1000] == ("u0000", "u1000")


@given(
    process=st.sampled_from([{}, {"arrivals": "gamma", "cv": 2.0}, ON_OFF]),
    rate=st.floats(1e-3, 30),
    duration=st.floats(1e-3, 30),
    seed=st.integers(0, 2**63),
)
@settings(max_examples=60)
def test_arrivals_lie_within_the_duration(
    process: dict[str, Any], rate: float, duration: float, seed: int
) -> None:
    """Any trace is valid, sorted and ends before its duration, on whole nanoseconds."""
    trace = make(rate_per_s=rate, duration_s=duration, seed=seed, **process)
    assert (trace.arrival_s < duration).all()
    whole_ns = np.rint(trace.arrival_s * 1e9)
    assert (whole_ns / 1e9 == trace.arrival_s).all()


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """A trace is a function of its options; another seed gives another trace."""
    written = []
    for seed in (3, 3, 4):
        path = tmp_path / "trace.csv"
        write_trace(make(input_bytes_cv=0.5, seed=seed, **ON_OFF), path)
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert written[0] != written[2]


@pytest.mark.parametrize(
    ("given", "parameter", "what"),
    [
        ({"rate_per_s": -1.0}, "rate_per_s", "must be > 0, found -1.0"),
        ({"rate_per_s": float("nan")}, "rate_per_s", "must be > 0, found nan"),
        ({"duration_s": 0.0}, "duration_s", "must be > 0"),
        ({"duration_s": 2e9, "rate_per_s": 1e-9}, "duration_s", "at most 1e+09"),
        ({"rate_per_s": 1e9}, "duration_s", "at most 20,000,000 requests"),
        ({"slo_s": []}, "slo_s", "one value or more"),
        ({"slo_s": [0.5, 0.0]}, "slo_s", "must be > 0, found 0.0"),
        ({"arrivals": "pareto"}, "arrivals", "must be one of poisson, gamma, on-off"),
        ({"arrivals": "gamma"}, "cv", "is needed for arrivals='gamma'"),
        ({"arrivals": "gamma", "cv": 0.0}, "cv", "from 0.01 to 100"),
        ({"cv": 2.0}, "cv", "belongs to arrivals='gamma'"),
        ({"burst_factor": 2.0}, "burst_factor", "belongs to arrivals='on-off'"),
        ({"arrivals": "on-off", "off_s": 1.0}, "on_s", "is needed"),
        ({"arrivals": "on-off", "on_s": 1.0}, "off_s", "is needed"),
        ({**ON_OFF, "on_s": 0.0}, "on_s", "at least a millionth"),
        ({**ON_OFF, "burst_factor": 4.1}, "burst_factor", "from 1 to (on + off)/on"),
        ({**ON_OFF, "burst_factor": 0.9}, "burst_factor", "found 0.9"),
        ({"models": 0}, "models", "from 1 to 1,000,000, found 0"),
        ({"zipf": -0.5}, "zipf", "must be >= 0, found -0.5"),
        ({"users": 0}, "users", "from 1 to 1,000,000"),
        ({"input_bytes": 0}, "input_bytes", "found 0"),
        ({"input_bytes_cv": float("inf")}, "input_bytes_cv", "from 0 to 100"),
        ({"seed": -1}, "seed", "must be >= 0, found -1"),
    ],
)
def test_parameters_out_of_range_are_named(
    given: dict[str, Any], parameter: str, what: str
) -> None:
    """A bad value is one error that names the parameter, the value and the range."""
    with pytest.raises(InputError) as caught:
        make(**given)
    assert caught.value.where == parameter
    assert what in caught.value.what


def test_command_is_the_function(tmp_path: Path) -> None:
    """Every option arrives where it should."""
    ours, theirs = tmp_path / "ours.csv", tmp_path / "theirs.csv"
    options = (
        "--rate 20 --duration-s 30 --arrivals on-off --on-s 2 --off-s 3 "
        "--burst-factor 2 --models 7 --zipf 0.5 --users 9 --input-bytes 700 "
        "--input-bytes-cv 0.4 --slo-s 0.1,0.2 --seed 5"
    )
    result = CliRunner().invoke(
        app, ["generate", *options.split(), "--out", str(theirs)]
    )
    assert result.exception is None
    trace = generate(
        rate_per_s=20,
        duration_s=30,
        arrivals="on-off",
        on_s=2,
        off_s=3,
        burst_factor=2,
        models=7,
        zipf=0.5,
        users=9,
        input_bytes=700,
        input_bytes_cv=0.4,
        slo_s=[0.1, 0.2],
        seed=5,
    )
    write_trace(trace, ours)
    assert theirs.read_bytes() == ours.read_bytes()
    assert len(read_trace(theirs)) == len(trace)
    assert result.stderr == f"{len(trace):,} requests written\n"


def test_command_refuses_a_deadline_that_is_no_number(tmp_path: Path) -> None:
    """A list with a word in it is an error of the option, and nothing is written."""
    out = tmp_path / "trace.csv"
    options = ["--rate", "1", "--duration-s", "1", "--slo-s", "0.1,soon"]
    result = CliRunner().invoke(app, ["generate", *options, "--out", str(out)])
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("--slo-s: must be a number")
    assert not out.exists()
