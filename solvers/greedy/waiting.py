"""Users waiting to be placed, and the loads of all models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from solvers.core.tables import Floats, Ints, Tables

Bools = NDArray[np.bool_]

# Tables of waiting users are rebuilt when less than this fraction of them is in use.
LIVE = 0.6


class Loads:
    """Load times of all models at once, for any resident atoms.

    Blocks with the same holders form one atom, so a model has at most one private atom;
    all others are shared.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        atoms = len(tables.atom_load_s)
        holders: list[list[int]] = [[] for _ in range(atoms)]
        for m, held in enumerate(tables.atoms_of):
            for atom in held:
                holders[atom].append(m)
        self.shared = np.array(
            [a for a in range(atoms) if len(holders[a]) > 1], dtype=np.int64
        )
        # Models without a private atom refer to an extra one that costs nothing.
        self.own = np.full(len(tables.model_names), atoms, dtype=np.int64)
        self.holds = np.zeros((len(self.own), len(self.shared)))
        for column, atom in enumerate(self.shared):
            self.holds[holders[atom], column] = 1.0
        for atom, held_by in enumerate(holders):
            if len(held_by) == 1:
                self.own[held_by[0]] = atom
        self._load_s = np.append(tables.atom_load_s, 0.0)
        self._bytes = np.append(np.array(tables.atom_bytes, dtype=np.float64), 0.0)
        self.load_s = self.of_models(self._load_s)
        self.weight_bytes = self.of_models(self._bytes)

    def of_models(self, per_atom: Floats) -> Floats:
        """Sum a quantity of atoms over the atoms of each model, shape (M,)."""
        return per_atom[self.own] + self.holds @ per_atom[self.shared]

    def missing_s(self, resident: Sequence[int]) -> Floats:
        """Load time of each atom that is not resident, 0 for the others."""
        missing = self._load_s.copy()
        missing[list(resident)] = 0.0
        return missing

    def both_bytes(self, model: int) -> Floats:
        """Memory that the blocks of each model and of a given one take, shape (M,)."""
        held = np.zeros(len(self._bytes))
        held[list(self.tables.atoms_of[model])] = 1.0
        common = self.of_models(self._bytes * held)
        both: Floats = self.weight_bytes + (self.weight_bytes[model] - common)
        return both

    @cached_property
    def most_activation_bytes(self) -> Floats:
        """Memory that each model's largest activations take, shape (M,)."""
        models = self.tables.problem.models.values()
        return np.array([float(max(m.activation_bytes or (0,))) for m in models])


class Waiting:
    """Users not yet placed: for each model and batch size, the first users in line.

    There is one entry per model and size, in flat arrays of shape (E,): ``model``,
    ``size``, ``latency_s``, and for the first ``size`` users their total ``upload_s``
    (inf if there are fewer), earliest ``deadline_s`` and latest ``release_s``.
    """

    def __init__(
        self, tables: Tables, queues: Sequence[Ints], order: Floats | None = None
    ) -> None:
        self._tables = tables
        self.queue = list(queues)
        if order is not None:
            self.queue = [q[np.argsort(order[q], kind="stable")] for q in self.queue]
        self.count = np.array([len(q) for q in self.queue], dtype=np.float64)
        self._lay_out()

    def _lay_out(self) -> None:
        tables = self._tables
        widths = [
            min(len(queue), len(latency) - 1)
            for queue, latency in zip(self.queue, tables.latency_s, strict=True)
        ]
        ends = np.cumsum(widths)
        self._slice = [
            slice(int(end) - width, int(end))
            for end, width in zip(ends, widths, strict=True)
        ]
        entries = int(ends[-1]) if widths else 0
        self._live = entries
        self.model = np.repeat(np.arange(len(widths)), widths)
        self.size = np.empty(entries)
        self.latency_s = np.empty(entries)
        self.upload_s = np.empty(entries)
        self.deadline_s = np.empty(entries)
        self.release_s = np.empty(entries)
        # The user that each entry adds to the previous one, -1 if there is none.
        self.last = np.empty(entries, dtype=np.int64)
        for m, width in enumerate(widths):
            if width:
                place = self._slice[m]
                self.size[place] = np.arange(1, width + 1)
                self.latency_s[place] = tables.latency_s[m][1 : width + 1]
                self._refresh(m)

    def _refresh(self, model: int) -> None:
        place = self._slice[model]
        users = self.queue[model][: place.stop - place.start]
        middle = place.start + len(users)
        there = slice(place.start, middle)
        tables = self._tables
        np.cumsum(tables.demand_s[users], out=self.upload_s[there])
        np.minimum.accumulate(tables.deadline_s[users], out=self.deadline_s[there])
        np.maximum.accumulate(tables.release_s[users], out=self.release_s[there])
        self.last[there] = users
        self.upload_s[middle : place.stop] = np.inf
        self.last[middle : place.stop] = -1
        self.count[model] = len(self.queue[model])

    def _shorten(self, model: int, queue: Ints) -> None:
        place = self._slice[model]
        width = place.stop - place.start
        self._live -= min(len(self.queue[model]), width) - min(len(queue), width)
        self.queue[model] = queue
        if self._live < LIVE * len(self.size):
            self.count[model] = len(queue)
            self._lay_out()
        else:
            self._refresh(model)

    def take(self, model: int, size: int) -> tuple[int, ...]:
        """Remove and return the first users of a model."""
        queue = self.queue[model]
        self._shorten(model, queue[size:])
        return tuple(queue[:size].tolist())

    def drop(self, late: Bools) -> bool:
        """Remove the last user of each marked entry; return whether there were any."""
        gone = self.last[late & (self.last >= 0)]
        if not len(gone):
            return False
        stays = np.ones(len(self._tables.user_model), dtype=bool)
        stays[gone] = False
        for m in sorted(set(self._tables.user_model[gone].tolist())):
            queue = self.queue[m]
            self._shorten(m, queue[stays[queue]])
        return True

    def skip(self) -> bool:
        """Remove the first user of each model; return whether there was any.

        If a larger batch computes faster than a smaller one, it can happen that no
        batch fits although its users seemed to be in time one by one; they must not
        block the users behind them.
        """
        some = [m for m, queue in enumerate(self.queue) if len(queue)]
        for m in some:
            self.take(m, 1)
        return bool(some)

    def entries(self, model: int) -> slice:
        """Slice of the entries of a model, batches of one first."""
        return self._slice[model]
