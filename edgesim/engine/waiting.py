"""Queues of waiting requests: lists, and in buckets where a list would be too slow.

What is inserted in the middle of a list, or taken out of it, moves all that follow:
with a million requests at once a run would take hours.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import Any, TypeAlias

from edgesim.engine.request import WAITING, ActiveRequest

LONG = 4096
"""Requests from which on a queue is kept in buckets."""

_BUCKET = 512


class LongQueue(Sequence[ActiveRequest]):
    """Requests by deadline, ties by arrival, in buckets of some hundred.

    All operations take O(log n + n / 512), those on several requests for each.

    Parameters
    ----------
    requests
        In order, at least one.
    """

    def __init__(self, requests: list[ActiveRequest]) -> None:
        self._buckets = [
            requests[first : first + _BUCKET]
            for first in range(0, len(requests), _BUCKET)
        ]
        self._lasts = [bucket[-1] for bucket in self._buckets]
        self._length = len(requests)
        # Number of requests up to each bucket; None once something has changed.
        self._ends: list[int] | None = None

    def insert(self, request: ActiveRequest) -> None:
        """Insert a request in its place."""
        self._length += 1
        self._ends = None
        at = min(bisect_right(self._lasts, request), len(self._lasts) - 1)
        if at < 0:
            self._buckets, self._lasts = [[request]], [request]
            return
        bucket = self._buckets[at]
        insort(bucket, request)
        self._lasts[at] = bucket[-1]
        if len(bucket) > 2 * _BUCKET:
            self._buckets[at : at + 1] = [bucket[:_BUCKET], bucket[_BUCKET:]]
            self._lasts.insert(at, bucket[_BUCKET - 1])

    def remove(self, request: ActiveRequest) -> None:
        """Take a request out.

        Raises
        ------
        ValueError
            If it is not in the queue.
        """
        at = bisect_left(self._lasts, request)
        bucket = self._buckets[at] if at < len(self._buckets) else []
        place = bisect_left(bucket, request)
        if place >= len(bucket) or bucket[place] is not request:
            raise ValueError(f"{request!r} is not in the queue")
        self._length -= 1
        self._ends = None
        del bucket[place]
        if bucket:
            self._lasts[at] = bucket[-1]
        else:
            del self._buckets[at], self._lasts[at]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[ActiveRequest]:
        return chain.from_iterable(self._buckets)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            first, after, step = at.indices(self._length)
            if step != 1:
                return list(self)[at]
            return self._between(first, after)
        if at < 0:
            at += self._length
        if not 0 <= at < self._length:
            raise IndexError("queue index out of range")
        if at < len(self._buckets[0]):
            return self._buckets[0][at]
        number = bisect_right(self._bucket_ends(), at)
        return self._buckets[number][at - self._bucket_ends()[number - 1]]

    def __repr__(self) -> str:
        return repr(list(self))

    def _between(self, first: int, after: int) -> list[ActiveRequest]:
        found: list[ActiveRequest] = []
        if first >= after:
            return found
        number = 0 if not first else bisect_right(self._bucket_ends(), first)
        skipped = first - (self._bucket_ends()[number - 1] if number else 0)
        wanted = after - first
        while len(found) < wanted:
            found += self._buckets[number][skipped : skipped + wanted - len(found)]
            number, skipped = number + 1, 0
        return found

    def _bucket_ends(self) -> list[int]:
        if self._ends is None:
            self._ends = list(accumulate(map(len, self._buckets)))
        return self._ends


Waiting: TypeAlias = list[ActiveRequest] | LongQueue
"""Requests of a model by deadline, ties by arrival."""


def take_out(queue: Waiting, batch: Sequence[ActiveRequest]) -> None:
    """Take the requests of a batch that wait out of their queue."""
    if isinstance(queue, LongQueue):
        for request in batch:
            if request.state == WAITING:
                queue.remove(request)
        return
    size = len(batch)
    if queue[:size] == batch:
        del queue[:size]
    else:
        numbers = {request.number for request in batch}
        queue[:] = [r for r in queue if r.number not in numbers]
