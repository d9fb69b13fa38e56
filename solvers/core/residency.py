"""Which parameter blocks stay in GPU memory between rounds, and what each round loads.

Blocks held by the same models stay resident or are evicted together, as one atom. With
residency ``"previous"``, exactly the blocks of the previous round are resident. With
``"cache"``, atoms stay while memory allows: before a round is loaded, atoms that it
does not need are evicted, one at a time, until its weights and activations fit beside
the rest. The least recently used atom goes first, or the one with the furthest next use
(an atom that is never used again counts as furthest). Ties are broken by least recent
use, then by the order in which the problem's models name the atoms.

With ``overlap``, a load may run while the previous round computes, if memory holds
both: the weights of the two models and the activations of the previous round. It then
waits only for the previous load and for the end of the round two before, because memory
holds two models in use, not three. Memory for the load is freed among the atoms that
the previous round does not need; memory for the round's own activations is freed once
the previous round has ended, among all atoms. Otherwise the load waits for that end, as
it does without overlap. All this follows from the rounds alone: what is evicted does
not depend on when a load that may run ahead actually runs.

For the same rounds, a cache never loads more than residency ``"previous"``, and with
the latter overlap never delays a round. Overlap with a cache may delay one: making room
for the activations of the previous round can evict an atom that is needed again.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from solvers.core.tables import Rounds, Tables

# Maps (atom, r) to the round after r that uses the atom next.
NextUse = Callable[[int, int], float]


class Memory(NamedTuple):
    """Contents of GPU memory after a round.

    ``atoms`` are ordered by last use, least recently used first. ``model`` and
    ``batch`` are those of the round, None and 0 before the first.
    """

    atoms: tuple[int, ...]
    model: int | None = None
    batch: int = 0


class Step(NamedTuple):
    """The effect of a round on memory.

    ``ahead``: whether its load may run while the previous round computes.
    """

    memory: Memory
    loaded: frozenset[int]
    ahead: bool


def start(tables: Tables) -> Memory:
    """Return the contents of memory before the first round."""
    return Memory(tuple(sorted(tables.initial_atoms)))


def enter(
    tables: Tables,
    memory: Memory,
    model: int,
    batch: int,
    next_use: Callable[[int], float] | None = None,
) -> Step:
    """Apply a round to memory: evict what must go and load what is missing.

    Parameters
    ----------
    tables
        The problem; every batch must fit in memory.
    memory
        Memory after the previous round.
    model, batch
        The round.
    next_use
        Next use of an atom after this round, for ``"furthest-next-use"``; without it,
        the least recently used atom is evicted first.

    Notes
    -----
    O(resident atoms), times evicted atoms for ``"furthest-next-use"``.
    """
    needed = tables.atoms_of[model]
    pinned = _pinned_atoms(tables, memory, model)
    ahead = pinned is not None
    resident = set(memory.atoms)
    loaded = needed - resident
    if tables.problem.residency == "previous":
        return Step(Memory(tuple(sorted(needed)), model, batch), loaded, ahead)
    kept = _kept_while_loading(tables, memory, model, pinned, next_use)
    activations = tables.activation_bytes(model, batch)
    _make_room(tables, needed, kept, frozenset(), activations, next_use)
    after = Memory((*kept, *sorted(needed)), model, batch)
    return Step(after, loaded, ahead)


def while_loading(
    tables: Tables,
    memory: Memory,
    model: int,
    next_use: Callable[[int], float] | None = None,
) -> frozenset[int] | None:
    """Return the atoms in memory while a round loads beside the previous round.

    What then makes room for the round's own activations is evicted later.

    Parameters
    ----------
    tables, memory, model, next_use
        As for :func:`enter`.

    Returns
    -------
    frozenset or None
        Atoms resident or being loaded; None if the load has to wait for the end of the
        previous round.
    """
    pinned = _pinned_atoms(tables, memory, model)
    if pinned is None:
        return None
    needed = tables.atoms_of[model]
    if tables.problem.residency == "previous":
        return pinned | needed
    return needed.union(_kept_while_loading(tables, memory, model, pinned, next_use))


def _kept_while_loading(
    tables: Tables,
    memory: Memory,
    model: int,
    pinned: frozenset[int] | None,
    next_use: Callable[[int], float] | None,
) -> list[int]:
    """List the atoms that a round does not need and that stay while it loads."""
    needed = tables.atoms_of[model]
    kept = [atom for atom in memory.atoms if atom not in needed]
    if pinned is not None:
        assert memory.model is not None
        before = tables.activation_bytes(memory.model, memory.batch)
        _make_room(tables, needed, kept, pinned, before, next_use)
    return kept


def _make_room(
    tables: Tables,
    needed: frozenset[int],
    kept: list[int],
    pinned: frozenset[int],
    activations: int,
    next_use: Callable[[int], float] | None,
) -> None:
    """Evict atoms until activations fit beside the rest, where memory is limited."""
    capacity, size = tables.problem.gpu_memory_bytes, tables.atom_bytes
    if capacity is not None:
        held = map(size.__getitem__, (*needed, *kept))
        free = capacity - sum(held)
        _evict(kept, pinned, activations - free, size, next_use)


def _pinned_atoms(tables: Tables, memory: Memory, model: int) -> frozenset[int] | None:
    """Return the previous round's atoms if memory holds both models at once."""
    if not tables.problem.overlap or memory.model is None:
        return None
    before = tables.atoms_of[memory.model]
    capacity = tables.problem.gpu_memory_bytes
    if capacity is not None:
        both = sum(tables.atom_bytes[a] for a in before | tables.atoms_of[model])
        if both + tables.activation_bytes(memory.model, memory.batch) > capacity:
            return None
    return before


