"""Insert unserved users into a finished schedule where slack allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from solvers.core.filling import fill as fill_plan
from solvers.core.insertion import Criterion, Insertions
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.plan import Clock, rounds_of
from solvers.core.tables import PlannedRound, Tables
from solvers.uplink import Uplink

CRITERION = Criterion(uplink_weight=0.25, urgent=False, noise=0.0)

# Number of proposals timed per addition where slack alone does not decide
# feasibility.
MAX_TRIES = 12

# Additions end after this many pairs of a user and a round have been evaluated.
MAX_PAIRS = 400_000


def fill(
    tables: Tables,
    rounds: Sequence[PlannedRound],
    uplink: Uplink,
    limit: Limit = UNLIMITED,
) -> list[PlannedRound]:
    """Let users join rounds of their model or open rounds anywhere, while any fit.

    The addition with the least cost per user comes first.

    Parameters
    ----------
    tables
        The problem.
    rounds
        Feasible rounds.
    uplink
        The uplink discipline.
    limit
        No further addition is looked for after it.

    Returns
    -------
    list of PlannedRound
        Feasible rounds that serve the same users and possibly more.

    Notes
    -----
    O(unserved users · rounds) for each addition; at most ``MAX_PAIRS`` in total.
    """
    insertions = Insertions(Clock(tables, uplink))
    plan = insertions.clock.plan(rounds)
    waiting = np.zeros(len(tables.user_ids), dtype=bool)
    waiting[tables.users] = True
    waiting[[k for batch in plan for k in batch.users]] = False
    pairs = 0

    def goes_on(rounds: int) -> bool:
        nonlocal pairs
        pairs += int(waiting.sum()) * (rounds + 1)
        return pairs <= MAX_PAIRS and not limit.passed()

    rng = np.random.default_rng(0)
    plan, _ = fill_plan(
        *(insertions, plan, waiting, CRITERION, rng), tries=MAX_TRIES, goes_on=goes_on
    )
    return rounds_of(plan)
