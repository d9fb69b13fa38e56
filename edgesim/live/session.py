"""A live run: each policy in turn on one device, by the wall clock."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from edgesim.engine.clock import ClockEnvironment, Stopwatch
from edgesim.engine.memory import GpuMemory
from edgesim.engine.records import Run
from edgesim.engine.request import Arrival
from edgesim.engine.server import Parts, serve_by_clock
from edgesim.engine.worker import WallClock, Worker
from edgesim.errors import InputError, Parameter
from edgesim.experiment.inputs import Inputs
from edgesim.experiment.streams import (
    policy_refused,
    service_of,
    stream_of,
    tables_of,
)
from edgesim.experiment.trial import Trial
from edgesim.live.comparison import Measured, TimeSplit
from edgesim.live.device import PoolDevice, pool_bytes
from edgesim.live.stage import Stage
from edgesim.measures.account import Account
from edgesim.names import shares
from edgesim.profiling.device import Device
from edgesim.profiling.threads import set_threads
from edgesim.scenario.online import GpuStall, SlowLoad
from edgesim.storage.rescue import take_signal
from solvers.core.tables import Tables

DRAIN_S = 10.0
"""A run ends this long, and another time its duration, after its last arrival."""


@dataclass(frozen=True)
class Limits:
    """What a live run may take.

    Parameters
    ----------
    threads
        Torch's threads, those of the profile.
    duration_s
        How long requests arrive.
    packed
        Whether blocks share the bytes of the GPU's memory, instead of each having a
        place of its own.
    """

    threads: int
    duration_s: float
    packed: bool = False

    @property
    def ends_s(self) -> float:
        """When a policy's run ends, whatever is left to do."""
        return 2 * self.duration_s + DRAIN_S


def check_scenario(inputs: Inputs, tiers: Sequence[str], *, overlaps: bool) -> None:
    """Refuse a scenario that a device cannot be made to follow.

    Parameters
    ----------
    inputs
        The scenario.
    tiers, overlaps
        What the device loads from, and whether it copies while it computes.

    Raises
    ------
    InputError
        Naming the key.
    """
    file, gpu = inputs.scenario_file, inputs.scenario.gpu
    if inputs.scenario.online is None:
        raise InputError(file, "must have an [online] section to be run live")
    if gpu.overlap and not overlaps:
        raise InputError(
            f"{file}: gpu.overlap",
            "must be false in a live run on this device, which copies and computes one "
            "after the other",
        )
    if gpu.load_rate_bytes_per_s is not None:
        raise InputError(
            f"{file}: gpu.load_rate_bytes_per_s",
            "must not be given in a live run: a device loads at its own rate",
        )
    for key in ("weight_scale", "load_time_scale"):
        if getattr(gpu, key) != 1:
            raise InputError(
                f"{file}: gpu.{key}",
                f"must be 1 in a live run, found {getattr(gpu, key):g}",
            )
    allowed = [tier for tier in tiers if tier != "disk"]
    if gpu.load_from not in allowed:
        raise InputError(
            f"{file}: gpu.load_from",
            f"must be one of {', '.join(allowed)} in a live run on this device, "
            f"found {gpu.load_from!r}; ",
            Parameter("load_from", allowed[0]),
            " sets it",
        )
    for number, fault in enumerate(inputs.online.faults):
        if isinstance(fault, (GpuStall, SlowLoad)):
            raise InputError(
                f"{file}: online.faults[{number}].kind",
                f"must be 'link-down' or 'burst' in a live run, whose GPU has its own "
                f"faults, found {fault.kind!r}",
            )


def most_pool_bytes(
    inputs: Inputs, names: Sequence[str], *, packed: bool = False
) -> int:
    """Return the size of a pool that will do for every policy.

    ``packed`` says that blocks are to share the bytes of the GPU's memory.
    """
    found = {shares(name) for name in names}
    return max(
        pool_bytes(tables_of(inputs, sharing=sharing), packed=packed)
        for sharing in found
    )


