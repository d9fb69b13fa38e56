"""A server: its uplink, queue and GPU, and what a policy sees of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from simpy import Environment, Event

from edgesim.engine.device import Device, SimulatedDevice, in_turn
from edgesim.engine.gpu import Gpu
from edgesim.engine.memory import GpuMemory, Memory
from edgesim.engine.policy import Policy, PolicyError
from edgesim.engine.policy_guard import PolicyGuard
from edgesim.engine.records import Log, Run
from edgesim.engine.request import CHOSEN, ActiveRequest, Arrival
from edgesim.engine.request_queue import RequestQueue, UplinkMaker
from edgesim.engine.settings import Settings
from solvers.core.tables import Tables
from solvers.tolerance import TIME_TOLERANCE_S


@dataclass(frozen=True)
class Parts:
    """Parts of a server that are not the usual ones; None for the usual.

    Parameters
    ----------
    uplink
        Makes the uplink; usually the rule of the settings.
    memory
        What is resident in GPU memory; usually by the rules of the problem.
    device
        Makes what loads and computes; usually a GPU in simulated time.
    """

    uplink: UplinkMaker | None = None
    memory: Memory | None = None
    device: Callable[[Environment], Device] | None = None


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
        What decides; a new instance for every server and run.
    settings
        Uplink rule, drops, faults and noise.
    parts
        Parts that are not the usual ones.

    Raises
    ------
    ValueError
        When the GPU's eviction needs to know the future.
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
        self.model_names = tables.model_names
        self.batch_s: Sequence[Sequence[float]] = self._memory.batch_s
        self.most: Sequence[int] = self._memory.most
        self.least_s: Sequence[float] = [
            min(table[1 : most + 1], default=math.inf)
            for table, most in zip(self.batch_s, self.most, strict=True)
        ]
        self._env = env
        self._tables = tables
        self._log = Log()
        guard = PolicyGuard(policy, self)
        self._queue = RequestQueue(
            env,
            settings,
            self._log,
            self.model_names,
            self.most,
            self.least_s,
            admit=guard.admit if guard.has_admit else None,
            ready=guard.ready if guard.has_ready else None,
            make_own_uplink=parts.uplink,
            checks=not type(policy).__module__.startswith("edgesim."),
        )
        self.waiting: Sequence[Sequence[ActiveRequest]] = self._queue.waiting
        self._gpu = Gpu(
            env,
            settings,
            self._log,
            self._queue,
            self._memory,
            _simulated(env, settings) if parts.device is None else parts.device(env),
            choose=guard.choose,
            join=guard.join,
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
        """The library and the GPU as the solvers see them; there are no users."""
        return self._tables

    @property
    def waiting_count(self) -> int:
        """How many requests wait, their input there."""
        return self._queue.waiting_count

    @property
    def uploading_count(self) -> int:
        """How many requests are on their way and not chosen."""
        return self._queue.uploading_count

    @property
    def model(self) -> int | None:
        """Model of the round that is in hand or was last; None before the first."""
        return self._memory.model

    def load_s(self) -> list[float]:
        """Nominal time that loading each model would take now, by model number."""
        return self._memory.missing_s()

    def resident_atoms(self) -> frozenset[int]:
        """Atoms (``tables.atom_blocks``) in GPU memory now, or on their way into it."""
        return self._memory.resident_atoms()

    def fits_beside(self, model: int) -> bool:
        """Whether a model can be loaded while the round in hand is there."""
        return self._memory.fits_beside(model)

    def next_upload(self) -> ActiveRequest | None:
        """Return the request not yet chosen whose input comes next, if it is that."""
        request = self._queue.uplink.next_delivery()
        return request if request is not None and request.state < CHOSEN else None

    def uploads(self) -> list[tuple[float, ActiveRequest]]:
        """List requests on their way and not chosen, with when they will be there.

        That is if nothing else came, the first first. O(n log n).
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
        """When the batch being computed, or the last one, ends by nominal times."""
        return self._gpu.free_s

    @property
    def ahead(self) -> bool:
        """Whether what is chosen would be loaded with another round still in hand.

        Only with overlap.
        """
        return self._gpu.ahead

    def drop(self, request: ActiveRequest, reason: str) -> None:
        """Give up a request that is on its way or waits, as ``View.drop`` says."""
        self._queue.drop(request, reason)

    def wake_at(self, time_s: float) -> None:
        """Ask the policy again at a time, as ``View.wake_at`` says."""
        wait_s = time_s - self._env.now
        if not -TIME_TOLERANCE_S <= wait_s < math.inf:
            raise PolicyError(
                f"asked to be woken at {time_s!r} s, which must be finite and not "
                f"before now, {self._env.now!r} s"
            )
        event = self._env.timeout(max(0.0, wait_s))
        event.callbacks.append(self._awake)

    def _awake(self, _: Event) -> None:
        self._gpu.wake()

    def serve(self, arrivals: Iterable[Arrival]) -> None:
        """Let requests arrive once the environment runs, in the order given."""
        self._env.process(self._queue.feed(arrivals))

    def close(self) -> Run:
        """End the run and return its records, once nothing happens any more.

        A policy that waits for ever leaves requests behind, and so does a link that
        never comes back; they are dropped.
        """
        self._gpu.close()
        self._queue.close()
        uplink = self._queue.uplink
        return self._log.run(uplink.busy_s, uplink.bands)


def _simulated(env: Environment, settings: Settings) -> SimulatedDevice:
    load, compute = settings.load_factor, settings.compute_factor
    return SimulatedDevice(
        env,
        None if load is None else in_turn(load),
        None if compute is None else in_turn(compute),
        settings.faults,
    )


def simulate(
    tables: Tables,
    arrivals: Iterable[Arrival],
    policy: Policy,
    settings: Settings,
    parts: Parts | None = None,
) -> Run:
    """Run a stream of requests through uplink, queue and GPU, to the last outcome.

    Parameters
    ----------
    tables
        The library and the GPU, with or without sharing.
    arrivals
        In order of arrival; read one by one as time goes on.
    policy
        What decides; a new instance for every run.
    settings
        Uplink rule, drops, faults and noise.
    parts
        Parts of the server that are not the usual ones.

    Raises
    ------
    PolicyError
        When the policy fails, or chooses what cannot be run.
    ValueError
        When the GPU's eviction needs to know the future.
    """
    env = Environment()
    server = Server(env, tables, policy, settings, parts)
    server.serve(arrivals)
    env.run()
    return server.close()
