"""Realisations of noise do not depend on schedules, nor on who looks when."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesim.engine.noise import Noise, draw, horizon_s, nominal
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


def test_no_spread_is_no_noise() -> None:
    """With the defaults a realisation is the nominal one, exactly."""
    problem = make_problem(3)
    drawn, plain = draw(Noise(), problem, rng()), nominal(problem)
    assert drawn.load_factor.tolist() == plain.load_factor.tolist() == [1, 1, 1]
    assert drawn.compute_factor.tolist() == [1, 1, 1]
    assert drawn.horizon_s == plain.horizon_s == 30.0
    for channel, user in zip(drawn.channels, problem.users, strict=True):
        assert channel.efficiency(0) == channel.efficiency(999)
        assert channel.efficiency(0) == user.spectral_efficiency


def test_factors_are_lognormal_with_median_1() -> None:
    """Over 4,000 draws the log factors have mean 0 and the stated sigma."""
    noise = Noise(load_sigma=0.3, compute_sigma=0.1)
    drawn = draw(noise, make_problem(4000), rng())
    loads, computes = np.log(drawn.load_factor), np.log(drawn.compute_factor)
    assert abs(loads.mean()) < 4 * 0.3 / np.sqrt(4000)
    assert loads.std() == pytest.approx(0.3, rel=0.05)
    assert computes.std() == pytest.approx(0.1, rel=0.05)
    assert abs(np.corrcoef(loads, computes)[0, 1]) < 0.07


def test_a_factor_on_every_load() -> None:
    """Alone it is the same for every round; with a spread it multiplies the draws."""
    problem = make_problem(5)
    alone = draw(Noise(load_factor=1.5), problem, rng())
    assert alone.load_factor.tolist() == [1.5] * 5
    assert alone.compute_factor.tolist() == [1.0] * 5
    plain = draw(Noise(load_sigma=0.3), problem, rng())
    both = draw(Noise(load_sigma=0.3, load_factor=1.5), problem, rng())
    assert both.load_factor.tolist() == (1.5 * plain.load_factor).tolist()


def test_block_0_is_what_the_plan_knew() -> None:
    """The plan is right at the start; later blocks are other draws."""
    problem = make_problem(3)
    noise = Noise(fading_efficiency=exponential, coherence_s=0.02)
    drawn = draw(noise, problem, rng())
    for channel, user in zip(drawn.channels, problem.users, strict=True):
        assert channel.efficiency(0) == user.spectral_efficiency
        assert channel.efficiency(1) != user.spectral_efficiency
        assert channel.coherence_s == 0.02


def test_a_channel_does_not_depend_on_who_looks_when() -> None:
    """Asked backwards, in another order of users, or after jitter: the same blocks."""
    problem = make_problem(3)
    fading = Noise(fading_efficiency=exponential, coherence_s=0.05)
    still = draw(fading, problem, rng()).channels
    jittery = draw(replace(fading, load_sigma=0.5), problem, rng()).channels
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
            Noise(fading_efficiency=exponential, coherence_s=0.05),
            make_problem(2),
            np.random.default_rng(seed),
        ).channels
        for block in range(1, 200)
    ]
    assert len(set(seen)) == len(seen)


def test_more_users_leave_the_first_users_channels_alone() -> None:
    """Each user has a generator of its own, by its place in the problem."""
    noise = Noise(fading_efficiency=exponential, coherence_s=0.05)
    few, many = (draw(noise, make_problem(n), rng()).channels for n in (2, 9))
    assert few[1].efficiency(70) == many[1].efficiency(70)


@pytest.mark.parametrize("value", [np.ones(3), -np.ones(64), np.full(64, np.nan)])
def test_a_radio_model_that_draws_nonsense_is_caught(value: object) -> None:
    """Too few, negative or undefined efficiencies do not reach the simulation."""
    noise = Noise(
        fading_efficiency=lambda user, blocks, rng: value,  # type: ignore[arg-type, return-value]
        coherence_s=0.05,
    )
    drawn = draw(noise, make_problem(1), rng())
    with pytest.raises(ValueError, match="64 numbers"):
        drawn.channels[0].efficiency(1)


def test_the_horizon_is_ten_times_the_latest_deadline() -> None:
    """And nothing to wait for without users."""
    assert horizon_s(make_problem(4)) == 40.0
    assert horizon_s(make_problem(0)) == 0.0
