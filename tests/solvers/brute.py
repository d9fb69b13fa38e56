"""The most users any sequence of rounds serves: all of them tried, the best judged.

For problems with a cache or with overlap, which ``exhaustive`` does not take. What may
be a round is told by ``arithmetic``, when it runs by ``timing``, whether that holds
by ``verify``.
"""

from __future__ import annotations

from solvers import Problem, Uplink, verify
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import make_schedule
from tests.solvers.arithmetic import sequences

# Five users of one model have 1,082 sequences of rounds, six would have 9,366.
MOST_USERS = 5


def best_served(problem: Problem, uplink: Uplink, *, sharing: bool = True) -> int:
    """Return the most users that rounds of a tiny problem can serve.

    Parameters
    ----------
    problem
        At most ``MOST_USERS`` users with a link; any residency, overlap, releases.
    uplink
        The uplink discipline; all but ``dynamic`` need releases 0.
    sharing
        If false, the most that the baselines without sharing can serve.
    """
    users = tuple(user for user in problem.users if user.spectral_efficiency > 0)
    assert len(users) <= MOST_USERS
    tables = Tables(problem, sharing=sharing)
    model = {name: m for m, name in enumerate(tables.model_names)}
    number = {user.id: k for k, user in enumerate(problem.users)}
    found = [
        [
            PlannedRound(model[name], tuple(number[user.id] for user in batch))
            for name, batch in rounds
        ]
        for rounds in sequences(problem, users)
    ]
    found.sort(key=lambda rounds: -sum(len(users) for _, users in rounds))
    for rounds in found:
        schedule = make_schedule(tables, rounds, uplink, solver="brute", bound=None)
        if schedule is not None:
            verify(problem, schedule, sharing=sharing)
            return schedule.served
    raise AssertionError("the empty plan is feasible")
