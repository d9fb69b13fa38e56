"""Problems for solvers online: the current requests as a problem, built quickly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edgesim.engine.policy import View
from edgesim.engine.request import ActiveRequest
from solvers import Block, Model, Problem, User
from solvers.core import residency
from solvers.core.tables import Tables
from solvers.problem import MOST_SECONDS

# An input that has arrived: its upload takes a time below every tolerance.
_BITS, _EFFICIENCY = 1e-12, 1e18

_RESIDENT = "(resident)"


class Wanted(NamedTuple):
    """A request to plan, and the arrival of its input after the plan's start."""

    request: ActiveRequest
    release_s: float


class PlannedMemory:
    """Contents of GPU memory over planned rounds; loads run one after another.

    Parameters
    ----------
    tables
        The library and the GPU.
    memory
        Initial contents.
    """

    def __init__(self, tables: Tables, memory: residency.Memory) -> None:
        self._tables = tables
        self._memory = memory
        self._follows = tables.problem.residency == "previous"

    def load_s(self, model: int) -> float:
        """Nominal load time of a model at present."""
        memory, tables = self._memory, self._tables
        if self._follows:
            return tables.load_s(memory.model, model)
        return tables.loads_s(tables.atoms_of[model].difference(memory.atoms))

    def enter(self, model: int, batch: int) -> None:
        """Run a round. O(1), or O(resident atoms) with a cache."""
        if self._follows:
            self._memory = residency.Memory((), model, batch)
        else:
            step = residency.enter(self._tables, self._memory, model, batch)
            self._memory = step.memory


class PlanningLibrary:
    """A library whose blocks are the atoms of given tables.

    Blocks that always move together are merged, and without sharing each model is a
    single block of its own: a solver that shares blocks then plans what the GPU will do
    in either case.

    Parameters
    ----------
    tables
        The library and the GPU, with or without sharing.
    most
        The largest batch of each model that may be planned; 0 excludes the model.
    """

    def __init__(self, tables: Tables, most: Sequence[int]) -> None:
        self._tables = tables
        loads_s = tables.atom_load_s.tolist()
        self._blocks = [
            Block(bytes=size, load_s=load_s)
            for size, load_s in zip(tables.atom_bytes, loads_s, strict=True)
        ]
        self._resident_blocks = [
            block.model_copy(update={"load_s": 0.0}) for block in self._blocks
        ]
        self._names = [str(atom) for atom in range(len(self._blocks))]
        self._models = {
            model: Model(
                blocks=tuple(
                    self._names[atom] for atom in sorted(tables.atoms_of[model])
                ),
                latency_s=given.latency_s[: most[model]],
                activation_bytes=given.activation_bytes
                and given.activation_bytes[: most[model]],
            )
            for model, given in enumerate(tables.problem.models.values())
            if most[model]
        }

    def memory(self, server: View) -> PlannedMemory:
        """Start from the resident atoms; which of them was used last is unknown."""
        atoms = tuple(sorted(server.resident_atoms()))
        return PlannedMemory(self._tables, residency.Memory(atoms, server.model, 1))

    def problem(
        self,
        server: View,
        wanted: Sequence[Wanted],
        start_s: float,
        by_s: float | None,
        *,
        extended: bool,
    ) -> Problem:
        """Build the problem of some requests, without validating it again.

        Parameters
        ----------
        server
            The view of the server, for its resident atoms.
        wanted
            The requests; their numbers become the users' ids.
        start_s
            When the plan starts, in s of the run.
        by_s
            The common deadline, in s of the run; None for their own.
        extended
            Whether the solver supports a cache and overlap; if not, blocks in the cache
            load in no time, and there is no overlap.
        """
        models = sorted({w.request.model for w in wanted})
        names = self._tables.model_names
        users = tuple(
            User.model_construct(
                id=str(request.number),
                model=names[request.model],
                input_bits=_BITS,
                spectral_efficiency=_EFFICIENCY,
                release_s=release_s,
                deadline_s=min(
                    (request.deadline_s if by_s is None else by_s) - start_s,
                    MOST_SECONDS,
                ),
            )
            for request, release_s in wanted
        )
        rules = self._tables.problem
        resident = server.resident_atoms()
        free = rules.residency == "cache" and not extended
        chosen = {names[model]: self._models[model] for model in models}
        resident_blocks = self._resident_blocks if free else self._blocks
        atoms = set(resident).union(*(self._tables.atoms_of[m] for m in models))
        blocks = {
            self._names[atom]: (resident_blocks if atom in resident else self._blocks)[
                atom
            ]
            for atom in sorted(atoms)
        }
        resident_model = None
        if resident and not free:
            # No user requests this model: it only represents the blocks resident before
            # the first round.
            resident_model = _RESIDENT
            while resident_model in chosen:
                resident_model += "'"
            chosen[resident_model] = Model.model_construct(
                blocks=tuple(self._names[atom] for atom in sorted(resident)),
                latency_s=(1.0,),
                activation_bytes=None,
            )
        return Problem.model_construct(
            name="queue",
            bandwidth_hz=1.0,
            gpu_memory_bytes=rules.gpu_memory_bytes,
            resident_model=resident_model,
            residency=rules.residency if extended else "previous",
            eviction="lru",
            overlap=rules.overlap and extended,
            blocks=blocks,
            models=chosen,
            users=users,
        )
