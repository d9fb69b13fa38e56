"""Helpers of policies: when the GPU starts, and which requests can be in time."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from edgesim.engine.policy import View
from edgesim.engine.request import ActiveRequest
from solvers.tolerance import TIME_TOLERANCE_S

UNMEETABLE = "cannot be met"
"""Reason to drop a request whose model cannot be loaded and run by its deadline."""


class Outlook(NamedTuple):
    """When a batch may start, by nominal times, and the delay that its load adds.

    Ahead of a batch in flight, a load costs only the part that extends beyond it.
    """

    start_s: float
    load_s: Sequence[float]


def outlook(server: View) -> Outlook:
    """Return when the next batch may start, and the delay by each model's load.

    O(1) with the GPU free, O(models) ahead of a batch.
    """
    loads_s = server.load_s()
    if not server.ahead:
        return Outlook(server.now_s, loads_s)
    hidden_s = max(0.0, server.free_s - server.now_s)
    start_s = server.now_s + hidden_s
    return Outlook(start_s, [max(0.0, load_s - hidden_s) for load_s in loads_s])


def may_begin(server: View, model: int) -> bool:
    """Whether a round of a model should begin now.

    With the GPU free, always. Ahead of a batch, only if the load takes time and memory
    has room for it, and only once that batch is fixed: until then it may grow, and a
    batch that needs no load loses nothing by waiting for more requests.
    """
    return not server.ahead or (
        server.computing and server.load_s()[model] > 0 and server.fits_beside(model)
    )


def load_ahead(server: View) -> list[ActiveRequest] | None:
    """If nothing waits, choose the request that arrives next, if it needs a load."""
    if server.waiting_count:
        return None
    request = server.next_upload()
    if request is None:
        return None
    model = request.model
    if not server.load_s()[model]:
        return None
    return [request] if may_begin(server, model) else None


class Refused:
    """Remembers the batch ahead of which there was nothing to load.

    While that batch is in flight and no input arrives, the answer stays the same, apart
    from deadlines that pass; a policy that waits is consulted again at every arrival.
    """

    def __init__(self) -> None:
        self._free_s = math.nan

    def holds(self, server: View) -> bool:
        """Whether the answer is known to be to wait."""
        return server.ahead and (not server.computing or server.free_s == self._free_s)

    def note(self, server: View) -> None:
        """Note that the answer was to wait."""
        if server.ahead:
            self._free_s = server.free_s

    def forget(self) -> None:
        """Forget the answer: something has changed."""
        self._free_s = math.nan


class BusyModels:
    """Models with waiting requests."""

    def __init__(self) -> None:
        self._models: dict[int, None] = {}

    def add(self, model: int) -> None:
        """Note that a request waits for a model."""
        self._models[model] = None

    def models(self, server: View) -> list[int]:
        """List the models; O(models listed last time or added since)."""
        waiting = server.waiting
        models = [model for model in self._models if waiting[model]]
        if len(models) < len(self._models):
            self._models = dict.fromkeys(models)
        return models


def first_in_time(queue: Sequence[ActiveRequest], end_s: float) -> int:
    """Find the first request of a queue by deadline that ends in time at ``end_s``."""
    end_s -= TIME_TOLERANCE_S
    if not queue or queue[0].deadline_s >= end_s:
        return 0
    return bisect_left(queue, end_s, key=_deadline)


def join_in_time(
    server: View, batch: Sequence[ActiveRequest], queue: Sequence[ActiveRequest]
) -> Sequence[ActiveRequest]:
    """Choose the most requests of a queue that can join a batch with all in time.

    Requests of the batch that are already late do not count. O(batch limit · log
    queue).
    """
    model = batch[0].model
    table, now_s = server.batch_s[model], server.now_s
    size = len(batch)
    end_s = now_s + table[size] - TIME_TOLERANCE_S
    limit_s = min(
        (r.deadline_s for r in batch if r.deadline_s >= end_s), default=math.inf
    )
    for more in range(min(server.most[model] - size, len(queue)), 0, -1):
        end_s = now_s + table[size + more]
        if end_s > limit_s + TIME_TOLERANCE_S:
            continue
        first = first_in_time(queue, end_s)
        if len(queue) - first >= more:
            return queue[first : first + more]
    return ()


def drop_unmeetable(server: View, model: int, begin_s: float) -> None:
    """Drop a model's requests that no batch starting at ``begin_s`` serves in time.

    Requests that are served even if late (their ``latest_s`` is infinite) stay.
    """
    queue = server.waiting[model]
    if not queue or queue[0].latest_s == math.inf:  # then so is that of all others
        return
    end_s = begin_s + server.least_s[model]
    for request in queue[: first_in_time(queue, end_s)]:
        if request.latest_s < math.inf:
            server.drop(request, UNMEETABLE)


def _deadline(request: ActiveRequest) -> float:
    return request.deadline_s
