"""GPU memory over a sequence of rounds: what each loads, and which batches fit.

A server consults its memory for every load. ``GpuMemory`` follows the rules of
``solvers.core.residency``; ``PlannedMemory`` loads the blocks that a schedule names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from solvers.core import residency
from solvers.core.tables import Floats, Tables
from solvers.problem import Problem
from solvers.schedule import Round, Schedule

_MOST_CACHED = 1 << 18
"""Numbers that are kept for pairs of models; all are forgotten when there are more."""


class Loaded(NamedTuple):
    """Load of a round: nominal time, bytes, and bytes of the model already resident.

    ``ahead`` says whether memory lets the load run while the preceding round computes.
    """

    load_s: float
    loaded_bytes: int
    reused_bytes: int
    ahead: bool


class Memory(Protocol):
    """Contents of GPU memory, round by round."""

    @property
    def batch_s(self) -> Sequence[Sequence[float]]:
        """Nominal compute time by model and batch, ``batch_s[m][b]``, b from 0."""
        ...

    @property
    def most(self) -> Sequence[int]:
        """Batch limit of each model."""
        ...

    @property
    def model(self) -> int | None:
        """Model of the round entered last; None before the first."""
        ...

    def missing_s(self) -> list[float]:
        """Nominal load time of each model at present, by model number."""
        ...

    def resident_atoms(self) -> frozenset[int]:
        """Atoms currently in memory."""
        ...

    def fits_beside(self, model: int) -> bool:
        """Whether a model fits in memory beside the last round entered."""
        ...

    def enter(self, model: int, batch: int) -> Loaded:
        """Begin a round: evict as needed, load what is missing."""
        ...

    def grow(self, batch: int) -> None:
        """Make room for a larger batch of the round entered last."""
        ...


class GpuMemory:
    """Contents of GPU memory, round by round, by the rules of the problem.

    Parameters
    ----------
    tables
        Library, memory and residency, with or without sharing.

    Raises
    ------
    ValueError
        With eviction ``"furthest-next-use"``: the next use is unknown.
    """

    def __init__(self, tables: Tables) -> None:
        problem = tables.problem
        if problem.residency == "cache" and problem.eviction != "lru":
            raise ValueError(
                f"gpu.eviction must be 'lru' online, where the next use is unknown, "
                f"found {problem.eviction!r}"
            )
        self.batch_s = [table.tolist() for table in tables.latency_s]
        self.most = [(*t, math.inf).index(math.inf) - 1 for t in self.batch_s]
        self._tables = tables
        self._bytes = [
            sum(tables.atom_bytes[a] for a in atoms) for atoms in tables.atoms_of
        ]
        self._atoms = [tuple(sorted(atoms)) for atoms in tables.atoms_of]
        # With residency "previous" everything follows from the preceding round, so the
        # results for pairs seen so far are cached; what fits ahead also depends on its
        # batch.
        self._simple = problem.residency == "previous"
        self._loads: dict[tuple[int | None, int], Loaded] = {}
        self._all: dict[int | None, list[float]] = {}
        self._before = self._memory = residency.start(tables)
        self._missing: list[float] | None = None

    @property
    def model(self) -> int | None:
        """Model of the round entered last; None before the first."""
        return self._memory.model

    def missing_s(self) -> list[float]:
        """Nominal load time of each model at present, by model number."""
        if self._simple:
            previous_model = self._memory.model
            loads_s = self._all.get(previous_model)
            if loads_s is None:
                if len(self._all) * len(self.most) >= _MOST_CACHED:
                    self._all.clear()
                loads_s = self._all[previous_model] = self._tables.loads_after(
                    previous_model
                ).tolist()
            return loads_s
        if self._missing is None:
            absent_s: Floats = self._tables.atom_load_s.copy()
            absent_s[list(self._memory.atoms)] = 0.0
            self._missing = self._tables.sums(absent_s).tolist()
        return self._missing

    def resident_atoms(self) -> frozenset[int]:
        """Atoms currently in memory."""
        return frozenset(self._memory.atoms)

    def fits_beside(self, model: int) -> bool:
        """Whether, with overlap, a model fits in memory beside the last round entered.

        If so, its load may run while that round computes.
        """
        return residency.enter(self._tables, self._memory, model, 1).ahead

    def enter(self, model: int, batch: int) -> Loaded:
        """Begin a round: evict as needed, load what is missing.

        Parameters
        ----------
        model, batch
            The round; the batch fits in GPU memory.
        """
        if self._simple and not self._tables.problem.overlap:
            key = (self._memory.model, model)
            loaded = self._loads.get(key)
            if loaded is None:
                if len(self._loads) >= _MOST_CACHED:
                    self._loads.clear()
                loaded = self._loads[key] = self._step(model, batch)
            else:
                self._memory = residency.Memory(self._atoms[model], model, batch)
            return loaded
        return self._step(model, batch)

    def grow(self, batch: int) -> None:
        """Make room for a larger batch of the round entered last.

        The blocks that it loads stay the same: only activations grow. Space already
        freed stays free, so nothing happens if the batch is no larger.
        """
        model = self._memory.model
        assert model is not None
        if batch <= self._memory.batch:
            return
        if not self._simple:
            step = residency.enter(self._tables, self._before, model, batch)
            self._memory = step.memory
            self._missing = None
        else:
            self._memory = self._memory._replace(batch=batch)

    def _step(self, model: int, batch: int) -> Loaded:
        step = residency.enter(self._tables, self._memory, model, batch)
        self._before, self._memory = self._memory, step.memory
        self._missing = None
        size = self._tables.atom_bytes
        loaded = sum(size[atom] for atom in step.loaded)
        return Loaded(
            self._tables.loads_s(step.loaded),
            loaded,
            self._bytes[model] - loaded,
            step.ahead,
        )


class PlannedMemory:
    """GPU memory in which a schedule determines what each round loads.

    There are no evictions and no batch limits but the schedule's; only a model that
    does not fit at all has the limit 0.

    Parameters
    ----------
    tables
        The problem.
    schedule
        A schedule of the problem; its rounds are entered in its order.
    """

    def __init__(self, tables: Tables, schedule: Schedule) -> None:
        problem = tables.problem
        models = [problem.models[name] for name in tables.model_names]
        self.batch_s = [[0.0, *model.latency_s] for model in models]
        self.most = [
            len(model.latency_s) if math.isfinite(latency_s[1]) else 0
            for model, latency_s in zip(models, tables.latency_s, strict=True)
        ]
        self.model: int | None = None
        self._tables = tables
        self._loads = iter([_planned_load(problem, r) for r in schedule.rounds])
        self._resident: frozenset[int] = frozenset()

    def missing_s(self) -> list[float]:
        """Nominal load time of each model at present, by model number."""
        return [
            self._tables.loads_s(sorted(atoms - self._resident))
            for atoms in self._tables.atoms_of
        ]

    def resident_atoms(self) -> frozenset[int]:
        """Atoms of the model of the round entered last."""
        return self._resident

    def fits_beside(self, model: int) -> bool:
        """Return True: the schedule is made so that it fits."""
        del model
        return True

    def enter(self, model: int, batch: int) -> Loaded:
        """Begin the next round of the schedule."""
        del batch
        self.model = model
        self._resident = frozenset(self._tables.atoms_of[model])
        return next(self._loads)

    def grow(self, batch: int) -> None:
        """Do nothing: the batch is one of the schedule's."""


def _planned_load(problem: Problem, planned: Round) -> Loaded:
    load_s = math.fsum(problem.blocks[name].load_s for name in planned.loaded_blocks)
    loaded = sum(problem.blocks[name].bytes for name in planned.loaded_blocks)
    reused = problem.weight_bytes(planned.model) - loaded
    return Loaded(load_s, loaded, reused, ahead=True)
