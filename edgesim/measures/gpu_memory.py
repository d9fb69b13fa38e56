"""GPU memory over time: the weights in it, and the activations of running batches."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from edgesim.engine.records import Floats, Ints
from edgesim.measures.account import Account
from solvers.core import residency


class Steps(NamedTuple):
    """Bytes that change at given times, each from its time until the next, shape (n,).

    Times do not decrease; where several are equal, the last one holds. The first is 0.
    """

    at_s: Floats
    bytes: Ints

    def at(self, times_s: Floats) -> Ints:
        """Return the bytes at some times, none of which is negative."""
        return self.bytes[np.searchsorted(self.at_s, times_s, side="right") - 1]


class MemoryUse(NamedTuple):
    """What is in GPU memory over time.

    ``weights`` counts blocks from when their load begins until they are evicted,
    ``activations`` those of a batch while it is computed.
    """

    weights: Steps
    activations: Steps


class _Collected:
    """Steps as they are found, in order; only the last one up to a time is kept."""

    def __init__(self, from_s: float, first: int) -> None:
        self._from_s = from_s
        self._at_s = array("d", [0.0])
        self._bytes = array("q", [first])

    def add(self, at_s: float, held: int) -> None:
        """Add a step."""
        if at_s <= self._from_s:
            self._at_s.pop()
            self._bytes.pop()
        self._at_s.append(at_s)
        self._bytes.append(held)

    def steps(self) -> Steps:
        """Return all that were kept."""
        return Steps(
            np.array(self._at_s, dtype=np.float64),
            np.array(self._bytes, dtype=np.int64),
        )


def memory_use(
    account: Account, until_s: float = math.inf, from_s: float = -math.inf
) -> MemoryUse:
    """Work out what GPU memory holds over time, by the rules that the run followed.

    Blocks are evicted when the load that needs their space begins; if that load runs
    beside the batch of the preceding round, those that make room for the round's own
    activations are evicted once that batch has ended.

    Parameters
    ----------
    account
        The run.
    until_s
        Loads that begin at this time or later are left out.
    from_s
        Of the steps up to this time, only the last is kept.

    Notes
    -----
    Eviction depends on all earlier rounds, so they are gone through from the first one:
    O(R · resident atoms), as in the run.
    """
    rounds = account.run.rounds
    stop = int(np.searchsorted(rounds.load_start_s, until_s, side="left"))
    return MemoryUse(
        _weights(account, stop, from_s), _activations(account, stop, from_s)
    )


def _weights(account: Account, stop: int, from_s: float) -> Steps:
    tables, rounds = account.tables, account.run.rounds
    size = tables.atom_bytes

    def total(atoms: Iterable[int]) -> int:
        return sum(size[atom] for atom in atoms)

    memory = residency.start(tables)
    steps = _Collected(from_s, total(memory.atoms))
    models = rounds.model[:stop].tolist()
    next_use: residency.NextUse | None = None
    if tables.problem.eviction == "furthest-next-use":
        next_use = residency.next_uses(tables, models)
    load_start_s, compute_start_s = rounds.load_start_s, rounds.compute_start_s
    end_s = rounds.end_s
    before_end_s = 0.0
    for r, (model, (reserved, grown)) in enumerate(
        zip(models, _batches(account, stop), strict=True)
    ):
        use = None if next_use is None else _after(next_use, r)
        begin_s = float(load_start_s[r])
        if begin_s < before_end_s:
            beside = residency.while_loading(tables, memory, model, use)
            assert beside is not None
            steps.add(begin_s, total(beside))
            begin_s = before_end_s
        after = residency.enter(tables, memory, model, reserved, use).memory
        steps.add(begin_s, total(after.atoms))
        if grown > reserved:
            after = residency.enter(tables, memory, model, grown, use).memory
            steps.add(float(compute_start_s[r]), total(after.atoms))
        memory = after
        before_end_s = float(end_s[r])
    return steps.steps()


def _batches(account: Account, stop: int) -> Iterator[tuple[int, int]]:
    """Yield for each round the batches that memory was reserved for.

    The first when its load began, the second when requests that joined were known.
    """
    if account.schedule is not None:
        return ((len(r.users), 0) for r in account.schedule.rounds[:stop])
    rounds = account.run.rounds
    return zip(rounds.chosen[:stop].tolist(), rounds.batch[:stop].tolist(), strict=True)


def _after(next_use: residency.NextUse, r: int) -> Callable[[int], float]:
    return lambda atom: next_use(atom, r)


def _activations(account: Account, stop: int, from_s: float) -> Steps:
    tables, rounds = account.tables, account.run.rounds.rows(slice(0, stop))
    steps = _Collected(from_s, 0)
    for r in np.flatnonzero(rounds.batch).tolist():
        held = tables.activation_bytes(int(rounds.model[r]), int(rounds.batch[r]))
        steps.add(float(rounds.compute_start_s[r]), held)
        steps.add(float(rounds.end_s[r]), 0)
    return steps.steps()
