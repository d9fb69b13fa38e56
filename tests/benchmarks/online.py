"""Speed of the online simulation: ``python -m tests.benchmarks.online``.

Requests per second as a ratio to a bare SimPy M/D/1 loop of the same run, in turns, so
that a busy machine slows both; then time against requests, fitted, with peak memory.
"""

from __future__ import annotations

import gc
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import truediv
from typing import Any, Literal

import numpy as np
from simpy import Environment, Event, Resource

from edgesim.engine.records import Run
from edgesim.engine.request import Arrival
from edgesim.engine.server import simulate
from edgesim.engine.settings import Settings
from edgesim.experiment.policies import make_policy
from solvers import Problem
from solvers.core.tables import Tables

MODELS = 100
FAMILIES = 10
REQUESTS = 100_000
TURNS = 5
SIZES = (100_000, 300_000, 1_000_000)
POLICIES = ("fcfs", "greedy")
WANTED = {"fcfs": 0.4, "greedy": 0.2}

Residency = Literal["previous", "cache"]

# Requests a second at which about 200 wait: the better a server, the more that takes.
RATES: dict[tuple[str, Residency], float] = {
    ("fcfs", "previous"): 100.0,
    ("fcfs", "cache"): 150.0,
    ("greedy", "previous"): 250.0,
    ("greedy", "cache"): 400.0,
}


def two_processes(customers: int) -> None:
    """Serve an M/D/1 queue by a source and a server: the least SimPy can do."""
    env, rng = Environment(), random.Random(1)
    queue: deque[float] = deque()
    idle: list[Event] = []
    waited_s = [0.0]

    def source() -> Iterator[Event]:
        for _ in range(customers):
            yield env.timeout(rng.expovariate(0.8))
            queue.append(env.now)
            if idle:
                idle.pop().succeed()

    def server() -> Iterator[Event]:
        for _ in range(customers):
            if not queue:
                idle.append(env.event())
                yield idle[0]
            waited_s[0] += env.now - queue.popleft()
            yield env.timeout(1.0)

    env.process(source())  # type: ignore[arg-type]
    env.process(server())  # type: ignore[arg-type]
    env.run()


def process_each_lean(customers: int) -> None:
    """Serve an M/D/1 queue by a process a customer that knows when its turn is."""
    env, rng = Environment(), random.Random(1)
    free_s = [0.0]

    def customer() -> Iterator[Event]:
        free_s[0] = max(env.now, free_s[0]) + 1.0
        yield env.timeout(free_s[0] - env.now)

    def source() -> Iterator[Event]:
        for _ in range(customers):
            yield env.timeout(rng.expovariate(0.8))
            env.process(customer())  # type: ignore[arg-type]

    env.process(source())  # type: ignore[arg-type]
    env.run()


def process_each(customers: int) -> None:
    """Serve an M/D/1 queue by a process a customer and a resource, as textbooks do."""
    env, rng = Environment(), random.Random(1)
    server = Resource(env, 1)

    def customer() -> Iterator[Event]:
        with server.request() as turn:
            yield turn
            yield env.timeout(1.0)

    def source() -> Iterator[Event]:
        for _ in range(customers):
            yield env.timeout(rng.expovariate(0.8))
            env.process(customer())  # type: ignore[arg-type]

    env.process(source())  # type: ignore[arg-type]
    env.run()


def library(residency: Residency) -> Tables:
    """Build 100 models in ten families; a cache holds about a quarter of them."""
    blocks: dict[str, Any] = {
        f"head{m}": {"bytes": 10**6, "load_s": 0.01} for m in range(MODELS)
    }
    for family in range(FAMILIES):
        blocks[f"stem{family}"] = {"bytes": 10**7, "load_s": 0.05}
    return Tables(
        Problem.model_validate(
            {
                "name": "benchmark",
                "bandwidth_hz": 1e6,
                "residency": residency,
                "gpu_memory_bytes": 50 * 10**6,
                "blocks": blocks,
                "models": {
                    f"m{m}": {
                        "blocks": [f"stem{m % FAMILIES}", f"head{m}"],
                        "latency_s": [0.003 + 0.001 * b for b in range(16)],
                    }
                    for m in range(MODELS)
                },
                "users": [],
            }
        )
    )


