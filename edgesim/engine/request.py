"""A request in the simulation, from arrival to outcome."""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappush
from typing import NamedTuple, TypeAlias

# States of a request. Each is left once, for a later one.
UPLOADING, WAITING, CHOSEN, DONE = range(4)


class Arrival(NamedTuple):
    """One request of a stream, as it arrives.

    ``user`` and ``model`` are numbers, ``demand_s`` is the duration of its upload at
    the whole band (infinite without a link), ``slo_s`` the time allowed from arrival to
    completion.
    """

    arrival_s: float
    user: int
    model: int
    demand_s: float
    slo_s: float


class ActiveRequest:
    """One request; ``number`` counts arrivals from 0.

    Attributes
    ----------
    number, user, model
        The request, its user, and the library's model that it asks for, by number.
    arrival_s, deadline_s
        Its arrival and its deadline; the deadline may be infinite.
    latest_s
        The latest time at which a batch with it must start computing to be of use:
        infinite if late requests are served too.
    left_s
        Remaining upload, in seconds at the whole band, when it last got or lost
        spectrum.
    tag_s
        Virtual time at which its upload ends, if the band is shared equally; negative
        while it has no share.
    upload_start_s, upload_end_s
        When it first got spectrum and when its input had arrived; NaN before.
    state
        ``UPLOADING``, ``WAITING`` (input received), ``CHOSEN`` (part of a round; its
        input may still be uploading) or ``DONE``.
    """

    __slots__ = (
        "arrival_s",
        "deadline_s",
        "latest_s",
        "left_s",
        "model",
        "number",
        "state",
        "tag_s",
        "upload_end_s",
        "upload_start_s",
        "user",
    )

    def __init__(
        self,
        number: int,
        user: int,
        model: int,
        arrival_s: float,
        deadline_s: float,
        latest_s: float,
        demand_s: float,
    ) -> None:
        self.number = number
        self.user = user
        self.model = model
        self.arrival_s = arrival_s
        self.deadline_s = deadline_s
        self.latest_s = latest_s
        self.left_s = demand_s
        self.tag_s = -1.0
        self.upload_start_s = math.nan
        self.upload_end_s = math.nan
        self.state = UPLOADING

    @property
    def uploaded(self) -> bool:
        """Whether its input has arrived."""
        return self.upload_end_s == self.upload_end_s

    def __lt__(self, other: ActiveRequest) -> bool:
        """Order by deadline, then by arrival."""
        mine, others = self.deadline_s, other.deadline_s
        return mine < others or (mine == others and self.number < other.number)

    def __repr__(self) -> str:
        return f"Request({self.number}, model {self.model})"


Entry: TypeAlias = tuple[float, int, ActiveRequest]
"""Key, number and request."""

_SPARE = 1024


class Heap:
    """A heap of requests in which those that are done with stay until they are first.

    There are at most about as many of them as of the others: memory is bounded by the
    requests that matter, though an entry may be far from the first for long.

    Parameters
    ----------
    matters
        Whether a request still does; once it does not, it never does again.

    Attributes
    ----------
    entries
        The heap.
    """

    __slots__ = ("_matters", "_most", "entries")

    def __init__(self, matters: Callable[[ActiveRequest], bool]) -> None:
        self.entries: list[Entry] = []
        self._matters = matters
        self._most = _SPARE

    def push(self, entry: Entry) -> None:
        """Add an entry. O(log n), amortised."""
        heappush(self.entries, entry)
        if len(self.entries) > self._most:
            self.entries[:] = [e for e in self.entries if self._matters(e[2])]
            heapify(self.entries)
            self._most = 2 * len(self.entries) + _SPARE


def waits(request: ActiveRequest) -> bool:
    """Whether a request waits, its input there."""
    return request.state == WAITING


def uploads(request: ActiveRequest) -> bool:
    """Whether a request uploads and is not chosen."""
    return request.state == UPLOADING
