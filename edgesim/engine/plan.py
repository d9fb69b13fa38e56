"""Execute a plan event by event and record what became of every request.

Users, uplink and GPU are SimPy processes. The plan fixes the order of rounds and who
is in them, and which loads overlap the round before; when anything starts is decided
here, as early as the plan's rules allow. So with nominal times a run lands on the plan,
and with noise its starts slip.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from simpy import Environment, Event

from edgesim.engine.noise import Realisation, nominal
from edgesim.engine.uplinks.planned import (
    FixedBandUplink,
    FullBandUplink,
    Steps,
    Uplink,
    Upload,
    UploadRecord,
)
from solvers.problem import Problem, User
from solvers.schedule import Round, Schedule
from solvers.tolerance import TIME_TOLERANCE_S

Outcome: TypeAlias = Literal["in time", "late", "dropped"]
OUTCOMES: tuple[Outcome, ...] = ("in time", "late", "dropped")

NO_LINK = "no link"
NOT_SCHEDULED = "not scheduled"
UPLOAD_NEVER_ENDED = "upload never ended"


@dataclass(frozen=True)
class RequestRecord:
    """What became of one request; times are None where the event never happened.

    ``round`` is the index of the request's round, ``planned_end_s`` when the plan has
    it end. ``reason`` says why a request was dropped and is None otherwise. In a plan
    every user makes one request, so ``id`` and ``user`` are the same.
    """

    id: str
    user: str
    model: str
    release_s: float
    deadline_s: float
    outcome: Outcome
    reason: str | None
    round: int | None
    upload_start_s: float | None
    upload_end_s: float | None
    planned_end_s: float | None
    end_s: float | None

    @property
    def latency_s(self) -> float | None:
        """From release to the end of the round; None if dropped."""
        return None if self.end_s is None else self.end_s - self.release_s


@dataclass(frozen=True)
class RoundRecord:
    """One load and one batch, as planned and as they went.

    ``users`` is the batch that was computed: the planned one but for users whose upload
    never ended. ``reused_bytes`` are those of the model's blocks that were resident.
    ``before_end_s`` is when the round before ended, 0 for the first: with overlap the
    load may have started earlier.
    """

    index: int
    model: str
    users: tuple[str, ...]
    planned_users: tuple[str, ...]
    loaded_blocks: tuple[str, ...]
    loaded_bytes: int
    reused_bytes: int
    planned_load_start_s: float
    planned_load_s: float
    planned_compute_start_s: float
    planned_compute_s: float
    planned_end_s: float
    load_start_s: float
    load_s: float
    compute_start_s: float
    compute_s: float
    end_s: float
    before_end_s: float

    @property
    def load_end_s(self) -> float:
        """When the model was loaded."""
        return self.load_start_s + self.load_s

    @property
    def wait_s(self) -> float:
        """How long it waited for inputs: loaded, and the round before ended."""
        ready_s = max(self.load_end_s, self.before_end_s)
        return max(0.0, self.compute_start_s - ready_s)


@dataclass(frozen=True)
class Run:
    """A run's records: requests in the problem's order, rounds and uploads in time."""

    requests: tuple[RequestRecord, ...]
    rounds: tuple[RoundRecord, ...]
    uploads: tuple[UploadRecord, ...]


class Loaded(NamedTuple):
    """A load that has ended: when it began, and how long it took."""

    start_s: float
    load_s: float


class Gpu:
    """One GPU: copies blocks into its memory, and computes one batch at a time.

    Parameters
    ----------
    env
        The simulation.
    problem
        Blocks and batch tables.

    Attributes
    ----------
    rounds
        The record of every round that has ended, in order.
    """

    def __init__(self, env: Environment, problem: Problem) -> None:
        self._env = env
        self._problem = problem
        self.rounds: list[RoundRecord] = []

    def load(
        self, planned: Round, factor: float = 1.0
    ) -> Generator[Event, Any, Loaded]:
        """Copy the blocks that a round loads, starting now.

        Parameters
        ----------
        planned
            The round.
        factor
            Factor on the nominal time.
        """
        start_s = self._env.now
        blocks = [self._problem.blocks[name] for name in planned.loaded_blocks]
        load_s = factor * math.fsum(block.load_s for block in blocks)
        yield self._env.timeout(load_s)
        return Loaded(start_s, load_s)

    def compute(
        self,
        planned: Round,
        loaded: Loaded,
        arrivals: Mapping[str, Event],
        factor: float = 1.0,
    ) -> Generator[Event, Any, RoundRecord]:
        """Wait for a round's inputs from now on, compute its batch and record it.

        Parameters
        ----------
        planned
            Model and users.
        loaded
            What :meth:`load` returned for it.
        arrivals
            For each user, what happens when its upload ends: its value is whether the
            input is there. The batch is made of the users whose input is.
        factor
            Factor on the nominal time.
        """
        env, problem = self._env, self._problem
        yield env.all_of([arrivals[user] for user in planned.users])
        users = tuple(user for user in planned.users if arrivals[user].value)
        latency_s = problem.models[planned.model].latency_s
        compute_start_s = env.now
        compute_s = factor * latency_s[len(users) - 1] if users else 0.0
        yield env.timeout(compute_s)
        loaded_bytes = sum(problem.blocks[b].bytes for b in planned.loaded_blocks)
        record = RoundRecord(
            index=len(self.rounds),
            model=planned.model,
            users=users,
            planned_users=planned.users,
            loaded_blocks=planned.loaded_blocks,
            loaded_bytes=loaded_bytes,
            reused_bytes=problem.weight_bytes(planned.model) - loaded_bytes,
            planned_load_start_s=planned.load_start_s,
            planned_load_s=planned.load_s,
            planned_compute_start_s=planned.compute_start_s,
            planned_compute_s=planned.compute_s,
            planned_end_s=planned.end_s,
            load_start_s=loaded.start_s,
            load_s=loaded.load_s,
            compute_start_s=compute_start_s,
            compute_s=compute_s,
            end_s=env.now,
            before_end_s=self.rounds[-1].end_s if self.rounds else 0.0,
        )
        self.rounds.append(record)
        return record


class Ledger:
    """Gives every request exactly one outcome."""

    def __init__(self, users: Sequence[User]) -> None:
        self._users = users
        self._ends: dict[str, float] = {}
        self._dropped: dict[str, str] = {}

    def finish(self, user: str, end_s: float) -> None:
        """Note that a request's round has ended."""
        self._once(user)
        self._ends[user] = end_s

    def drop(self, user: str, reason: str) -> None:
        """Note that a request will never be computed, and why."""
        self._once(user)
        self._dropped[user] = reason

    def records(
        self, uploads: Mapping[str, Upload], rounds: Mapping[str, tuple[int, float]]
    ) -> tuple[RequestRecord, ...]:
        """Write up all requests.

        Parameters
        ----------
        uploads
            By user.
        rounds
            Index and planned end of each user's round.
        """
        return tuple(
            self._record(user, uploads.get(user.id), *rounds.get(user.id, (None, None)))
            for user in self._users
        )

    def _once(self, user: str) -> None:
        if user in self._ends or user in self._dropped:
            raise AssertionError(f"request {user!r} has two outcomes")

    def _record(
        self,
        user: User,
        upload: Upload | None,
        index: int | None,
        planned_end_s: float | None,
    ) -> RequestRecord:
        end_s = self._ends.get(user.id)
        outcome: Outcome
        if end_s is None:
            outcome = "dropped"
        elif end_s <= user.deadline_s + TIME_TOLERANCE_S:
            outcome = "in time"
        else:
            outcome = "late"
        segments = upload.segments if upload else []
        upload_end_s = upload.end_s if upload else None
        return RequestRecord(
            id=user.id,
            user=user.id,
            model=user.model,
            release_s=user.release_s,
            deadline_s=user.deadline_s,
            outcome=outcome,
            reason=self._dropped[user.id] if end_s is None else None,
            round=index,
            upload_start_s=segments[0].start_s if segments else upload_end_s,
            upload_end_s=upload_end_s,
            planned_end_s=planned_end_s,
            end_s=end_s,
        )


