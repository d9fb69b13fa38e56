"""A problem as integers and arrays, the form in which every algorithm uses it.

Users and models are numbered in the order in which the problem lists them. Blocks with
the same holders are always loaded together, so they are merged into *atoms*: the
smallest partition of the blocks such that every model holds each part wholly or not at
all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.problem import Problem
from solvers.tolerance import granted

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


_MOST_DENSE = 1 << 22
"""Entries of a table of models and atoms, up to which it is used for sums."""


class PlannedRound(NamedTuple):
    """A model and the users of one batch, by number."""

    model: int
    users: tuple[int, ...]


Rounds = Sequence[PlannedRound]


def count_users(rounds: Rounds) -> int:
    """Count the users of a plan."""
    return sum(len(users) for _, users in rounds)


class _Atoms(NamedTuple):
    """The atoms of each model, and the blocks, load time and size of each atom."""

    of_model: tuple[frozenset[int], ...]
    blocks: tuple[tuple[str, ...], ...]
    load_s: Floats
    bytes: tuple[int, ...]


def _merge_blocks(problem: Problem) -> _Atoms:
    """Merge blocks that are held by the same models."""
    holders: dict[str, list[int]] = {}
    for m, model in enumerate(problem.models.values()):
        for block in model.blocks:
            holders.setdefault(block, []).append(m)
    groups: dict[tuple[int, ...], list[str]] = {}
    for block, held_by in holders.items():
        groups.setdefault(tuple(held_by), []).append(block)
    of_model: list[set[int]] = [set() for _ in problem.models]
    for atom, group in enumerate(groups):
        for m in group:
            of_model[m].add(atom)
    return _make_atoms(problem, tuple(map(frozenset, of_model)), groups.values())


def _whole_models(problem: Problem) -> _Atoms:
    """Make each model a single private atom."""
    models = problem.models.values()
    of_model = tuple(frozenset({m}) for m in range(len(models)))
    return _make_atoms(problem, of_model, [model.blocks for model in models])


def _make_atoms(
    problem: Problem,
    of_model: tuple[frozenset[int], ...],
    groups: Iterable[Sequence[str]],
) -> _Atoms:
    atoms = tuple(map(tuple, groups))
    there = [[problem.blocks[block] for block in blocks] for blocks in atoms]
    return _Atoms(
        of_model,
        atoms,
        np.array([math.fsum(b.load_s for b in blocks) for blocks in there]),
        tuple(sum(b.bytes for b in blocks) for blocks in there),
    )


@dataclass(frozen=True, eq=False)
class Tables:
    """Derived data of a problem, with or without parameter sharing.

    Parameters
    ----------
    problem
        The problem.
    sharing
        If false, every change of model loads the whole model: each model is a single
        private atom. The same model twice in a row loads nothing in either case.
    """

    problem: Problem
    sharing: bool = True

    def granting(self) -> Tables:
        """Return the same problem, each deadline later by all that a proof grants."""
        users = tuple(
            user.model_copy(update={"deadline_s": granted(user.deadline_s)})
            for user in self.problem.users
        )
        later = self.problem.model_copy(update={"users": users})
        return Tables(later, self.sharing)

    @cached_property
    def model_names(self) -> tuple[str, ...]:
        """Model names by number."""
        return tuple(self.problem.models)

    @cached_property
    def user_ids(self) -> tuple[str, ...]:
        """User ids by number."""
        return tuple(user.id for user in self.problem.users)

    @cached_property
    def user_model(self) -> Ints:
        """Model number of each user, shape (K,)."""
        number = {name: m for m, name in enumerate(self.model_names)}
        return np.array([number[u.model] for u in self.problem.users], dtype=np.int64)

    @cached_property
    def demand_s(self) -> Floats:
        """Upload time of each user over the whole band, shape (K,), inf if no link."""
        demands = [user.demand_hz_s for user in self.problem.users]
        return np.array(demands, dtype=np.float64) / self.problem.bandwidth_hz

    @cached_property
    def release_s(self) -> Floats:
        """Release of each user, shape (K,)."""
        return np.array([u.release_s for u in self.problem.users], dtype=np.float64)

    @cached_property
    def deadline_s(self) -> Floats:
        """Absolute deadline of each user, shape (K,)."""
        return np.array([u.deadline_s for u in self.problem.users], dtype=np.float64)

    @cached_property
    def latency_s(self) -> tuple[Floats, ...]:
        """Compute time by model and batch size: ``latency_s[m][b]``, b from 0.

        The entry for b = 0 is 0; a batch that does not fit in GPU memory costs inf.
        """
        tables = []
        for name, model in self.problem.models.items():
            fits = self.problem.fitting(name)
            tables.append(np.array([0.0, *np.where(fits, model.latency_s, np.inf)]))
        return tuple(tables)

    @cached_property
    def users_of(self) -> tuple[Ints, ...]:
        """Schedulable users by model, least demand first.

        Users without a link and users of a model that never fits are left out. Ties are
        broken by earlier deadline, then by the problem's order.
        """
        order = np.lexsort((self.deadline_s, self.demand_s, self.user_model))
        served = np.array([np.isfinite(t[1:]).any() for t in self.latency_s], bool)
        order = order[np.isfinite(self.demand_s[order])]
        order = order[served[self.user_model[order]]]
        each = np.arange(len(self.model_names) + 1)
        ends = np.searchsorted(self.user_model[order], each).tolist()
        return tuple(order[a:b] for a, b in pairwise(ends))

    @cached_property
    def active(self) -> tuple[int, ...]:
        """Models requested by at least one schedulable user."""
        return tuple(m for m, users in enumerate(self.users_of) if len(users))

    @cached_property
    def users(self) -> Ints:
        """All schedulable users, in the problem's order."""
        return np.sort(np.concatenate([np.zeros(0, np.int64), *self.users_of]))

    @cached_property
    def resident(self) -> int | None:
        """Number of the model resident before the first round."""
        name = self.problem.resident_model
        return None if name is None else self.model_names.index(name)

    @cached_property
    def _atoms(self) -> _Atoms:
        return (
            _merge_blocks(self.problem) if self.sharing else _whole_models(self.problem)
        )

    @property
    def atoms_of(self) -> tuple[frozenset[int], ...]:
        """Atoms of each model."""
        return self._atoms.of_model

    @property
    def atom_blocks(self) -> tuple[tuple[str, ...], ...]:
        """Blocks of each atom, by name."""
        return self._atoms.blocks

    @property
    def atom_bytes(self) -> tuple[int, ...]:
        """Size of each atom in GPU memory."""
        return self._atoms.bytes

    @property
    def atom_load_s(self) -> Floats:
        """Load time of each atom, in s."""
        return self._atoms.load_s

    @cached_property
    def initial_atoms(self) -> frozenset[int]:
        """Atoms resident before the first round."""
        return frozenset() if self.resident is None else self.atoms_of[self.resident]

    def blocks_of(self, model: int, atoms: frozenset[int]) -> tuple[str, ...]:
        """Return the blocks of a model that belong to given atoms, bottom first."""
        chosen = {block for atom in atoms for block in self.atom_blocks[atom]}
        held = self.problem.models[self.model_names[model]].blocks
        return tuple(block for block in held if block in chosen)

    def activation_bytes(self, model: int, batch: int) -> int:
        """Memory that a batch needs in addition to the weights."""
        given = self.problem.models[self.model_names[model]].activation_bytes
        return given[batch - 1] if given else 0

    def loads_s(self, atoms: Iterable[int]) -> float:
        """Time to load a set of atoms."""
        return math.fsum(self.atom_load_s[atom] for atom in atoms)

    @cached_property
    def _load_cache(self) -> dict[tuple[int | None, int], float]:
        return {}

    def load_s(self, before: int | None, model: int) -> float:
        """Time to load a model after another one (None: before round 1)."""
        key = (before, model)
        found = self._load_cache.get(key)
        if found is None:
            there = self.initial_atoms if before is None else self.atoms_of[before]
            found = self.loads_s(self.atoms_of[model] - there)
            self._load_cache[key] = found
        return found

    def loads_after(self, before: int | None) -> Floats:
        """Time to load each model after a given one, shape (M,)."""
        there = self.initial_atoms if before is None else self.atoms_of[before]
        missing_s = self.atom_load_s.copy()
        missing_s[list(there)] = 0.0
        return self.sums(missing_s)

    def sums(self, per_atom: Floats) -> Floats:
        """Sum a quantity of atoms over those of each model, shape (M,)."""
        if len(self.atoms_of) * len(per_atom) <= _MOST_DENSE:
            return self.holds @ per_atom
        found: Floats = np.add.reduceat(per_atom[self._atoms_in_turn], self._first)
        return found

    @cached_property
    def _atoms_in_turn(self) -> Ints:
        """The atoms of one model after another."""
        return np.array([a for atoms in self.atoms_of for a in sorted(atoms)], np.int64)

    @cached_property
    def _first(self) -> Ints:
        """Where those of each model begin; every model holds an atom."""
        return np.cumsum([0, *map(len, self.atoms_of[:-1])])

    @cached_property
    def holds(self) -> Floats:
        """1 where a model holds an atom, shape (M, atoms)."""
        holds = np.zeros((len(self.atoms_of), len(self.atom_load_s)))
        for m, atoms in enumerate(self.atoms_of):
            holds[m, list(atoms)] = 1.0
        return holds

    @cached_property
    def least_latency_s(self) -> Floats:
        """Shortest compute time of any batch of each model, shape (M,)."""
        return np.array([float(t[1:].min()) for t in self.latency_s])

    @property
    def releases_zero(self) -> bool:
        """Whether every user is released at time 0."""
        return not self.release_s.any()

    @cached_property
    def common_deadline_s(self) -> float | None:
        """The deadline common to all schedulable users; None if deadlines differ."""
        deadlines = set(self.deadline_s[self.users].tolist())
        return deadlines.pop() if len(deadlines) == 1 else None
