"""The server online: uplink, queues, GPU, and what a policy sees of them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from simpy import Environment, Event

from edgesim.engine.gpu import Gpu
from edgesim.engine.memory import GpuMemory
from edgesim.engine.policy import Policy, PolicyError
from edgesim.engine.policy_guard import Asked
from edgesim.engine.records import Log, OnlineRun
from edgesim.engine.request import CHOSEN, Arrival, Request
from edgesim.engine.request_queue import Intake
from edgesim.engine.settings import Settings
from solvers.core.tables import Tables
from solvers.tolerance import TIME_TOLERANCE_S


class Server:
    """One cell and one GPU; a :class:`edgesim.engine.policy.View` for its policy."""

    def __init__(
        self, env: Environment, tables: Tables, policy: Policy, settings: Settings
    ) -> None:
        self.model_names = tables.model_names
        self.batch_s = [table.tolist() for table in tables.latency_s]
        self.most = [(*t, math.inf).index(math.inf) - 1 for t in self.batch_s]
        self.least_s = [
            min(table[1 : most + 1], default=math.inf)
            for table, most in zip(self.batch_s, self.most, strict=True)
        ]
        self._env = env
        self._tables = tables
        self._log = Log()
        self._memory = GpuMemory(tables)
        asked = Asked(policy, self)
        self._intake = Intake(
            env,
            settings,
            self._log,
            self.model_names,
            self.most,
            self.least_s,
            admit=asked.admit if asked.admits else None,
            ready=asked.ready if asked.notes else None,
            checks=not type(policy).__module__.startswith("edgesim."),
        )
        self.waiting = self._intake.waiting
        self._gpu = Gpu(
            env,
            settings,
            self._log,
            self._intake,
            self._memory,
            self.batch_s,
            self.most,
            choose=asked.choose,
            join=asked.join,
            overlap=tables.problem.overlap,
        )
        self._intake.news = self._gpu.wake
        asked.start()

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
        return self._intake.waiting_count

    @property
    def uploading_count(self) -> int:
        """How many requests are on their way and not chosen."""
        return self._intake.uploading_count

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

    def next_upload(self) -> Request | None:
        """Return the request not yet chosen whose input comes next, if it is that."""
        request = self._intake.uplink.next_delivery()
        return request if request is not None and request.state < CHOSEN else None

    def uploads(self) -> list[tuple[float, Request]]:
        """List requests on their way and not chosen, with when they will be there.

        That is if nothing else came, the first first. O(n log n).
        """
        return [
            (end_s, request)
            for end_s, request in self._intake.uplink.forecast()
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

    def drop(self, request: Request, reason: str) -> None:
        """Give up a request that is on its way or waits, as ``View.drop`` says."""
        self._intake.drop(request, reason)

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

    def run(self, arrivals: Iterable[Arrival]) -> OnlineRun:
        """Serve a stream of requests, to the last outcome.

        A policy that waits for ever leaves requests behind, and so does a link that
        never comes back; they are dropped once nothing happens any more.
        """
        self._env.process(self._intake.feed(arrivals))
        self._env.run()
        self._gpu.close()
        self._intake.close()
        return self._log.run(self._intake.uplink.busy_s)


def simulate(
    tables: Tables, arrivals: Iterable[Arrival], policy: Policy, settings: Settings
) -> OnlineRun:
    """Run a stream of requests through uplink, queue and GPU, to the last outcome.

    Parameters
    ----------
    tables
        The library and the GPU, with or without sharing; its problem has no users.
    arrivals
        In order of arrival; read one by one as time goes on.
    policy
        What decides; a new instance for every run.
    settings
        Uplink rule, drops, faults and noise.

    Raises
    ------
    PolicyError
        When the policy fails, or chooses what cannot be run.
    ValueError
        When the GPU's eviction needs to know the future.
    """
    env = Environment()
    return Server(env, tables, policy, settings).run(arrivals)