def simulate_plan(
    problem: Problem, schedule: Schedule, noise: Realisation | None = None
) -> Run:
    """Execute a schedule: its rounds in its order, each as early as it can start.

    An upload that has not ended at the realisation's horizon is given up and its user
    dropped; its round goes on with the inputs that are there, or computes nothing if
    there are none. So nothing waits for ever, whatever the channel does.

    Parameters
    ----------
    problem
        What was scheduled.
    schedule
        A schedule of that problem which passes ``verify``.
    noise
        What differs from the plan; None for nominal times, with which every event
        lands on the plan's time to 1e-9 s.
    """
    env = Environment()
    actual = nominal(problem) if noise is None else noise
    planned = {
        user: (index, entry.end_s)
        for index, entry in enumerate(schedule.rounds)
        for user in entry.users
    }
    gpu = Gpu(env, problem)
    uplink = _uplink(env, problem, schedule, actual.horizon_s)
    ledger = Ledger(problem.users)
    uploads: dict[str, Upload] = {}
    arrivals: dict[str, Event] = {}
    for user, channel in zip(problem.users, actual.channels, strict=True):
        if user.id in planned:
            upload = uploads[user.id] = Upload(user.id, user.input_bits, channel)
            arrivals[user.id] = env.process(_user(env, user, uplink, upload, ledger))
        else:
            linked = user.spectral_efficiency > 0
            ledger.drop(user.id, NOT_SCHEDULED if linked else NO_LINK)
    start = env.all_of(arrivals.values() if schedule.uplink == "upfront" else ())
    after = _load_after(schedule)
    progress = _Progress(
        loaded=tuple(env.event() for _ in schedule.rounds),
        ended=tuple(env.event() for _ in schedule.rounds),
    )
    env.process(_loads(gpu, schedule, actual, start, after, progress))
    env.process(_batches(gpu, schedule, actual, arrivals, ledger, progress))
    env.run()
    segments = [segment for upload in uploads.values() for segment in upload.segments]
    return Run(
        requests=ledger.records(uploads, planned),
        rounds=tuple(gpu.rounds),
        uploads=tuple(sorted(segments, key=lambda s: (s.start_s, s.end_s))),
    )


