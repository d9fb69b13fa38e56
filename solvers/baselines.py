"""Baseline dispatch rules: first come first served, earliest deadline, random."""

from __future__ import annotations

import numpy as np

from solvers.core.algorithm import Options, Solution
from solvers.core.appending import Growing, Offer
from solvers.core.tables import Ints, PlannedRound, Tables
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
    O(K · batch limit); ``static`` O(R) more for each round, and releases that differ
    O(K) more for each user served.
    """
    plan = Growing(tables, uplink)
    rounds: list[PlannedRound] = []
    queues: dict[int, list[int]] = {}
    models = tables.user_model.tolist()
    for k in order.tolist():
        queues.setdefault(models[k], []).append(k)
    done = dict.fromkeys(queues, 0)
    gone = [False] * len(models)
    demand, deadline = tables.demand_s.tolist(), tables.deadline_s.tolist()
    shortest = tables.least_latency_s.tolist()
    for k in order.tolist():
        if gone[k]:
            continue
        model = models[k]
        # No round with the head adds less: most users are left out by this alone.
        least = Offer(model, (k,), demand[k], deadline[k], shortest[model])
        if not plan.fits(least):
            done[model] += 1
            continue
        # All before the head have been served or left out.
        limit = len(tables.latency_s[model]) - 1
        mates = queues[model][done[model] : done[model] + limit]
        taken = [k]
        for offer in reversed(_offers(tables, model, mates)):
            if plan.fits(offer):
                plan.append(offer)
                rounds.append(PlannedRound(model, offer.users))
                taken = mates[: len(offer.users)]
                break
        for served in taken:
            gone[served] = True
        done[model] += len(taken)
    return Solution(rounds)


def _offers(tables: Tables, model: int, mates: list[int]) -> list[Offer]:
    """List the rounds of the first 1, 2, … users of a model that fit in memory."""
    demand = tables.demand_s[mates].cumsum().tolist()
    deadline = np.minimum.accumulate(tables.deadline_s[mates]).tolist()
    compute = tables.latency_s[model][1 : len(mates) + 1].tolist()
    return [
        Offer(model, tuple(mates[: i + 1]), demand[i], deadline[i], compute[i])
        for i in range(len(mates))
        if np.isfinite(compute[i])
    ]
