"""The ``[noise]`` section is strict, and realisations do not depend on schedules."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from edgesim.engine.noise import draw, horizon_s, nominal
from edgesim.scenario.noise import NoiseSpec
from solvers import Problem


def make_problem(users: int) -> Problem:
    """Make users with spectral efficiencies 1, 2, … and deadlines 1, 2, … s."""
    return Problem.model_validate(
        {
            "name": "noise",
            "bandwidth_hz": 1e6,
            "blocks": {"b": {"bytes": 1, "load_s": 0.1}},
            "models": {"m": {"blocks": ["b"], "latency_s": [0.1]}},
            "users": [
                {
                    "id": f"u{k}",
                    "model": "m",
                    "input_bits": 1e5,
                    "spectral_efficiency": k + 1.0,
                    "deadline_s": k + 1.0,
                }
                for k in range(users)
            ],
        }
    )


def exponential(
    user: int, blocks: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Fade around a mean of the user's number."""
    return (user + 1) * rng.exponential(size=blocks)


def rng() -> np.random.Generator:
    """Make the one generator of these tests."""
    return np.random.default_rng(7)


def test_an_empty_section_is_no_noise() -> None:
    """With the defaults a realisation is the nominal one, exactly."""
    problem = make_problem(3)
    drawn, plain = draw(NoiseSpec(), problem, rng()), nominal(problem)
    assert drawn.load_factor.tolist() == plain.load_factor.tolist() == [1, 1, 1]
    assert drawn.compute_factor.tolist() == [1, 1, 1]
    assert drawn.horizon_s == plain.horizon_s == 30.0
    for channel, user in zip(drawn.channels, problem.users, strict=True):
        assert channel.efficiency(0) == channel.efficiency(999)
        assert channel.efficiency(0) == user.spectral_efficiency


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fading", 1),
        ("coherence_s", 0.0),
        ("coherence_s", float("inf")),
        ("load_sigma", -0.1),
        ("load_sigma", 3.5),
        ("load_sigma", float("nan")),
        ("compute_sigma", "measured"),
        ("compute_sigma", True),
        ("jitter", 0.1),
    ],
)
def test_a_bad_section_names_its_key(key: str, value: object) -> None:
    """Wrong types, values out of range and unknown keys are errors at that key."""
    with pytest.raises(ValidationError) as caught:
        NoiseSpec.model_validate({key: value})
    assert [error["loc"] for error in caught.value.errors()] == [(key,)]


@pytest.mark.parametrize(
    ("key", "what"),
    [("load_sigma", "load times"), ("compute_sigma", "batch latencies")],
)
def test_a_spread_the_profile_does_not_state_is_refused(key: str, what: str) -> None:
    """The message begins with the key, so that a reader finds it in the file."""
    spec = NoiseSpec.model_validate({key: "profile"})
    other = {"measured_load_sigma": 0.1, "measured_compute_sigma": 0.1}
    other[f"measured_{key}"] = None  # type: ignore[assignment]
    with pytest.raises(ValueError, match=rf"^noise\.{key}: .*no spread of {what}"):
        draw(spec, make_problem(1), rng(), **other)


def test_the_profile_spread_is_used() -> None:
    """``"profile"`` with a measured 0.2 draws what the number 0.2 draws."""
    problem = make_problem(5)
    measured = draw(
        NoiseSpec(load_sigma="profile"), problem, rng(), measured_load_sigma=0.2
    )
    stated = draw(NoiseSpec(load_sigma=0.2), problem, rng())
    assert measured.load_factor.tolist() == stated.load_factor.tolist()
    assert measured.compute_factor.tolist() == [1.0] * 5


def test_the_profile_spread_of_latencies_is_used() -> None:
    """``compute_sigma`` has a measured spread of its own, and leaves loads alone."""
    problem = make_problem(5)
    measured = draw(
        NoiseSpec(compute_sigma="profile"),
        problem,
        rng(),
        measured_load_sigma=0.7,
        measured_compute_sigma=0.2,
    )
    stated = draw(NoiseSpec(compute_sigma=0.2), problem, rng())
    assert measured.compute_factor.tolist() == stated.compute_factor.tolist()
    assert len(set(measured.compute_factor.tolist())) == 5
    assert measured.load_factor.tolist() == [1.0] * 5


