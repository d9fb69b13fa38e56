"""A live run with its clock, its device, or neither replaced."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from edgesim.engine.clock import ClockEnvironment, Stopwatch
from edgesim.engine.server import Parts, serve_by_clock
from edgesim.experiment.inputs import Inputs, load_inputs
from edgesim.experiment.streams import (
    serve_repeat,
    service_of,
    stream_of,
    tables_of,
)
from edgesim.live.comparison import compare
from edgesim.live.session import Interrupts, Limits, most_pool_bytes, serve_live
from edgesim.profiling.device import CpuDevice, Step
from tests.engine.nominal import NominalClock, NominalDevice, assert_same
from tests.live import cases

POLICIES = ("fcfs", "edf", "clockwork", "greedy", "rolling", "greedy-noshare")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder; the tests' networks are found all the same."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)


def _inputs(**changes: object) -> Inputs:
    online = {"online.policies": POLICIES, "run.repeats": 1}
    return load_inputs(Path("small.toml"), overrides=online | changes)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("residency", ["previous", "cache"])
@pytest.mark.parametrize("late", ["drop", "serve"])
def test_a_live_run_without_its_clock_and_device_is_the_simulated_one(
    residency: str, late: str, overlap: bool
) -> None:
    """Event for event, under every policy: nothing but time differs live."""
    cases.write_files(rate_per_s=400, slo_s=0.02)
    changes: dict[str, object] = {"gpu.residency": residency, "online.late": late}
    changes["gpu.overlap"] = overlap
    inputs = _inputs(**changes, **{"gpu.memory_bytes": 300_000})
    outcomes = set()
    for trial in serve_repeat(inputs, 0):
        stream, _ = stream_of(inputs, 0)
        tables, policy, settings = service_of(inputs, trial.name, stream)
        clock = NominalClock()
        env = ClockEnvironment(clock)
        device = NominalDevice(env, clock)
        parts = Parts(
            device=lambda _, device=device: device,  # type: ignore[misc]
            stopwatch=Stopwatch(env),
        )
        live = serve_by_clock(env, tables, stream, policy, settings, parts)
        assert_same(live, trial.account.run)
        assert len(live.rounds.end_s) > 100
        outcomes |= set(live.requests.outcome.tolist())
    assert overlap or len(outcomes) > 1


class SleepingQueues(CpuDevice):
    """A device that copies while it computes; each takes its nominal time at least."""

    def queues(self) -> tuple[CpuDevice, CpuDevice]:
        """Return a device for copies, and one for batches."""
        return SleepingDevice(self.device), SleepingDevice(self.device)


class SleepingDevice(CpuDevice):
    """Copies and computes, and then sleeps until the nominal time is over."""

    nominal_s = 0.004

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Time what is done, sleep included."""

        def slow(step: Step) -> None:
            end_s = time.perf_counter() + self.nominal_s
            step()
            time.sleep(max(0.0, end_s - time.perf_counter()))

        return super().timed([lambda step=step: slow(step) for step in steps])  # type: ignore[misc]


@pytest.mark.parametrize("name", ["fcfs", "greedy", "rolling"])
def test_by_the_wall_clock_all_bytes_requests_and_time_are_accounted_for(
    name: str,
) -> None:
    """One outcome a request; bytes copied are recorded; the parts make the wall time.

    What is neither load, batch, deciding nor idle is the way to the device's thread and
    back and the engine's own work: a small part, on a busy machine too.
    """
    cases.write_files(rate_per_s=60)
    inputs = _inputs(**{"workload.window_s": 2.0, "gpu.residency": "cache"})
    device = SleepingDevice(torch.device("cpu"))
    problem = tables_of(inputs, sharing=True).problem
    buffer = device.device_buffer(most_pool_bytes(inputs, [name]))
    served = serve_live(
        inputs,
        cases.stage(problem),
        device,
        buffer,
        name,
        Limits(1, 2.0),
        Interrupts(),
    )
    assert served is not None
    trial, measured = served
    run = trial.account.run
    assert not measured.ended
    assert len(run.requests.outcome) == measured.requests > 80
    assert (run.requests.outcome == 0).all()
    assert measured.copied_bytes == run.rounds.loaded_bytes.sum() > 0
    split = measured.split
    assert split.load_s == pytest.approx(run.rounds.load_s.sum())
    assert split.compute_s == pytest.approx(run.rounds.compute_s.sum())
    assert np.isclose(split.wall_s, trial.runtime_s)
    known_s = split.load_s + split.compute_s + split.deciding_s + split.idle_s
    assert min(split.dispatch_s, split.handling_s, split.idle_s) >= 0
    assert 0 <= split.wall_s - known_s < 0.25 * split.wall_s
    assert split.dispatch_s + split.handling_s == pytest.approx(split.wall_s - known_s)


@pytest.mark.parametrize("name", ["fcfs", "greedy"])
def test_with_overlap_loads_run_beside_batches(name: str) -> None:
    """On threads of their own; the parts make the wall time, less that of both."""
    cases.write_files(rate_per_s=150)
    overlap = {"gpu.overlap": True, "gpu.residency": "previous"}
    inputs = _inputs(**{"workload.window_s": 2.0}, **overlap)
    device = SleepingQueues(torch.device("cpu"))
    problem = tables_of(inputs, sharing=True).problem
    size = most_pool_bytes(inputs, [name])
    limits = Limits(1, 2.0)
    stage, buffer = cases.stage(problem), device.device_buffer(size)
    served = serve_live(inputs, stage, device, buffer, name, limits, Interrupts())
    assert served is not None
    trial, measured = served
    rounds, split = trial.account.run.rounds, measured.split
    assert (trial.account.run.requests.outcome == 0).all()
    assert measured.copied_bytes == rounds.loaded_bytes.sum() > 0
    assert (rounds.load_start_s[1:] < rounds.end_s[:-1]).any()
    assert split.both_s > 0
    known_s = split.load_s + split.compute_s - split.both_s
    known_s += split.deciding_s + split.idle_s + split.dispatch_s + split.handling_s
    assert known_s == pytest.approx(split.wall_s)
    assert min(split.dispatch_s, split.handling_s, split.idle_s) >= 0
    found = compare(measured, trial.account.run, 0.0)
    assert found.live_rounds == len(rounds.end_s)
    assert len(found.loads) > 0.9 * (rounds.loaded_bytes > 0).sum()
    assert (found.batches[:, 0] > 0).all()
