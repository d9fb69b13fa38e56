"""Executing a plan: what is copied and computed, and what the clocks say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgesim.profile.model_match import NetworkSpec
from edgesim.profile.values import Tier
from edgesim.profiling.copies import HostBlock
from edgesim.profiling.device import CpuDevice, Device
from edgesim.profiling.devices import open_device
from edgesim.replay import execute, networks
from edgesim.replay.comparison import RoundTime
from edgesim.replay.execute import Stage, WallClock, host_blocks, run_once
from edgesim.replay.plan import ReplayPlan, make_plan
from edgesim.replay.session import replay
from solvers import Problem
from tests.replay import cases
from tests.replay.scripted import ScriptedClock, ScriptedDevice
from tests.small_networks import convnet


class Counting(nn.Module):
    """Counts its forward passes and the inputs of each."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = convnet()
        self.sizes: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute, and take note."""
        self.sizes.append(len(x))
        out: torch.Tensor = self.inner(x)
        return out


def _plan(
    problem: Problem | None = None, solver: str = "edf", **changes: Any
) -> ReplayPlan:
    problem = cases.problem() if problem is None else problem
    schedule = cases.schedule(problem, solver=solver)
    return make_plan(problem, schedule, cases.profile(**changes))


def _stage(plan: ReplayPlan, device: Device, folder: Path, tier: Tier) -> Stage:
    return Stage(
        hosts=host_blocks(plan, device, tier, folder, seed=3),
        buffer=device.device_buffer(plan.buffer_bytes),
        batches=dict.fromkeys(plan.batches, lambda: None),
    )


def test_paced_times_follow_the_script_and_the_inputs(tmp_path: Path) -> None:
    """Load, wait, compute and end by hand, the device's idling included.

    Inputs arrive at 0.1, 0.2 and 0.3 s. Round 0 loads for 0.05 s, waits till 0.1,
    computes for 0.03: 0.13, and 0.001 to know it. Round 1 loads till 0.141, waits
    till 0.2, computes till 0.22. Round 2 loads for 0.2 s till 0.421, late for its
    input: no wait, 0.431.
    """
    slow = cases.problem()
    users = [u.model_copy(update={"input_bits": 1e5}) for u in slow.users]
    slow = slow.model_copy(update={"users": tuple(users)})
    plan = _plan(slow)
    clock = ScriptedClock()
    script = (0.05, 0.03, 0.01, 0.02, 0.2, 0.01)
    device = ScriptedDevice(clock, script, idle_s=0.001)
    stage = _stage(plan, device, tmp_path, "pageable")
    clock.start_s = clock.moment_s + 0.001  # the initial state is waited for once
    times = run_once(plan, stage, device, clock, paced=True)
    assert [(t.load_s, t.compute_s) for t in times] == [
        (0.05, 0.03),
        (0.01, 0.02),
        (0.2, 0.01),
    ]
    assert [t.end_s for t in times] == pytest.approx([0.131, 0.221, 0.432], abs=1e-9)
    assert clock.waits_s == pytest.approx([0.0, 0.1, 0.0, 0.2, 0.0, 0.3], abs=1e-9)


def test_back_to_back_nothing_waits(tmp_path: Path) -> None:
    """Ends are the sums of loads and batches."""
    plan = _plan()
    clock = ScriptedClock()
    device = ScriptedDevice(clock, (0.5, 0.25, 0.5, 0.25, 0.5, 0.25))
    stage = _stage(plan, device, tmp_path, "pageable")
    times = run_once(plan, stage, device, clock, paced=False)
    assert times == [
        RoundTime(0.5, 0.25, 0.75),
        RoundTime(0.5, 0.25, 1.5),
        RoundTime(0.5, 0.25, 2.25),
    ]
    assert clock.waits_s == []


def test_a_round_that_loads_nothing_is_not_timed(tmp_path: Path) -> None:
    """The same model twice: one load, two batches, and a load of exactly 0 s."""
    plan = _plan(cases.problem(("net-v01", "net-v01")))
    clock = ScriptedClock()
    device = ScriptedDevice(clock, (0.5, 0.25, 0.125))
    stage = _stage(plan, device, tmp_path, "pageable")
    times = run_once(plan, stage, device, clock, paced=False)
    assert [(t.load_s, t.compute_s) for t in times] == [(0.5, 0.25), (0.0, 0.125)]
    assert device.timed_steps == 3


def test_a_batch_that_is_left_out_takes_no_time(tmp_path: Path) -> None:
    """Without networks only loads are timed, and nothing waits for inputs."""
    plan = _plan(architecture=None)
    clock = ScriptedClock()
    device = ScriptedDevice(clock, (0.5, 0.5, 0.5))
    stage = _stage(plan, device, tmp_path, "pageable")
    times = run_once(plan, stage, device, clock, paced=True)
    assert times == [
        RoundTime(0.5, None, 0.5),
        RoundTime(0.5, None, 1.0),
        RoundTime(0.5, None, 1.5),
    ]
    assert clock.waits_s == [0.0, 0.0, 0.0]


class Watched:
    """Stands for the batch of every round: looks at memory while it is computed."""

    def __init__(self, plan: ReplayPlan) -> None:
        self.plan = plan
        self.stage: Stage | None = None
        self.rounds: list[dict[str, bytes]] = []

    def __call__(self) -> None:
        """Keep what lies where the round's blocks ought to."""
        assert self.stage is not None
        slots = self.plan.rounds[len(self.rounds)].resident
        self.rounds.append(
            {slot.block: bytes(self.stage.target(slot).numpy()) for slot in slots}
        )


