"""What a single algorithm hands back, and how it refuses a problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from solvers.core.tables import Rounds

MIP_ENGINES = ("highs", "cbc")


@dataclass(frozen=True)
class Options:
    """What the caller allows a solver.

    Parameters
    ----------
    time_limit_s
        Wall-clock limit; None for none. Only ``ilp`` and ``local-search`` look at it:
        the others end by themselves.
    seed
        Seed of every random choice.
    mip
        Engine of ``ilp``: ``"highs"`` or ``"cbc"``.
    iterations
        Limit of ``local-search``; None for its own.
    """

    time_limit_s: float | None = None
    seed: int = 0
    mip: str = "highs"
    iterations: int | None = None


@dataclass(frozen=True)
class Found:
    """Rounds, and what the algorithm proved of them.

    Parameters
    ----------
    rounds
        Feasible rounds.
    proven
        Whether no rounds serve more users.
    bound
        An upper bound on users served, no worse than the λ-bound, if the algorithm
        has one at hand and has not proven its rounds best.
    """

    rounds: Rounds
    proven: bool = False
    bound: int | None = None
