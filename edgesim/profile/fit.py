"""Cost of a copy to the device: a line fitted to load times, and a measured ladder.

A single copy of n bytes takes about an overhead plus n over a rate. :func:`fit_copies`
estimates both from a profile; :func:`copy_time` gives the cost of a copy inside a load,
interpolated between measured copies, and :func:`copy_offset_s` the part of it that does
not depend on its size.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgesim.profile.values import (
    BlockProfile,
    CopyTime,
    Measured,
    Profile,
    Tier,
    Timing,
)
from edgesim.text import number


@dataclass(frozen=True)
class CopyPoint:
    """One timed copy: its size and its median time."""

    bytes: int
    load_s: float


@dataclass(frozen=True)
class CopyFit:
    """A copy of n bytes takes about ``overhead_s + n / bytes_per_s``.

    Parameters
    ----------
    overhead_s
        Cost of a copy regardless of its size; at least 0.
    bytes_per_s
        The rate beyond the overhead.
    worst_error_s, worst_relative_error
        The largest absolute residual, and the largest residual relative to the point's
        own time; the two may belong to different points.
    points
        Number of points that the line was fitted to.
    source
        Kind of points: plain copies of a ladder of sizes, or the models' blocks.
    """

    overhead_s: float
    bytes_per_s: float
    worst_error_s: float
    worst_relative_error: float
    points: int
    source: Literal["copies", "blocks"]

    def __str__(self) -> str:
        """Format the line for people; an overhead below 1 ns is shown as 0."""
        overhead_us = number(round(1e6 * self.overhead_s, 3))
        return f"{overhead_us} µs + bytes / {number(self.bytes_per_s / 1e9)} GB/s"

    def load_s(self, size: float) -> float:
        """Return the time of a copy of a given size by the line, in seconds."""
        return self.overhead_s + size / self.bytes_per_s


def copy_points(profile: Profile, tier: Tier) -> tuple[CopyPoint, ...]:
    """List a profile's plain copies from a tier, in ascending size."""
    return tuple(
        CopyPoint(copy.bytes, copy.load_s[tier].median_s)
        for copy in profile.copies or ()
        if tier in copy.load_s
    )


def block_points(profile: Profile, tier: Tier) -> tuple[CopyPoint, ...]:
    """List a profile's distinct blocks with a load time from a tier, ascending in size.

    Blocks of equal size and time form one point: a block that two models share, or a
    layer that a formula repeats, would otherwise be weighted by its number of copies.
    """
    pairs = {
        (block.bytes, block.load_s[tier].median_s)
        for model in profile.models.values()
        for block in model.blocks
        if tier in block.load_s
    }
    return tuple(CopyPoint(*pair) for pair in sorted(pairs))


def fit_copies(profile: Profile, tier: Tier) -> CopyFit | None:
    """Fit overhead and rate to a profile's copies from a tier.

    Plain copies are preferred if the profile holds at least two sizes of them: they
    span the sizes evenly and differ in nothing but the copy. Otherwise the distinct
    blocks are fitted.

    Parameters
    ----------
    profile, tier
        The profile and tier whose load times are fitted.

    Returns
    -------
    CopyFit or None
        None if no load time above 0 is known from the tier.

    Notes
    -----
    Sizes span five orders of magnitude, so the sum of squared *relative* errors is
    minimised: with absolute errors the largest copies alone would decide, and the
    overhead would be noise. A point far above the line counts at most as much as one at
    twice its height: a slow outlier moves the line little, and points that are not
    collinear give a line on the low side. Times of 0 s, which have no relative error,
    are left out. A line that would have a negative overhead, or decrease with size, is
    fitted through the origin instead, as is one through points of a single size.
    O(points).
    """
    ladder = copy_points(profile, tier)
    source: Literal["copies", "blocks"] = "copies" if len(ladder) >= 2 else "blocks"
    points = ladder if source == "copies" else block_points(profile, tier)
    timed = [point for point in points if point.load_s > 0]
    if not timed:
        return None
    size = np.array([point.bytes for point in timed], dtype=np.float64)
    time_s = np.array([point.load_s for point in timed])
    overhead_s, s_per_byte = _line(size, time_s)
    error_s = np.abs(overhead_s + s_per_byte * size - time_s)
    return CopyFit(
        overhead_s=overhead_s,
        bytes_per_s=1 / s_per_byte,
        worst_error_s=float(error_s.max()),
        worst_relative_error=float((error_s / time_s).max()),
        points=len(timed),
        source=source,
    )


