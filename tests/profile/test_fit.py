"""Fitted lines and measured ladders of copies, against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edgesim.profile.fit import (
    CopyPoint,
    block_load,
    block_points,
    copy_offset_s,
    copy_points,
    copy_rate,
    copy_time,
    fit_copies,
    scaled,
)
from edgesim.profile.values import BlockProfile, Profile, Timing

Points = Sequence[tuple[int, float]]


def timed(points: Points, key: str = "pinned") -> list[dict[str, Any]]:
    """Make blocks or copies of these bytes and seconds."""
    return [{"bytes": b, "load_s": {key: {"median_s": s}}} for b, s in points]


def profile(
    blocks: Points, copies: Points | None = None, rate: float | None = None
) -> Profile:
    """Make a profile of one model with these blocks, measured from pinned memory."""
    provenance = {
        "kind": "measured",
        "device": "d",
        "driver": "1",
        "versions": {"torch": "2"},
        "date": "2025-01-31",
        "command": "c",
    }
    if rate is not None:
        provenance["copy_bytes_per_s"] = {"pinned": rate}
    named = [{"name": f"b{i}"} | block for i, block in enumerate(timed(blocks))]
    document: dict[str, Any] = {
        "name": "p",
        "provenance": provenance,
        "models": {"m": {"blocks": named, "latency_s": {"1": 1.0}}},
    }
    if copies is not None:
        document["copies"] = timed(copies)
    return Profile.model_validate(document)


def line(overhead_s: float, rate: float, *sizes: int) -> list[tuple[int, float]]:
    """Compute points on a line."""
    return [(size, overhead_s + size / rate) for size in sizes]


LADDER = (4096, 65_536, 1_048_576, 16_777_216, 268_435_456)


def test_a_line_is_found_again() -> None:
    """Points on 8 µs + bytes / 12 GB/s give just that, from 4 KiB to 256 MiB."""
    fit = fit_copies(profile(line(8e-6, 12e9, *LADDER)), "pinned")
    assert fit is not None
    assert fit.overhead_s == pytest.approx(8e-6, rel=1e-9)
    assert fit.bytes_per_s == pytest.approx(12e9, rel=1e-9)
    assert (fit.points, fit.source) == (5, "blocks")
    assert fit.worst_relative_error < 1e-9
    assert fit.load_s(12_000_000) == pytest.approx(1.008e-3, rel=1e-9)


def test_relative_errors_are_least() -> None:
    """Three points by hand, and no neighbouring line has smaller squares."""
    points = [(1, 1.0), (2, 2.0), (3, 4.0)]
    fit = fit_copies(profile(points), "pinned")
    # Normal equations with weights 1/t²: a and b solve
    # 21/16 a + 27/16 b = 28/16 and 27/16 a + 41/16 b = 44/16, so a < 0 and the line
    # goes through the origin: b = (1 + 1 + 3/4) / (1 + 1 + 9/16) = 44/41.
    assert fit is not None
    assert fit.overhead_s == 0
    assert 1 / fit.bytes_per_s == pytest.approx(44 / 41, rel=1e-12)
    assert fit.worst_error_s == pytest.approx(4 - 132 / 41, rel=1e-12)
    assert fit.worst_relative_error == pytest.approx(1 - 33 / 41, rel=1e-12)

    concave = [(1, 2.0), (2, 3.0), (3, 3.0)]
    found = fit_copies(profile(concave), "pinned")
    assert found is not None
    assert found.overhead_s > 0

    def squares(overhead_s: float, s_per_byte: float) -> float:
        return sum(((overhead_s + s_per_byte * b - t) / t) ** 2 for b, t in concave)

    best = squares(found.overhead_s, 1 / found.bytes_per_s)
    for da in (-1e-4, 0.0, 1e-4):
        for db in (-1e-4, 0.0, 1e-4):
            moved = squares(found.overhead_s + da, 1 / found.bytes_per_s + db)
            assert moved >= best - 1e-12


def test_plain_copies_are_preferred() -> None:
    """A ladder decides, whatever the blocks say; one size of it does not."""
    blocks = line(1e-3, 1e9, 1000, 5000)
    both = fit_copies(profile(blocks, line(2e-6, 5e9, *LADDER)), "pinned")
    assert both is not None
    assert both.source == "copies"
    assert both.bytes_per_s == pytest.approx(5e9, rel=1e-9)
    single = fit_copies(profile(blocks, line(2e-6, 5e9, 4096)), "pinned")
    assert single is not None
    assert single.source == "blocks"
    assert single.overhead_s == pytest.approx(1e-3, rel=1e-9)


@pytest.mark.parametrize(
    ("points", "s_per_byte"),
    [
        ([(1000, 2e-6)], 2e-9),
        ([(1000, 2e-6), (1000, 2e-6)], 2e-9),
        ([(1000, 1e-6), (1000, 3e-6)], (1e9 + 1e9 / 3) / (1e18 + 1e18 / 9)),
        ([(1000, 4e-6), (2000, 2e-6)], (2.5e8 + 1e9) / (2.5e8**2 + 1e18)),
        ([(1000, 0.0), (2000, 2e-6)], 1e-9),
    ],
)
def test_few_or_strange_points_go_through_the_origin(
    points: Points, s_per_byte: float
) -> None:
    """One size, a time that falls with the size, a time of 0: no overhead is made up.

    Through the origin the least relative squares have Σ(x/t) / Σ(x/t)² s per byte.
    """
    fit = fit_copies(profile(points), "pinned")
    assert fit is not None
    assert fit.overhead_s == 0
    assert 1 / fit.bytes_per_s == pytest.approx(s_per_byte, rel=1e-12)


def test_nothing_known_gives_no_fit() -> None:
    """A tier without times, or with times of 0 alone, has no line."""
    assert fit_copies(profile([(1000, 1e-6)]), "disk") is None
    assert fit_copies(profile([(1000, 0.0)]), "pinned") is None


def test_overhead_stands_beside_large_copies() -> None:
    """With 1 % of noise on every time the overhead is within a few per cent."""
    rng = np.random.default_rng(3)
    sizes = [4096 * 2**k for k in range(17)]
    points = [
        (b, s * float(rng.lognormal(0, 0.01))) for b, s in line(1e-5, 1e10, *sizes)
    ]
    fit = fit_copies(profile([(1, 1.0)], points), "pinned")
    assert fit is not None
    assert fit.overhead_s == pytest.approx(1e-5, rel=0.03)
    assert fit.bytes_per_s == pytest.approx(1e10, rel=0.03)


def test_points_are_sorted_and_distinct() -> None:
    """Equal blocks are one point; blocks of one size and other times are several."""
    found = profile([(9, 2.0), (5, 1.0), (9, 2.0), (9, 3.0)], [(1, 1.0), (7, 2.0)])
    assert block_points(found, "pinned") == (
        CopyPoint(5, 1.0),
        CopyPoint(9, 2.0),
        CopyPoint(9, 3.0),
    )
    assert copy_points(found, "pinned") == (CopyPoint(1, 1.0), CopyPoint(7, 2.0))
    assert copy_points(found, "disk") == ()


def spread_ladder() -> Profile:
    """Make copies of 1,000 and 3,000 bytes with deciles, and 9,000 without p10."""
    base = profile([(10, 1.0)]).document()
    del base["schema"]
    times = {
        1000: {"pinned": {"median_s": 4.0, "p10_s": 2.0, "p90_s": 8.0}},
        3000: {"pinned": {"median_s": 6.0, "p10_s": 5.0, "p90_s": 9.0}},
        5000: {"disk": {"median_s": 1.0}},
        9000: {"pinned": {"median_s": 12.0, "p90_s": 15.0}},
    }
    base["copies"] = [{"bytes": b, "load_s": load_s} for b, load_s in times.items()]
    return Profile.model_validate(base)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, (4.0, 2.0, 8.0)),
        (1000, (4.0, 2.0, 8.0)),
        (1500, (4.5, 2.75, 8.25)),
        (3000, (6.0, 5.0, 9.0)),
        (6000, (9.0, None, 12.0)),
        (9000, (12.0, None, 15.0)),
        (18_000, (24.0, None, 30.0)),
    ],
)
def test_copy_time_is_linear_between_measured_sizes(
    size: int, expected: tuple[float, float | None, float]
) -> None:
    """Below the smallest its time, above the largest its rate, other tiers ignored."""
    found = copy_time(spread_ladder(), "pinned", size)
    assert found is not None
    assert (found.median_s, found.p10_s, found.p90_s) == pytest.approx(expected)


def test_copy_time_without_a_ladder_is_not_known() -> None:
    """Blocks are no plain copies, and another tier's copies no help."""
    assert copy_time(profile([(1000, 1.0)]), "pinned", 500) is None
    assert copy_time(spread_ladder(), "pageable", 500) is None
    assert copy_time(spread_ladder(), "disk", 500) == Timing(median_s=1.0)


