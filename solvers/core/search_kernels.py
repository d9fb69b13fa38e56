"""Ruin and recreate with plans as arrays, in loops.

A twin of :mod:`solvers.core.search`: a chain goes the same way with the same random
numbers. Only where it is compiled is it the quicker one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from solvers.core.arrays import STATIC, Rows, Rules
from solvers.core.compiling import compiled
from solvers.core.filling_kernels import Filling, fill
from solvers.core.memory_kernels import loads
from solvers.core.move_kernels import Changes, between, perturb, repair
from solvers.core.places import Bools
from solvers.core.plan_kernels import copied, timed
from solvers.core.tables import Floats, Ints

# What a step has left to do: to begin, to fill a plan from a cut on, or to fill it.
RUIN, FILL_LATER, FILL = 0, 1, 2


class Ways(NamedTuple):
    """How a search changes and fills plans, M models.

    Parameters
    ----------
    changes
        What moves draw from.
    users
        Who can be served.
    by_demand, by_deadline
        They, by model and then by demand or deadline.
    batches_s
        Compute time of the batch in which users must be in time to enter a new round,
        for each size that is drawn, shape (B, M).
    noises
        Random shares of costs that are drawn.
    filling
        How plans are filled; what is drawn for each step is replaced.
    deadlines_differ
        Whether users have deadlines of their own.
    cut
        Share of the fillings that start with the users above a cut, if deadlines
        differ.
    """

    changes: Changes
    users: Ints
    by_demand: Ints
    by_deadline: Ints
    batches_s: Floats
    noises: Floats
    filling: Filling
    deadlines_differ: bool
    cut: float


class Chain(NamedTuple):
    """A chain of steps that anneals.

    Parameters
    ----------
    length
        Number of steps in which it cools down.
    steps
        Number of steps that it makes.
    bound
        It ends when so many users are served.
    hot, cold
        First and last temperature, in users.
    penalty, user_s
        As ``search.EFFORT`` and the seconds that an average user takes.
    """

    length: int
    steps: int
    bound: int
    hot: float
    cold: float
    penalty: float
    user_s: float


class Kept(NamedTuple):
    """A feasible plan, the number of users that it serves, and its score."""

    rows: Rows
    rounds: int
    served: int
    score: float


class State(NamedTuple):
    """A chain under way.

    ``step`` is the number of steps made, ``now`` the plan that the next one changes and
    ``best`` the best so far. Where a step is under way, ``todo`` is what it has left to
    do, ``made`` and ``rounds`` are the plan that it makes, ``waiting`` who may still be
    inserted, ``later`` who of them is above the cut, and ``filling`` the way in which
    they are. ``effort`` is as in :func:`solvers.core.filling_kernels.fill`.
    """

    step: int
    now: Kept
    best: Kept
    todo: int
    made: Rows
    rounds: int
    waiting: Bools
    later: Bools
    filling: Filling
    effort: float


@compiled
def advance(
    rules: Rules,
    ways: Ways,
    chain: Chain,
    state: State,
    rng: np.random.Generator,
    budget: float,
) -> State:
    """Go on with a chain: twin of ``Search._chain``.

    Parameters
    ----------
    rules, ways, chain
        The problem, and how the search goes.
    state
        The chain so far; its arrays are written to.
    rng
        Draws moves and fillings.
    budget
        Pairs of a user and a round to evaluate before the time is looked at.

    Returns
    -------
    State
        The chain when the budget is used up or the chain has ended.
    """
    step, now, best, todo = state.step, state.now, state.best, state.todo
    made, rounds = state.made, state.rounds
    waiting, later = state.waiting, state.later
    filling, effort = state.filling, state.effort
    while budget > 0:
        if todo == RUIN:
            if step >= chain.steps or best.served >= chain.bound or effort <= 0:
                break
            rounds = perturb(rules, ways.changes, now.rows, now.rounds, made, rng)
            rounds = repair(rules, made, rounds, rng)
            filling = _drawn(ways, rng)
            _wait(ways, made, rounds, waiting)
            todo = _cut(rules, ways, waiting, later, rng)
        if todo == FILL_LATER:
            rounds, done, effort, budget = fill(
                rules, made, rounds, later, filling, rng, effort, budget
            )
            if not done:
                break
            _wait(ways, made, rounds, waiting)
            todo = FILL
        rounds, done, effort, budget = fill(
            rules, made, rounds, waiting, filling, rng, effort, budget
        )
        if not done:
            break
        todo = RUIN
        served = _served(made, rounds)
        score = served - chain.penalty * _seconds(rules, made, rounds) / chain.user_s
        if served > best.served or (served == best.served and score > best.score):
            _copy(made, rounds, best.rows)
            best = Kept(best.rows, rounds, served, score)
        heat = chain.hot * (chain.cold / chain.hot) ** (step / chain.length)
        if score >= now.score + heat * math.log(1 - rng.random()):
            now, made = Kept(made, rounds, served, score), now.rows
        step += 1
    return State(step, now, best, todo, made, rounds, waiting, later, filling, effort)


@compiled
def _drawn(ways: Ways, rng: np.random.Generator) -> Filling:
    """Draw how the next filling ranks candidates: twin of ``draw_criterion``."""
    usual = ways.filling
    weight = rng.random()
    order, batch = ways.by_demand, 0
    if ways.deadlines_differ and rng.random() < 0.5:
        order = ways.by_deadline
    noise = ways.noises[between(rng, 0, len(ways.noises))]
    if ways.deadlines_differ:
        batch = between(rng, 0, len(ways.batches_s))
    return Filling(
        weight,
        noise,
        ways.batches_s[batch],
        usual.alone_s,
        usual.tries,
        usual.spread,
        order,
        usual.most_pairs,
        usual.overhead,
        usual.overhead_per_round,
    )


@compiled
def _wait(ways: Ways, rows: Rows, rounds: int, waiting: Bools) -> None:
    """Mark who can be served and is not."""
    waiting[:] = False
    waiting[ways.users] = True
    for r in range(rounds):
        row = rows.at[r]
        for b in range(rows.size[row]):
            waiting[rows.users[row, b]] = False


@compiled
def _cut(
    rules: Rules, ways: Ways, waiting: Bools, later: Bools, rng: np.random.Generator
) -> int:
    """Draw whether users above a cut come first, and mark them."""
    if not ways.deadlines_differ or not rng.random() < ways.cut:
        return FILL
    k = ways.users[between(rng, 0, len(ways.users))]
    for j in range(len(later)):
        later[j] = waiting[j] and rules.deadline_s[j] >= rules.deadline_s[k]
    return FILL_LATER


@compiled
def _served(rows: Rows, rounds: int) -> int:
    """Count the users that a plan serves."""
    served = 0
    for r in range(rounds):
        served += rows.size[rows.at[r]]
    return served


@compiled
def _seconds(rules: Rules, rows: Rows, rounds: int) -> float:
    """GPU and band seconds that a plan takes: twin of ``Search._seconds``."""
    gpu_s, demand_s = 0.0, 0.0
    load_s = loads(rules, rows, rounds).load_s
    for r in range(rounds):
        row = rows.at[r]
        gpu_s += load_s[r] + rows.compute_s[row]
        demand_s += rows.demand_s[row]
    if rules.uplink == STATIC:
        demand_s = timed(rules, rows, rounds).band * rules.horizon_s
    return gpu_s + demand_s


@compiled
def _copy(rows: Rows, rounds: int, into: Rows) -> None:
    """Write a plan to other rows, in order."""
    for r in range(rounds):
        copied(rows, rows.at[r], into, r)
        into.at[r] = r
