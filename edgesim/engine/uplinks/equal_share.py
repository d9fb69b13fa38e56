"""Uploads share the band equally: processor sharing in virtual time."""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush

from simpy import Environment, Event
from simpy.events import Timeout

from edgesim.engine.request import DONE, ActiveRequest, Heap
from edgesim.engine.uplinks.links import Act, BusyTime, DownLinks, all_in_order
from solvers.tolerance import TIME_TOLERANCE_S


def _has_share(request: ActiveRequest) -> bool:
    return request.tag_s >= 0


class EqualShareUplink(BusyTime):
    """All uploads have equal shares of the band at any time: processor sharing.

    Virtual time advances at rate 1/n while n uploads are active, so an upload that
    needs w seconds at the whole band ends when virtual time has advanced by w,
    whichever uploads start or end meanwhile. O(log n) per request.

    Parameters
    ----------
    env, deliver, drop
        As for :func:`make_uplink`.
    """

    def __init__(self, env: Environment, deliver: Act, drop: Act) -> None:
        super().__init__()
        self._env = env
        self._deliver = deliver
        self._drop = drop
        self._active = 0
        self._virtual_s = 0.0
        self._last_s = 0.0
        self._queue: list[tuple[float, int, ActiveRequest]] = []
        self._expiry = Heap(_has_share)
        self._timer: Timeout | None = None
        self._timer_s = math.inf
        self._down = DownLinks()

    def send(self, request: ActiveRequest) -> None:
        """Start an upload now."""
        if request.user in self._down.stopped:
            self._down.keep(request.user, [request])
            return
        now_s = self._env.now
        self._advance(now_s)
        if request.upload_start_s != request.upload_start_s:
            request.upload_start_s = now_s
        request.tag_s = self._virtual_s + request.left_s
        heappush(self._queue, (request.tag_s, request.number, request))
        if request.latest_s < math.inf:
            self._expiry.push((request.latest_s, request.number, request))
        if not self._active:
            self._begin(now_s)
        self._active += 1
        self._arm(now_s)

    def remove(self, request: ActiveRequest) -> None:
        """Abandon an upload now; its request is already marked done."""
        if request.tag_s >= 0:
            now_s = self._env.now
            self._advance(now_s)
            self._leave(request, now_s)
            self._arm(now_s)

    def lose_link(self, user: int) -> None:
        """Stop a user's uploads, future ones included, until its link is restored."""
        if not self._down.lose(user):
            return
        now_s = self._env.now
        self._advance(now_s)
        stopped = []
        for tag_s, _, request in sorted(self._queue):
            if request.user == user and request.tag_s >= 0:
                request.left_s = max(0.0, tag_s - self._virtual_s)
                self._leave(request, now_s)
                stopped.append(request)
        # They return with new entries, which must not be confused with these.
        self._queue = [entry for entry in self._queue if entry[2].tag_s >= 0]
        expiry = self._expiry.entries
        expiry[:] = [entry for entry in expiry if entry[2].tag_s >= 0]
        heapify(self._queue)
        heapify(expiry)
        self._down.keep(user, stopped)
        self._arm(now_s)

    def restore_link(self, user: int) -> None:
        """Resume a user's uploads."""
        for request in self._down.restore(user):
            self.send(request)

    def forecast(self) -> list[tuple[float, ActiveRequest]]:
        """List the ends of uploads if nothing else is sent, earliest first."""
        now_s = self._env.now
        self._advance(now_s)
        end_s, virtual_s, active = now_s, self._virtual_s, self._active
        forecast = []
        for tag_s, _, request in sorted(self._queue):
            if request.tag_s >= 0:
                end_s += (tag_s - virtual_s) * active
                virtual_s = tag_s
                active -= 1
                forecast.append((end_s, request))
        return forecast

    def next_delivery(self) -> ActiveRequest | None:
        """Return the upload that ends next if nothing else is sent."""
        self._forget()
        return self._queue[0][2] if self._queue else None

    def unfinished(self) -> list[ActiveRequest]:
        """List every request whose upload has not ended, in order of arrival."""
        active = [request for _, _, request in self._queue if request.tag_s >= 0]
        return all_in_order(active, self._down)

    def _advance(self, now_s: float) -> None:
        if self._active:
            self._virtual_s += (now_s - self._last_s) / self._active
        else:
            # Nothing refers to virtual time now: small numbers keep it exact.
            self._virtual_s = 0.0
            self._queue.clear()
        self._last_s = now_s

    def _leave(self, request: ActiveRequest, now_s: float) -> None:
        """Remove an upload; its entries in the heaps become stale."""
        request.tag_s = -1.0
        self._active -= 1
        if not self._active:
            self.busy_s.append(now_s)

    def _forget(self) -> None:
        """Drop stale entries from the heads of the heaps."""
        queue = self._queue
        while queue and queue[0][2].tag_s < 0:
            heappop(queue)
        expiry = self._expiry.entries
        while expiry and expiry[0][2].tag_s < 0:
            heappop(expiry)

    def _arm(self, now_s: float) -> None:
        """Ensure that the timer fires no later than the next event."""
        self._forget()
        if not self._queue:
            return
        next_s = now_s + max(0.0, self._queue[0][0] - self._virtual_s) * self._active
        if self._expiry.entries:
            next_s = min(next_s, max(now_s, self._expiry.entries[0][0]))
        if self._timer is None or next_s < self._timer_s:
            # A timer that fires too early arms another: cheaper than one per change.
            self._timer_s = next_s
            timer = self._timer = Timeout(self._env, next_s - now_s)
            timer.callbacks.append(self._fired)

    def _fired(self, timer: Event) -> None:
        if timer is not self._timer:
            return  # an earlier timer was armed meanwhile
        self._timer = None
        now_s = self._env.now
        self._advance(now_s)
        delivered = []
        queue = self._queue
        self._forget()
        # Written with now_s on both sides, so that the remainder may round away.
        until_s = now_s + TIME_TOLERANCE_S
        while queue and (
            now_s + (queue[0][0] - self._virtual_s) * self._active <= until_s
        ):
            request = heappop(queue)[2]
            request.left_s = 0.0
            request.upload_end_s = now_s
            self._leave(request, now_s)
            delivered.append(request)
            self._forget()
        late = []
        expiry = self._expiry.entries
        while expiry and expiry[0][0] <= until_s:
            request = heappop(expiry)[2]
            self._leave(request, now_s)
            late.append(request)
            self._forget()
        self._arm(now_s)
        # Delivering one upload may cause another to be abandoned.
        for request in delivered:
            if request.state != DONE:
                self._deliver(request)
        for request in late:
            if request.state != DONE:
                self._drop(request)
