"""Every sequence of rounds, timed as it is."""

from __future__ import annotations

from collections.abc import Iterator

from solvers.core.algorithm import Solution
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.tables import PlannedRound, Rounds, Tables, count_users
from solvers.core.timing import rank, time_rounds
from solvers.exhaustive.batches import batches
from solvers.uplink import Uplink


def solve(tables: Tables, uplink: Uplink, limit: Limit = UNLIMITED) -> Solution:
    """Serve the maximum number of users by trying all sequences, longest first.

    Under ``"furthest-next-use"`` a later round changes what earlier ones load, so no
    beginning of a sequence tells whether it can be completed.

    Exponential: six users of one model have 9,366 sequences.
    """
    by_served: dict[int, list[Rounds]] = {}
    for rounds in _sequences(tables, 0):
        limit.check()
        served = count_users(rounds)
        by_served.setdefault(served, []).append(rounds)
    granting = tables.granting()
    most = None
    for served in sorted(by_served, reverse=True):
        found = by_served[served]
        limit.check()
        if most is None and any(time_rounds(granting, r, uplink) for r in found):
            most = served
        best = min(found, key=lambda rounds: rank(tables, rounds, uplink))
        if time_rounds(tables, best, uplink) is not None:
            proven = most == served
            return Solution(best, proven=proven, bound=None if proven else most)
    raise AssertionError("no rounds are feasible")


def _sequences(tables: Tables, served: int) -> Iterator[tuple[PlannedRound, ...]]:
    yield ()
    for planned, mask in batches(tables, served):
        for rest in _sequences(tables, served | mask):
            yield (planned, *rest)