def test_copy_time_keeps_deciles_on_their_side() -> None:
    """Where deciles are the median itself, rounding puts none on the wrong side."""
    rng = np.random.default_rng(1)
    base = profile([(10, 1.0)]).document()
    del base["schema"]
    for _ in range(50):
        base["copies"] = [
            {"bytes": size, "load_s": {"pinned": dict.fromkeys(KEYS, time_s)}}
            for size, time_s in zip((7, 1009), rng.random(2).tolist(), strict=True)
        ]
        found = Profile.model_validate(base)
        for size in (8, 100, 333, 1000, 2000):
            assert copy_time(found, "pinned", size) is not None


def chained() -> Profile:
    """Make copies of 1,000, 3,000 and 9,000 bytes, the first two also in a chain."""
    base = profile([(10, 1.0)], [(1000, 4.0), (3000, 6.0), (9000, 12.0)]).document()
    del base["schema"]
    for copy, time_s in zip(base["copies"], (1.0, 3.0), strict=False):
        copy["chained_s"] = {
            "pinned": {"median_s": time_s, "runs_s": [time_s / 2, time_s * 3 / 2]}
        }
    return Profile.model_validate(base)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, 1.0), (1000, 1.0), (2000, 2.0), (3000, 3.0), (6000, 7.5), (18_000, 24.0)],
)
def test_a_copy_inside_a_load_costs_what_it_does_in_a_chain(
    size: int, expected: float
) -> None:
    """The chain counts where there is one, else the plain copy; 6 kB is between."""
    found = copy_time(chained(), "pinned", size)
    assert found is not None
    assert found.median_s == pytest.approx(expected)


