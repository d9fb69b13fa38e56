"""Searches: in loops where these are compiled and that pays."""

from __future__ import annotations

import importlib
import importlib.util
import math
from typing import NamedTuple, cast

from solvers.core.search import Search
from solvers.core.tables import Tables

# Loading the compiled loops takes some 0.5 s: a search pays for that if it may take so
# long or, without a time limit, makes so many iterations times users. Compiling them,
# once an installation, takes about a minute, for which much longer searches pay.
LEAST_S, LEAST_WORK = 1.0, 30_000
LEAST_COMPILING_S, LEAST_COMPILING_WORK = 200.0, 5_000_000

NOT_COMPILED = (
    "searched without its compiled loops, which are several times as fast: "
    "edgesim compile makes them, once"
)


class Choice(NamedTuple):
    """What searches, and what the user should know of that."""

    search: type[Search]
    note: str | None = None


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
    least_work = LEAST_COMPILING_WORK if compiles else LEAST_WORK
    return work >= least_work and (left_s is None or left_s >= least_s)


def choose(
    tables: Tables, left_s: float | None = None, work: float = math.inf
) -> Choice:
    """Choose what searches a problem; its steps are the same with loops and without.

    There are loops where numba is, for problems that they hold, and where they pay
    (:func:`pays`).
    """
    if not pays(left_s, work, compiles=False):
        return Choice(Search)
    if importlib.util.find_spec("numba") is None:
        return Choice(Search)
    loops = importlib.import_module("solvers.core.loops")
    if loops.missing() or not loops.takes(tables):
        return Choice(Search)
    if not pays(left_s, work, compiles=not loops.kept()):
        return Choice(Search, NOT_COMPILED)
    return Choice(cast("type[Search]", loops.LoopSearch))
