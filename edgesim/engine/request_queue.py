"""Requests from arrival to dispatch, and the single outcome of each."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from heapq import heappop
from math import inf
from typing import Any, TypeAlias

from simpy import Environment, Event

from edgesim.engine.policy import PolicyError
from edgesim.engine.policy_guard import check_reason
from edgesim.engine.records import (
    NEVER_CHOSEN,
    NEVER_FITS,
    NO_LINK,
    QUEUE_FULL,
    TOO_LATE,
    UPLOAD_NEVER_ENDED,
    Log,
)
from edgesim.engine.request import (
    CHOSEN,
    DONE,
    UPLOADING,
    WAITING,
    ActiveRequest,
    Arrival,
    Heap,
    uploads,
    waits,
)
from edgesim.engine.settings import Settings
from edgesim.engine.uplinks.links import Act
from edgesim.engine.uplinks.rules import Uplink, make_uplink
from edgesim.engine.waiting import LONG, LongQueue, Waiting, take_out
from solvers.tolerance import TIME_TOLERANCE_S

UplinkMaker: TypeAlias = Callable[[Environment, Act, Act], Uplink]
"""Makes an uplink from the simulation, the callback for an upload that has ended, and
the callback for one that was abandoned."""


def _no_listener() -> None:
    """Do nothing."""


class ReadOnly(Sequence[ActiveRequest]):
    """The queue of a model to look at: a sequence that does not change it."""

    def __init__(self, queues: Sequence[Waiting], model: int) -> None:
        self._queues = queues
        self._model = model

    def __len__(self) -> int:
        return len(self._queues[self._model])

    def __getitem__(self, at: Any) -> Any:
        return self._queues[self._model][at]

    def __iter__(self) -> Iterator[ActiveRequest]:
        return iter(self._queues[self._model])

    def __repr__(self) -> str:
        return repr(self._queues[self._model])


class RequestQueue:
    """Requests that upload or wait; the GPU claims batches of them.

    Parameters
    ----------
    env, settings, log
        The simulation, its settings, and the log that records outcomes.
    model_names, most, least_s
        Name, batch limit and shortest compute time of each model.
    admit
        If given, returns the reason to reject an admissible request, or None.
    ready
        If given, called with every request that starts to wait.
    make_own_uplink
        Makes the uplink, instead of the rule of the settings.
    checks
        Whether to check that the policy left the attributes of requests unchanged.

    Attributes
    ----------
    waiting
        Requests of each model whose input has arrived and that are not chosen, by
        deadline, ties by arrival.
    waiting_count, uploading_count
        Number of requests that wait, and that are uploading and not chosen.
    uplink
        The band.
    news
        Called when a request or an input has arrived, or an upload was abandoned.
    """

    def __init__(
        self,
        env: Environment,
        settings: Settings,
        log: Log,
        model_names: Sequence[str],
        most: Sequence[int],
        least_s: Sequence[float],
        admit: Callable[[ActiveRequest], str | None] | None,
        ready: Callable[[ActiveRequest], None] | None,
        make_own_uplink: UplinkMaker | None = None,
        *,
        checks: bool,
    ) -> None:
        self.waiting: list[Waiting] = [[] for _ in most]
        self.waiting_count = 0
        self.uploading_count = 0
        self.uplink: Uplink
        if make_own_uplink is None:
            self.uplink = make_uplink(settings.uplink, env, self._deliver, self._expire)
        else:
            self.uplink = make_own_uplink(env, self._deliver, self._lose)
        self._env = env
        self._queue_limit = settings.queue_limit
        self._drops_late = settings.late == "drop"
        self._log = log
        self._too_late = log.reason(TOO_LATE)
        self._model_names = model_names
        self._most = most
        self._least_s = least_s
        self._admit = admit
        self._ready = ready
        self.news: Callable[[], None] = _no_listener
        self._known_ahead = settings.known_ahead
        # Values on arrival, since a policy could change the attributes of a request.
        # Shipped policies do not, and are spared the check.
        self._checks = checks
        self._on_arrival: dict[int, tuple[int, float, float]] = {}
        self._expiry = Heap(waits)
        # All admitted requests, if the queue is limited: some hold a place in vain.
        self._held = Heap(uploads)
        # Called when the input of a chosen request has arrived, or never will.
        self._settled: dict[int, Callable[[], None]] = {}
        for outage in settings.faults.outages:
            self._at(outage.start_s, self.uplink.lose_link, outage.user)
            if outage.end_s < inf:
                self._at(outage.end_s, self.uplink.restore_link, outage.user)

    def _at(self, time_s: float, act: Callable[[int], None], user: int) -> None:
        event = self._env.timeout(time_s)
        event.callbacks.append(lambda _: act(user))

    def feed(self, arrivals: Iterable[Arrival]) -> Generator[Event, Any, None]:
        """Let requests arrive, one after another, each at its time."""
        # Bound once: all of this runs for every request.
        env, timeout, least_s = self._env, self._env.timeout, self._least_s
        send, news, most = self.uplink.send, self.news, self._most
        drops_late, checks, known = self._drops_late, self._checks, self._known_ahead
        limited = self._queue_limit is not None
        may_refuse = limited or self._admit is not None
        number = -1
        for arrival_s, user, model, demand_s, slo_s in arrivals:
            number += 1
            wait_s = arrival_s - env.now
            if wait_s > 0 and not known:
                yield timeout(wait_s)
            deadline_s = arrival_s + slo_s
            latest_s = deadline_s - least_s[model] if drops_late else inf
            request = ActiveRequest(
                number, user, model, arrival_s, deadline_s, latest_s, demand_s
            )
            if checks:
                self._on_arrival[number] = model, arrival_s, deadline_s
            uploaded_s = arrival_s + demand_s
            if (
                may_refuse
                or not most[model]
                or uploaded_s > latest_s
                or demand_s == inf
            ):
                refusal = self._refusal(request)
                if refusal is not None:
                    self.finish(request, self._log.reason(refusal))
                    continue
            self.uploading_count += 1
            if limited and drops_late:
                self._held.push((latest_s, number, request))
            send(request)
            news()

    def _refusal(self, request: ActiveRequest) -> str | None:
        """Return the reason why an arriving request cannot be admitted, or None."""
        if request.left_s == inf:
            return NO_LINK
        if not self._most[request.model]:
            return NEVER_FITS
        if self._queue_limit is not None and self._full():
            self._make_room()
            if self._full():
                return QUEUE_FULL
        if request.arrival_s + request.left_s > request.latest_s + TIME_TOLERANCE_S:
            return TOO_LATE
        if self._admit is None:
            return None
        reason = self._admit(request)
        if self._checks:
            self._check_unchanged(request)
        return reason

    def _full(self) -> bool:
        limit = self._queue_limit
        return limit is not None and self.uploading_count + self.waiting_count >= limit

    def _make_room(self) -> None:
        """Drop requests that hold a place in vain. O(log n) per admitted request."""
        self.purge()
        held, now_s = self._held.entries, self._env.now - TIME_TOLERANCE_S
        while held and held[0][0] < now_s:
            request = heappop(held)[2]
            if request.state == UPLOADING:
                self.give_up(request)

    def _deliver(self, request: ActiveRequest) -> None:
        """Enqueue a request whose input has arrived."""
        if request.state == CHOSEN:
            self._settled.pop(request.number)()
            return
        request.state = WAITING
        self.uploading_count -= 1
        self.waiting_count += 1
        queue = self.waiting[request.model]
        if isinstance(queue, LongQueue):
            self._insert_in_long(queue, request)
        else:
            # Nearly always the last: compared inline to avoid a call of __lt__.
            last_s = queue[-1].deadline_s if queue else -inf
            if last_s < request.deadline_s or (
                last_s == request.deadline_s and queue[-1].number < request.number
            ):
                queue.append(request)
            else:
                insort(queue, request)
            if len(queue) > LONG:
                self.waiting[request.model] = LongQueue(queue)
        if self._drops_late:
            self._expiry.push((request.latest_s, request.number, request))
        if self._ready is not None:
            self._ready(request)
        self.news()

    def _insert_in_long(self, queue: LongQueue, request: ActiveRequest) -> None:
        """Insert into a long queue, which is a list again once it is short.

        It changes here alone: while a policy looks at a queue, it stays the same one.
        """
        queue.insert(request)
        if len(queue) < LONG // 4:
            self.waiting[request.model] = list(queue)

    def _expire(self, request: ActiveRequest) -> None:
        """Drop a request whose upload can no longer end in time."""
        chosen = request.state == CHOSEN
        if not chosen:
            self.uploading_count -= 1
        self.finish(request, self._too_late)
        if chosen:
            self._settled.pop(request.number)()

    def _lose(self, request: ActiveRequest) -> None:
        """Drop a request whose upload was abandoned."""
        chosen = request.state == CHOSEN
        if not chosen:
            self.uploading_count -= 1
        self.finish(request, self._log.reason(UPLOAD_NEVER_ENDED))
        if chosen:
            self._settled.pop(request.number)()
        self.news()

    def purge(self) -> None:
        """Drop waiting requests that can no longer be in time, where the rule is to."""
        expiry, now_s = self._expiry.entries, self._env.now - TIME_TOLERANCE_S
        while expiry and (expiry[0][0] < now_s or expiry[0][2].state != WAITING):
            request = heappop(expiry)[2]
            if request.state == WAITING:
                # By deadline, so the first of its model to expire is at the head.
                self.waiting[request.model].remove(request)
                self.waiting_count -= 1
                self.too_late(request)

    def _check_unchanged(self, request: ActiveRequest) -> None:
        number = request.number
        values = request.model, request.arrival_s, request.deadline_s
        if values != self._on_arrival.get(number):
            raise PolicyError(
                f"changed request {number}: its model, arrival and deadline are for a "
                f"policy to read"
            )

    def finish(
        self,
        request: ActiveRequest,
        outcome: int,
        index: int = -1,
        end_s: float | None = None,
    ) -> None:
        """Record the single outcome of a request, of now or of ``end_s``.

        Raises
        ------
        PolicyError
            If a policy has changed attributes that it may only read.
        """
        if request.state == DONE:
            raise AssertionError(f"{request!r} has two outcomes")
        if self._checks:
            self._check_unchanged(request)
            del self._on_arrival[request.number]
        request.state = DONE
        self._log.request(
            (
                request.number,
                request.user,
                request.model,
                request.arrival_s,
                request.deadline_s,
                request.upload_start_s,
                request.upload_end_s,
                index,
                self._env.now if end_s is None else end_s,
                outcome,
            )
        )

    def drop(self, request: ActiveRequest, reason: str) -> None:
        """Drop a request, as documented for ``View.drop``."""
        check_reason(reason)
        if request.state == WAITING:
            self.waiting[request.model].remove(request)
            self.waiting_count -= 1
            self.finish(request, self._log.reason(reason))
        elif request.state == UPLOADING:
            self.uploading_count -= 1
            self.finish(request, self._log.reason(reason))
            self.uplink.remove(request)
        else:
            raise PolicyError(f"dropped {request!r}, which is chosen or done")

    def give_up(self, request: ActiveRequest) -> None:
        """Drop a request whose input can no longer arrive in time."""
        self._expire(request)
        self.uplink.remove(request)

    def too_late(self, request: ActiveRequest) -> None:
        """Drop a request, its input present, that can no longer be in time.

        It is noticed when the GPU can take a batch, and dated when its time ran out.
        """
        end_s = max(request.latest_s, request.upload_end_s)
        self.finish(request, self._too_late, end_s=end_s)

    def claim(self, batch: Sequence[ActiveRequest], settled: Callable[[], None]) -> int:
        """Claim a batch: its requests are chosen and no longer wait.

        Parameters
        ----------
        batch
            Requests of one model, at least one.
        settled
            Called for each missing input once it has arrived or can never arrive.

        Returns
        -------
        int
            Number of missing inputs.

        Raises
        ------
        PolicyError
            If they cannot form a batch.
        """
        model, size = batch[0].model, len(batch)
        if size > self._most[model]:
            raise PolicyError(
                f"chose {size} requests of {self._model_names[model]!r}, "
                f"at most {self._most[model]} fit in a batch"
            )
        for request in batch:
            if request.model != model or request.state >= CHOSEN:
                raise PolicyError(
                    f"chose {request!r}, which is of another model than the batch, "
                    f"or chosen before"
                )
        if len({request.number for request in batch}) < size:
            raise PolicyError("chose a request twice")
        take_out(self.waiting[model], batch)
        missing = 0
        for request in batch:
            if request.state == WAITING:
                self.waiting_count -= 1
            else:
                self.uploading_count -= 1
                self._settled[request.number] = settled
                missing += 1
            request.state = CHOSEN
        return missing

    def close(self) -> None:
        """Record outcomes of requests never chosen, or whose input never arrived.

        Raises
        ------
        PolicyError
            If waiting requests are no longer in any queue.
        """
        if sum(map(len, self.waiting)) != self.waiting_count:
            raise PolicyError("changed the queues in server.waiting: only look at them")
        for queue in self.waiting:
            for request in queue:
                self.finish(request, self._log.reason(NEVER_CHOSEN))
        for request in self.uplink.unfinished():
            self.finish(request, self._log.reason(UPLOAD_NEVER_ENDED))