def test_the_line_is_fitted_to_copies_alone() -> None:
    """3 s + 1 ms a byte goes through the plain copies, whatever a chain costs."""
    fit = fit_copies(chained(), "pinned")
    assert fit is not None
    assert fit.overhead_s == pytest.approx(3.0)
    assert fit.bytes_per_s == pytest.approx(1000)


def test_scaling_a_timing_leaves_its_runs_behind() -> None:
    """A product is no measurement, so it has no runs."""
    time = Timing(median_s=2.0, p10_s=1.0, p90_s=4.0, runs_s=(1.0, 3.0))
    assert scaled(time, 0.5) == Timing(median_s=1.0, p10_s=0.5, p90_s=2.0)


KEYS = ("median_s", "p10_s", "p90_s")


def test_rate_of_a_plain_copy() -> None:
    """What the provenance states, else the largest copy's, else nothing."""
    copies = [(1000, 1e-6), (4000, 2e-6)]
    assert copy_rate(profile([(1, 1.0)], copies, rate=3e9), "pinned") == 3e9
    assert copy_rate(profile([(1, 1.0)], copies), "pinned") == pytest.approx(2e9)
    assert copy_rate(profile([(1, 1.0)]), "pinned") is None
    assert copy_rate(profile([(1, 1.0)], copies, rate=3e9), "disk") is None


def test_the_offset_of_a_copy_is_that_of_copies_in_chains() -> None:
    """Through 1 s and 3 s at 1 and 3 kB the line has none; by themselves, 3 s."""
    assert copy_offset_s(chained(), "pinned") == pytest.approx(0.0, abs=1e-9)
    alone = profile([(10, 1.0)], [(1000, 4.0), (3000, 6.0), (9000, 12.0)])
    assert copy_offset_s(alone, "pinned") == pytest.approx(3.0)
    assert copy_offset_s(alone, "disk") is None
    assert copy_offset_s(profile([(10, 1.0), (20, 2.0)]), "pinned") is None
    assert copy_offset_s(profile([(10, 1.0)], [(1000, 4.0)]), "pinned") == 0.0


@pytest.mark.parametrize(
    ("copies", "expected"), [(None, (5, 4, 9)), (1, (5, 4, 9)), (4, (14, 13, 18))]
)
def test_every_further_copy_of_a_block_costs_the_offset(
    copies: int | None, expected: tuple[float, ...]
) -> None:
    """Four copies cost three times 3 s more than one, in the deciles too."""
    alone = profile([(10, 1.0)], [(1000, 4.0), (3000, 6.0), (9000, 12.0)])
    load = {"pinned": Timing(median_s=5.0, p10_s=4.0, p90_s=9.0)}
    block = BlockProfile(name="b", bytes=2000, load_s=load, copies=copies)
    found = block_load(alone, block, "pinned")
    assert (found.median_s, found.p10_s, found.p90_s) == pytest.approx(expected)
