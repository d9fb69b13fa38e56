"""A problem and a plan as arrays, for loops that are compiled."""

from __future__ import annotations

from typing import NamedTuple

from solvers.core.places import Bools
from solvers.core.tables import Floats, Ints
from solvers.tolerance import TIME_TOLERANCE_S

SLACK_S = TIME_TOLERANCE_S / 2

# Disciplines.
UPFRONT, DYNAMIC, STATIC = 0, 1, 2


class Rules(NamedTuple):
    """A problem under one discipline: K users, M models, A distinct releases.

    Parameters
    ----------
    uplink
        ``UPFRONT``, ``DYNAMIC`` or ``STATIC``.
    releases_zero
        Whether every user is released at time 0.
    horizon_s
        The latest deadline.
    user_model, demand_s, deadline_s, deadline_rank, release_index
        Of each user, shape (K,).
    deadlines_s
        All deadlines, ascending, and inf, shape (K+1,).
    release_grid_s
        Distinct releases, ascending, shape (A,).
    latency_s
        Compute time by model and batch size, inf-padded, shape (M, B+2).
    between_s
        Load of each model after each other one, shape (M+1, M+1); the last row is for
        the first round, the last column for the end.
    load_s
        The same, summed as rounds are timed with overlap; without, ``between_s``.
    plain
        Whether loads depend on the round before only and never overlap.
    overlap
        Whether a load may run beside the batch before it, where memory holds both.
    capacity_bytes
        GPU memory; −1 if it is not limited.
    both_bytes, activation_bytes
        Weights of each two models, shape (M, M), and what batches of each size need
        besides, shape (M, B+2).
    cached
        Whether blocks stay while memory allows.
    furthest
        Whether the atom whose next use is furthest is evicted first, not the least
        recently used one.
    holds
        The atoms of each model, shape (M, A); no rows without a cache.
    resident
        The atoms resident at first, shape (A,).
    atoms, begins
        The atoms of one model after another, ascending, and where each begins, (M+1,).
    atom_load_s, rounded_s
        Load time of each atom, and what new rounds are judged by, shape (A,).
    atom_bytes
        Size of each atom, shape (A,).
    """

    uplink: int
    releases_zero: bool
    horizon_s: float
    user_model: Ints
    demand_s: Floats
    deadline_s: Floats
    deadline_rank: Ints
    release_index: Ints
    deadlines_s: Floats
    release_grid_s: Floats
    latency_s: Floats
    between_s: Floats
    load_s: Floats
    plain: bool
    overlap: bool
    capacity_bytes: int
    both_bytes: Ints
    activation_bytes: Ints
    cached: bool
    furthest: bool
    holds: Bools
    resident: Bools
    atoms: Ints
    begins: Ints
    atom_load_s: Floats
    rounded_s: Floats
    atom_bytes: Ints


class Rows(NamedTuple):
    """Rounds in any order, with room for more, and the order in which they run.

    Round r of a plan is row ``at[r]`` of the others. ``users`` has a row for each, with
    room for the largest batch.
    """

    at: Ints
    model: Ints
    size: Ints
    demand_s: Floats
    deadline_s: Floats
    compute_s: Floats
    users: Ints
