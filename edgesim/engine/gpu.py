"""The GPU online: rounds are asked for, loaded, computed and recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

from simpy import Environment, Event

from edgesim.engine.memory import GpuMemory
from edgesim.engine.policy import PolicyError
from edgesim.engine.records import IN_TIME, LATE, NEVER_STARTED, Log
from edgesim.engine.request import CHOSEN, WAITING, Request
from edgesim.engine.request_queue import Intake
from edgesim.engine.settings import Settings
from solvers.tolerance import TIME_TOLERANCE_S


class Round:
    """A round in hand: chosen, being loaded, or computing."""

    __slots__ = (
        "changed",
        "chosen",
        "load_s",
        "load_start_s",
        "loaded",
        "loaded_bytes",
        "missing",
        "model",
        "requests",
        "reused_bytes",
    )

    load_start_s: float
    load_s: float
    loaded_bytes: int
    reused_bytes: int

    def __init__(self, model: int, requests: list[Request]) -> None:
        self.model = model
        self.requests = requests
        self.chosen = len(requests)
        self.missing = 0
        self.loaded = False
        self.changed: Event | None = None

    def settled(self) -> None:
        """Note that one of its inputs has come, or will never come."""
        self.missing -= 1
        if self.changed is not None and not self.missing:
            self.changed.succeed()
            self.changed = None


class Gpu:
    """One GPU: it asks for rounds and runs them, one after the other.

    With overlap the next round is asked for, and loaded, as soon as the load before
    has ended; memory then holds two rounds.

    Parameters
    ----------
    env, settings, log
        The simulation, how it goes, and where rounds are noted.
    intake
        Where the batches come from.
    memory
        What is resident.
    batch_s, most
        Compute time by model and batch, and the largest batch of each model.
    overlap
        Whether a load may run while the round before is in hand.
    choose
        Chooses the batch of the next round; empty to wait.
    join
        Chooses who joins a batch that is about to start, so many at most.

    Attributes
    ----------
    computing
        Whether a batch is being computed.
    free_s
        When the batch being computed, or the last one, ends by nominal times.
    ahead
        Whether what is asked for would be loaded with another round still in hand.
    """

    def __init__(
        self,
        env: Environment,
        settings: Settings,
        log: Log,
        intake: Intake,
        memory: GpuMemory,
        batch_s: Sequence[Sequence[float]],
        most: Sequence[int],
        choose: Callable[[], list[Request]],
        join: Callable[[Sequence[Request], int], list[Request]],
        *,
        overlap: bool,
    ) -> None:
        self.computing = False
        self.free_s = 0.0
        self.ahead = False
        self._env = env
        self._settings = settings
        self._drops_late = settings.late == "drop"
        self._log = log
        self._intake = intake
        self._memory = memory
        self._batch_s = batch_s
        self._most = most
        self._choose = choose
        self._join_whom = join
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

    def _ask(self) -> Round | None:
        """Ask for the next round, and claim its requests."""
        intake = self._intake
        if self._drops_late:
            intake.purge()
        if not (intake.waiting_count or intake.uploading_count):
            return None
        batch = self._choose()
        if not batch:
            return None
        if self.ahead and not self._memory.fits_beside(batch[0].model):
            return None
        hand = Round(batch[0].model, batch)
        hand.missing = intake.claim(batch, hand.settled)
        return hand

    def _load(self, hand: Round) -> Generator[Event, Any, None]:
        """Copy what a round is missing into GPU memory."""
        settings = self._settings
        load = self._memory.enter(hand.model, len(hand.requests))
        hand.loaded_bytes, hand.reused_bytes = load.loaded_bytes, load.reused_bytes
        hand.load_start_s = start_s = self._env.now
        load_s = load.load_s
        if settings.load_factor is not None:
            load_s *= next(settings.load_factor)
        if load_s:
            load_s *= settings.faults.load_factor(start_s)
            load_s = settings.faults.gpu_s(start_s, load_s)
            yield self._env.timeout(load_s)
        hand.load_s = load_s

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
                    self._intake.give_up(request)
            hand.requests = [r for r in hand.requests if r.state == CHOSEN]

    def _compute(self, hand: Round, *, last: bool) -> Generator[Event, Any, None]:
        """Compute a round's batch and record it."""
        env, settings = self._env, self._settings
        if self._drops_late:
            self._drop_late(hand)
        batch = hand.requests
        start_s = env.now
        compute_s = 0.0
        if batch:
            if last:
                self._join(hand)
            compute_s = self._batch_s[hand.model][len(batch)]
            self.free_s = start_s + compute_s
            if settings.compute_factor is not None:
                compute_s *= next(settings.compute_factor)
            compute_s = settings.faults.gpu_s(start_s, compute_s)
            self.computing = True
            yield env.timeout(compute_s)
            self.computing = False
        in_time_s = env.now - TIME_TOLERANCE_S
        index = self._log.rounds
        for request in batch:
            in_time = in_time_s <= request.deadline_s
            self._intake.finish(request, IN_TIME if in_time else LATE, index)
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
                self._intake.too_late(request)
        hand.requests = [r for r in hand.requests if r.state == CHOSEN]

    def _join(self, hand: Round) -> None:
        """Let waiting requests join a batch that is about to start."""
        batch, queue = hand.requests, self._intake.waiting[hand.model]
        room = self._most[hand.model] - len(batch)
        if room <= 0 or not queue:
            return
        if self._drops_late:
            self._intake.purge()
            if not queue:
                return
        joining = self._join_whom(batch, room)
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
        self._intake.claim(joining, hand.settled)
        batch += joining
        self._memory.grow(len(batch))

    def _serve(self) -> Generator[Event, Any, None]:
        """Run round after round."""
        env = self._env
        while True:
            hand = self._ask()
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
                hand = self._ask()
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
                    self._intake.finish(request, self._log.reason(NEVER_STARTED))
            self._record(hand, 0, self._env.now, 0.0)
