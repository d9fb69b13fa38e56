"""Local search: ruin a plan, reinsert users where they are cheapest, and anneal."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

from solvers.bounds.upper_bound import upper_bound
from solvers.core.algorithm import Options, Solution
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.plan import Clock, rounds_of
from solvers.core.quick import choose
from solvers.core.search import Chains, Search
from solvers.core.tables import PlannedRound, Tables, count_users
from solvers.core.timing import rank
from solvers.dp import solver as dp
from solvers.dp.visits import choose as choose_visits
from solvers.dp.visits import visit
from solvers.errors import RefusalError
from solvers.greedy import solver as greedy
from solvers.uplink import Uplink

# Default iteration limit: proportional to the number of users in small problems, and
# inversely proportional in large ones, where an iteration takes longer.
ITERATIONS_PER_USER = 100
ITERATIONS_TIMES_USERS = 200_000
MIN_ITERATIONS = 20

# Iterations of the first chain, times users and within limits, how much longer the next
# one is, and the temperature at which each starts, in users. Long hot chains end best,
# but only where they end: the first one is longer in compiled loops that nothing but a
# time limit ends.
CHAIN_TIMES_USERS = 100_000
MIN_CHAIN, MAX_CHAIN = 150, 1000
LONGER_IN_LOOPS = 3
CHAIN_GROWTH = 2.0
HOT = 1.0

# dp provides a start up to this product of users and models, which takes it a few
# seconds; with a time limit up to the product that takes it about half of the limit,
# more where its walks are compiled.
DP_SIZE: dict[Uplink, int] = {
    "upfront": 5_000_000,
    "static": 60_000,
    "dynamic": 3_000_000,
}
DP_SIZE_PER_S: dict[Uplink, int] = {
    "upfront": 2_500_000,
    "static": 15_000,
    "dynamic": 600_000,
}
DP_SIZE_PER_S_IN_LOOPS = 600_000

# Shares of what is left of a time limit that dp and, without it, the bound may take.
DP_SHARE, BOUND_SHARE = 0.7, 0.25


def solve(tables: Tables, uplink: Uplink, options: Options) -> Solution:
    """Improve the best of greedy and dp by ruin and recreate with simulated annealing.

    Supports any sharing, deadlines, releases (``dynamic``), residency and overlap. Each
    iteration modifies the plan by one move (drop rounds or users, all users whose
    deadlines are below a cut, a span of rounds; move a run of rounds, swap two rounds,
    split a round, join the rounds of a model), drops users until it is feasible, and
    inserts unserved users, the cheapest first. A worse plan is accepted with the
    probability of simulated annealing.

    Notes
    -----
    After Schrimpf et al., Record breaking optimization results using the ruin and
    recreate principle, J. Comput. Phys. 159 (2000), and Christiaens and Vanden Berghe,
    Slack induction by string removals for vehicle routing problems, Transp. Sci. 54
    (2020). One iteration costs O(inserted users · waiting users · rounds); the same
    seed and iterations give the same schedule, unless a time limit ends them, and more
    iterations never serve fewer users.
    """
    if not tables.active:
        return Solution([], proven=True)
    limit, note = Limit.after(options.time_limit_s), None
    starts, bound = _starts(tables, uplink, options, limit)
    best = _best(tables, uplink, starts)
    if bound is None:
        part = Limit.after(limit.left_s(BOUND_SHARE))
        bound = upper_bound(tables, uplink, part)
    if count_users(best) < bound:
        iterations = _iterations(tables, options)
        kind, note = choose(tables, limit.left_s(), _work(tables, options))
        chains = _chains(tables, quick=kind is not Search and iterations is None)
        clock = Clock(tables, uplink)
        search = kind(clock, options.seed, bound, limit.stop_s, chains)
        found = rounds_of(search.run(clock.plan(best), iterations))
        best = _best(tables, uplink, [best, found])
    return Solution(best, bound=bound, note=note)


def _iterations(tables: Tables, options: Options) -> int | None:
    """Return the iteration limit; None if a time limit is the only one."""
    if options.iterations is not None or options.time_limit_s is not None:
        return options.iterations
    users = len(tables.users)
    share = max(ITERATIONS_TIMES_USERS // users, MIN_ITERATIONS)
    return min(share, ITERATIONS_PER_USER * users)


def _work(tables: Tables, options: Options) -> float:
    """Return the most iterations times users."""
    iterations = _iterations(tables, options)
    return math.inf if iterations is None else iterations * len(tables.users)


def _chains(tables: Tables, *, quick: bool) -> Chains:
    """Return chains that are shorter where an iteration takes longer."""
    longer = LONGER_IN_LOOPS if quick else 1
    length = max(longer * CHAIN_TIMES_USERS // len(tables.users), MIN_CHAIN)
    return Chains(min(length, longer * MAX_CHAIN), CHAIN_GROWTH, HOT)


def _best(
    tables: Tables, uplink: Uplink, plans: list[list[PlannedRound]]
) -> list[PlannedRound]:
    return min(plans, key=lambda rounds: rank(tables, rounds, uplink))


def _starts(
    tables: Tables, uplink: Uplink, options: Options, limit: Limit
) -> tuple[list[list[PlannedRound]], int | None]:
    """Make plans to start from: greedy's whole, dp's in most of the time left.

    With a time limit there is the bound of dp as well, if it solves the same problem:
    another one would take as much time again.
    """
    work = _work(tables, options)
    found = greedy.solve_within(tables, uplink, UNLIMITED, limit, work=work)
    starts, bound = [list(found.rounds)], None
    limited = options.time_limit_s is not None
    most = _dp_size(tables, uplink, options.time_limit_s)
    if len(tables.users) * len(tables.active) <= most:
        # A plan that is feasible without cache and overlap is feasible with them.
        rules = {"residency": "previous", "overlap": False}
        problem = tables.problem
        plain = Tables(problem.model_copy(update=rules), tables.sharing)
        with suppress(RefusalError):
            part = replace(options, time_limit_s=limit.left_s(DP_SHARE))
            other = dp.solve(plain, uplink, part)
            starts.append(list(other.rounds))
            if limited and problem.residency == "previous" and not problem.overlap:
                bound = count_users(other.rounds) if other.proven else other.bound
    return starts, bound


def _dp_size(tables: Tables, uplink: Uplink, limit_s: float | None) -> float:
    """Return the product of users and models up to which dp provides a start."""
    if limit_s is None:
        return DP_SIZE[uplink]
    if uplink == "static" and choose_visits(tables, limit_s) is not visit:
        return DP_SIZE_PER_S_IN_LOOPS * limit_s
    return min(DP_SIZE[uplink], DP_SIZE_PER_S[uplink] * limit_s)
