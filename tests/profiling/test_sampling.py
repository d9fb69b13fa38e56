"""Medians, deciles and the limits on repeats, with a scripted clock."""

from __future__ import annotations

import pytest

from edgesim.profile.values import Timing
from edgesim.profiling.sampling import Sampling, sample, timing
from tests.profiling.scripted import ScriptedDevice


def test_median_and_deciles_of_each_step() -> None:
    """After three passes of warm-up, 11 samples 1..11: median 6, deciles 2 and 10."""
    device = ScriptedDevice(
        lambda call, count: (
            [1000.0, 2000.0] if call < 3 else [call - 2.0, 10.0 * (call - 2)]
        )
    )
    # The warm-up's first pass takes all of the time, unless there is plenty.
    found = sample(device, [int, int], Sampling(repeats=11, seconds=1e9))
    assert found == [
        Timing(median_s=6.0, p10_s=2.0, p90_s=10.0),
        Timing(median_s=60.0, p10_s=20.0, p90_s=100.0),
    ]
    assert device.calls == 14


def test_steps_run_in_order_and_before_comes_first() -> None:
    """Each pass: what is to be done before, then the steps."""
    seen: list[str] = []
    device = ScriptedDevice(lambda call, count: [1e-3] * count)
    sample(
        device,
        [lambda: seen.append("a"), lambda: seen.append("b")],
        Sampling(repeats=10),
        before=lambda: seen.append("before"),
    )
    assert seen == ["before", "a", "b"] * 13


@pytest.mark.parametrize(
    ("pass_s", "calls"),
    [
        (0.01, 3 + 30),  # repeats
        (0.5, 3 + 4),  # four of them take 2 s
        (1.5, 3 + 3),  # never fewer than three
        (5.0, 1 + 3),  # one is enough to warm up
        (0.0, 3 + 30),
    ],
)
def test_slow_quantities_get_fewer_repeats(pass_s: float, calls: int) -> None:
    """The limit is on measured time, and what is foretold is what happens."""
    device = ScriptedDevice(lambda call, count: [pass_s])
    sampling = Sampling(repeats=30, seconds=2.0)
    (found,) = sample(device, [int], sampling)
    assert device.calls == calls == sampling.passes(pass_s)
    assert found.median_s == pass_s
    assert (found.p10_s is None) == (calls < 10)


def test_deciles_need_ten_samples() -> None:
    """Nine samples tell a median; ten tell deciles, linear between them."""
    assert timing([1.0] * 4 + [2.0] + [3.0] * 4) == Timing(median_s=2.0)
    ten = timing([float(n) for n in range(10)])
    assert ten == Timing(median_s=4.5, p10_s=0.9, p90_s=8.1)


def test_times_are_whole_nanoseconds() -> None:
    """No digits beyond any device's clock."""
    assert timing([1 / 3]).median_s == 0.333333333