def serve_live(
    inputs: Inputs,
    stage: Stage,
    device: Device,
    buffer: torch.Tensor,
    name: str,
    limits: Limits,
    interrupts: Interrupts,
) -> tuple[Trial, Measured] | None:
    """Run one policy live, checking models before and after.

    Parameters
    ----------
    inputs
        A scenario that :func:`check_scenario` accepts.
    stage, device, buffer
        The models, the device, and its pool, of at least :func:`most_pool_bytes`.
    name
        The policy.
    limits, interrupts
        Threads and duration, and what ends the run before.

    Returns
    -------
    tuple or None
        None if an interrupt came before the first request.

    Raises
    ------
    InputError
        If the policy fails, or makes a choice that cannot be run.
    RuntimeError
        If a model does not compute what it does when built by itself, or bytes copied
        are not those recorded.
    """
    stream, _ = stream_of(inputs, 0)
    arrivals = list(stream)
    tables, policy, settings = service_of(inputs, name, stream)
    memory = GpuMemory(tables)
    pool = PoolDevice(stage, device, tables, buffer, packed=limits.packed)
    clock = WallClock(limits.ends_s)
    env = ClockEnvironment(clock)
    watch = Stopwatch(env)
    parts = Parts(memory=memory, device=lambda _: pool, stopwatch=watch)
    prepare = preparation(pool, device, limits)

    with policy_refused(inputs, name), ExitStack() as threads:
        worker = threads.enter_context(Worker(clock, prepare))
        copier = None
        if tables.problem.overlap:
            copier = threads.enter_context(Worker(clock, thread_of(device, limits)))
        pool.connect(env, worker, memory, copier)
        interrupts.clock = clock
        if interrupts.received:  # while all was prepared
            return None
        with _undisturbed():
            run = serve_by_clock(env, tables, arrivals, policy, settings, parts)
    recorded = int(run.rounds.loaded_bytes.sum())
    if recorded != pool.copied_bytes:
        raise RuntimeError(
            f"{pool.copied_bytes:,} bytes were copied and {recorded:,} recorded"
        )
    measured = _measured(name, run, tables, arrivals, env, watch, pool)
    _check(pool.wrong_at_end(), "at the end of the run")
    ended = clock.stopped
    measured = replace(measured, interrupted=ended and interrupts.received, ended=ended)
    duration_s = stream.duration_s
    if clock.stopped:
        duration_s = min(duration_s, env.wall_s)
    account = Account(run, tables)
    trial = Trial(0, name, account, stream.users, env.wall_s, duration_s)
    return trial, measured


def preparation(pool: PoolDevice, device: Device, limits: Limits) -> Callable[[], None]:
    """Return what the device's thread does before a run.

    It raises ``RuntimeError`` if a model does not compute what it does by itself.
    """
    begin = thread_of(device, limits)

    def prepare() -> None:
        begin()
        pool.capture()
        _check(pool.wrong_models(), "before the run")
        pool.warm_up()
        pool.reset()
        device.wake()

    return prepare


def thread_of(device: Device, limits: Limits) -> Callable[[], None]:
    """Return what a thread of a device does first."""

    def begin() -> None:
        if device.device.type == "cuda":  # a thread begins with the first GPU
            torch.cuda.set_device(device.device)  # needs a GPU
        set_threads(limits.threads)

    return begin


def _measured(
    name: str,
    run: Run,
    tables: Tables,
    arrivals: Sequence[Arrival],
    env: ClockEnvironment,
    watch: Stopwatch,
    pool: PoolDevice,
) -> Measured:
    load_s = float(run.rounds.load_s.sum())
    compute_s = float(run.rounds.compute_s.sum())
    split = TimeSplit(
        wall_s=env.wall_s,
        load_s=load_s,
        compute_s=compute_s,
        deciding_s=watch.alone_s,
        idle_s=env.idle_s,
        dispatch_s=env.busy_s + env.both_s - load_s - compute_s,
        both_s=env.both_s,
    )
    counts = pool.pool.counts
    return Measured(
        name=name,
        run=run,
        tables=tables,
        requests=len(arrivals),
        split=split,
        choose_s=tuple(watch.choose_s),
        deciding_s=watch.total_s,
        lateness_s=tuple(env.lateness_s),
        handover_s=tuple(env.handover_s),
        pool_bytes=pool.pool.size,
        copied_bytes=pool.copied_bytes,
        copies=pool.copies,
        scattered_bytes=counts.most_scattered,
        compactions=counts.compactions,
        moved_bytes=counts.moved,
    )


def _check(wrong: Sequence[str], when: str) -> None:
    if wrong:
        raise RuntimeError(
            f"{when} {', '.join(wrong)} did not compute what they do when built by "
            f"themselves: the bytes in memory are not theirs"
        )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the collector of garbage from looking at all that was there before."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class Interrupts:
    """Ends the run in hand on an interrupt; the second one ends the process as usual.

    Attributes
    ----------
    received
        Whether there was one.
    clock
        That of the run in hand, if any.
    """

    def __init__(self) -> None:
        self.received = False
        self.clock: WallClock | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take interrupts, in the main thread, unless the process is to ignore them."""
        here = threading.current_thread() is threading.main_thread()
        if not here or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            yield
            return
        before = signal.signal(signal.SIGINT, lambda *_: self._stop(before))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _stop(self, before: Any) -> None:
        self.received = True
        take_signal()
        signal.signal(signal.SIGINT, before)
        if self.clock is not None:
            self.clock.stop()
