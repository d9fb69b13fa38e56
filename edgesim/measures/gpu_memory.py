"""GPU memory over time: the weights in it, and the activations of running batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
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


def memory_use(account: Account, until_s: float = math.inf) -> MemoryUse:
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

    Notes
    -----
    Eviction depends on all earlier rounds, so they are gone through from the first one:
    O(R · resident atoms), as in the run.
    """
    rounds = account.run.rounds
    stop = int(np.searchsorted(rounds.load_start_s, until_s, side="left"))
    return MemoryUse(_weights(account, stop), _activations(account, stop))


def _weights(account: Account, stop: int) -> Steps:
    tables, rounds = account.tables, account.run.rounds
    size = tables.atom_bytes

    def total(atoms: Iterable[int]) -> int:
        return sum(size[atom] for atom in atoms)

    memory = residency.start(tables)
    steps = [(0.0, total(memory.atoms))]
    models = rounds.model[:stop].tolist()
    next_use: residency.NextUse | None = None
    if tables.problem.eviction == "furthest-next-use":
        next_use = residency.next_uses(tables, models)
    load_start_s, compute_start_s = rounds.load_start_s, rounds.compute_start_s
    before_end_s = 0.0
    for r, (model, (reserved, grown)) in enumerate(
        zip(models, _batches(account, stop), strict=True)
    ):
        use = None if next_use is None else _after(next_use, r)
        begin_s = float(load_start_s[r])
        if begin_s < before_end_s:
            beside = residency.while_loading(tables, memory, model, use)
            assert beside is not None
            steps.append((begin_s, total(beside)))
            begin_s = before_end_s
        after = residency.enter(tables, memory, model, reserved, use).memory
        steps.append((begin_s, total(after.atoms)))
        if grown > reserved:
            after = residency.enter(tables, memory, model, grown, use).memory
            steps.append((float(compute_start_s[r]), total(after.atoms)))
        memory = after
        before_end_s = float(rounds.end_s[r])
    return _steps(steps)


def _batches(account: Account, stop: int) -> list[tuple[int, int]]:
    """List for each round the batches that memory was reserved for.

    The first when its load began, the second when requests that joined were known.
    """
    if account.schedule is not None:
        return [(len(r.users), 0) for r in account.schedule.rounds[:stop]]
    rounds = account.run.rounds
    return list(
        zip(rounds.chosen[:stop].tolist(), rounds.batch[:stop].tolist(), strict=True)
    )


def _after(next_use: residency.NextUse, r: int) -> Callable[[int], float]:
    return lambda atom: next_use(atom, r)


def _activations(account: Account, stop: int) -> Steps:
    tables, rounds = account.tables, account.run.rounds
    steps = [(0.0, 0)]
    for r in np.flatnonzero(rounds.batch[:stop]).tolist():
        held = tables.activation_bytes(int(rounds.model[r]), int(rounds.batch[r]))
        steps.append((float(rounds.compute_start_s[r]), held))
        steps.append((float(rounds.end_s[r]), 0))
    return _steps(steps)


def _steps(steps: list[tuple[float, int]]) -> Steps:
    at_s, held = zip(*steps, strict=True)
    return Steps(np.array(at_s, dtype=np.float64), np.array(held, dtype=np.int64))
