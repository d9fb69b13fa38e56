"""Branch and bound: which users are served, with the path bound at every node."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.bounds.path_bound import ITERATIONS, Relaxation, Tuned, tuned, whole
from solvers.bounds.path_network import Part
from solvers.bounds.upper_bound import upper_bound
from solvers.branch.labels import look_at_all, may_label
from solvers.branch.loops import pay
from solvers.core.algorithm import Options, Solution
from solvers.core.compiling import COMPILED
from solvers.core.quick import NOT_COMPILED
from solvers.core.tables import PlannedRound, Rounds, Tables, count_users
from solvers.core.timing import time_rounds
from solvers.ilp.deadlines import DEADLINES, NODES, deadline_bound
from solvers.ilp.engine import Clock
from solvers.local_search import solver as local_search
from solvers.uplink import Uplink

Flags = NDArray[np.bool_]

# Share of the time limit for the plan to start from, and of what is left that the bound
# by deadlines may take at most; iterations without a limit.
PLAN_SHARE = 0.25
DEADLINE_SHARE = 0.5
PLAN_ITERATIONS = 200

# Longest paths of a node, and the share of the way that its first step goes.
NODE_ITERATIONS = 50
NODE_SHARE = 0.3


class Effort(NamedTuple):
    """How many nodes, and batches of labels at the root and at others, are tried.

    ``rows`` and ``program_nodes`` are those of the bound by deadlines.
    """

    nodes: float
    root_tries: int
    tries: int
    rows: tuple[int, ...]
    program_nodes: int


# With a time limit, and without one.
LIMITED = Effort(math.inf, 30_000_000, 1_000_000, DEADLINES, NODES)
UNLIMITED = Effort(30, 20_000, 2_000, DEADLINES[:1], 500)


class _Node(NamedTuple):
    """Some of the schedules, and what is known of them.

    ``refuted`` is the number of users that its multipliers were to refute more than.
    """

    part: Part
    found: Tuned
    refuted: int


def solve(tables: Tables, uplink: Uplink, options: Options) -> Solution:
    """Prove how many users can be served by branching on the path bound.

    The plan is that of local search. A relaxation by deadlines bounds the users
    (:mod:`solvers.ilp.deadlines`), then the path bound does. Nodes with the greatest
    bound are divided first: with one deadline and releases 0 into those that serve at
    most q users of a model and those that serve more, else into those with a user and
    those without; where it is decided who is served, by the step in which a user's
    batch ends. A node is given up when its bound is what the plan serves, or labels
    show that the best schedule is not there (:mod:`solvers.branch.labels`). Where all
    steps are decided there is one sequence of rounds left, and timing it decides.

    Returns
    -------
    Solution
        Proven if no node is left; else with the greatest bound of the nodes left.

    Notes
    -----
    Exponential in the worst case. Without a time limit it ends after some nodes
    (``UNLIMITED``), and the same seed gives the same result. Problems too large for the
    path bound keep the bound of local search.
    """
    if not tables.active:
        return Solution([], proven=True)
    limit_s = options.time_limit_s
    effort = UNLIMITED if limit_s is None else LIMITED
    clock = Clock.of(limit_s)
    plan = replace(
        options,
        time_limit_s=None if limit_s is None else PLAN_SHARE * limit_s,
        iterations=options.iterations or (PLAN_ITERATIONS if limit_s is None else None),
    )
    start = local_search.solve(tables, uplink, plan)
    rounds: Rounds = start.rounds
    bound = upper_bound(tables, uplink) if start.bound is None else start.bound
    served = count_users(rounds)
    if served < bound:
        part = clock.part(DEADLINE_SHARE)
        bound = deadline_bound(
            *(tables, uplink, served, bound, part),
            rows=effort.rows,
            nodes=effort.program_nodes,
        )
    note = None
    if served < bound:
        loops = pay(limit_s)
        note = NOT_COMPILED if COMPILED and not loops else None
        rounds, bound = proven(
            *(tables, uplink, rounds, bound, effort, lambda: clock.left_s() <= 0),
            loops=loops,
        )
    met = count_users(rounds) == bound
    return Solution(rounds, proven=met, bound=None if met else bound, note=note)


def proven(
    tables: Tables,
    uplink: Uplink,
    rounds: Rounds,
    bound: int,
    effort: Effort,
    out_of_time: Callable[[], bool],
    *,
    loops: bool = COMPILED,
) -> tuple[Rounds, int]:
    """Lower a bound by branching, at best to what a plan serves.

    Where numba is and ``loops`` are not to be compiled, there are no labels.

    Returns
    -------
    Rounds, int
        The plan, or a better one that was found on the way; and the bound.
    """
    served = count_users(rounds)
    root = tuned(tables, uplink, served, ITERATIONS, out_of_time, loops=loops)
    if root is None:
        return rounds, bound
    relaxed, found = root
    least = min(bound, max(whole(found.bound), served))
    if least == served:
        return rounds, served
    search = _Search(relaxed, uplink, rounds, least, effort, out_of_time)
    least = search.run(found)
    return search.rounds, max(search.served, least)


@dataclass
class _Search:
    """The nodes still open, those with the greatest bound first, then the deepest."""

    relaxed: Relaxation
    uplink: Uplink
    rounds: Rounds
    bound: int
    effort: Effort
    out_of_time: Callable[[], bool]

    def __post_init__(self) -> None:
        self.served = count_users(self.rounds)
        self.yields = self.relaxed.yields
        self.labels = may_label(self.relaxed)
        self.labels &= self.relaxed.network.loops or not COMPILED

    def run(self, root: Tuned) -> int:
        """Divide nodes until none is left that may serve more, and return the bound."""
        ticket = count()
        everything = self.relaxed.everything()
        nodes = [(-self.bound, 0, 0, _Node(everything, root, self.served))]
        tuned_nodes = 0
        while nodes and -nodes[0][0] > self.served:
            greatest = -nodes[0][0]
            if self.out_of_time() or tuned_nodes >= self.effort.nodes:
                return greatest
            _, depth, _, node = heapq.heappop(nodes)
            aim = max(self.served, greatest - 1)
            if self._refuted(node, aim):
                if aim > self.served:
                    heapq.heappush(nodes, (-aim, depth, next(ticket), node))
                continue
            aim = max(self.served, aim)
            if node.refuted > aim:
                children = [node.part]
            else:
                children = self._divide(node)
                depth -= 1
            if not children and not self._decide(node.part):
                return greatest
            for part in children:
                most = len(part.banned) - int(part.banned.sum())
                if most <= self.served:
                    continue
                found = self._tune(node, part, aim)
                tuned_nodes += 1
                least = min(greatest, most, whole(found.bound))
                if least > self.served:
                    child = _Node(part, found, aim)
                    heapq.heappush(nodes, (-least, depth, next(ticket), child))
        return self.served

    def _refuted(self, node: _Node, most: int) -> bool:
        """Whether labels show that a node need not be looked at for more users.

        A schedule that serves more, if one is found on the way, is kept.
        """
        part, network = node.part, self.relaxed.network
        # Labels are told apart by the users that they serve, not by when.
        by_time = part.earliest.any() or (part.latest < network.until).any()
        if by_time or not self.labels:
            return False
        everything = not (part.forced.any() or part.banned.any())
        found = look_at_all(
            self.relaxed,
            self.uplink,
            node.found.multipliers,
            part,
            most + 1,
            most_tries=self.effort.root_tries if everything else self.effort.tries,
            out_of_time=self.out_of_time,
        )
        if found.rounds is not None:
            self.rounds, self.served = found.rounds, count_users(found.rounds)
        return found.refuted

    def _decide(self, part: Part) -> bool:
        """Time the only rounds left, and keep them if they can be had.

        Users are in one round if their model and step are the same, for every batch
        takes a step at least. False if they are in time by what only proofs grant.
        """
        network = self.relaxed.network
        users = np.flatnonzero(part.forced)
        together: dict[tuple[int, int], list[int]] = {}
        for k in users.tolist():
            key = int(part.latest[k]), int(network.user_model[k])
            together.setdefault(key, []).append(int(network.users[k]))
        rounds = [
            PlannedRound(network.models[m], tuple(served))
            for (_, m), served in sorted(together.items())
        ]
        tables = network.tables
        sizes = [(m, len(served)) for m, served in rounds]
        if any(b >= len(tables.latency_s[m]) for m, b in sizes):
            return True
        if time_rounds(tables.granting(), rounds, self.uplink) is None:
            return True
        if time_rounds(tables, rounds, self.uplink) is None:
            return False
        if len(users) > self.served:
            self.rounds, self.served = rounds, len(users)
        return True

    def _tune(self, node: _Node, part: Part, aim: int) -> Tuned:
        return self.relaxed.tune(
            node.found.multipliers,
            aim,
            part,
            iterations=NODE_ITERATIONS,
            out_of_time=self.out_of_time,
            share=NODE_SHARE,
        )

    def _divide(self, node: _Node) -> list[Part]:
        """Divide the schedules of a node in two; none if nothing is left to decide."""
        if self.relaxed.network.ordered:
            return self._divide_by_count(node) or self._divide_by_time(node)
        return self._divide_by_user(node) or self._divide_by_time(node)

    def _divide_by_count(self, node: _Node) -> list[Part]:
        """At most q users of a model, those of least demand, or more than q."""
        part, first = node.part, self.relaxed.network.first
        least = np.add.reduceat(part.forced.astype(np.int64), first[:-1])
        most = np.diff(first) - np.add.reduceat(
            part.banned.astype(np.int64), first[:-1]
        )
        users = len(part.forced)
        mean, variance = node.found.mean[users:], node.found.variance[users:]
        undecided = np.flatnonzero(least < most)
        if not len(undecided):
            return []
        m = int(undecided[variance[undecided].argmax()])
        q = int(np.clip(math.floor(mean[m]), least[m], most[m] - 1))
        banned, forced = part.banned.copy(), part.forced.copy()
        banned[first[m] + q : first[m + 1]] = True
        forced[first[m] : first[m] + q + 1] = True
        return [part._replace(banned=banned), part._replace(forced=forced)]

    def _divide_by_user(self, node: _Node) -> list[Part]:
        """With a user and all that it yields to, or without it and all that yield.

        A user yields to another one of its model that asks for no more, may wait no
        less and is there no later: whatever serves the first can serve the second.
        """
        part = node.part
        variance = node.found.variance[: len(part.forced)]
        undecided = np.flatnonzero(~part.forced & ~part.banned)
        if not len(undecided):
            return []
        k = int(undecided[variance[undecided].argmax()])
        parts = [
            part._replace(forced=part.forced | self.yields[k]),
            part._replace(banned=part.banned | self.yields[:, k]),
        ]
        return [part for part in parts if not (part.forced & part.banned).any()]

    def _divide_by_time(self, node: _Node) -> list[Part]:
        """One user's batch ends by some step, or after it.

        The user whose batches are furthest apart on late paths is chosen.
        """
        part, found = node.part, node.found
        step = np.floor(found.step).astype(np.int64)
        step = np.clip(step, part.earliest, part.latest - 1)
        open_ = ~part.banned & (part.earliest < part.latest)
        if not open_.any():
            return []
        k = int(np.where(open_, found.spread, -1.0).argmax())
        latest, earliest = part.latest.copy(), part.earliest.copy()
        latest[k], earliest[k] = step[k], step[k] + 1
        return [part._replace(latest=latest), part._replace(earliest=earliest)]
