"""The interface of an algorithm: its options and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from solvers.core.tables import Rounds

MIP_ENGINES = ("highs", "cbc")


@dataclass(frozen=True)
class Options:
    """Options that the caller passes to a solver.

    Parameters
    ----------
    time_limit_s
        Wall-clock limit; None for no limit. Solvers that it ends return the best that
        they have found; the baselines end by themselves.
    seed
        Seed of every random choice.
    mip
        MIP engine for ``ilp``: ``"highs"`` or ``"cbc"``.
    iterations
        Iteration limit for ``local-search``; None for its default.
    quick
        Whether the plan is one of very many, as those of a policy that replans at every
        turn: ``greedy`` then searches only briefly.
    """

    time_limit_s: float | None = None
    seed: int = 0
    mip: str = "highs"
    iterations: int | None = None
    quick: bool = False


@dataclass(frozen=True)
class Solution:
    """Rounds, and what the algorithm proved about them.

    Parameters
    ----------
    rounds
        Feasible rounds.
    proven
        Whether the rounds are proven to serve the maximum number of users.
    bound
        An upper bound on users served, no weaker than the λ-bound, if the algorithm
        computed one and has not proven its rounds optimal.
    note
        What the user should know of how the rounds were found; None for nothing.
    """

    rounds: Rounds
    proven: bool = False
    bound: int | None = None
    note: str | None = None
