"""What each round of a plan loads, in loops.

Twins of :mod:`solvers.core.residency`: they evict the same blocks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.core.arrays import Rows, Rules
from solvers.core.compiling import compiled
from solvers.core.places import Bools
from solvers.core.tables import Floats, Ints


class Loads(NamedTuple):
    """The loads of a plan with R rounds.

    Parameters
    ----------
    load_s
        Duration of each, shape (R,).
    ahead
        Whether it may run while the round before computes, shape (R,).
    there
        With a cache, the atoms in memory at first and after each round, shape
        (R+1, A); without, it has no rows.
    """

    load_s: Floats
    ahead: Bools
    there: Bools


@compiled
def loads(rules: Rules, rows: Rows, rounds: int) -> Loads:
    """Return the loads of the first rounds: twin of ``residency.steps``."""
    load_s, ahead = np.empty(rounds), np.zeros(rounds, dtype=np.bool_)
    before = -1
    for r in range(rounds):
        row = rows.at[r]
        ahead[r] = rules.overlap and _ahead(rules, rows, r)
        load_s[r] = rules.load_s[before, rows.model[row]]
        before = rows.model[row]
    if not rules.cached:
        return Loads(load_s, ahead, np.zeros((0, 0), dtype=np.bool_))
    return _cached(rules, rows, load_s, ahead)


@compiled
def _ahead(rules: Rules, rows: Rows, r: int) -> bool:
    """Whether memory holds a round and what the one before it needs."""
    if r == 0:
        return False
    if rules.capacity_bytes < 0:
        return True
    before, row = rows.at[r - 1], rows.at[r]
    model = rows.model[before]
    weights = rules.both_bytes[model, rows.model[row]]
    held: bool = (
        weights + rules.activation_bytes[model, rows.size[before]]
        <= rules.capacity_bytes
    )
    return held


@compiled
def _cached(rules: Rules, rows: Rows, load_s: Floats, ahead: Bools) -> Loads:
    """Track memory through a plan, and write down what each round loads."""
    rounds, atoms = len(load_s), len(rules.resident)
    there = np.zeros((rounds + 1, atoms), dtype=np.bool_)
    there[0] = rules.resident
    uses, later = _uses(rules, rows, rounds)
    # Atoms by last use, the least recently used first, and their bytes.
    kept = np.empty(atoms, dtype=np.int64)
    count, total = 0, 0
    for a in range(atoms):
        if rules.resident[a]:
            kept[count] = a
            count += 1
            total += rules.atom_bytes[a]
    nothing = np.zeros(atoms, dtype=np.bool_)
    missing_s = np.empty(atoms)
    use = 0
    for r in range(rounds):
        row = rows.at[r]
        model = rows.model[row]
        held, now, missing = 0, there[r + 1], 0
        now[:] = there[r]
        for i in range(count):
            a = kept[i]
            if not rules.holds[model, a]:
                kept[held] = a
                held += 1
        for i in range(rules.begins[model], rules.begins[model + 1]):
            a = rules.atoms[i]
            if not now[a]:
                missing_s[missing] = rules.atom_load_s[a]
                missing += 1
                now[a] = True
                total += rules.atom_bytes[a]
        load_s[r] = exact_sum(missing_s[:missing])
        if ahead[r]:
            before = rows.at[r - 1]
            pinned = rules.holds[rows.model[before]]
            space = rules.activation_bytes[rows.model[before], rows.size[before]]
            held, total = _make_room(rules, now, kept, held, pinned, total, space, uses)
        space = rules.activation_bytes[model, rows.size[row]]
        held, total = _make_room(rules, now, kept, held, nothing, total, space, uses)
        count = held
        for i in range(rules.begins[model], rules.begins[model + 1]):
            a = rules.atoms[i]
            kept[count] = a
            count += 1
            if rules.furthest:
                uses[a] = later[use]
                use += 1
    return Loads(load_s, ahead, there)


@compiled
def _uses(rules: Rules, rows: Rows, rounds: int) -> tuple[Ints, Ints]:
    """Return the first use of each atom, and the next one after each use.

    The latter by rounds and then by atoms. After the last use comes ``rounds``. Only
    where the furthest next use decides.
    """
    if not rules.furthest:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    first = np.full(len(rules.resident), rounds)
    count = 0
    for r in range(rounds):
        model = rows.model[rows.at[r]]
        count += rules.begins[model + 1] - rules.begins[model]
    later = np.empty(count, dtype=np.int64)
    for r in range(rounds - 1, -1, -1):
        model = rows.model[rows.at[r]]
        for i in range(rules.begins[model + 1] - 1, rules.begins[model] - 1, -1):
            count -= 1
            later[count] = first[rules.atoms[i]]
            first[rules.atoms[i]] = r
    return first, later


@compiled
def _make_room(
    rules: Rules,
    there: Bools,
    kept: Ints,
    held: int,
    pinned: Bools,
    total: int,
    activations: int,
    uses: Ints,
) -> tuple[int, int]:
    """Evict atoms until activations fit, where memory is limited.

    Parameters
    ----------
    rules
        The problem.
    there, total
        The atoms in memory, shape (A,), and their bytes.
    kept, held
        Those that the round does not need, the first ``held``, by last use.
    pinned
        Mask of atoms that stay, shape (A,).
    activations
        Bytes to find room for.
    uses
        The round that uses each atom next, shape (A,), if the furthest decides.

    Returns
    -------
    int, int
        How many of the kept are left, and the bytes in memory then.
    """
    if rules.capacity_bytes < 0:
        return held, total
    while total + activations > rules.capacity_bytes:
        gone = -1
        for i in range(held):
            if pinned[kept[i]]:
                continue
            if gone < 0 or (rules.furthest and uses[kept[i]] > uses[kept[gone]]):
                gone = i
            if not rules.furthest:
                break
        if gone < 0:
            break
        total -= rules.atom_bytes[kept[gone]]
        there[kept[gone]] = False
        held -= 1
        for i in range(gone, held):
            kept[i] = kept[i + 1]
    return held, total


@compiled
def exact_sum(values: Floats) -> float:
    """Add floats without rounding but at the end, as ``math.fsum`` does.

    Notes
    -----
    After Shewchuk, Adaptive precision floating-point arithmetic and fast robust
    geometric predicates, Discrete Comput. Geom. 18 (1997): partial sums that do not
    overlap, in ascending order. Infinite values and overflow are not for it.
    """
    partials = np.empty(len(values) + 1)
    count = 0
    for value in values:
        x, kept = value, 0
        for i in range(count):
            y = partials[i]
            if abs(x) < abs(y):
                x, y = y, x
            high = x + y
            low = y - (high - x)
            if low != 0.0:
                partials[kept] = low
                kept += 1
            x = high
        partials[kept] = x
        count = kept + 1
    if not count:
        return 0.0
    count -= 1
    high, low = partials[count], 0.0
    while count > 0 and low == 0.0:
        count -= 1
        x, y = high, partials[count]
        high = x + y
        low = y - (high - x)
    # Halfway between two floats, what follows decides.
    if count > 0 and low != 0.0 and (low > 0.0) == (partials[count - 1] > 0.0):
        doubled = 2.0 * low
        x = high + doubled
        if x - high == doubled:
            high = x
    return float(high)