def stream(requests: int, rate: float) -> Iterator[Arrival]:
    """Yield requests at a Poisson rate, a few models wanted much more than the rest."""
    rng = random.Random(3)
    now_s = 0.0
    for k in range(requests):
        now_s += rng.expovariate(rate)
        model = min(int(rng.paretovariate(0.7)) - 1, MODELS - 1)
        yield Arrival(now_s, k % 50, model, 0.001, 1e9)


def serve(policy: str, residency: Residency, arrivals: Iterable[Arrival]) -> Run:
    """Run a policy over a stream, nobody dropped."""
    settings = Settings(late="serve")
    return simulate(library(residency), arrivals, make_policy(policy, {}), settings)


def queue(run: Run) -> float:
    """Mean number of requests that wait, their input there."""
    requests = run.requests
    start_s = run.rounds.compute_start_s[requests.round]
    waited_s = float((start_s - requests.upload_end_s).sum())
    return waited_s / float(requests.end_s.max())


def per_s(work: Callable[[], object], requests: int) -> float:
    """Measure requests per second."""
    started = time.perf_counter()
    work()
    return requests / (time.perf_counter() - started)


# Bare loops, from the least that SimPy can do to what a textbook shows.
LOOPS: dict[str, Callable[[int], None]] = {
    "two": two_processes,
    "lean": process_each_lean,
    "each": process_each,
}


def ratios() -> None:
    """Compare policies with the bare loops, in turns."""
    print(f"{REQUESTS:,} requests, {MODELS} models; median of {TURNS} turns")
    for name, loop in LOOPS.items():
        print(f"  {name}: {loop.__doc__}")
    heads = "".join(f"{name + '/s':>10}{'ratio':>7}" for name in LOOPS)
    print(
        f"{'policy':<8}{'residency':<10}{'waiting':>8}{'batch':>7}{'requests/s':>12}"
        f"{heads}{'wanted':>8}"
    )
    for (policy, residency), rate in RATES.items():
        arrivals = list(stream(REQUESTS, rate))
        # As if they were read from a file: not for the collector to look at.
        gc.freeze()
        run = serve(policy, residency, arrivals)
        own: list[float] = []
        bare: dict[str, list[float]] = {name: [] for name in LOOPS}
        for _ in range(TURNS):
            work = partial(serve, policy, residency, arrivals)
            own.append(per_s(work, REQUESTS))
            for name, loop in LOOPS.items():
                bare[name].append(per_s(partial(loop, REQUESTS), REQUESTS))
        cells = ""
        for found in bare.values():
            ratio = statistics.median(map(truediv, own, found))
            cells += f"{statistics.median(found):>10,.0f}{ratio:>7.2f}"
        print(
            f"{policy:<8}{residency:<10}{queue(run):>8.0f}{run.rounds.batch.mean():>7.1f}"
            f"{statistics.median(own):>12,.0f}{cells}{WANTED[policy]:>8}",
            flush=True,
        )


def measure(policy: str, residency: Residency, requests: int) -> None:
    """Print wall time in s and peak memory in MB of one run in this process."""
    started = time.perf_counter()
    serve(policy, residency, stream(requests, RATES[policy, residency]))
    wall_s = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps([wall_s, peak]))


def growth() -> None:
    """Fit time = c * requests ** exponent, each run in a process of its own."""
    print(f"\n{'policy':<8}{'residency':<10}{'requests':>10}{'s':>8}{'MB':>7}")
    for policy, residency in RATES:
        found = []
        for requests in SIZES:
            words = [policy, residency, str(requests)]
            done = subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.online", *words],
                check=True,
                capture_output=True,
            )
            wall_s, peak = json.loads(done.stdout)
            found.append(wall_s)
            print(
                f"{policy:<8}{residency:<10}{requests:>10,}{wall_s:>8.2f}{peak:>7.0f}"
            )
        exponent = np.polyfit(np.log(SIZES), np.log(found), 1)[0]
        print(f"{policy:<8}{residency:<10}{'exponent':>10}{exponent:>8.2f}", flush=True)


def main() -> None:
    """Print both tables."""
    ratios()
    growth()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))  # type: ignore[arg-type]
    else:
        main()