PROBLEMS: list[tuple[Callable[[], Problem], str, list[int]]] = [
    (lambda: cases.problem(), "edf", [2, 1, 1]),
    (lambda: cases.problem(residency="cache"), "greedy", [2, 1, 0]),
    (lambda: cases.problem(), "greedy-noshare", [2, 2, 2]),
    (lambda: cases.problem(residency="cache"), "greedy-noshare", [2, 2, 0]),
    (lambda: cases.problem(resident_model="net-v02"), "edf", [1, 1, 1]),
]


@pytest.mark.parametrize("tier", ["pageable", "disk"])
@pytest.mark.parametrize(
    ("make", "solver", "copies"),
    PROBLEMS,
    ids=["previous", "cache", "noshare", "cache-noshare", "resident"],
)
def test_every_round_computes_on_the_bytes_of_its_model(
    make: Callable[[], Problem],
    solver: str,
    copies: list[int],
    tier: Tier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the real CPU device: the right bytes are there, by the right number of copies.

    Copies are counted where they are made, so that a reload that the plan does not
    have, or one that is left out, is seen.
    """
    plan = _plan(make(), solver)
    device = open_device("cpu")
    watched = Watched(plan)
    stage = Stage(
        hosts=host_blocks(plan, device, tier, tmp_path, seed=3),
        buffer=device.device_buffer(plan.buffer_bytes),
        batches=dict.fromkeys(plan.batches, watched),
    )
    watched.stage = stage
    made: list[int] = []
    load = HostBlock.load

    def counted(block: HostBlock, target: torch.Tensor) -> None:
        made.append(target.numel())
        load(block, target)

    monkeypatch.setattr(HostBlock, "load", counted)
    run_once(plan, stage, device, WallClock(), paced=False)
    content = {
        name: block.file.read_bytes() if block.file else bytes(block.host.numpy())
        for name, block in stage.hosts.items()
    }
    assert len(set(content.values())) == len(plan.blocks)
    for planned, there in zip(plan.schedule.rounds, watched.rounds, strict=True):
        needed = plan.problem.models[planned.model].blocks
        assert set(needed) <= there.keys()
        assert all(there[name] == content[name] for name in there)
    assert len(made) == len(plan.initial) + sum(copies)
    assert [len(round_.loads) for round_ in plan.rounds] == copies
    assert execute.wrong_blocks(stage, plan.rounds[-1].resident) == []


def test_bytes_that_did_not_arrive_are_found(tmp_path: Path) -> None:
    """One changed byte on the device names its block and no other."""
    plan = _plan()
    device = open_device("cpu")
    stage = _stage(plan, device, tmp_path, "pageable")
    run_once(plan, stage, device, WallClock(), paced=False)
    slots = plan.rounds[-1].resident
    target = stage.target(next(s for s in slots if s.block == "net/stem"))
    target[-1] ^= 1
    assert execute.wrong_blocks(stage, slots) == ["net/stem"]


def test_files_hold_the_blocks_and_are_made_cold_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tier disk: a file a block, of its size; all asked to be forgotten a pass."""
    cold: list[list[str]] = []
    monkeypatch.setattr(
        execute,
        "make_cold",
        lambda blocks: cold.append(sorted(b.file.name for b in blocks if b.file)),
    )
    plan = _plan()
    device = open_device("cpu")
    stage = _stage(plan, device, tmp_path, "disk")
    sizes = sorted(path.stat().st_size for path in tmp_path.iterdir())
    assert sizes == [cases.HEAD, cases.HEAD, cases.STEM]
    for _ in range(2):
        run_once(plan, stage, device, WallClock(), paced=False)
    # All before the first round, and what the last round reads once more.
    assert cold == [["0.bin", "1.bin", "2.bin"], ["1.bin"]] * 2


def test_making_files_cold_takes_no_time_of_the_plans_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute of it: ends are the sums of loads and batches all the same."""
    plan = _plan()
    clock = ScriptedClock()

    def minute(_blocks: object) -> None:
        clock.moment_s += 60

    monkeypatch.setattr(execute, "make_cold", minute)
    device = ScriptedDevice(clock, (0.5, 0.25) * 3)
    stage = _stage(plan, device, tmp_path, "disk")
    times = run_once(plan, stage, device, clock, paced=False)
    assert [time.end_s for time in times] == pytest.approx([0.75, 1.5, 2.25])


def test_what_is_resident_at_the_start_is_cold_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are forgotten after the initial blocks were read, not before."""
    order: list[str] = []
    load = HostBlock.load

    def noted(block: HostBlock, target: torch.Tensor) -> None:
        order.append("load")
        load(block, target)

    monkeypatch.setattr(HostBlock, "load", noted)
    monkeypatch.setattr(execute, "make_cold", lambda _blocks: order.append("cold"))
    plan = _plan(cases.problem(resident_model="net-v02"))
    device = open_device("cpu")
    run_once(
        plan, _stage(plan, device, tmp_path, "disk"), device, WallClock(), paced=False
    )
    loads_again = ["load", "load", "cold", "load"]
    assert order == ["load", "load", "cold", *loads_again]


def test_content_is_the_seeds(tmp_path: Path) -> None:
    """The same seed, the same bytes; another seed, others."""
    plan = _plan()
    device = open_device("cpu")

    def content(seed: int) -> list[bytes]:
        hosts = host_blocks(plan, device, "pageable", tmp_path, seed)
        return [bytes(block.host.numpy()) for block in hosts.values()]

    assert content(1) == content(1)
    assert all(a != b for a, b in zip(content(1), content(2), strict=True))


def test_forward_passes_really_run_with_padded_batches(tmp_path: Path) -> None:
    """One network for both models, built once; a batch of 2 computes 4 inputs.

    First each batch size is warmed up, then comes the pass that is not counted, then
    two repeats.
    """
    problem = cases.problem(("net-v01", "net-v01", "net-v02"))
    schedule = cases.schedule(problem)
    first, _, third = schedule.rounds
    rounds = (first.model_copy(update={"users": ("u0", "u1")}), third)
    schedule = schedule.model_copy(update={"rounds": rounds})
    plan = make_plan(problem, schedule, cases.profile())
    built: list[NetworkSpec] = []
    network = Counting()

    def build(spec: NetworkSpec) -> nn.Module:
        built.append(spec)
        return network

    passes: list[tuple[int, int]] = []
    times = replay(
        plan,
        cases.profile(),
        open_device("cpu"),
        "pageable",
        repeats=2,
        seed=0,
        paced=False,
        scratch=tmp_path,
        done=lambda done, total: passes.append((done, total)),
        build=build,
    )
    assert built == [NetworkSpec(cases.NETWORK, "3x16x16", "float32")]
    warm = [4] * networks.WARM_UP + [1] * networks.WARM_UP
    assert network.sizes == warm + [4, 1] * 3
    assert passes == [(1, 3), (2, 3), (3, 3)]
    assert [len(one) for one in times] == [2, 2]
    assert all(time.compute_s for one in times for time in one)
    assert list(tmp_path.iterdir()) == []


def test_paced_rounds_on_the_real_clock_do_not_start_early(tmp_path: Path) -> None:
    """Inputs of the last round arrive at 3 ms: it cannot have ended before."""
    plan = _plan()
    (times,) = replay(
        plan,
        cases.profile(),
        open_device("cpu"),
        "disk",
        repeats=1,
        seed=0,
        paced=True,
        scratch=tmp_path / "new",
    )
    for round_, time in zip(plan.rounds, times, strict=True):
        assert time.compute_s is not None
        assert time.end_s >= round_.inputs_at_s + time.compute_s
    ends = [time.end_s for time in times]
    assert ends == sorted(ends)
    assert list(tmp_path.iterdir()) == []


def test_a_wait_ends_at_its_moment_and_not_before() -> None:
    """Of the real clock: a wait of 5 ms takes 5 ms or more, a past moment none."""
    clock = WallClock()
    start_s = clock.now_s()
    clock.wait_until(start_s + 0.005)
    assert clock.now_s() >= start_s + 0.005
    clock.wait_until(start_s)


class Broken(CpuDevice):
    """A device that loses what it is sent."""

    def synchronise(self) -> None:
        """Wipe the buffer that was made last."""
        if self.buffer is not None:
            self.buffer.zero_()

    buffer: torch.Tensor | None = None

    def device_buffer(self, size: int) -> torch.Tensor:
        """Make a buffer, and remember it."""
        self.buffer = super().device_buffer(size)
        return self.buffer


def test_a_device_that_loses_bytes_is_not_measured(tmp_path: Path) -> None:
    """After the first pass what is resident is compared; a loss ends the replay."""
    with pytest.raises(RuntimeError, match="did not arrive"):
        replay(
            _plan(),
            cases.profile(),
            Broken(torch.device("cpu")),
            "pageable",
            repeats=1,
            seed=0,
            paced=False,
            scratch=tmp_path,
        )
