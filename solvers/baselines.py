"""Baseline dispatch rules: first come first served, earliest deadline, random."""

from __future__ import annotations

import numpy as np

from solvers.core.algorithm import Options, Solution
from solvers.core.tables import Ints, PlannedRound, Tables
from solvers.core.timing import time_rounds
from solvers.uplink import Uplink


def fcfs(tables: Tables, uplink: Uplink, options: Options) -> Solution:
    """Serve users in order of release; ties keep the problem's order."""
    del options
    users = tables.users
    return _serve_in_order(
        tables, uplink, users[_stable_argsort(tables.release_s[users])]
    )


def edf(tables: Tables, uplink: Uplink, options: Options) -> Solution:
    """Serve users in order of deadline; ties keep the problem's order."""
    del options
    users = tables.users
    return _serve_in_order(
        tables, uplink, users[_stable_argsort(tables.deadline_s[users])]
    )


def random(tables: Tables, uplink: Uplink, options: Options) -> Solution:
    """Serve users in a random order drawn from the given seed."""
    rng = np.random.default_rng(options.seed)
    return _serve_in_order(tables, uplink, rng.permutation(tables.users))


def _stable_argsort(key: np.ndarray) -> Ints:
    return np.argsort(key, kind="stable")


def _serve_in_order(tables: Tables, uplink: Uplink, order: Ints) -> Solution:
    """Batch each user with the next users of its model; skip users that would be late.

    The user at the head of the queue is batched with as many of the next users of its
    model, in the given order, as fit. A user that does not fit even alone is left out.
    O(K²·R).
    """
    rounds: list[PlannedRound] = []
    waiting = [int(k) for k in order]
    while waiting:
        model = int(tables.user_model[waiting[0]])
        mates = [k for k in waiting if tables.user_model[k] == model]
        limit = len(tables.latency_s[model]) - 1
        taken: tuple[int, ...] = ()
        for size in range(min(limit, len(mates)), 0, -1):
            planned = PlannedRound(model, tuple(mates[:size]))
            if time_rounds(tables, [*rounds, planned], uplink) is not None:
                rounds.append(planned)
                taken = planned.users
                break
        gone = set(taken) or {waiting[0]}
        waiting = [k for k in waiting if k not in gone]
    return Solution(rounds)
