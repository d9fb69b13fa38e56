"""A server: its uplink, queue and GPU, and the view of them that a policy gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from simpy import Environment, Event

from edgesim.engine.clock import ClockEnvironment, Stopwatch
from edgesim.engine.device import Device, SimulatedDevice, in_turn
from edgesim.engine.gpu import Gpu
from edgesim.engine.memory import GpuMemory, Memory
from edgesim.engine.policy import Policy, PolicyError
from edgesim.engine.policy_guard import PolicyGuard
from edgesim.engine.records import Log, Run
from edgesim.engine.request import CHOSEN, ActiveRequest, Arrival
from edgesim.engine.request_queue import ReadOnly, RequestQueue, UplinkMaker
from edgesim.engine.settings import Settings
from solvers.core.tables import Tables
from solvers.tolerance import TIME_TOLERANCE_S


@dataclass(frozen=True)
class Parts:
    """Non-default parts of a server; None for the default.

    Parameters
    ----------
    uplink
        Makes the uplink; by default the rule of the settings.
    memory
        GPU memory; by default managed by the rules of the problem.
    device
        Makes the device that loads and computes; by default a GPU in simulated time.
    stopwatch
        Measures what the policy takes to answer, where that is of interest.
    """

    uplink: UplinkMaker | None = None
    memory: Memory | None = None
    device: Callable[[Environment], Device] | None = None
    stopwatch: Stopwatch | None = None


MOST_WAKES_AT_ONCE = 100_000
"""Wakes of a policy for which next to no time passes; with more it would never end."""

WAKES_WITHIN_S = MOST_WAKES_AT_ONCE * TIME_TOLERANCE_S
"""Time that must pass until a policy has asked for as many."""


class Server:
    """One cell and one GPU; a :class:`edgesim.engine.policy.View` for its policy.

    Several servers may share an environment.

    Parameters
    ----------
    env
        The simulation.
    tables
        The library and the GPU, with or without sharing.
    policy
        The policy; a new instance for every server and run.
    settings
        Uplink rule, drops, faults and noise.
    parts
        Non-default parts.

    Raises
    ------
    ValueError
        If the GPU's eviction rule needs to know the future.
    """

    def __init__(
        self,
        env: Environment,
        tables: Tables,
        policy: Policy,
        settings: Settings,
        parts: Parts | None = None,
    ) -> None:
        parts = parts or Parts()
        self._memory = parts.memory or GpuMemory(tables)
        # Policies of the user's own are shown copies, or what they cannot change.
        self._trusts = type(policy).__module__.startswith("edgesim.")
        self.model_names = tables.model_names
        self.batch_s: Sequence[Sequence[float]] = tuple(
            map(tuple, self._memory.batch_s)
        )
        self.most: Sequence[int] = tuple(self._memory.most)
        self.least_s: Sequence[float] = tuple(
            min(table[1 : most + 1], default=math.inf)
            for table, most in zip(self.batch_s, self.most, strict=True)
        )
        self._env = env
        self._stalls_s: list[float] = []
        if parts.device is None:  # another device does not stall
            stalls = settings.faults.stalls
            self._stalls_s = [t for s in stalls for t in (s.start_s, s.end_s)]
        self._woken_at_once = 0
        self._woken_since_s: float = env.now
        self._tables = tables
        if not self._trusts:
            problem = tables.problem.model_copy(deep=True)
            self._tables = Tables(problem, sharing=tables.sharing)
        self._log = Log()
        guard = PolicyGuard(policy, self)
        admit, ready, choose, join = guard.admit, guard.ready, guard.choose, guard.join
        if parts.stopwatch is not None:
            watch = parts.stopwatch
            admit, ready = watch.other(admit), watch.other(ready)
            join = watch.other(join)
            choose = watch.choosing(choose)
        self._queue = RequestQueue(
            env,
            settings,
            self._log,
            self.model_names,
            self.most,
            self.least_s,
            admit=admit if guard.has_admit else None,
            ready=ready if guard.has_ready else None,
            make_own_uplink=parts.uplink,
            checks=not self._trusts,
        )
        self.waiting: Sequence[Sequence[ActiveRequest]] = self._queue.waiting
        if not self._trusts:
            queues = self._queue.waiting
            self.waiting = tuple(ReadOnly(queues, m) for m in range(len(queues)))
        self._gpu = Gpu(
            env,
            settings,
            self._log,
            self._queue,
            self._memory,
            _simulated(env, settings) if parts.device is None else parts.device(env),
            choose=choose,
            join=join,
            overlap=tables.problem.overlap,
            asked_when_empty=policy.asked_when_empty,
        )
        self._queue.news = self._gpu.wake
        guard.start()

    @property
    def now_s(self) -> float:
        """Time since the start of the run."""
        return self._env.now

    @property
    def tables(self) -> Tables:
        """The library and the GPU as the solvers see them; without users."""
        return self._tables

    @property
    def waiting_count(self) -> int:
        """Number of waiting requests, those whose input has arrived."""
        return self._queue.waiting_count

    @property
    def uploading_count(self) -> int:
        """Number of requests that are uploading and not chosen."""
        return self._queue.uploading_count

    @property
    def model(self) -> int | None:
        """Model of the round in flight or the last one; None before the first."""
        return self._memory.model

    def load_s(self) -> list[float]:
        """Nominal load time of each model at present, by model number."""
        loads_s = self._memory.missing_s()
        return loads_s if self._trusts else loads_s.copy()

    def resident_atoms(self) -> frozenset[int]:
        """Atoms (``tables.atom_blocks``) in GPU memory now, or being loaded into it."""
        return self._memory.resident_atoms()

    def fits_beside(self, model: int) -> bool:
        """Whether a model can be loaded while the round in flight is in memory."""
        return self._memory.fits_beside(model)

    def next_upload(self) -> ActiveRequest | None:
        """Return the request whose input arrives next, if it is not chosen yet."""
        request = self._queue.uplink.next_delivery()
        return request if request is not None and request.state < CHOSEN else None

    def uploads(self) -> list[tuple[float, ActiveRequest]]:
        """List requests that are uploading and not chosen, with their forecast arrival.

        The forecast assumes that nothing else is sent; earliest first. O(n log n).
        """
        return [
            (end_s, request)
            for end_s, request in self._queue.uplink.forecast()
            if request.state < CHOSEN
        ]

    @property
    def computing(self) -> bool:
        """Whether a batch is being computed."""
        return self._gpu.computing

    @property
    def free_s(self) -> float:
        """When the current batch, or the last one, ends by nominal times."""
        return self._gpu.free_s

    @property
    def ahead(self) -> bool:
        """Whether the chosen round would be loaded while another is still in flight.

        Only with overlap.
        """
        return self._gpu.ahead

    def drop(self, request: ActiveRequest, reason: str) -> None:
        """Drop an uploading or waiting request, as documented for ``View.drop``."""
        self._queue.drop(request, reason)

    def wake_at(self, time_s: float) -> None:
        """Consult the policy again at a time, as documented for ``View.wake_at``."""
        wait_s = time_s - self._env.now
        if not -TIME_TOLERANCE_S <= wait_s < math.inf:
            raise PolicyError(
                f"asked to be woken at {time_s!r} s, which must be finite and not "
                f"before now, {self._env.now!r} s"
            )
        if wait_s <= TIME_TOLERANCE_S:
            if self._env.now > self._woken_since_s + WAKES_WITHIN_S:
                self._woken_since_s = self._env.now
                self._woken_at_once = 0
            self._woken_at_once += 1
            if self._woken_at_once > MOST_WAKES_AT_ONCE:
                raise PolicyError(
                    f"asked {MOST_WAKES_AT_ONCE:,} times to be woken at once, "
                    f"at {self._env.now!r} s: time cannot go on"
                )
        event = self._env.timeout(max(0.0, wait_s))
        event.callbacks.append(self._awake)

    def _awake(self, _: Event) -> None:
        self._gpu.wake()

    def serve(self, arrivals: Iterable[Arrival]) -> None:
        """Let requests arrive once the environment runs, in the order given."""
        self._env.process(self._queue.feed(arrivals))

    def close(self) -> Run:
        """End the run after the last event and return its records.

        A policy that waits forever leaves requests behind, and so does a link that
        never recovers; they are dropped.
        """
        self._gpu.close()
        self._queue.close()
        uplink = self._queue.uplink
        if len(uplink.busy_s) % 2:  # a clock has stopped the run during an upload
            uplink.busy_s.append(self._env.now)
        return self._log.run(uplink.busy_s.values(), uplink.bands, self._stalls_s)


def _simulated(env: Environment, settings: Settings) -> SimulatedDevice:
    load, compute = settings.load_factor, settings.compute_factor
    return SimulatedDevice(
        env,
        None if load is None else in_turn(load),
        None if compute is None else in_turn(compute),
        settings.faults,
        settings.dispatch_s,
    )


def simulate(
    tables: Tables,
    arrivals: Iterable[Arrival],
    policy: Policy,
    settings: Settings,
    parts: Parts | None = None,
) -> Run:
    """Run a stream of requests through uplink, queue and GPU until the last outcome.

    Parameters
    ----------
    tables
        The library and the GPU, with or without sharing.
    arrivals
        In order of arrival; read one by one as time advances.
    policy
        The policy; a new instance for every run.
    settings
        Uplink rule, drops, faults and noise.
    parts
        Non-default parts of the server.

    Raises
    ------
    PolicyError
        If the policy fails, or makes a choice that cannot be run.
    ValueError
        If the GPU's eviction rule needs to know the future.
    """
    env = Environment()
    server = Server(env, tables, policy, settings, parts)
    server.serve(arrivals)
    env.run()
    return server.close()


def serve_by_clock(
    env: ClockEnvironment,
    tables: Tables,
    arrivals: Iterable[Arrival],
    policy: Policy,
    settings: Settings,
    parts: Parts,
) -> Run:
    """Run a stream of requests by a clock, until the last outcome or until it stops.

    Whoever has arrived by then has an outcome: rounds in flight end without a batch.

    Parameters
    ----------
    env
        Holds the clock, and afterwards what was measured of it.
    tables, arrivals, policy, settings
        As for :func:`simulate`.
    parts
        The device, and other non-default parts of the server.

    Raises
    ------
    PolicyError
        If the policy fails, or makes a choice that cannot be run.
    """
    server = Server(env, tables, policy, settings, parts)
    server.serve(arrivals)
    env.run_by_clock()
    return server.close()
