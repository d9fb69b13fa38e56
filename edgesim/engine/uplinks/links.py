"""What every rule of the uplink keeps: when the band is busy, and lost links."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TypeAlias

from edgesim.engine.request import DONE, ActiveRequest

Act: TypeAlias = Callable[[ActiveRequest], None]


class BusyTime:
    """When the band carries anything.

    Attributes
    ----------
    busy_s
        When it began and ceased to, in turn.
    """

    def __init__(self) -> None:
        self.busy_s = array("d")

    @property
    def bands(self) -> Sequence[tuple[int, float, float, float]]:
        """Bands held one by one: none is recorded."""
        return ()

    def _begin(self, now_s: float) -> None:
        busy_s = self.busy_s
        if busy_s and busy_s[-1] == now_s:
            busy_s.pop()
        else:
            busy_s.append(now_s)


class DownLinks:
    """Links that are down, and the uploads they stopped.

    A link may be down for several reasons at once; it is back when all are over.

    Attributes
    ----------
    stopped
        The uploads of each user whose link is down.
    """

    def __init__(self) -> None:
        self.stopped: dict[int, list[ActiveRequest]] = {}
        self._reasons: dict[int, int] = {}

    def lose(self, user: int) -> bool:
        """Note a reason; say whether it is the first."""
        self._reasons[user] = self._reasons.get(user, 0) + 1
        return self._reasons[user] == 1

    def keep(self, user: int, requests: list[ActiveRequest]) -> None:
        """Keep a user's uploads until its link is back."""
        self.stopped.setdefault(user, []).extend(requests)

    def restore(self, user: int) -> list[ActiveRequest]:
        """Note that a reason is over; return the uploads that can go on now."""
        self._reasons[user] -= 1
        if self._reasons[user]:
            return []
        stopped = self.stopped.pop(user)
        return [request for request in stopped if request.state != DONE]

    def all(self) -> list[ActiveRequest]:
        """List all uploads that are stopped."""
        return [r for stopped in self.stopped.values() for r in stopped]


def all_in_order(there: list[ActiveRequest], down: DownLinks) -> list[ActiveRequest]:
    """Put uploads that go on and those that are stopped in order of arrival."""
    every = there + down.all()
    left = [request for request in every if request.state != DONE]
    return sorted(left, key=lambda request: request.number)
