"""Placement of resident blocks in device memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgesim.errors import InputError
from solvers.core import residency
from solvers.core.tables import PlannedRound, Tables
from solvers.problem import Problem
from solvers.schedule import Schedule

ALIGN_BYTES = 512
"""Blocks start at multiples of this, as separate buffers on a GPU would."""

MOST_BYTES = 2**62
"""Maximum total size of blocks: no memory is larger, and sums stay exact."""

BEFORE = -1
"""Stands for the time before the first round."""


class Stay(NamedTuple):
    """A block resident from one round to another, inclusive.

    ``owner`` distinguishes copies: without sharing, every model has a private copy.
    """

    block: str
    owner: int
    first: int
    last: int
    bytes: int


def owners(problem: Problem, schedule: Schedule) -> list[dict[str, int]]:
    """Return for each round which copy of each block its model uses."""
    tables = Tables(problem, sharing=schedule.sharing)
    number = {name: m for m, name in enumerate(tables.model_names)}
    return [
        {
            block: atom
            for atom in tables.atoms_of[number[round_.model]]
            for block in tables.atom_blocks[atom]
        }
        for round_ in schedule.rounds
    ]


def stays(problem: Problem, schedule: Schedule) -> list[Stay]:
    """Track memory through a schedule by the problem's residency and eviction.

    Parameters
    ----------
    problem, schedule
        A schedule that ``verify`` accepts, without overlap.

    Returns
    -------
    list of Stay
        Ordered by the round in which they start. Blocks of ``resident_model`` start
        before the first round.
    """
    tables = Tables(problem, sharing=schedule.sharing)
    model = {name: m for m, name in enumerate(tables.model_names)}
    user = {name: k for k, name in enumerate(tables.user_ids)}
    rounds = [
        PlannedRound(model[r.model], tuple(user[k] for k in r.users))
        for r in schedule.rounds
    ]
    since = dict.fromkeys(residency.start(tables).atoms, BEFORE)
    spans: list[tuple[int, int, int]] = []
    for r, step in enumerate(residency.steps(tables, rounds)):
        there = set(step.memory.atoms)
        spans += [(since.pop(a), a, r - 1) for a in list(since) if a not in there]
        since |= {atom: r for atom in sorted(there) if atom not in since}
    spans += [(first, atom, len(rounds) - 1) for atom, first in since.items()]
    return [
        Stay(block, atom, first, last, problem.blocks[block].bytes)
        for first, atom, last in sorted(spans)
        for block in tables.atom_blocks[atom]
    ]


def most_resident_bytes(stays: Sequence[Stay]) -> int:
    """Return the peak bytes of resident blocks."""
    change: dict[int, int] = {}
    for stay in stays:
        change[stay.first] = change.get(stay.first, 0) + stay.bytes
        change[stay.last + 1] = change.get(stay.last + 1, 0) - stay.bytes
    held = most = 0
    for moment in sorted(change):
        held += change[moment]
        most = max(most, held)
    return most


def place(stays: Sequence[Stay]) -> tuple[list[int], int]:
    """Assign every stay an offset in one buffer, so that none overlaps another.

    The largest first, each at the lowest offset that is free for all of its rounds
    (greedy by size: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural
    Net Inference", 2020). O(n²) for n stays. Blocks are contiguous, so the buffer can
    be larger than what is resident at once.

    Returns
    -------
    list of int
        The offset of each stay, in bytes.
    int
        The size of the buffer, in bytes.

    Raises
    ------
    InputError
        If they take more than :data:`MOST_BYTES` in total.
    """
    total = sum(aligned(stay.bytes) for stay in stays)
    if total > MOST_BYTES:
        raise InputError(
            "INSTANCE",
            f"its blocks must take at most {MOST_BYTES:,} bytes over a replay, "
            f"found {total:,}",
        )
    number = len(stays)
    first = np.array([stay.first for stay in stays], dtype=np.int64)
    last = np.array([stay.last for stay in stays], dtype=np.int64)
    size = np.array([aligned(stay.bytes) for stay in stays], dtype=np.int64)
    offset = np.zeros(number, dtype=np.int64)
    placed = np.zeros(number, dtype=bool)
    for i in np.argsort(-size, kind="stable"):
        others = placed & (first <= last[i]) & (last >= first[i])
        starts = offset[others]
        by_start = np.argsort(starts, kind="stable")
        # Everything below each neighbour ends at the largest end so far.
        ends = np.maximum.accumulate((starts + size[others])[by_start])
        gap_starts = np.concatenate([[0], ends])
        gap_ends = np.concatenate([starts[by_start], [np.iinfo(np.int64).max]])
        fits = gap_ends - gap_starts >= size[i]
        offset[i] = gap_starts[int(np.argmax(fits))]
        placed[i] = True
    return offset.tolist(), int((offset + size).max()) if number else 0


def aligned(size: int) -> int:
    """Round a size in bytes up to a multiple of ``ALIGN_BYTES``."""
    return -(-size // ALIGN_BYTES) * ALIGN_BYTES
