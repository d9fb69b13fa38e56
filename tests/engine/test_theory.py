"""The simulation against queueing theory: means within 99 % intervals.

Every interval is Student's, of 24 independent runs that each leave out a warm-up. The
loads are 0.6 to 0.7, where what a run of some thousand requests forgets of its empty
start is far below the width of the interval.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesim.engine.records import Run
from edgesim.engine.request import Arrival
from edgesim.engine.server import simulate
from edgesim.engine.settings import Settings
from edgesim.experiment.policies import make_policy
from edgesim.names import UplinkRule
from solvers import Problem
from solvers.core.tables import Tables

RUNS = 24
REQUESTS = 8000
WARM_UP = 800
# Student's t with 23 degrees of freedom, two-sided 99 %.
STUDENT_T = 2.8073

Floats = NDArray[np.float64]
Draw = Callable[[random.Random], float]


def library(models: int = 1, *, load_s: float = 0.0, compute_s: float) -> Tables:
    """Models of one block each, all alike, computed one request at a time."""
    return Tables(
        Problem.model_validate(
            {
                "name": "theory",
                "bandwidth_hz": 1.0,
                "blocks": {
                    f"b{m}": {"bytes": 1, "load_s": load_s} for m in range(models)
                },
                "models": {
                    f"m{m}": {"blocks": [f"b{m}"], "latency_s": [compute_s]}
                    for m in range(models)
                },
                "users": [],
            }
        )
    )


def poisson(
    rng: random.Random, rate: float, models: int, demand_s: Draw
) -> Iterator[Arrival]:
    """Yield requests at a Poisson rate, models drawn uniformly, without deadlines."""
    now_s = 0.0
    for _ in range(REQUESTS):
        now_s += rng.expovariate(rate)
        yield Arrival(now_s, 0, rng.randrange(models), demand_s(rng), math.inf)


def nothing(rng: random.Random) -> float:
    """Upload in no time."""
    return 0.0


def exponentials(rng: random.Random) -> Iterator[float]:
    """Yield exponential factors of mean 1."""
    while True:
        yield rng.expovariate(1.0)


def runs(
    tables: Tables,
    rate: float,
    *,
    demand_s: Draw = nothing,
    uplink: UplinkRule = "fifo",
    exponential: bool = False,
) -> Iterator[Run]:
    """Run fcfs several times, each with arrivals and factors of its own."""
    for seed in range(RUNS):
        settings = Settings(
            uplink=uplink,
            late="serve",
            compute_factor=exponentials(random.Random(f"compute {seed}"))
            if exponential
            else None,
        )
        rng = random.Random(f"arrivals {seed}")
        arrivals = poisson(rng, rate, len(tables.model_names), demand_s)
        yield simulate(tables, arrivals, make_policy("fcfs", {}), settings)


def assert_mean(values: list[float], theory: float) -> None:
    """Check that the theory lies in the 99 % interval, and that this is narrow."""
    mean = statistics.fmean(values)
    half = STUDENT_T * statistics.stdev(values) / math.sqrt(len(values))
    assert abs(mean - theory) <= half, f"{mean} +- {half}, theory {theory}"
    assert half < 0.06 * theory


def wait_s(run: Run) -> float:
    """Mean time from arrival to the start of the round, load included in service."""
    start_s = run.rounds.load_start_s[run.requests.round]
    return float((start_s - run.requests.arrival_s)[WARM_UP:].mean())


def sojourn_s(run: Run) -> float:
    """Mean time from arrival to end."""
    return float((run.requests.end_s - run.requests.arrival_s)[WARM_UP:].mean())


def upload_s(run: Run) -> Floats:
    """Time from arrival until the input is there, warm-up left out."""
    found: Floats = (run.requests.upload_end_s - run.requests.arrival_s)[WARM_UP:]
    return found


def test_the_gpu_is_an_m_d_1_queue() -> None:
    """Deterministic service S: mean wait rho S / (2 (1 - rho))."""
    rate, service_s = 7.0, 0.1
    rho = rate * service_s
    found = [wait_s(run) for run in runs(library(compute_s=service_s), rate)]
    assert_mean(found, rho * service_s / (2 * (1 - rho)))


def test_the_gpu_is_an_m_m_1_queue() -> None:
    """Exponential service of mean S: mean wait rho S / (1 - rho)."""
    rate, service_s = 6.0, 0.1
    rho = rate * service_s
    tables = library(compute_s=service_s)
    found = [wait_s(run) for run in runs(tables, rate, exponential=True)]
    assert_mean(found, rho * service_s / (1 - rho))


def test_the_gpu_is_an_m_g_1_queue_with_setups() -> None:
    """Four models, batch 1: a load precedes three of four batches, independently.

    Service is S = C + L with probability 3/4, else C; Pollaczek and Khinchine give the
    mean wait rate E[S^2] / (2 (1 - rate E[S])).
    """
    rate, load_s, compute_s, models = 7.0, 0.08, 0.04, 4
    setup = 1 - 1 / models
    first_s = compute_s + setup * load_s
    second = setup * (compute_s + load_s) ** 2 + (1 - setup) * compute_s**2
    tables = library(models, load_s=load_s, compute_s=compute_s)
    found, loads = [], []
    for run in runs(tables, rate):
        found.append(wait_s(run))
        loads.append(float((run.rounds.load_s > 0).mean()))
    assert_mean(found, rate * second / (2 * (1 - rate * first_s)))
    assert_mean(loads, setup)


def test_the_uplink_in_order_is_an_m_m_1_queue() -> None:
    """Exponential demands of mean S: an input is there after S / (1 - rho)."""
    rate, mean_s = 6.0, 0.1
    tables = library(compute_s=1e-6)
    found = [
        float(upload_s(run).mean())
        for run in runs(tables, rate, demand_s=lambda rng: rng.expovariate(1 / mean_s))
    ]
    assert_mean(found, mean_s / (1 - rate * mean_s))


def test_equal_shares_are_processor_sharing() -> None:
    """An input of x seconds is there after x / (1 - rho), whatever the others are.

    Half of them take 0.02 s, half 0.2 s: the mean depends on the mean demand alone, and
    the time a size takes is in proportion to it.
    """
    rate, small_s, large_s = 6.0, 0.02, 0.2
    mean_s = (small_s + large_s) / 2
    rho = rate * mean_s
    tables = library(compute_s=1e-6)
    every, small, large = [], [], []
    for seed, run in enumerate(
        runs(
            tables,
            rate,
            demand_s=lambda rng: rng.choice((small_s, large_s)),
            uplink="equal-share",
        )
    ):
        times_s = upload_s(run)
        rng = random.Random(f"arrivals {seed}")
        sent = poisson(rng, rate, 1, lambda rng: rng.choice((small_s, large_s)))
        demand_s = np.array([arrival.demand_s for arrival in sent])[WARM_UP:]
        every.append(float(times_s.mean()))
        small.append(float(times_s[demand_s == small_s].mean()))
        large.append(float(times_s[demand_s == large_s].mean()))
    assert_mean(every, mean_s / (1 - rho))
    assert_mean(small, small_s / (1 - rho))
    assert_mean(large, large_s / (1 - rho))


@pytest.mark.parametrize("uplink", ["fifo", "equal-share"])
def test_uplink_and_gpu_are_a_jackson_network(uplink: UplinkRule) -> None:
    """Two exponential stations in a row: each behaves as if it were alone (Burke)."""
    rate, upload_mean_s, compute_s = 5.0, 0.1, 0.11
    tables = library(compute_s=compute_s)
    found = [
        sojourn_s(run)
        for run in runs(
            tables,
            rate,
            demand_s=lambda rng: rng.expovariate(1 / upload_mean_s),
            uplink=uplink,
            exponential=True,
        )
    ]
    uploading_s = upload_mean_s / (1 - rate * upload_mean_s)
    computing_s = compute_s / (1 - rate * compute_s)
    assert_mean(found, uploading_s + computing_s)
