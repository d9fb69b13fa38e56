"""Clocks and fillings for a search: in loops where these are compiled and that pays."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable
from typing import Protocol, cast

import numpy as np

from solvers.core.filling import fill
from solvers.core.insertion import Criterion, Insertions
from solvers.core.places import Bools
from solvers.core.plan import Clock, Plan, Times
from solvers.core.tables import Tables
from solvers.uplink import Uplink

# Loading the compiled loops takes some 0.5 s, and compiling them, once an installation,
# some 30 s. A search pays for that if it may take so long or, without a time limit,
# makes so many iterations times users.
LEAST_S = 2.0
LEAST_COMPILING_S = 60.0
LEAST_WORK = 100_000


class Fill(Protocol):
    """What fills a plan, as :func:`solvers.core.filling.fill` does."""

    def __call__(
        self,
        insertions: Insertions,
        plan: Plan,
        waiting: Bools,
        criterion: Criterion,
        rng: np.random.Generator,
        *,
        tries: int,
        goes_on: Callable[[int], bool],
        at_once: int = 1,
    ) -> tuple[Plan, Times]:
        """Return a plan that serves the same users and possibly more."""
        ...


def pays(left_s: float | None, work: float, *, compiles: bool) -> bool:
    """Whether a search is long enough for the loops.

    Parameters
    ----------
    left_s
        Time that it may take; None without a limit.
    work
        Iterations times users that it makes at most.
    compiles
        Whether they must be compiled first.
    """
    least_s = LEAST_COMPILING_S if compiles else LEAST_S
    return work >= LEAST_WORK and (left_s is None or left_s >= least_s)


def clock_and_fill(
    tables: Tables, uplink: Uplink, left_s: float | None = None, work: float = math.inf
) -> tuple[Clock, Fill]:
    """Return what a search needs; its steps are the same with loops and without.

    There are loops where numba is, where loads depend on the round before only, and
    where they pay (:func:`pays`).
    """
    clock = Clock(tables, uplink)
    cached = tables.problem.residency != "previous"
    if cached or not pays(left_s, work, compiles=False):
        return clock, fill
    if importlib.util.find_spec("numba") is None:
        return clock, fill
    loops = importlib.import_module("solvers.core.loops")
    if loops.missing() or not loops.takes(tables):
        return clock, fill
    if not pays(left_s, work, compiles=not loops.kept()):
        return clock, fill
    return loops.LoopClock(tables, uplink), cast("Fill", loops.fill)
