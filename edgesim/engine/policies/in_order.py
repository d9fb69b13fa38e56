"""First come first served, earliest deadline first, and Clockwork's rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from heapq import heappop, heappush

from edgesim.engine.policies.helpers import (
    UNMEETABLE,
    BusyModels,
    Refused,
    join_in_time,
    load_ahead,
    may_begin,
    outlook,
)
from edgesim.engine.policy import Policy, View
from edgesim.engine.request import WAITING, ActiveRequest, Entry, Heap, waits
from solvers.tolerance import TIME_TOLERANCE_S


class _InOrder(Policy):
    """The next model is that of the first request in order, with its first requests."""

    def __init__(self) -> None:
        # Entries of requests that no longer wait stay until they reach the head.
        self._order = Heap(waits)

    @abstractmethod
    def _first_of(self, server: View, model: int, most: int) -> Sequence[ActiveRequest]:
        """Take the first requests of a model, at most ``most``."""

    def choose(self, server: View) -> Sequence[ActiveRequest] | None:
        """Choose the first request and others of its model."""
        first = _first_waiting(self._order.entries)
        if first is None:
            return load_ahead(server)
        model = first.model
        if not may_begin(server, model):
            return None
        return self._first_of(server, model, server.most[model])

    def join(
        self, server: View, batch: Sequence[ActiveRequest], room: int
    ) -> Sequence[ActiveRequest]:
        """Fill the batch in the same order."""
        return self._first_of(server, batch[0].model, room)


class Fcfs(_InOrder):
    """First come, first served.

    The model of the oldest waiting request is next, with the oldest requests of that
    model, as many as fit; when the batch starts it is filled up in the same order. If
    none waits, the model of the next input to arrive is loaded ahead. O(log queue) per
    request.
    """

    def start(self, server: View) -> None:
        """Make an empty queue for each model."""
        self._of_model: list[list[Entry]] = [[] for _ in server.model_names]

    def ready(self, server: View, request: ActiveRequest) -> None:
        """Insert a request in order."""
        del server
        entry = (0.0, request.number, request)
        self._order.push(entry)
        heappush(self._of_model[request.model], entry)

    def _first_of(self, server: View, model: int, most: int) -> Sequence[ActiveRequest]:
        queue, order = server.waiting[model], self._of_model[model]
        if len(queue) <= most:
            order.clear()
            return queue
        requests: list[ActiveRequest] = []
        while len(requests) < most:
            request = heappop(order)[2]
            if request.state == WAITING:
                requests.append(request)
        return requests


class Edf(_InOrder):
    """Earliest deadline first.

    As :class:`Fcfs`, in order of deadlines.
    """

    def ready(self, server: View, request: ActiveRequest) -> None:
        """Insert a request in order."""
        del server
        self._order.push((request.deadline_s, request.number, request))

    def _first_of(self, server: View, model: int, most: int) -> Sequence[ActiveRequest]:
        return server.waiting[model][:most]


class Clockwork(Policy):
    """Clockwork's rule: predictable times, and no work on lost requests.

    A model's candidate is the largest batch of its most urgent requests that meets the
    earliest of their deadlines after the load that the model needs now. The candidate
    whose load must start first is next. A request that no such batch can serve is
    dropped at once. Loads obey the triangle inequality (a detour over another model
    never loads less), so by nominal times it was lost in any case.

    O(models + batch limit) per round.

    Notes
    -----
    After Gujarati, Karimi, Alzayat, Hao, Kaufmann, Vigfusson and Mace, "Serving DNNs
    like Clockwork: Performance Predictability from the Bottom Up", OSDI 2020, for one
    GPU; there, whole models are loaded, here only missing blocks. Its controller also
    loads by estimated demand; here, only for the input that arrives next.
    """

    def start(self, server: View) -> None:
        """Reset the state."""
        del server
        self._busy = BusyModels()
        self._refused = Refused()

    def ready(self, server: View, request: ActiveRequest) -> None:
        """Note that a request waits for its model."""
        del server
        self._busy.add(request.model)
        self._refused.forget()

    def choose(self, server: View) -> Sequence[ActiveRequest] | None:
        """Choose the batch that must start first."""
        if self._refused.holds(server) and server.waiting_count:
            return None
        start_s, loads_s = outlook(server)
        best: tuple[float, int, int, int] | None = None
        for model in self._busy.models(server):
            queue = server.waiting[model]
            size = self._candidate(server, model, start_s + loads_s[model])
            if size:
                begin_s = queue[0].deadline_s - loads_s[model]
                latest_s = begin_s - server.batch_s[model][size]
                candidate = (latest_s, queue[0].number, model, size)
                if best is None or candidate < best:
                    best = candidate
        if best is None:
            return load_ahead(server)
        _, _, model, size = best
        if not may_begin(server, model):
            self._refused.note(server)
            return None
        return server.waiting[model][:size]

    def join(
        self, server: View, batch: Sequence[ActiveRequest], room: int
    ) -> Sequence[ActiveRequest]:
        """Let requests join that the batch still serves in time."""
        del room  # how much of it is usable depends on the deadlines
        return join_in_time(server, batch, server.waiting[batch[0].model])

    def _candidate(self, server: View, model: int, begin_s: float) -> int:
        """Size the batch for the most urgent request, dropping lost ones."""
        queue, table = server.waiting[model], server.batch_s[model]
        while queue:
            spare_s = queue[0].deadline_s - begin_s + TIME_TOLERANCE_S
            if spare_s >= server.least_s[model]:
                size = min(len(queue), server.most[model])
                while size and table[size] > spare_s:
                    size -= 1
                if size:
                    return size
            server.drop(queue[0], UNMEETABLE)
        return 0


def _first_waiting(order: list[Entry]) -> ActiveRequest | None:
    """Return the first request of a heap that still waits, discarding others."""
    while order and order[0][2].state != WAITING:
        heappop(order)
    return order[0][2] if order else None
