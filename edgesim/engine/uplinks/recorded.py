"""Uploads that end when they did in an earlier run."""

from __future__ import annotations

from collections.abc import Sequence

from simpy import Environment, Event
from simpy.events import Timeout

from edgesim.engine.request import DONE, ActiveRequest
from edgesim.engine.uplinks.links import Act
from edgesim.storage.column_files import LongColumn


class RecordedUplink:
    """Delivers each input at the time recorded for it; how the band was shared is past.

    Parameters
    ----------
    env, deliver
        As for :func:`edgesim.engine.uplinks.rules.make_uplink`.
    start_s, end_s
        Start and end of each upload, by number of its request; no earlier than the
        request arrives.
    """

    def __init__(
        self,
        env: Environment,
        deliver: Act,
        start_s: Sequence[float],
        end_s: Sequence[float],
    ) -> None:
        self.busy_s = LongColumn()
        self.bands: Sequence[tuple[int, float, float, float]] = ()
        self._env = env
        self._deliver = deliver
        self._start_s = start_s
        self._end_s = end_s
        self._active: dict[int, ActiveRequest] = {}

    def send(self, request: ActiveRequest) -> None:
        """Start an upload."""
        self._active[request.number] = request
        wait_s = max(0.0, self._end_s[request.number] - self._env.now)
        timer = Timeout(self._env, wait_s)

        def ended(_: Event) -> None:
            del self._active[request.number]
            if request.state == DONE:
                return
            request.left_s = 0.0
            request.upload_start_s = self._start_s[request.number]
            request.upload_end_s = self._env.now
            self._deliver(request)

        timer.callbacks.append(ended)

    def remove(self, request: ActiveRequest) -> None:
        """Do nothing: its request is marked done, and its end is then passed over."""

    def lose_link(self, user: int) -> None:
        """Do nothing: what a lost link did to uploads is part of the record."""

    def restore_link(self, user: int) -> None:
        """Do nothing, as :meth:`lose_link`."""

    def forecast(self) -> list[tuple[float, ActiveRequest]]:
        """List the ends of uploads, earliest first."""
        ends = sorted((self._end_s[number], number) for number in self._active)
        return [(end_s, self._active[number]) for end_s, number in ends]

    def next_delivery(self) -> ActiveRequest | None:
        """Return the upload that ends next."""
        forecast = self.forecast()
        return forecast[0][1] if forecast else None

    def unfinished(self) -> list[ActiveRequest]:
        """List every request whose upload has not ended, in order of arrival."""
        return [self._active[number] for number in sorted(self._active)]
