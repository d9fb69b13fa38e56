"""The engine by the wall clock, with a thread that works the device."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import numpy as np
import pytest

from edgesim.engine.clock import ClockEnvironment, Stopwatch
from edgesim.engine.policies.greedy import Greedy
from edgesim.engine.policies.in_order import Fcfs
from edgesim.engine.policies.rolling import Rolling
from edgesim.engine.policy import Policy
from edgesim.engine.records import Run
from edgesim.engine.request import Arrival
from edgesim.engine.server import Parts, serve_by_clock, simulate
from edgesim.engine.settings import Settings
from edgesim.engine.worker import WallClock, Worker
from solvers import Problem
from solvers.core.tables import Tables
from tests.engine.handmade import make_problem
from tests.engine.nominal import SleepingDevice


def _tables(**rules: object) -> Tables:
    """Make the handmade library, a hundred times as fast."""
    rules = {"residency": "cache", "gpu_memory_bytes": 120} | rules
    problem = make_problem(**rules)
    blocks = {
        name: block.model_copy(update={"load_s": block.load_s / 100})
        for name, block in problem.blocks.items()
    }
    models = {
        name: model.model_copy(
            update={"latency_s": tuple(s / 100 for s in model.latency_s)}
        )
        for name, model in problem.models.items()
    }
    return Tables(problem.model_copy(update={"blocks": blocks, "models": models}))


def _stream(requests: int) -> list[Arrival]:
    rng = random.Random(3)
    arrival_s = 0.0
    arrivals = []
    for _ in range(requests):
        arrival_s += rng.expovariate(100.0)
        arrivals.append(Arrival(arrival_s, 0, rng.randrange(3), 0.001, 100.0))
    return arrivals


def _live(
    clock: WallClock, arrivals: list[Arrival]
) -> tuple[Run, ClockEnvironment, Stopwatch]:
    env = ClockEnvironment(clock)
    watch = Stopwatch(env)
    with Worker(clock) as worker:
        run = serve_by_clock(
            env,
            _tables(),
            arrivals,
            Greedy(),
            Settings(late="serve"),
            Parts(device=lambda _: SleepingDevice(env, worker), stopwatch=watch),
        )
    return run, env, watch


def test_one_outcome_a_request_and_all_time_is_accounted_for() -> None:
    """Load, compute, deciding, idle, and what is between them, make the wall time."""
    arrivals = _stream(60)
    before_s, before_cpu_s = time.perf_counter(), time.thread_time()
    run, env, watch = _live(WallClock(), arrivals)
    cpu_s = time.thread_time() - before_cpu_s
    took_s = time.perf_counter() - before_s
    assert run.requests.outcome.tolist() == [0] * 60
    rounds = run.rounds
    worked_s = float(rounds.load_s.sum() + rounds.compute_s.sum())
    dispatch_s = env.busy_s - worked_s
    handling_s = env.wall_s - env.busy_s - env.idle_s - watch.alone_s
    assert dispatch_s >= 0
    assert handling_s >= 0
    assert worked_s > 0.3
    assert max(r.arrival_s for r in arrivals) < env.wall_s <= took_s
    # A thread that spun while the device worked would take that long.
    assert cpu_s < took_s / 2
    assert (rounds.compute_start_s + rounds.compute_s <= rounds.end_s).all()
    assert (rounds.load_start_s + rounds.load_s <= rounds.compute_start_s).all()


def test_moments_known_beforehand_keep_their_times() -> None:
    """Arrivals and uploads are those of the simulation, to the last bit."""
    arrivals = _stream(40)
    run, env, _ = _live(WallClock(), arrivals)
    simulated = simulate(_tables(), arrivals, Greedy(), Settings(late="serve"))
    for column in ("arrival_s", "upload_start_s", "upload_end_s"):
        ours, theirs = (getattr(r.requests, column).tolist() for r in (run, simulated))
        assert ours == theirs
    assert len(env.lateness_s) > 40
    assert min(env.lateness_s) >= 0
    assert len(env.handover_s) == sum(r > 0 for r in run.rounds.load_s) + len(
        run.rounds.end_s
    )


def test_a_limit_ends_the_run_and_keeps_what_is_done() -> None:
    """Requests that have arrived have an outcome; later ones are not there."""
    arrivals = _stream(60)
    run, env, _ = _live(WallClock(limit_s=0.2), arrivals)
    assert env.wall_s >= 0.2
    assert 0 < len(run.requests.outcome) < 60
    assert (run.requests.arrival_s <= env.wall_s).all()
    assert run.requests.outcome[0] == 0


def test_a_stop_from_outside_ends_the_run() -> None:
    """As a handler of a signal does, while the engine sleeps."""
    clock = WallClock()
    timer = threading.Timer(0.1, clock.stop)
    timer.start()
    run, env, _ = _live(clock, [*_stream(3), Arrival(3000.0, 0, 0, 0.0, 1.0)])
    timer.join()
    assert env.wall_s < 3000
    assert len(run.requests.outcome) == 3
    assert clock.stopped


def test_an_interrupt_while_a_worker_prepares_leaves_no_thread() -> None:
    """The thread does not wait for jobs that nobody will give it."""
    interrupted = threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            Worker(WallClock(), lambda: interrupted.wait(10) and None)
    finally:
        interrupted.set()
        timer.join()
        signal.signal(signal.SIGINT, before)
    for thread in threading.enumerate():
        if thread.name == "edgesim-device":
            thread.join(10)
            assert not thread.is_alive()


def test_what_a_device_raises_is_raised_by_the_run() -> None:
    """With its own type and words, and the thread ends."""

    class Broken(SleepingDevice):
        """Cannot compute."""

        def compute(self, number: int, model: int, batch: int, nominal_s: float):  # type: ignore[no-untyped-def]
            def job() -> float:
                raise RuntimeError("the device is gone")

            work = self.env.begin()
            self.worker.begin(work, job)
            return work

    clock = WallClock()
    env = ClockEnvironment(clock)
    with (
        pytest.raises(RuntimeError, match="the device is gone"),
        Worker(clock) as worker,
    ):
        serve_by_clock(
            env,
            _tables(),
            _stream(3),
            Fcfs(),
            Settings(),
            Parts(device=lambda _: Broken(env, worker)),
        )
    assert "edgesim-device" not in {thread.name for thread in threading.enumerate()}


def _busy_tables() -> Tables:
    """Make 20 models of which one whole load and a batch of one take 5 ms."""
    blocks = {"stem": {"bytes": 60, "load_s": 0.0012}}
    models = {}
    for number in range(20):
        blocks[f"head{number}"] = {"bytes": 40, "load_s": 0.0008}
        models[f"m{number}"] = {
            "blocks": ["stem", f"head{number}"],
            "latency_s": [0.003 + 0.0005 * more for more in range(8)],
        }
    problem = {
        "name": "busy",
        "bandwidth_hz": 1.0,
        "blocks": blocks,
        "models": models,
        "users": [],
        "gpu_memory_bytes": 300,
        "residency": "cache",
    }
    return Tables(Problem.model_validate(problem))


@pytest.mark.long
@pytest.mark.parametrize(("make", "most"), [(Greedy, 0.01), (Rolling, 0.10)])
def test_deciding_is_short_beside_the_work(make: type[Policy], most: float) -> None:
    """200 requests/s at load 1 for 60 s, on a machine that does nothing else."""
    rng = random.Random(1)
    arrivals = []
    arrival_s = 0.0
    while (arrival_s := arrival_s + rng.expovariate(200.0)) < 60:
        arrivals.append(Arrival(arrival_s, 0, rng.randrange(20), 0.0005, 0.1))
    clock = WallClock()
    env = ClockEnvironment(clock)
    watch = Stopwatch(env)
    with Worker(clock) as worker:
        run = serve_by_clock(
            env,
            _busy_tables(),
            arrivals,
            make(),
            Settings(),
            Parts(device=lambda _: SleepingDevice(env, worker), stopwatch=watch),
        )
    busy_s = float(run.rounds.load_s.sum() + run.rounds.compute_s.sum())
    assert len(run.requests.outcome) == len(arrivals)
    assert sum(watch.choose_s) / busy_s < most
    assert np.percentile(env.lateness_s, 99) < 0.010


def test_loads_beside_batches_count_in_both() -> None:
    """With two threads a load and a batch are under way at once, as overlap wants."""
    tables = _tables(overlap=True, gpu_memory_bytes=None)
    clock = WallClock()
    env = ClockEnvironment(clock)
    with Worker(clock) as worker, Worker(clock) as copier:
        device = SleepingDevice(env, worker)
        loads = SleepingDevice(env, copier)
        device.load = loads.load  # type: ignore[method-assign]
        parts = Parts(device=lambda _: device, stopwatch=Stopwatch(env))
        settings = Settings(late="serve")
        arrivals = _stream(40)
        run = serve_by_clock(env, tables, arrivals, Fcfs(), settings, parts)
    rounds = run.rounds
    worked_s = float(rounds.load_s.sum() + rounds.compute_s.sum())
    # What is beyond load and batch is little for each of them.
    most_s = 0.02 * 2 * len(rounds.end_s)
    assert 0 <= env.busy_s + env.both_s - worked_s < most_s
    begun_s, computed_s = rounds.load_start_s[1:], rounds.end_s[:-1]
    loaded_s = np.minimum(begun_s + rounds.load_s[1:], computed_s)
    started_s = np.maximum(begun_s, rounds.compute_start_s[:-1])
    both_s = float(np.maximum(loaded_s - started_s, 0).sum())
    assert both_s > 0
    assert both_s * 0.9 < env.both_s < both_s + most_s
