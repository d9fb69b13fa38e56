"""Follow the rounds of an earlier run, whatever they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgesim.engine.policy import Choice, Policy, View
from edgesim.engine.request import CHOSEN, ActiveRequest
from solvers.tolerance import TIME_TOLERANCE_S


@dataclass(frozen=True)
class PastRound:
    """A round of an earlier run.

    Parameters
    ----------
    model
        Its model.
    requests
        Numbers of the requests of its batch; none if it loaded in vain.
    chosen_s
        When it was chosen.
    freed
        Whether it was chosen at the very end of another round, and not by an event
        that does not depend on the device.
    """

    model: int
    requests: frozenset[int]
    chosen_s: float
    freed: bool


class Retrace(Policy):
    """Chooses the rounds of an earlier run, in its order, with the same requests.

    A round that was chosen as soon as another had ended is so again; any other is not
    chosen before it was. Requests that had arrived when it was chosen are waited for,
    those that joined later do so again if their input is there by then.

    Parameters
    ----------
    rounds
        The rounds, in order.
    arrival_s
        When each of their requests arrives, by number.
    """

    asked_when_empty = True

    def __init__(self, rounds: Sequence[PastRound], arrival_s: Sequence[float]) -> None:
        self._rounds = rounds
        self._arrival_s = arrival_s
        self._next = 0
        self._present: dict[int, ActiveRequest] = {}

    def admit(self, server: View, request: ActiveRequest) -> str | None:
        """Note who has arrived."""
        del server
        self._present[request.number] = request
        return None

    def choose(self, server: View) -> Sequence[ActiveRequest] | Choice | None:
        """Choose the next round once what it was chosen for has happened."""
        if self._next == len(self._rounds):
            return None
        past = self._rounds[self._next]
        if not past.freed and server.now_s < past.chosen_s - TIME_TOLERANCE_S:
            server.wake_at(past.chosen_s)
            return None
        first = [n for n in past.requests if self._arrival_s[n] <= past.chosen_s]
        if any(number not in self._present for number in first):
            return None
        if server.ahead and not server.fits_beside(past.model):
            return None
        self._next += 1
        there = [self._present[n] for n in sorted(past.requests & self._present.keys())]
        return Choice(past.model, there)

    def join(
        self, server: View, batch: Sequence[ActiveRequest], room: int
    ) -> Sequence[ActiveRequest]:
        """Let those join that did, if their input is there."""
        past = self._rounds[self._next - 1]
        queue = server.waiting[batch[0].model]
        joining = [request for request in queue if request.number in past.requests]
        return [request for request in joining if request.state < CHOSEN][:room]
