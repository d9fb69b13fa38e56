"""State shared by all uplink rules: busy times of the band, and links that are down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from edgesim.engine.request import DONE, ActiveRequest
from edgesim.storage.column_files import LongColumn

Act: TypeAlias = Callable[[ActiveRequest], None]


class BusyTime:
    """Records when the band is in use.

    Attributes
    ----------
    busy_s
        Times at which it alternately began and ceased to be in use.
    """

    def __init__(self) -> None:
        self.busy_s = LongColumn()

    @property
    def bands(self) -> Sequence[tuple[int, float, float, float]]:
        """Bands held by single uploads: none are recorded."""
        return ()

    def _begin(self, now_s: float) -> None:
        busy_s = self.busy_s
        if busy_s.last == now_s:
            busy_s.pop()
        else:
            busy_s.append(now_s)


class DownLinks:
    """Links that are down, and the uploads that they stopped.

    A link may be down for several reasons at once; it is restored when all are over.

    Attributes
    ----------
    stopped
        The uploads of each user whose link is down.
    """

    def __init__(self) -> None:
        self.stopped: dict[int, list[ActiveRequest]] = {}
        self._reasons: dict[int, int] = {}

    def lose(self, user: int) -> bool:
        """Record a reason; return whether it is the first."""
        self._reasons[user] = self._reasons.get(user, 0) + 1
        return self._reasons[user] == 1

    def keep(self, user: int, requests: list[ActiveRequest]) -> None:
        """Keep a user's uploads until its link is restored."""
        self.stopped.setdefault(user, []).extend(requests)

    def restore(self, user: int) -> list[ActiveRequest]:
        """Record that a reason is over; return the uploads that can resume now."""
        self._reasons[user] -= 1
        if self._reasons[user]:
            return []
        stopped = self.stopped.pop(user)
        return [request for request in stopped if request.state != DONE]

    def all(self) -> list[ActiveRequest]:
        """List all stopped uploads."""
        return [r for stopped in self.stopped.values() for r in stopped]


def all_in_order(active: list[ActiveRequest], down: DownLinks) -> list[ActiveRequest]:
    """Sort active and stopped uploads in order of arrival."""
    uploads = active + down.all()
    unfinished = [request for request in uploads if request.state != DONE]
    return sorted(unfinished, key=lambda request: request.number)
