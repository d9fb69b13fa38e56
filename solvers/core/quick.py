"""Clocks and fillings for a search: in loops where these are compiled and that pays."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Protocol, cast

import numpy as np

from solvers.core.filling import fill
from solvers.core.insertion import Criterion, Insertions
from solvers.core.places import Bools
from solvers.core.plan import Clock, Plan, Times
from solvers.core.tables import Tables
from solvers.uplink import Uplink

# A search pays for loading the compiled loops, some 0.5 s, if it may take so long or,
# without a time limit, makes so many iterations times users.
LEAST_S = 2.0
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


def pays(left_s: float | None, work: float) -> bool:
    """Whether a search is long enough to load the loops.

    Parameters
    ----------
    left_s
        Time that it may take; None without a limit.
    work
        Iterations times users that it makes at most.
    """
    return work >= LEAST_WORK and (left_s is None or left_s >= LEAST_S)


def clock_and_fill(
    tables: Tables, uplink: Uplink, *, loops: bool
) -> tuple[Clock, Fill]:
    """Return what a search needs; results do not depend on ``loops``.

    Without numba, and where loads depend on more than the round before, there are none.
    """
    clock = Clock(tables, uplink)
    if not loops or not clock.plain or importlib.util.find_spec("numba") is None:
        return clock, fill
    module = importlib.import_module("solvers.core.loops")
    return module.LoopClock(tables, uplink), cast("Fill", module.fill)
