"""The compiled loops of ``branch``: whether to go through them, and making them."""

from __future__ import annotations

from solvers.bounds.path_bound import relaxation
from solvers.bounds.path_kernels import fill_batches, trace, walk, walk_back, worths
from solvers.branch.label_kernels import compare, expand, expand_back
from solvers.branch.labels import look_at_all
from solvers.core.compiling import COMPILED, kept
from solvers.core.tables import Tables
from solvers.uplink import Uplink

ENTRIES = (worths, fill_batches, walk, walk_back, trace, expand, expand_back, compare)

# Compiling them takes some twenty seconds, once an installation.
LEAST_COMPILING_S = 60.0


def are_kept() -> bool:
    """Whether they were compiled before."""
    return kept(*ENTRIES)


def pay(limit_s: float | None) -> bool:
    """Whether loops are worth it with a time limit, compiled first if they must be."""
    if not COMPILED:
        return False
    return limit_s is None or limit_s >= LEAST_COMPILING_S or are_kept()


def make(tables: Tables, uplink: Uplink) -> None:
    """Go through the loops of a small problem with users, which compiles them."""
    relaxed = relaxation(tables, uplink, loops=True)
    if relaxed is None:
        raise ValueError("the problem is too large for the path bound")
    served = len(tables.users)
    part = relaxed.everything()
    found = relaxed.tune(
        relaxed.start(served),
        served,
        part,
        iterations=1,
        out_of_time=lambda: False,
        share=1.0,
    )
    look_at_all(relaxed, uplink, found.multipliers, part, 2, most_tries=1_000_000)
