"""The uplink of a plan: its planned bands, over channels that may fade.

``static`` and ``upfront`` plans give each user a band of its own until its bits are
delivered, ``dynamic`` ones give the whole band to the upload of least rank. Uploads
start when their requests arrive, and are abandoned at a horizon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from simpy import Environment, Event
from simpy.events import Timeout

from edgesim.engine.channel import Channel
from edgesim.engine.request import DONE, ActiveRequest
from edgesim.engine.uplinks.in_order import InOrderUplink
from edgesim.engine.uplinks.links import Act, DownLinks, all_in_order
from edgesim.storage.column_files import LongColumn

Band: TypeAlias = tuple[int, float, float, float]
"""Request, start, end and Hz of a band held."""


@dataclass(frozen=True)
class Uploads:
    """Uploads of the users of a plan, by user number.

    Parameters
    ----------
    bits
        Size of each input.
    channels
        Channel of each user.
    horizon_s
        When unfinished uploads are abandoned.
    """

    bits: Sequence[float]
    channels: Sequence[Channel]
    horizon_s: float


class BandsHeld:
    """Collects the bands that uploads held."""

    def __init__(self) -> None:
        self._held: dict[int, list[Band]] = {}

    def note(
        self, request: ActiveRequest, start_s: float, end_s: float, hz: float
    ) -> None:
        """Record a band held, merged with the preceding one if contiguous."""
        if end_s <= start_s:
            return
        held = self._held.setdefault(request.number, [])
        if not held:
            request.upload_start_s = start_s
        elif held[-1][2] == start_s and held[-1][3] == hz:
            start_s = held.pop()[1]
        held.append((request.number, start_s, end_s, hz))

    def all(self) -> list[Band]:
        """List all bands, by start and end."""
        bands = [band for _, held in sorted(self._held.items()) for band in held]
        return sorted(bands, key=lambda band: (band[1], band[2]))


def _deliver(request: ActiveRequest, now_s: float, deliver: Act) -> None:
    """Deliver an input that has arrived now."""
    request.left_s = 0.0
    request.upload_end_s = now_s
    if request.upload_start_s != request.upload_start_s:  # it took no time
        request.upload_start_s = now_s
    deliver(request)


class FullBandUplink(InOrderUplink):
    """One upload at a time holds the whole band: the started one of least rank.

    Parameters
    ----------
    env, deliver
        As for :func:`edgesim.engine.uplinks.rules.make_uplink`.
    lose
        Called for an upload that was abandoned at the horizon.
    uploads
        The uploads.
    bandwidth_hz
        The whole band.
    rank
        Order of uploads, by user.
    """

    def __init__(
        self,
        env: Environment,
        deliver: Act,
        lose: Act,
        uploads: Uploads,
        bandwidth_hz: float,
        rank: Mapping[int, tuple[float, ...]],
    ) -> None:
        super().__init__(env, deliver, lose, key=lambda request: rank[request.user])
        self._uploads = uploads
        self._hz = bandwidth_hz
        self._left_bits = list(uploads.bits)
        self._held = BandsHeld()
        self._delivers = False

    @property
    def bands(self) -> Sequence[Band]:
        """Bands held so far, by start and end."""
        return self._held.all()

    def send(self, request: ActiveRequest) -> None:
        """Start an upload once its request arrives."""
        wait_s = request.arrival_s - self._env.now
        if wait_s > 0:
            arrival = Timeout(self._env, wait_s)
            arrival.callbacks.append(lambda _: self._begin_upload(request))
        else:
            self._begin_upload(request)

    def _begin_upload(self, request: ActiveRequest) -> None:
        if request.state != DONE:
            super().send(request)

    def _give(self, entry: tuple[tuple[float, ...], int, ActiveRequest]) -> None:
        """Give the band to an upload until its bits are delivered, or the horizon."""
        user, now_s, uploads = entry[2].user, self._env.now, self._uploads
        end_s = uploads.channels[user].end_s(
            self._left_bits[user], self._hz, now_s, uploads.horizon_s
        )
        self._delivers = end_s is not None
        stop_s = uploads.horizon_s if end_s is None else end_s
        self._hold(entry, max(0.0, stop_s - now_s))

    def _take_back(self, request: ActiveRequest, since_s: float, now_s: float) -> None:
        """Record the remainder of an upload that loses the band."""
        self._held.note(request, since_s, now_s, self._hz)
        user = request.user
        sent = self._uploads.channels[user].bits(self._hz, since_s, now_s)
        self._left_bits[user] = max(0.0, self._left_bits[user] - sent)

    def _ended(self, timer: Event) -> None:
        if timer is not self._timer:
            return  # the upload was paused or abandoned meanwhile
        assert self._holder is not None
        request, now_s = self._holder[2], self._env.now
        self._held.note(request, self._since_s, now_s, self._hz)
        delivers = self._delivers
        self._holder = self._timer = None
        self.busy_s.append(now_s)
        if self._queue:
            self._next()
        if delivers:
            _deliver(request, now_s, self._deliver)
        else:
            self._drop(request)


class FixedBandUplink:
    """Each upload holds a constant band of its own until its bits are delivered.

    Parameters
    ----------
    env, deliver, lose, uploads
        As for :class:`FullBandUplink`.
    band_hz
        The band of each user that uploads.
    """

    def __init__(
        self,
        env: Environment,
        deliver: Act,
        lose: Act,
        uploads: Uploads,
        band_hz: Mapping[int, float],
    ) -> None:
        self.busy_s = LongColumn()
        self._env = env
        self._deliver = deliver
        self._lose = lose
        self._uploads = uploads
        self._band_hz = band_hz
        self._left_bits = list(uploads.bits)
        self._held = BandsHeld()
        self._down = DownLinks()
        # By request: its active upload, with start, stop and timer.
        self._active: dict[int, tuple[ActiveRequest, float, float, Timeout]] = {}

    @property
    def bands(self) -> Sequence[Band]:
        """Bands held so far, by start and end."""
        return self._held.all()

    def send(self, request: ActiveRequest) -> None:
        """Start an upload now, in its user's band."""
        if request.user in self._down.stopped:
            self._down.keep(request.user, [request])
            return
        user, now_s, uploads = request.user, self._env.now, self._uploads
        end_s = uploads.channels[user].end_s(
            self._left_bits[user], self._band_hz[user], now_s, uploads.horizon_s
        )
        stop_s = uploads.horizon_s if end_s is None else end_s
        timer = Timeout(self._env, max(0.0, stop_s - now_s))
        self._active[request.number] = (request, now_s, stop_s, timer)

        def ended(_: Event) -> None:
            if self._active.get(request.number, (None,))[-1] is not timer:
                return  # the upload was paused or abandoned meanwhile
            self._stop(request)
            if end_s is None:
                self._lose(request)
            else:
                _deliver(request, self._env.now, self._deliver)

        timer.callbacks.append(ended)

    def remove(self, request: ActiveRequest) -> None:
        """Abandon an upload now; its request is already marked done."""
        if request.number in self._active:
            self._stop(request)

    def lose_link(self, user: int) -> None:
        """Stop a user's uploads, future ones included, until its link is restored."""
        if not self._down.lose(user):
            return
        stopped = [
            upload[0] for upload in self._active.values() if upload[0].user == user
        ]
        for request in stopped:
            since_s = self._stop(request)
            sent = self._uploads.channels[user].bits(
                self._band_hz[user], since_s, self._env.now
            )
            self._left_bits[user] = max(0.0, self._left_bits[user] - sent)
        self._down.keep(user, stopped)

    def restore_link(self, user: int) -> None:
        """Resume a user's uploads."""
        for request in self._down.restore(user):
            self.send(request)

    def forecast(self) -> list[tuple[float, ActiveRequest]]:
        """List the ends of uploads, earliest first."""
        ends = [
            (stop_s, request.number) for request, _, stop_s, _ in self._active.values()
        ]
        return [(stop_s, self._active[number][0]) for stop_s, number in sorted(ends)]

    def next_delivery(self) -> ActiveRequest | None:
        """Return the upload that ends next."""
        forecast = self.forecast()
        return forecast[0][1] if forecast else None

    def unfinished(self) -> list[ActiveRequest]:
        """List every request whose upload has not ended, in order of arrival."""
        return all_in_order([upload[0] for upload in self._active.values()], self._down)

    def _stop(self, request: ActiveRequest) -> float:
        """Release a band, and return since when it was held."""
        _, since_s, _, _ = self._active.pop(request.number)
        hz = self._band_hz[request.user]
        self._held.note(request, since_s, self._env.now, hz)
        return since_s
