"""A policy that knows a plan: it chooses the plan's rounds in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from edgesim.engine.policy import Policy
from edgesim.engine.records import Run
from edgesim.engine.request import ActiveRequest, Arrival
from edgesim.engine.server import Server, simulate
from edgesim.engine.settings import Settings as OnlineSettings
from solvers.core import timing
from solvers.core.tables import Rounds, Tables


class FixedPlan(Policy):
    """Chooses given rounds, each as soon as the engine lets it.

    Parameters
    ----------
    rounds
        Numbers of the requests of each round.
    """

    def __init__(self, rounds: Sequence[Sequence[int]]) -> None:
        self._rounds = rounds
        self._next = 0
        self._requests: dict[int, ActiveRequest] = {}

    def admit(self, server: Server, request: ActiveRequest) -> str | None:
        """Note every request."""
        self._requests[request.number] = request
        return None

    def choose(self, server: Server) -> Sequence[ActiveRequest] | None:
        """Answer with the round that is due, once memory lets it be loaded."""
        if self._next == len(self._rounds):
            return None
        batch = [self._requests[number] for number in self._rounds[self._next]]
        if server.ahead and not server.fits_beside(batch[0].model):
            return None
        self._next += 1
        return batch


def run_plan(
    tables: Tables, rounds: Rounds, late: Literal["drop", "serve"]
) -> tuple[Run, list[int]]:
    """Run a plan's rounds online: its users arrive at time 0, in its upload order.

    Parameters
    ----------
    tables
        The problem; all releases are 0.
    rounds
        Rounds of the plan.
    late
        Whether requests that are late are dropped; a plan has none.

    Returns
    -------
    Run and list of int
        The run, and the number of the user behind each request.
    """
    order = timing.upload_order(tables, rounds)
    number = {user: place for place, user in enumerate(order)}
    arrivals = [
        Arrival(
            arrival_s=0.0,
            user=user,
            model=int(tables.user_model[user]),
            demand_s=float(tables.demand_s[user]),
            slo_s=float(tables.deadline_s[user]),
        )
        for user in order
    ]
    policy = FixedPlan([[number[user] for user in users] for _, users in rounds])
    library = Tables(
        tables.problem.model_copy(update={"users": ()}), sharing=tables.sharing
    )
    return simulate(library, arrivals, policy, OnlineSettings(late=late)), order
