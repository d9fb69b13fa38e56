"""Follow a plan: its rounds in its order, each as early as the rules allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edgesim.engine.policy import Choice, Policy, View
from edgesim.engine.request import CHOSEN, ActiveRequest
from solvers.problem import Problem
from solvers.schedule import Schedule
from solvers.tolerance import TIME_TOLERANCE_S

NOT_SCHEDULED = "not scheduled"
"""Reason to reject a request that is in no round of the plan."""


class _Planned(NamedTuple):
    """A round of the plan; ``ahead`` if its load overlaps the preceding round."""

    model: int
    users: tuple[int, ...]
    ahead: bool


class Follow(Policy):
    """Runs the rounds of a plan, whatever happens.

    Requests that are in no round are rejected on arrival. A round proceeds with the
    inputs present once the others have been abandoned, and loads its model even if none
    is left. Under ``upfront`` the GPU starts when all uploads have ended.

    Parameters
    ----------
    problem
        The planned problem; request k is that of its user k, and all are known in
        advance.
    schedule
        A schedule of the problem.
    """

    asked_when_empty = True

    def __init__(self, problem: Problem, schedule: Schedule) -> None:
        model = {name: number for number, name in enumerate(problem.models)}
        user = {user.id: number for number, user in enumerate(problem.users)}
        rounds = []
        before_end_s = 0.0
        for planned in schedule.rounds:
            ahead = planned.load_start_s < before_end_s - TIME_TOLERANCE_S
            users = tuple(user[name] for name in planned.users)
            rounds.append(_Planned(model[planned.model], users, ahead))
            before_end_s = planned.end_s
        self._rounds = rounds
        self._scheduled = {user for planned in rounds for user in planned.users}
        self._waits_for_all = schedule.uplink == "upfront"
        self._next = 0
        self._requests: dict[int, ActiveRequest] = {}

    def admit(self, server: View, request: ActiveRequest) -> str | None:
        """Reject requests that are in no round."""
        del server
        if request.number not in self._scheduled:
            return NOT_SCHEDULED
        self._requests[request.number] = request
        return None

    def choose(self, server: View) -> Sequence[ActiveRequest] | Choice | None:
        """Choose the next round, once the plan's rules allow its load."""
        if self._next == len(self._rounds):
            return None
        if len(self._requests) < len(self._scheduled):
            return None
        if self._waits_for_all and server.uploading_count:
            return None
        model, users, ahead = self._rounds[self._next]
        if server.ahead and not ahead:
            return None
        self._next += 1
        requests = [self._requests[user] for user in users]
        return Choice(model, [r for r in requests if r.state < CHOSEN])