def _uplink(
    env: Environment, problem: Problem, schedule: Schedule, horizon_s: float
) -> Uplink:
    """Set up the schedule's uplink discipline."""
    if schedule.uplink != "dynamic":
        band_hz = {entry.user: entry.segments[0].hz for entry in schedule.bandwidth}
        return FixedBandUplink(env, band_hz, horizon_s)
    release_s = {user.id: user.release_s for user in problem.users}
    rank = {
        user: (float(index), release_s[user], float(place))
        for index, planned in enumerate(schedule.rounds)
        for place, user in enumerate(planned.users)
    }
    return FullBandUplink(
        env, problem.bandwidth_hz, lambda upload: rank[upload.user], horizon_s
    )


def _user(
    env: Environment, user: User, uplink: Uplink, upload: Upload, ledger: Ledger
) -> Generator[Event, Any, bool]:
    """Wait for the release, then upload; say whether the input arrived."""
    if user.release_s > 0:
        yield env.timeout(user.release_s)
    delivered: bool = yield uplink.send(upload)
    if delivered:
        upload.end_s = env.now
    else:
        ledger.drop(user.id, UPLOAD_NEVER_ENDED)
    return delivered


class _Progress(NamedTuple):
    """Events by round: its load has ended, its batch has ended."""

    loaded: tuple[Event, ...]
    ended: tuple[Event, ...]


def _load_after(schedule: Schedule) -> list[int]:
    """Tell after which round each load may start; below 0: from the beginning.

    That is the round before; the one before that if the plan has the load overlap the
    round before, which it does wherever the problem has overlap and memory holds both.
    """
    after = []
    before_end_s = 0.0
    for index, planned in enumerate(schedule.rounds):
        ahead = planned.load_start_s < before_end_s - TIME_TOLERANCE_S
        after.append(index - 2 if ahead else index - 1)
        before_end_s = planned.end_s
    return after


def _loads(
    gpu: Gpu,
    schedule: Schedule,
    actual: Realisation,
    start: Event,
    after: Sequence[int],
    progress: _Progress,
) -> Steps:
    """Load round after round, each as soon as the load before and memory allow."""
    yield start
    for index, planned in enumerate(schedule.rounds):
        if after[index] >= 0:
            yield progress.ended[after[index]]
        loaded = yield from gpu.load(planned, float(actual.load_factor[index]))
        progress.loaded[index].succeed(loaded)


def _batches(
    gpu: Gpu,
    schedule: Schedule,
    actual: Realisation,
    arrivals: Mapping[str, Event],
    ledger: Ledger,
    progress: _Progress,
) -> Steps:
    """Compute the batches in order, each as soon as its model and inputs are there."""
    for index, planned in enumerate(schedule.rounds):
        loaded = yield progress.loaded[index]
        factor = float(actual.compute_factor[index])
        record = yield from gpu.compute(planned, loaded, arrivals, factor)
        for user in record.users:
            ledger.finish(user, record.end_s)
        progress.ended[index].succeed()