def test_fading_needs_a_radio_model() -> None:
    """An instance file has no radio model: the message says what to do."""
    with pytest.raises(ValueError, match=r"^noise\.fading: .*set it to false"):
        draw(NoiseSpec(fading=True), make_problem(1), rng())


def test_factors_are_lognormal_with_median_1() -> None:
    """Over 4,000 draws the log factors have mean 0 and the stated sigma."""
    spec = NoiseSpec(load_sigma=0.3, compute_sigma=0.1)
    drawn = draw(spec, make_problem(4000), rng())
    loads, computes = np.log(drawn.load_factor), np.log(drawn.compute_factor)
    assert abs(loads.mean()) < 4 * 0.3 / np.sqrt(4000)
    assert loads.std() == pytest.approx(0.3, rel=0.05)
    assert computes.std() == pytest.approx(0.1, rel=0.05)
    assert abs(np.corrcoef(loads, computes)[0, 1]) < 0.07


def test_block_0_is_what_the_plan_knew() -> None:
    """The plan is right at the start; later blocks are other draws."""
    problem = make_problem(3)
    spec = NoiseSpec(fading=True, coherence_s=0.02)
    drawn = draw(spec, problem, rng(), fading_efficiency=exponential)
    for channel, user in zip(drawn.channels, problem.users, strict=True):
        assert channel.efficiency(0) == user.spectral_efficiency
        assert channel.efficiency(1) != user.spectral_efficiency
        assert channel.coherence_s == 0.02


def test_a_channel_does_not_depend_on_who_looks_when() -> None:
    """Asked backwards, in another order of users, or after jitter: the same blocks."""
    problem = make_problem(3)
    still = draw(
        NoiseSpec(fading=True), problem, rng(), fading_efficiency=exponential
    ).channels
    jittery = draw(
        NoiseSpec(fading=True, load_sigma=0.5),
        problem,
        rng(),
        fading_efficiency=exponential,
    ).channels
    forwards = [[c.efficiency(block) for block in range(200)] for c in still]
    backwards = [
        [c.efficiency(block) for block in reversed(range(200))]
        for c in reversed(jittery)
    ]
    assert [blocks[::-1] for blocks in backwards[::-1]] == forwards
    assert forwards[0][1:] != forwards[1][1:]


def test_every_block_and_every_seed_is_a_new_draw() -> None:
    """No block comes twice, neither in a channel nor under another seed."""
    seen = [
        channel.efficiency(block)
        for seed in (1, 2)
        for channel in draw(
            NoiseSpec(fading=True),
            make_problem(2),
            np.random.default_rng(seed),
            fading_efficiency=exponential,
        ).channels
        for block in range(1, 200)
    ]
    assert len(set(seen)) == len(seen)


def test_more_users_leave_the_first_users_channels_alone() -> None:
    """Each user has a generator of its own, by its place in the problem."""
    spec = NoiseSpec(fading=True)
    few, many = (
        draw(spec, make_problem(n), rng(), fading_efficiency=exponential).channels
        for n in (2, 9)
    )
    assert few[1].efficiency(70) == many[1].efficiency(70)


@pytest.mark.parametrize("value", [np.ones(3), -np.ones(64), np.full(64, np.nan)])
def test_a_radio_model_that_draws_nonsense_is_caught(value: object) -> None:
    """Too few, negative or undefined efficiencies do not reach the simulation."""
    drawn = draw(
        NoiseSpec(fading=True),
        make_problem(1),
        rng(),
        fading_efficiency=lambda user, blocks, rng: value,  # type: ignore[arg-type, return-value]
    )
    with pytest.raises(ValueError, match="64 numbers"):
        drawn.channels[0].efficiency(1)


def test_the_horizon_is_ten_times_the_latest_deadline() -> None:
    """And nothing to wait for without users."""
    assert horizon_s(make_problem(4)) == 40.0
    assert horizon_s(make_problem(0)) == 0.0