def _evict(
    kept: list[int],
    pinned: frozenset[int],
    missing_bytes: int,
    size: Sequence[int],
    next_use: Callable[[int], float] | None,
) -> None:
    """Evict atoms until the missing bytes are freed or only pinned atoms remain."""
    if missing_bytes <= 0:
        return
    loose = [atom for atom in kept if atom not in pinned]
    if next_use is not None:
        loose.sort(key=next_use, reverse=True)
    gone = set()
    for atom in loose:
        if missing_bytes <= 0:
            break
        missing_bytes -= size[atom]
        gone.add(atom)
    kept[:] = [atom for atom in kept if atom not in gone]


def steps(tables: Tables, rounds: Rounds) -> list[Step]:
    """Track memory through given rounds, by the problem's residency and eviction.

    O(R · resident atoms), times evicted atoms for ``"furthest-next-use"``.
    """
    problem = tables.problem
    furthest = (problem.residency, problem.eviction) == ("cache", "furthest-next-use")
    models = [planned.model for planned in rounds] if furthest else []
    later = _uses_of_each(tables, models)
    # The next use of every atom as far as it is known: of each since its last use.
    upcoming = later.pop() if furthest else {}
    memory = start(tables)
    found = []
    for model, users in rounds:
        next_use = _lookup(upcoming) if furthest else None
        step = enter(tables, memory, model, len(users), next_use)
        memory = step.memory
        found.append(step)
        if furthest:
            upcoming.update(later.pop())
    return found


def _lookup(upcoming: dict[int, float]) -> Callable[[int], float]:
    return lambda atom: upcoming.get(atom, math.inf)


def _uses_of_each(tables: Tables, models: Sequence[int]) -> list[dict[int, float]]:
    """Tell the next use after each round of its own atoms, the last round first.

    At the end stands the first use of every atom.
    """
    after: dict[int, float] = {}
    found = []
    for r in range(len(models) - 1, -1, -1):
        held = tables.atoms_of[models[r]]
        found.append({atom: after.get(atom, math.inf) for atom in held})
        after.update(dict.fromkeys(held, r))
    return [*found, after]


def next_uses(tables: Tables, models: Sequence[int]) -> NextUse:
    """Build the next-use function of a sequence of models.

    Returns
    -------
    callable
        Maps (atom, r) to the index of the next round after r that uses the atom;
        infinity if there is none.
    """
    uses: dict[int, list[int]] = {}
    for r, model in enumerate(models):
        for atom in tables.atoms_of[model]:
            uses.setdefault(atom, []).append(r)

    def next_use(atom: int, r: int) -> float:
        found = uses.get(atom, ())
        at = bisect_right(found, r)
        return found[at] if at < len(found) else float("inf")

    return next_use
