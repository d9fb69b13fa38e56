"""The uplink: what a channel carries, and the rules that give uploads their spectrum.

A rule is a small class with one method, ``send``. Plans need two of them: every upload
at its own constant band, and one upload at a time at the whole band.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol, TypeAlias

from simpy import Environment, Event

from solvers.tolerance import TIME_TOLERANCE_S

Steps: TypeAlias = Generator[Event, Any, None]
Rank: TypeAlias = tuple[float, ...]


@dataclass(frozen=True)
class Channel:
    """A user's spectral efficiency over time, constant within a coherence block.

    Parameters
    ----------
    efficiency
        Spectral efficiency in bit/s/Hz of block 0, 1, …; block n covers the time from
        ``n * coherence_s`` to ``(n + 1) * coherence_s``. 0 carries nothing.
    coherence_s
        Length of a block in s, > 0; infinite where the channel never changes.
    """

    efficiency: Callable[[int], float]
    coherence_s: float = math.inf

    @staticmethod
    def constant(efficiency: float) -> Channel:
        """Make a channel that never changes."""
        return Channel(lambda _: efficiency)

    def end_s(
        self, bits: float, hz: float, start_s: float, until_s: float
    ) -> float | None:
        """When an upload at a constant band has delivered its bits.

        Solved block by block, exact up to rounding.

        Parameters
        ----------
        bits, hz, start_s
            What is left to send, the band, and when it starts.
        until_s
            When it is given up, finite.

        Returns
        -------
        float or None
            None when the bits are not delivered by ``until_s``.
        """
        for efficiency, begin_s, stop_s in self._pieces(start_s, until_s):
            rate = hz * efficiency
            if rate * (stop_s - begin_s) >= bits:
                # 0 bits over a rate of 0: nothing is left to send.
                return min(begin_s + bits / rate, stop_s) if bits else begin_s
            bits -= rate * (stop_s - begin_s)
        return None

    def bits(self, hz: float, start_s: float, end_s: float) -> float:
        """Bits that a constant band carries from one time to another."""
        return math.fsum(
            hz * efficiency * (stop_s - begin_s)
            for efficiency, begin_s, stop_s in self._pieces(start_s, end_s)
        )

    def _pieces(
        self, start_s: float, until_s: float
    ) -> Iterator[tuple[float, float, float]]:
        """Cut a span of time at the edges of blocks: efficiency, begin, end."""
        block = 0 if math.isinf(self.coherence_s) else int(start_s // self.coherence_s)
        now_s = start_s
        while now_s < until_s:
            edge_s = min((block + 1) * self.coherence_s, until_s)
            if edge_s > now_s:  # rounding may put the start on the edge itself
                yield self.efficiency(block), now_s, edge_s
                now_s = edge_s
            block += 1


@dataclass(frozen=True)
class UploadRecord:
    """A band that one user held for a while, whether or not its upload then ended."""

    user: str
    start_s: float
    end_s: float
    hz: float


@dataclass(eq=False)
class Upload:
    """One input on its way: what is left of it, and the spectrum it has had.

    ``end_s`` is when it was delivered, None as long as it is not.
    """

    user: str
    left_bits: float
    channel: Channel
    segments: list[UploadRecord] = field(default_factory=list)
    end_s: float | None = None

    def held(self, start_s: float, end_s: float, hz: float) -> None:
        """Note a band held, joined to the one before if it goes straight on."""
        if end_s <= start_s:
            return
        if self.segments:
            last = self.segments[-1]
            if last.end_s == start_s and last.hz == hz:
                start_s = last.start_s
                self.segments.pop()
        self.segments.append(UploadRecord(self.user, start_s, end_s, hz))


class Uplink(Protocol):
    """A rule for sharing the spectrum among the uploads that have been sent."""

    def send(self, upload: Upload) -> Event:
        """Begin an upload now.

        Returns
        -------
        Event
            Happens when the upload ends; its value is whether it was delivered.
            False: it was given up at the horizon.
        """
        ...


class FixedBandUplink:
    """Each upload holds a constant band of its own until its bits are delivered.

    Parameters
    ----------
    env
        The simulation.
    band_hz
        The band of each user.
    horizon_s
        When an unfinished upload is given up.
    """

    def __init__(
        self, env: Environment, band_hz: Mapping[str, float], horizon_s: float
    ) -> None:
        self._env = env
        self._band_hz = band_hz
        self._horizon_s = horizon_s

    def send(self, upload: Upload) -> Event:
        """Begin an upload now, at its user's band."""
        return self._env.process(self._carry(upload))

    def _carry(self, upload: Upload) -> Generator[Event, Any, bool]:
        start_s = self._env.now
        hz = self._band_hz[upload.user]
        end_s = upload.channel.end_s(upload.left_bits, hz, start_s, self._horizon_s)
        stop_s = self._horizon_s if end_s is None else end_s
        yield self._env.timeout(max(0.0, stop_s - start_s))
        upload.held(start_s, self._env.now, hz)
        return end_s is not None


class FullBandUplink:
    """One upload at a time holds the whole band: the one of least rank that was sent.

    An upload of lower rank takes the band over, unless the one that holds it is within
    1e-9 s of its end; what was delivered stays delivered.

    Parameters
    ----------
    env
        The simulation.
    bandwidth_hz
        The whole band.
    rank
        The order of uploads, fixed for each; ties go to the one sent first.
    horizon_s
        When the band stops carrying anything and unfinished uploads are given up.
    """

    def __init__(
        self,
        env: Environment,
        bandwidth_hz: float,
        rank: Callable[[Upload], Rank],
        horizon_s: float,
    ) -> None:
        self._env = env
        self._hz = bandwidth_hz
        self._rank = rank
        self._horizon_s = horizon_s
        self._sent = count()
        self._waiting: list[tuple[Rank, int, Upload, Event]] = []
        self._holder: tuple[Rank, int, Upload, Event] | None = None
        self._news = env.event()
        env.process(self._serve())

    def send(self, upload: Upload) -> Event:
        """Queue an upload, and hand it the band if nobody of lower rank is there."""
        entry = (self._rank(upload), next(self._sent), upload, self._env.event())
        heapq.heappush(self._waiting, entry)
        first = self._holder is None or entry < self._holder
        if first and not self._news.triggered:
            self._news.succeed()
        return entry[-1]

    def _serve(self) -> Steps:
        env = self._env
        while True:
            if not self._waiting:
                yield self._news
            # Whoever was sent up to now is in the heap: only later ones are news.
            self._news = env.event()
            self._holder = heapq.heappop(self._waiting)
            _, _, upload, done = self._holder
            start_s = env.now
            end_s = upload.channel.end_s(
                upload.left_bits, self._hz, start_s, self._horizon_s
            )
            stop_s = self._horizon_s if end_s is None else end_s
            stop = env.timeout(max(0.0, stop_s - start_s))
            yield stop | self._news
            if not stop.processed and stop_s - env.now <= TIME_TOLERANCE_S:
                yield stop
            upload.held(start_s, env.now, self._hz)
            if stop.processed:
                done.succeed(end_s is not None)
            else:
                sent = upload.channel.bits(self._hz, start_s, env.now)
                upload.left_bits = max(0.0, upload.left_bits - sent)
                heapq.heappush(self._waiting, self._holder)
            self._holder = None
