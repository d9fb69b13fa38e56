"""The tests' oracle: searches that leave nothing out, each for what it can take."""

from __future__ import annotations

from solvers.core.algorithm import Options, Solution
from solvers.core.limit import Limit, PassedError
from solvers.core.tables import Tables
from solvers.errors import RefusalError
from solvers.exhaustive import histories, sequences, sets
from solvers.greedy import solver as greedy
from solvers.uplink import Uplink

MOST_USERS = 12
"""Most users that can be scheduled."""

MOST_USERS_BY_SEQUENCES = 6
"""Most of them where what is evicted depends on the rounds that follow."""


def solve(tables: Tables, uplink: Uplink, options: Options) -> Solution:
    """Serve the maximum number of users over all sequences of rounds.

    With residency ``"previous"`` and no overlap by :mod:`solvers.exhaustive.sets`; with
    overlap or an LRU cache by :mod:`solvers.exhaustive.histories`; with eviction
    ``"furthest-next-use"`` by :mod:`solvers.exhaustive.sequences`. If the time limit
    ends the search, the plan is that of ``greedy``.

    Raises
    ------
    RefusalError
        As :func:`check` does, or if a cache or overlap makes too many labels.
    """
    check(tables)
    limit = Limit.after(options.time_limit_s)
    try:
        if _looks_ahead(tables):
            return sequences.solve(tables, uplink, limit)
        if tables.problem.residency == "cache" or tables.problem.overlap:
            return histories.solve(tables, uplink, limit)
        return sets.solve(tables, uplink, limit)
    except PassedError:
        found = greedy.solve(tables, uplink, Options())
        note = "exhaustive: the time limit ended the search; the plan is greedy's"
        return Solution(found.rounds, note=note)


def check(tables: Tables) -> None:
    """Refuse a problem that is too large.

    Raises
    ------
    RefusalError
        If more than 12 users can be scheduled, or 6 with ``"furthest-next-use"``.
    """
    users = len(tables.users)
    if users > MOST_USERS:
        raise RefusalError(
            f"exhaustive: {users} users, at most {MOST_USERS} are taken; "
            f"use ilp for a proven optimum"
        )
    if _looks_ahead(tables) and users > MOST_USERS_BY_SEQUENCES:
        raise RefusalError(
            f"exhaustive: {users} users, at most {MOST_USERS_BY_SEQUENCES} are taken "
            f"with eviction 'furthest-next-use'; use branch"
        )


def _looks_ahead(tables: Tables) -> bool:
    problem = tables.problem
    return problem.residency == "cache" and problem.eviction == "furthest-next-use"
