"""Searches: in loops where these are compiled and that pays."""

from __future__ import annotations

import importlib
import importlib.util
import math
from typing import cast

from solvers.core.search import Search
from solvers.core.tables import Tables

# Loading the compiled loops takes some 0.5 s, and compiling them, once an installation,
# one to two minutes. A search pays for that if it may take so long or, without a time
# limit, makes so many iterations times users.
LEAST_S = 1.0
LEAST_COMPILING_S = 200.0
LEAST_WORK = 100_000


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


def search_class(
    tables: Tables, left_s: float | None = None, work: float = math.inf
) -> type[Search]:
    """Return what searches a problem; its steps are the same with loops and without.

    There are loops where numba is, for problems that they hold, and where they pay
    (:func:`pays`).
    """
    if not pays(left_s, work, compiles=False):
        return Search
    if importlib.util.find_spec("numba") is None:
        return Search
    loops = importlib.import_module("solvers.core.loops")
    if loops.missing() or not loops.takes(tables):
        return Search
    if not pays(left_s, work, compiles=not loops.kept()):
        return Search
    return cast("type[Search]", loops.LoopSearch)
