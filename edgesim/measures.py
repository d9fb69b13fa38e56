"""What a run comes to: the measures of plan mode, and means with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

import numpy as np
from numpy.typing import NDArray

from edgesim.engine.plan import RoundRecord, Run
from solvers.core import residency
from solvers.core.tables import PlannedRound, Tables
from solvers.problem import Problem


@dataclass(frozen=True)
class Measures:
    """The measures of one run, over the time from 0 to the last end T of a round.

    A request is *finished* when its round has ended, in time or late. T is 0 without
    rounds.

    Attributes
    ----------
    requests
        K, all requests of the problem.
    in_time, late, dropped
        Requests by outcome; they add up to K. ``in_time`` is the task throughput of a
        plan.
    on_time_ratio
        in_time / K; None if K = 0.
    in_time_per_s
        in_time / T, in requests per second; 0 if T = 0.
    goodput
        Requests in time of each model that anybody wants, in the library's order.
    latency_p50_s, latency_p95_s, latency_p99_s
        Percentiles of (end − release) over the finished requests, linear between
        order statistics; None if none finished.
    span_s
        T.
    load_s
        Time loading but not computing: Σ over rounds of load time, less what of it
        overlaps the batch of the round before. Load time hidden behind a batch counts
        as compute time.
    compute_s
        Σ over rounds of compute time.
    wait_s
        Time neither loading nor computing in which a round is loaded, but inputs are
        missing: Σ over rounds of (compute start − load end, or end of the previous
        round if that is later), less what of it the load of the next round takes.
    idle_s
        Σ over rounds of (load start − end of the previous round, or 0), where positive:
        no round in hand. load_s + compute_s + wait_s + idle_s = T.
    spectrum_use
        Σ over bands held of hz · (end − start), / (bandwidth · T); 0 if T = 0.
    bytes_loaded
        Σ over rounds of the bytes of the blocks loaded.
    bytes_saved
        Bytes that the same rounds would have loaded without sharing, less
        ``bytes_loaded``. Without sharing a round loads its whole model, or nothing if
        it is resident: with residency ``"previous"`` if the round before (for the
        first: ``resident_model``) had the same model; with a cache by the same rules,
        each model with copies of its blocks to itself.
    """

    requests: int
    in_time: int
    late: int
    dropped: int
    on_time_ratio: float | None
    in_time_per_s: float
    goodput: Mapping[str, int]
    latency_p50_s: float | None
    latency_p95_s: float | None
    latency_p99_s: float | None
    span_s: float
    load_s: float
    compute_s: float
    wait_s: float
    idle_s: float
    spectrum_use: float
    bytes_loaded: int
    bytes_saved: int


def measure(problem: Problem, run: Run) -> Measures:
    """Take the measures of a run of a problem."""
    counts = {"in time": 0, "late": 0, "dropped": 0}
    wanted = {user.model for user in problem.users}
    goodput = {name: 0 for name in problem.models if name in wanted}
    for request in run.requests:
        counts[request.outcome] += 1
        if request.outcome == "in time":
            goodput[request.model] += 1
    latencies_s = [r.latency_s for r in run.requests if r.latency_s is not None]
    p50, p95, p99 = percentiles(latencies_s)
    span_s = max((r.end_s for r in run.rounds), default=0.0)
    load_s, wait_s, idle_s = _gpu_split(run.rounds)
    carried_hz_s = math.fsum(u.hz * (u.end_s - u.start_s) for u in run.uploads)
    loaded = sum(r.loaded_bytes for r in run.rounds)
    in_time = counts["in time"]
    total = len(run.requests)
    return Measures(
        requests=total,
        in_time=in_time,
        late=counts["late"],
        dropped=counts["dropped"],
        on_time_ratio=in_time / total if total else None,
        in_time_per_s=in_time / span_s if span_s else 0.0,
        goodput=goodput,
        latency_p50_s=p50,
        latency_p95_s=p95,
        latency_p99_s=p99,
        span_s=span_s,
        load_s=load_s,
        compute_s=math.fsum(r.compute_s for r in run.rounds),
        wait_s=wait_s,
        idle_s=idle_s,
        spectrum_use=carried_hz_s / (problem.bandwidth_hz * span_s) if span_s else 0.0,
        bytes_loaded=loaded,
        bytes_saved=_whole_bytes(problem, run.rounds) - loaded,
    )


def percentiles(
    values: Sequence[float] | NDArray[np.float64],
) -> tuple[float | None, float | None, float | None]:
    """Return the 50th, 95th and 99th percentile, or None for each without values.

    Linear between order statistics.
    """
    if not len(values):
        return None, None, None
    p50, p95, p99 = np.percentile(values, [50, 95, 99]).tolist()
    return p50, p95, p99


def _gpu_split(rounds: Sequence[RoundRecord]) -> tuple[float, float, float]:
    """Time loading, waiting and idle, without what goes on behind something else."""
    load, wait, idle = [], [], []
    computing = waiting = (0.0, 0.0)
    for record in rounds:
        loading = (record.load_start_s, record.load_end_s)
        load.append(record.load_s - _common_s(loading, computing))
        wait.append(record.wait_s - _common_s(loading, waiting))
        idle.append(max(0.0, record.load_start_s - record.before_end_s))
        computing = (record.compute_start_s, record.end_s)
        waiting = (record.compute_start_s - record.wait_s, record.compute_start_s)
    return math.fsum(load), math.fsum(wait), math.fsum(idle)


def _common_s(one: tuple[float, float], other: tuple[float, float]) -> float:
    """How long two intervals overlap."""
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def _whole_bytes(problem: Problem, rounds: Sequence[RoundRecord]) -> int:
    """Bytes that rounds load when every model has its blocks to itself."""
    tables = Tables(problem, sharing=False)
    number = {name: m for m, name in enumerate(tables.model_names)}
    user = {name: k for k, name in enumerate(tables.user_ids)}
    planned = [
        PlannedRound(number[r.model], tuple(user[name] for name in r.planned_users))
        for r in rounds
    ]
    return sum(
        tables.atom_bytes[atom]
        for step in residency.steps(tables, planned)
        for atom in step.loaded
    )


def mean_interval(
    values: Sequence[float], level: float = 0.95
) -> tuple[float, float | None]:
    """Mean of independent repeats and the half-width of its confidence interval.

    Student's t: half-width = t · s / √n with n − 1 degrees of freedom.

    Parameters
    ----------
    values
        One value a repeat, at least one.
    level
        Confidence level, between 0 and 1.

    Returns
    -------
    tuple of float and (float or None)
        None for a single value: one repeat says nothing of the spread.

    Raises
    ------
    ValueError
        Without values.
    """
    if not values:
        raise ValueError("a mean needs at least one value, found none")
    mean = fmean(values)
    if len(values) == 1:
        return mean, None
    t = student_t(level, len(values) - 1)
    return mean, t * stdev(values) / math.sqrt(len(values))


def student_t(level: float, df: int) -> float:
    """Two-sided critical value of Student's t: |t| stays below it with this chance.

    Up to 1,000 degrees of freedom the finite sums of Abramowitz and Stegun, 26.7.3 and
    26.7.4, are inverted by bisection; above, their expansion 26.7.5 in 1/df is used,
    whose error is then below 1e-9. O(df).

    Parameters
    ----------
    level
        The chance, between 0 and 1.
    df
        Degrees of freedom, ≥ 1.
    """
    if not 0 < level < 1 or df < 1:
        raise ValueError(
            f"level must be between 0 and 1 and df at least 1, found {level!r}, {df!r}"
        )
    if df > 1000:
        return _expansion(NormalDist().inv_cdf((1 + level) / 2), df)
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if _inside(middle, df) < level:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(df)


def _inside(angle: float, df: int) -> float:
    """Chance that |t| ≤ √df · tan(angle)."""
    odd = df % 2
    cosine = math.cos(angle)
    term = (cosine if odd else 1.0) * math.sin(angle) if df > 1 else 0.0
    total = term
    for k in range(2 + odd, df - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return (angle + total) * 2 / math.pi if odd else total


def _expansion(z: float, df: int) -> float:
    return (
        z
        + (z**3 + z) / (4 * df)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * df**3)
    )
