"""The rounds of a server: dispatch, load, compute and record them."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

from simpy import Environment, Event

from edgesim.engine.device import Device
from edgesim.engine.memory import Memory
from edgesim.engine.policy import PolicyError
from edgesim.engine.records import IN_TIME, LATE, NEVER_STARTED, Log
from edgesim.engine.request import CHOSEN, WAITING, ActiveRequest
from edgesim.engine.request_queue import RequestQueue
from edgesim.engine.settings import Settings
from solvers.tolerance import TIME_TOLERANCE_S


class Round:
    """A round in flight: chosen, loading, or computing."""

    __slots__ = (
        "awaited",
        "changed",
        "chosen",
        "load_s",
        "load_start_s",
        "loaded",
        "loaded_bytes",
        "missing",
        "model",
        "number",
        "requests",
        "reused_bytes",
    )

    load_start_s: float
    load_s: float
    loaded_bytes: int
    reused_bytes: int

    def __init__(self, number: int, model: int, requests: list[ActiveRequest]) -> None:
        self.number = number
        self.model = model
        self.requests = requests
        self.chosen = len(requests)
        self.missing = 0
        # Whether an input was missing at dispatch: it may never have arrived.
        self.awaited = False
        self.loaded = False
        self.changed: Event | None = None

    def settled(self) -> None:
        """Record that one of its inputs has arrived, or will never arrive."""
        self.missing -= 1
        if self.changed is not None and not self.missing:
            self.changed.succeed()
            self.changed = None


class Gpu:
    """Dispatches rounds to one GPU, one after another.

    With overlap the next round is chosen, and loaded, as soon as the preceding load has
    ended; memory then holds two rounds.

    Parameters
    ----------
    env, settings, log
        The simulation, its settings, and the log that records rounds.
    queue
        Source of the batches.
    memory
        Resident blocks, and which batches fit.
    device
        The device that loads and computes.
    choose
        Chooses model and batch of the next round; None to wait.
    join
        Chooses which requests join a batch that is about to start, given how many more
        fit.
    overlap
        Whether a load may run while the preceding round is in flight.
    asked_when_empty
        Whether the policy is consulted even if no request is present.

    Attributes
    ----------
    computing
        Whether a batch is being computed.
    free_s
        When the current batch, or the last one, ends by nominal times.
    ahead
        Whether the chosen round would be loaded while another is still in flight.
    """

    def __init__(
        self,
        env: Environment,
        settings: Settings,
        log: Log,
        queue: RequestQueue,
        memory: Memory,
        device: Device,
        choose: Callable[[], tuple[int, list[ActiveRequest]] | None],
        join: Callable[[Sequence[ActiveRequest], int], list[ActiveRequest]],
        *,
        overlap: bool,
        asked_when_empty: bool,
    ) -> None:
        self.computing = False
        self.free_s = 0.0
        self.ahead = False
        self._env = env
        self._drops_late = settings.late == "drop"
        self._decision_s = settings.decision_s
        self._log = log
        self._queue = queue
        self._memory = memory
        self._device = device
        self._batch_s = memory.batch_s
        self._most = memory.most
        self._choose = choose
        self._choose_joining = join
        self._asked_when_empty = asked_when_empty
        self._dispatched = 0
        self._rounds: list[Round] = []
        self._idle: Event | None = None
        self._loaded = env.event()
        if overlap:
            env.process(self._loads())
            env.process(self._batches())
        else:
            env.process(self._serve())

    def wake(self) -> None:
        """Consult the policy again, if its last answer was to wait."""
        idle = self._idle
        if idle is not None:
            self._idle = None
            idle.succeed()

    def _dispatch(self) -> Round | None:
        """Ask the policy for the next round, and claim its requests."""
        queue = self._queue
        if self._drops_late:
            queue.purge()
        if not (queue.waiting_count or queue.uploading_count or self._asked_when_empty):
            return None
        choice = self._choose()
        if choice is None:
            return None
        model, batch = choice
        if self.ahead and not self._memory.fits_beside(model):
            return None
        active = Round(self._dispatched, model, batch)
        self._dispatched += 1
        if batch:
            active.missing = queue.claim(batch, active.settled)
            active.awaited = active.missing > 0
        return active

    def _load(self, active: Round) -> Generator[Event, Any, None]:
        """Copy the blocks that a round is missing, once its choice has been made."""
        if self._decision_s:
            yield self._env.timeout(self._decision_s)
        load = self._memory.enter(active.model, len(active.requests))
        active.loaded_bytes, active.reused_bytes = load.loaded_bytes, load.reused_bytes
        active.load_start_s = self._env.now
        active.load_s = 0.0
        loaded = self._device.load(active.number, active.model, load.load_s)
        if loaded is not None:
            yield loaded
            active.load_s = loaded.value  # type: ignore[assignment]

    def _inputs(self, active: Round) -> Generator[Event, Any, None]:
        """Wait until every input of a round has arrived, or can no longer be of use."""
        env = self._env
        while active.missing:
            active.changed = env.event()
            late_s = min(r.latest_s for r in active.requests if not r.uploaded)
            if late_s == math.inf:
                yield active.changed
                continue
            # An input that arrives at the last moment is still of use.
            late_s += TIME_TOLERANCE_S
            yield active.changed | env.timeout(max(0.0, late_s - env.now))
            active.changed = None
            for request in active.requests:
                if (
                    request.state == CHOSEN
                    and not request.uploaded
                    and max(late_s, request.latest_s) <= env.now
                ):
                    self._queue.give_up(request)
            active.requests = [r for r in active.requests if r.state == CHOSEN]

    def _compute(self, active: Round, *, last: bool) -> Generator[Event, Any, None]:
        """Compute a round's batch and record it."""
        env = self._env
        if self._drops_late:
            self._drop_late(active)
        if self._drops_late or active.awaited:
            active.requests = [r for r in active.requests if r.state == CHOSEN]
        batch = active.requests
        start_s = env.now
        compute_s = 0.0
        if batch:
            if last:
                self._join(active)
            model, size = active.model, len(batch)
            nominal_s = self._batch_s[model][size]
            self.free_s = start_s + nominal_s
            computed = self._device.compute(active.number, model, size, nominal_s)
            self.computing = True
            yield computed
            self.computing = False
            compute_s = computed.value  # type: ignore[assignment]
        in_time_s = env.now - TIME_TOLERANCE_S
        index = self._log.rounds
        for request in batch:
            in_time = in_time_s <= request.deadline_s
            self._queue.finish(request, IN_TIME if in_time else LATE, index)
        self._record(active, len(batch), start_s, compute_s)

    def _record(
        self, active: Round, batch: int, start_s: float, compute_s: float
    ) -> None:
        """Record a round that ends now."""
        self._log.round(
            (
                active.model,
                active.chosen,
                batch,
                active.loaded_bytes,
                active.reused_bytes,
                active.load_start_s,
                active.load_s,
                start_s,
                compute_s,
                self._env.now,
            )
        )

    def _drop_late(self, active: Round) -> None:
        """Drop requests that cannot meet their deadline if the round starts now."""
        now_s = self._env.now - TIME_TOLERANCE_S
        for request in active.requests:
            if request.state == CHOSEN and request.latest_s < now_s:
                self._queue.too_late(request)

    def _join(self, active: Round) -> None:
        """Let waiting requests join a batch that is about to start."""
        batch, queue = active.requests, self._queue.waiting[active.model]
        room = self._most[active.model] - len(batch)
        if room <= 0 or not queue:
            return
        if self._drops_late:
            self._queue.purge()
            if not queue:
                return
        joining = self._choose_joining(batch, room)
        if not joining:
            return
        if len(joining) > room:
            raise PolicyError(
                f"let {len(joining)} requests join, at most {room} fit in the batch"
            )
        for request in joining:
            if request.state != WAITING:
                raise PolicyError(f"let {request!r} join, which is not waiting")
            if request.model != active.model:
                raise PolicyError(f"let {request!r} join a batch of another model")
        self._queue.claim(joining, active.settled)
        batch += joining
        self._memory.grow(len(batch))

    def _serve(self) -> Generator[Event, Any, None]:
        """Run rounds one after another."""
        env = self._env
        while True:
            active = self._dispatch()
            if active is None:
                self._idle = env.event()
                yield self._idle
                continue
            self._rounds.append(active)
            yield from self._load(active)
            if active.missing:
                yield from self._inputs(active)
            yield from self._compute(active, last=True)
            self._rounds.pop()

    def _loads(self) -> Generator[Event, Any, None]:
        """Load rounds in turn, ahead of the one in flight if memory allows."""
        env, rounds = self._env, self._rounds
        while True:
            # With two rounds in flight, memory holds no third.
            active = None
            if len(rounds) < 2:
                self.ahead = bool(rounds)
                active = self._dispatch()
            if active is None:
                self._idle = env.event()
                yield self._idle
                continue
            rounds.append(active)
            yield from self._load(active)
            active.loaded = True
            if not self._loaded.triggered:
                self._loaded.succeed()

    def _batches(self) -> Generator[Event, Any, None]:
        """Compute the batches of the loaded rounds, in order."""
        env, rounds = self._env, self._rounds
        while True:
            if not (rounds and rounds[0].loaded):
                self._loaded = env.event()
                yield self._loaded
                continue
            active = rounds[0]
            if active.missing:
                yield from self._inputs(active)
            computing = self._compute(active, last=len(rounds) == 1)
            # Once this batch is fixed, the next load may be chosen.
            for event in computing:
                self.wake()
                yield event
            rounds.pop(0)
            self.wake()

    def close(self) -> None:
        """End rounds still in flight after the last event, without a batch."""
        for active in self._rounds:
            for request in active.requests:
                if request.state == CHOSEN and request.uploaded:
                    self._queue.finish(request, self._log.reason(NEVER_STARTED))
            self._record(active, 0, self._env.now, 0.0)
