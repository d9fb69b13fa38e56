"""The rounds of a server: dispatched, loaded, computed and recorded."""

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
    """A round in hand: chosen, being loaded, or computing."""

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
        # Whether an input was missing at dispatch: it may never have come.
        self.awaited = False
        self.loaded = False
        self.changed: Event | None = None

    def settled(self) -> None:
        """Note that one of its inputs has come, or will never come."""
        self.missing -= 1
        if self.changed is not None and not self.missing:
            self.changed.succeed()
            self.changed = None


class Gpu:
    """Dispatches rounds to one GPU, one after the other.

    With overlap the next round is chosen, and loaded, as soon as the load before it
    has ended; memory then holds two rounds.

    Parameters
    ----------
    env, settings, log
        The simulation, how it goes, and where rounds are recorded.
    queue
        Where the batches come from.
    memory
        What is resident, and which batches fit.
    device
        What loads and computes.
    choose
        Chooses model and batch of the next round; None to wait.
    join
        Chooses which requests join a batch that is about to start, given how many fit.
    overlap
        Whether a load may run while the round before is in hand.
    asked_when_empty
        Whether rounds are asked for even if no request is there.

    Attributes
    ----------
    computing
        Whether a batch is being computed.
    free_s
        When the batch being computed, or the last one, ends by nominal times.
    ahead
        Whether what is chosen would be loaded with another round still in hand.
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
        """Ask for a round again, if the answer was to wait."""
        idle = self._idle
        if idle is not None:
            self._idle = None
            idle.succeed()

    def _dispatch(self) -> Round | None:
        """Ask for the next round, and claim its requests."""
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
        hand = Round(self._dispatched, model, batch)
        self._dispatched += 1
        if batch:
            hand.missing = queue.claim(batch, hand.settled)
            hand.awaited = hand.missing > 0
        return hand

    def _load(self, hand: Round) -> Generator[Event, Any, None]:
        """Copy what a round is missing into GPU memory."""
        load = self._memory.enter(hand.model, len(hand.requests))
        hand.loaded_bytes, hand.reused_bytes = load.loaded_bytes, load.reused_bytes
        hand.load_start_s = self._env.now
        hand.load_s = 0.0
        loaded = self._device.load(hand.number, hand.model, load.load_s)
        if loaded is not None:
            yield loaded
            hand.load_s = loaded.value  # type: ignore[assignment]

    def _inputs(self, hand: Round) -> Generator[Event, Any, None]:
        """Wait until every input of a round is there, or will never be of use."""
        env = self._env
        while hand.missing:
            hand.changed = env.event()
            late_s = min(r.latest_s for r in hand.requests if not r.uploaded)
            if late_s == math.inf:
                yield hand.changed
                continue
            # An input that comes at the last moment is still of use.
            late_s += TIME_TOLERANCE_S
            yield hand.changed | env.timeout(max(0.0, late_s - env.now))
            hand.changed = None
            for request in hand.requests:
                if (
                    request.state == CHOSEN
                    and not request.uploaded
                    and max(late_s, request.latest_s) <= env.now
                ):
                    self._queue.give_up(request)
            hand.requests = [r for r in hand.requests if r.state == CHOSEN]

    def _compute(self, hand: Round, *, last: bool) -> Generator[Event, Any, None]:
        """Compute a round's batch and record it."""
        env = self._env
        if self._drops_late:
            self._drop_late(hand)
        if self._drops_late or hand.awaited:
            hand.requests = [r for r in hand.requests if r.state == CHOSEN]
        batch = hand.requests
        start_s = env.now
        compute_s = 0.0
        if batch:
            if last:
                self._join(hand)
            model, size = hand.model, len(batch)
            nominal_s = self._batch_s[model][size]
            self.free_s = start_s + nominal_s
            computed = self._device.compute(hand.number, model, size, nominal_s)
            self.computing = True
            yield computed
            self.computing = False
            compute_s = computed.value  # type: ignore[assignment]
        in_time_s = env.now - TIME_TOLERANCE_S
        index = self._log.rounds
        for request in batch:
            in_time = in_time_s <= request.deadline_s
            self._queue.finish(request, IN_TIME if in_time else LATE, index)
        self._record(hand, len(batch), start_s, compute_s)

    def _record(
        self, hand: Round, batch: int, start_s: float, compute_s: float
    ) -> None:
        """Write down a round that ends now."""
        self._log.round(
            (
                hand.model,
                hand.chosen,
                batch,
                hand.loaded_bytes,
                hand.reused_bytes,
                hand.load_start_s,
                hand.load_s,
                start_s,
                compute_s,
                self._env.now,
            )
        )

    def _drop_late(self, hand: Round) -> None:
        """Drop requests of a round that cannot make it now that it may start."""
        now_s = self._env.now - TIME_TOLERANCE_S
        for request in hand.requests:
            if request.state == CHOSEN and request.latest_s < now_s:
                self._queue.too_late(request)

    def _join(self, hand: Round) -> None:
        """Let waiting requests join a batch that is about to start."""
        batch, queue = hand.requests, self._queue.waiting[hand.model]
        room = self._most[hand.model] - len(batch)
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
            if request.model != hand.model:
                raise PolicyError(f"let {request!r} join a batch of another model")
        self._queue.claim(joining, hand.settled)
        batch += joining
        self._memory.grow(len(batch))

    def _serve(self) -> Generator[Event, Any, None]:
        """Run round after round."""
        env = self._env
        while True:
            hand = self._dispatch()
            if hand is None:
                self._idle = env.event()
                yield self._idle
                continue
            self._rounds.append(hand)
            yield from self._load(hand)
            if hand.missing:
                yield from self._inputs(hand)
            yield from self._compute(hand, last=True)
            self._rounds.pop()

    def _loads(self) -> Generator[Event, Any, None]:
        """Load round after round, ahead of the one in hand where memory allows."""
        env, rounds = self._env, self._rounds
        while True:
            # Two rounds in hand: memory holds no third.
            hand = None
            if len(rounds) < 2:
                self.ahead = bool(rounds)
                hand = self._dispatch()
            if hand is None:
                self._idle = env.event()
                yield self._idle
                continue
            rounds.append(hand)
            yield from self._load(hand)
            hand.loaded = True
            if not self._loaded.triggered:
                self._loaded.succeed()

    def _batches(self) -> Generator[Event, Any, None]:
        """Compute the batches of the rounds that were loaded, in order."""
        env, rounds = self._env, self._rounds
        while True:
            if not (rounds and rounds[0].loaded):
                self._loaded = env.event()
                yield self._loaded
                continue
            hand = rounds[0]
            if hand.missing:
                yield from self._inputs(hand)
            computing = self._compute(hand, last=len(rounds) == 1)
            # Once its batch is fixed, the next load may be decided upon.
            for event in computing:
                self.wake()
                yield event
            rounds.pop(0)
            self.wake()

    def close(self) -> None:
        """End rounds still in hand, once nothing happens any more, without a batch."""
        for hand in self._rounds:
            for request in hand.requests:
                if request.state == CHOSEN and request.uploaded:
                    self._queue.finish(request, self._log.reason(NEVER_STARTED))
            self._record(hand, 0, self._env.now, 0.0)