def _line(
    size: np.ndarray[tuple[int], np.dtype[np.float64]],
    time_s: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> tuple[float, float]:
    """Fit a nonnegative offset and slope by least squares of the relative error."""
    weighted = size / time_s
    if len(np.unique(size)) > 1:
        # Normalised columns: 1/s and bytes/s differ by many orders of magnitude.
        columns = np.stack((1 / time_s, weighted), axis=1)
        lengths = np.linalg.norm(columns, axis=0)
        found = np.linalg.lstsq(columns / lengths, np.ones(len(size)), rcond=None)[0]
        offset_s, slope = (found / lengths).tolist()
        if offset_s >= 0 and slope > 0:
            return offset_s, slope
    return 0.0, float(weighted.sum() / (weighted @ weighted))


def copy_offset_s(profile: Profile, tier: Tier) -> float | None:
    """Estimate what a copy inside a load costs beyond its bytes, in seconds.

    The offset of the line through the profile's plain copies, fitted as by
    :func:`fit_copies`: through those in chains if the ladder holds any from the tier.

    Returns
    -------
    float or None
        None if the profile holds no plain copy from the tier, 0 if it holds a single
        size, which does not tell an offset from a rate.
    """
    ladder = [copy for copy in profile.copies or () if tier in copy.load_s]
    if not ladder:
        return None
    chained = [copy for copy in ladder if tier in (copy.chained_s or {})]
    costs = {c.bytes: _cost_in_load(c, tier).median_s for c in chained or ladder}
    timed = {size: cost_s for size, cost_s in costs.items() if cost_s > 0}
    if not timed:
        return 0.0
    size = np.array([*timed], dtype=np.float64)
    return _line(size, np.array([*timed.values()]))[0]


def block_load(profile: Profile, block: BlockProfile, tier: Tier) -> Timing:
    """Return the load time of a block from a tier, all of its copies included.

    A block's own ``load_s`` is the time of one copy of all its bytes. Where it is
    ``copies`` copies instead, each beyond the first adds :func:`copy_offset_s`.
    """
    time = block.load_s[tier]
    more = (block.copies or 1) - 1
    if not more:
        return time
    extra_s = more * (copy_offset_s(profile, tier) or 0.0)
    known = time.model_dump(exclude_none=True, exclude={"runs_s"})
    return Timing(**{key: seconds + extra_s for key, seconds in known.items()})


def copy_time(profile: Profile, tier: Tier, size: int) -> Timing | None:
    """Look up the cost of a copy of a given size inside a load, by the measured ladder.

    That is the cost of a copy in a chain if the ladder holds it: a single copy also
    includes the start-up of copying, which a load of many copies incurs once. Sizes
    without a chain use their plain copy.

    Between two measured sizes, median and deciles are linear in the size. A copy
    smaller than the smallest takes the smallest one's time, since the overhead remains;
    a copy larger than the largest continues at the largest one's rate.

    Parameters
    ----------
    profile, tier
        The profile and tier whose copies are used.
    size
        Bytes to copy.

    Returns
    -------
    Timing or None
        None if the profile holds no plain copy from the tier. A decile is None if a
        neighbour's is unknown.
    """
    ladder = [copy for copy in profile.copies or () if tier in copy.load_s]
    if not ladder:
        return None
    above = bisect_left(ladder, size, key=lambda copy: copy.bytes)
    if above == 0:
        return _cost_in_load(ladder[0], tier)
    if above == len(ladder):
        last = ladder[-1]
        return scaled(_cost_in_load(last, tier), size / last.bytes)
    low, high = ladder[above - 1], ladder[above]
    share = (size - low.bytes) / (high.bytes - low.bytes)
    return _interpolated(_cost_in_load(low, tier), _cost_in_load(high, tier), share)


def _cost_in_load(copy: CopyTime, tier: Tier) -> Timing:
    """Choose the cost in a chain if known, otherwise that of a single copy."""
    return (copy.chained_s or {}).get(tier, copy.load_s[tier])


def scaled(time: Timing, ratio: float) -> Timing:
    """Scale median and deciles of a timing; the result has no runs of its own."""
    known = time.model_dump(exclude_none=True, exclude={"runs_s"})
    return Timing(**{key: seconds * ratio for key, seconds in known.items()})


def _interpolated(low: Timing, high: Timing, share: float) -> Timing:
    def mix(one: float | None, other: float | None) -> float | None:
        if one is None or other is None:
            return None
        return one + share * (other - one)

    median_s = low.median_s + share * (high.median_s - low.median_s)
    p10_s, p90_s = mix(low.p10_s, high.p10_s), mix(low.p90_s, high.p90_s)
    # Rounding must not put a decile on the wrong side of the median.
    return Timing(
        median_s=median_s,
        p10_s=None if p10_s is None else min(p10_s, median_s),
        p90_s=None if p90_s is None else max(p90_s, median_s),
    )


def copy_rate(profile: Profile, tier: Tier) -> float | None:
    """Return the rate of a plain large copy from a tier, in bytes/s.

    The rate that the provenance states, otherwise that of the largest plain copy; None
    if the profile holds neither.
    """
    provenance = profile.provenance
    if isinstance(provenance, Measured):
        stated = (provenance.copy_bytes_per_s or {}).get(tier)
        if stated is not None:
            return stated
    ladder = copy_points(profile, tier)
    if not ladder or ladder[-1].load_s <= 0:
        return None
    return ladder[-1].bytes / ladder[-1].load_s
