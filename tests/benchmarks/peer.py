"""What a peer, a solver that is not edgesim's, hands back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from solvers import Problem, RefusalError, Schedule
from solvers.core.tables import PlannedRound, Rounds, Tables
from solvers.core.timing import time_rounds
from solvers.uplink import Uplink


@dataclass(frozen=True)
class PeerResult:
    """Rounds that a peer found, and what it proved of them.

    Parameters
    ----------
    served
        Users in ``rounds``.
    bound
        An upper bound on users served that the peer proved; ``served`` if ``proven``.
    proven
        Whether the peer proved that no rounds serve more users.
    runtime_s
        Wall time, building the program included.
    build_s, hint_s
        Of it: to build the program, and to complete a hint.
    rounds
        Rounds that :func:`solvers.core.timing.time_rounds` accepts.
    """

    served: int
    bound: int
    proven: bool
    runtime_s: float
    rounds: tuple[PlannedRound, ...]
    build_s: float = 0.0
    hint_s: float = 0.0


def tables_for(
    name: str, problem: Problem, uplink: Uplink, *, sharing: bool, time_limit_s: float
) -> Tables:
    """Check what both peers can take.

    Raises
    ------
    RefusalError
        For residency ``"cache"``, overlap, or releases under another discipline than
        ``"dynamic"``.
    ValueError
        For a time limit that is not positive.
    """
    if not time_limit_s > 0:
        raise ValueError(f"time_limit_s must be > 0, found {time_limit_s!r}")
    if problem.residency != "previous" or problem.overlap:
        raise RefusalError(
            f"{name}: only residency 'previous' without overlap is taken; use greedy"
        )
    tables = Tables(problem, sharing=sharing)
    if uplink != "dynamic" and not tables.releases_zero:
        raise RefusalError(
            f"{name}: uplink {uplink!r} needs every release_s to be 0; use 'dynamic'"
        )
    return tables


def most_rounds(tables: Tables) -> int:
    """Bound the rounds that fit before the latest deadline, one user each at least."""
    least_s = sorted(
        float(tables.least_latency_s[tables.user_model[k]]) for k in tables.users
    )
    left_s = float(tables.deadline_s[tables.users].max()) + 1e-6
    for rounds, latency_s in enumerate(least_s):
        left_s -= latency_s
        if left_s < 0:
            return rounds
    return len(least_s)


def served(rounds: Iterable[PlannedRound]) -> int:
    """Count the users of rounds."""
    return sum(len(users) for _, users in rounds)


def planned_rounds(problem: Problem, schedule: Schedule) -> tuple[PlannedRound, ...]:
    """Write a schedule with models and users by number, as ``Tables`` has them."""
    models = {name: m for m, name in enumerate(problem.models)}
    users = {user.id: k for k, user in enumerate(problem.users)}
    return tuple(
        PlannedRound(models[r.model], tuple(users[name] for name in r.users))
        for r in schedule.rounds
    )


def repaired(tables: Tables, rounds: Rounds, uplink: Uplink) -> list[PlannedRound]:
    """Take out the users of greatest demand, one after the other, until it verifies.

    Rounds that do are returned as they are. An engine's rounds may fail by its
    tolerance, or by what its program leaves out.
    """
    left = sorted(
        (k for _, users in rounds for k in users), key=lambda k: tables.demand_s[k]
    )
    while True:
        chosen = set(left)
        kept = [
            PlannedRound(m, tuple(k for k in users if k in chosen))
            for m, users in rounds
            if chosen.intersection(users)
        ]
        if time_rounds(tables, kept, uplink) is not None:
            return kept
        left.pop()
