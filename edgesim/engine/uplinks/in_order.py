"""One upload at a time holds the band, in order of arrival or of deadline."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, TypeAlias

from simpy import Environment, Event
from simpy.events import Timeout

from edgesim.engine.request import DONE, ActiveRequest
from edgesim.engine.uplinks.links import Act, BusyTime, DownLinks, all_in_order
from solvers.tolerance import TIME_TOLERANCE_S

Entry: TypeAlias = tuple[Any, int, ActiveRequest]
"""Key, number and request: entries compare by the first two."""


def by_deadline(request: ActiveRequest) -> float:
    """Order by deadline."""
    return request.deadline_s


class InOrderUplink(BusyTime):
    """One upload at a time holds the whole band: the first in order of those sent.

    An upload earlier in order preempts the holder, unless the holder is within 1e-9 s
    of its end; delivered bits stay delivered. O(log n) per request.

    Parameters
    ----------
    env, deliver, drop
        As for :func:`edgesim.engine.uplinks.rules.make_uplink`.
    key
        Sort key of uploads, the least first; ties by arrival. If not given, the order
        is that of arrival.
    """

    def __init__(
        self,
        env: Environment,
        deliver: Act,
        drop: Act,
        *,
        key: Callable[[ActiveRequest], Any] | None = None,
    ) -> None:
        super().__init__()
        self._env = env
        self._deliver = deliver
        self._drop = drop
        self._key = key
        self._queue: list[Entry] = []
        self._holder: Entry | None = None
        self._since_s = self._stop_s = 0.0
        self._timer: Timeout | None = None
        self._down = DownLinks()

    def send(self, request: ActiveRequest) -> None:
        """Start an upload now."""
        if request.user in self._down.stopped:
            self._down.keep(request.user, [request])
            return
        key = self._key
        entry = (0.0 if key is None else key(request), request.number, request)
        if self._holder is None:  # then none is queued either
            self._give(entry)
            return
        heappush(self._queue, entry)
        if entry < self._holder:
            self._hand_over()

    def remove(self, request: ActiveRequest) -> None:
        """Abandon an upload now; its request is already marked done."""
        if self._holder is not None and self._holder[2] is request:
            self._pause()
            self._next()

    def lose_link(self, user: int) -> None:
        """Stop a user's uploads, future ones included, until its link is restored."""
        if not self._down.lose(user):
            return
        stopped = [entry for entry in self._queue if entry[2].user == user]
        if stopped:
            self._queue = [entry for entry in self._queue if entry[2].user != user]
            heapify(self._queue)
        if self._holder is not None and self._holder[2].user == user:
            stopped.append(self._holder)
            self._pause()
            self._next()
        self._down.keep(user, [request for _, _, request in sorted(stopped)])

    def restore_link(self, user: int) -> None:
        """Resume a user's uploads."""
        for request in self._down.restore(user):
            key = 0.0 if self._key is None else self._key(request)
            heappush(self._queue, (key, request.number, request))
        self._hand_over()

    def forecast(self) -> list[tuple[float, ActiveRequest]]:
        """List the ends of uploads if nothing else is sent, earliest first."""
        if self._holder is None:
            return []
        end_s = self._stop_s
        forecast = [(end_s, self._holder[2])]
        for _, _, request in sorted(self._queue):
            finish_s = end_s + request.left_s
            if request.state == DONE or finish_s > request.latest_s + TIME_TOLERANCE_S:
                continue  # abandoned, or will be when it is given the band
            end_s = finish_s
            forecast.append((end_s, request))
        return forecast

    def next_delivery(self) -> ActiveRequest | None:
        """Return the upload that ends next if nothing else is sent."""
        return None if self._holder is None else self._holder[2]

    def unfinished(self) -> list[ActiveRequest]:
        """List every request whose upload has not ended, in order of arrival."""
        active = [entry[2] for entry in self._queue]
        if self._holder is not None:
            active.append(self._holder[2])
        return all_in_order(active, self._down)

    def _hand_over(self) -> None:
        """Give the band to the first upload in order."""
        holder, queue = self._holder, self._queue
        if holder is None:
            self._next()
        elif (
            queue
            and queue[0] < holder
            and self._stop_s - self._env.now > TIME_TOLERANCE_S
        ):
            self._pause()
            heappush(queue, holder)
            self._next()

    def _next(self) -> None:
        """Give the band to the first upload in order that can still end in time."""
        queue = self._queue
        while queue and self._holder is None:
            entry = heappop(queue)
            if entry[2].state != DONE:
                self._give(entry)

    def _give(self, entry: Entry) -> None:
        """Give the band to an upload, or drop it if it can no longer end in time."""
        request = entry[2]
        left_s = request.left_s
        now_s = self._env.now
        if now_s + left_s > request.latest_s + TIME_TOLERANCE_S:
            self._drop(request)
            return
        if request.upload_start_s != request.upload_start_s:
            request.upload_start_s = now_s
        # As in _hold, inlined to avoid a call.
        self._holder = entry
        self._since_s = now_s
        self._stop_s = now_s + left_s
        self._begin(now_s)
        timer = self._timer = Timeout(self._env, left_s)
        timer.callbacks.append(self._ended)

    def _hold(self, entry: Entry, duration_s: float) -> None:
        """Let an upload hold the band for a time, or until it is preempted."""
        now_s = self._env.now
        self._holder = entry
        self._since_s = now_s
        self._stop_s = now_s + duration_s
        self._begin(now_s)
        timer = self._timer = Timeout(self._env, duration_s)
        timer.callbacks.append(self._ended)

    def _pause(self) -> None:
        """Take the band from its holder."""
        assert self._holder is not None
        now_s = self._env.now
        self._take_back(self._holder[2], self._since_s, now_s)
        self._holder = self._timer = None
        self.busy_s.append(now_s)

    def _take_back(self, request: ActiveRequest, since_s: float, now_s: float) -> None:
        """Record the remainder of an upload that loses the band."""
        request.left_s = max(0.0, request.left_s - (now_s - since_s))

    def _ended(self, timer: Event) -> None:
        if timer is not self._timer:
            return  # the upload was paused or abandoned meanwhile
        assert self._holder is not None
        request = self._holder[2]
        now_s = self._env.now
        request.left_s = 0.0
        request.upload_end_s = now_s
        self._holder = self._timer = None
        self.busy_s.append(now_s)
        if self._queue:
            self._next()
        self._deliver(request)
