"""The device of a live run: copies into a pool, and forward passes over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch

from edgesim.engine.clock import ClockEnvironment, Work
from edgesim.engine.memory import Memory
from edgesim.engine.worker import Worker
from edgesim.errors import InputError, Parameter
from edgesim.live.pool import OwnPlaces, Piece, Pool
from edgesim.live.stage import LiveModel, Stage, difference, fixed_input
from edgesim.profile.model_match import padded_batch
from edgesim.profiling.device import Device, NotCapturedError, Step
from edgesim.profiling.inputs import Example, forward, outputs
from edgesim.profiling.memory import aligned
from solvers.core.tables import Tables

WARM_UP = 3
"""Forward passes of each batch size and network before a run."""

NO_GRAPHS = Parameter("uses_graphs", "False")
"""Names what has batches launched operator by operator."""

TOLERANCE = 1e-4
"""Most that a model's output may differ from that of the model built by itself,
relative to its largest number. The same kernels on the same bytes give 0; in a graph,
libraries may choose others."""


class Copy(NamedTuple):
    """A block in memory: without sharing, each model's atom has a copy of its own."""

    atom: int
    block: str


def pool_bytes(tables: Tables, *, packed: bool = False) -> int:
    """Return the size of a pool that holds whatever a run's memory may hold.

    All blocks, each in a place of its own. Packed, the GPU's memory, or all blocks if
    they are less or it is not limited, and what aligning every block may cost.
    """
    if not packed:
        sizes = _places(tables)
        return max((at + size for at, size in sizes.values()), default=0)
    total = sum(tables.atom_bytes)
    limit = tables.problem.gpu_memory_bytes
    pieces = sum(map(len, tables.atom_blocks))
    most = total if limit is None else min(total, limit)
    return aligned(most) + aligned(1) * pieces


def _places(tables: Tables) -> dict[Copy, tuple[int, int]]:
    """Give every copy of a block a place; return offset and room in bytes of each."""
    found, at = {}, 0
    for atom, blocks in enumerate(tables.atom_blocks):
        for block in blocks:
            room = aligned(tables.problem.blocks[block].bytes)
            found[Copy(atom, block)] = at, room
            at += room
    return found


class Graph(NamedTuple):
    """A captured forward pass, and the outputs that it overwrites, where it keeps them.

    A pass of one input keeps them, for its answer to be checked.
    """

    run: Step
    outputs: Sequence[torch.Tensor]


class PoolDevice:
    """Loads blocks into a pool and computes batches of models whose weights lie there.

    Copies and forward passes are done by the worker's thread. The engine's thread reads
    the pool's places when it begins a load, and begins none while one is under way.
    Blocks that the memory of the run has given up are freed before others are placed.

    If the profile's batches were captured graphs, and the device has them, so are
    these: one for each model and batch size, captured before the run; they read their
    weights where these were then. With overlap loads are done by another thread, on a
    queue of their own, and nothing may be moved under a batch. Both take a pool in
    which each block has a place of its own.

    Parameters
    ----------
    stage
        Host blocks and models.
    device
        The device, for its clock and its buffers.
    tables
        The library and the GPU, with or without sharing.
    buffer
        The pool's bytes: uint8, at least ``pool_bytes(tables, packed=packed)``.
    packed
        Whether blocks share the bytes of the GPU's memory, and are moved together when
        need be, instead of each having its place.

    Raises
    ------
    ValueError
        With overlap, if the device has one queue; if packed, with overlap or graphs.

    Attributes
    ----------
    pool
        Where blocks lie.
    copied_bytes, copies
        Bytes and blocks copied from the host in the run's loads.
    """

    def __init__(
        self,
        stage: Stage,
        device: Device,
        tables: Tables,
        buffer: torch.Tensor,
        *,
        packed: bool = False,
    ) -> None:
        if packed and (stage.has_graphs or tables.problem.overlap):
            raise ValueError("graphs and overlap take blocks with places of their own")
        size = pool_bytes(tables, packed=packed)
        self._overlap = tables.problem.overlap
        queues = device.queues() if self._overlap else (device, device)
        if queues is None:
            raise ValueError("the device copies and computes one after the other")
        self._copying, self._computing = queues
        self._stage = stage
        self._device = device
        self._tables = tables
        self._buffer = buffer[:size]
        self.pool: Pool[Copy] = Pool(size, self._move)
        if not packed:
            offsets = {copy: at for copy, (at, _) in _places(tables).items()}
            self.pool = OwnPlaces(offsets, size)
        # Runs that share blocks, or none, have their places, and so their graphs.
        self._graphs: dict[tuple[int, int], Graph] = stage.graphs.setdefault(
            tuple(map(tuple, tables.atom_blocks)), {}
        )
        self.copied_bytes = self.copies = 0
        self._models = [stage.models[name] for name in tables.model_names]
        self._copies = [
            tuple(Copy(atom, block) for block in blocks)
            for atom, blocks in enumerate(tables.atom_blocks)
        ]
        self._inputs: dict[tuple[str, int], Example] = {}
        self._env: ClockEnvironment | None = None
        self._worker: Worker | None = None
        self._copier: Worker | None = None
        # What the run's memory holds, and the model that was loaded last.
        self._resident: frozenset[int] = frozenset(tables.initial_atoms)
        self._last = 0
        self._memory: Memory | None = None

    def connect(
        self,
        env: ClockEnvironment,
        worker: Worker,
        memory: Memory,
        copier: Worker | None = None,
    ) -> None:
        """Take part in a run.

        Parameters
        ----------
        env, memory
            The run's environment, and what its memory holds.
        worker, copier
            The thread that computes, and that which loads; by default the same.
        """
        self._env, self._worker, self._memory = env, worker, memory
        self._copier = copier or worker

    def load(self, number: int, model: int, nominal_s: float) -> Work | None:
        """Begin to copy what the round's model is missing; None if nothing is."""
        del number, nominal_s
        assert self._memory is not None
        wanted = self._memory.resident_atoms()
        missing = self._copies_of(wanted - self._resident)
        self._resident, kept = wanted, wanted
        if self._overlap:  # the round before may be computing, or about to
            kept |= self._tables.atoms_of[self._last]
            self._last = model
        if not missing:
            self._give_up(kept)
            return None
        assert self._copier is not None
        return self._begin(self._copier, lambda: self._timed_load(model, kept, missing))

    def compute(self, number: int, model: int, batch: int, nominal_s: float) -> Work:
        """Begin a forward pass of a batch, padded to the next measured size."""
        del number, nominal_s
        assert self._memory is not None
        wanted = self._resident = self._memory.resident_atoms()

        def job() -> float:
            if not self._overlap:  # or a load is giving up what it has to
                self._give_up(wanted)
            self._bind(model)
            return self.forward(model, batch)

        assert self._worker is not None
        return self._begin(self._worker, job)

    def _begin(self, worker: Worker, job: Callable[[], float]) -> Work:
        assert self._env is not None
        work = self._env.begin()
        worker.begin(work, job)
        return work

    def forward(self, model: int, batch: int) -> float:
        """Run a batch of a model that is loaded; return its duration in seconds.

        Raises
        ------
        RuntimeError
            If a block of the model is not where its weights are read.
        """
        self._check_bound(model)
        live = self._models[model]
        size = padded_batch(self._stage.sizes[live.layout.name], batch)
        if live.by_graph:
            step = self._graphs[model, size].run
        else:
            example = self._example(live, size)
            step = lambda: forward(live.network, example)  # noqa: E731
        took_s = self._computing.timed([step])[0]
        self._computing.synchronise()
        return took_s

    def show(self, model: int) -> float:
        """Run a loaded model on the fixed input; return how far its answer is off."""
        self._check_bound(model)
        live = self._models[model]
        graph = self._graphs.get((model, 1))
        if graph is None:
            return difference(live, self._device)
        self._device.synchronise()
        graph.run()
        return difference(live, self._device, graph.outputs)

    def fetch(self, model: int, wanted: frozenset[int]) -> None:
        """Load a model outside a run; memory then holds these atoms, its own too."""
        self._timed_load(model, wanted, self._missing(wanted))

    def warm_up(self) -> None:
        """Run every network at every measured batch size, a few times."""
        seen = set()
        for model, live in enumerate(self._models):
            spec = live.layout.network
            if spec in seen:
                continue
            seen.add(spec)
            self.clear()
            self.fetch(model, self._tables.atoms_of[model])
            for size in self._sizes(live):
                for _ in range(WARM_UP):
                    self.forward(model, size)
        self.clear()

    def capture(self) -> None:
        """Capture the graphs of all models that are to have them and have none yet.

        Raises
        ------
        InputError
            If the device cannot capture a batch.
        """
        for model, live in enumerate(self._models):
            sizes = [
                size
                for size in self._sizes(live)
                if live.by_graph and (model, size) not in self._graphs
            ]
            if sizes:
                self.fetch(model, self._tables.atoms_of[model])
            for size in sizes:
                self._graphs[model, size] = self._captured(live, size)
        self.clear()

    def _captured(self, live: LiveModel, size: int) -> Graph:
        example = self._example(live, size)
        kept: list[torch.Tensor] = []

        def step() -> None:
            if size == 1:
                kept[:] = outputs(live.network, example)
            else:
                forward(live.network, example)

        try:
            graph = self._device.captured(step)
        except NotCapturedError as error:
            raise InputError(
                live.layout.network.architecture,
                f"as {live.layout.name!r} must be captured as a graph, as the "
                f"profile's batches were, or else launched operator by operator (",
                NO_GRAPHS,
                f", also when measuring): a batch of {size} was not, {error}",
            ) from error
        assert graph is not None
        return Graph(graph, kept)

    def _sizes(self, live: LiveModel) -> list[int]:
        """List the measured batch sizes that the library has."""
        name = live.layout.name
        most = len(self._tables.problem.models[name].latency_s)
        return [size for size in self._stage.sizes[name] if size <= most]

    def wrong_models(self) -> list[str]:
        """Load every model beside what is left of one before it, and check its answer.

        Returns
        -------
        list of str
            Models whose output is not that of the model built by itself.
        """
        wrong = []
        atoms_of = self._tables.atoms_of
        for model, live in enumerate(self._models):
            self.clear()
            own = atoms_of[model]
            relatives = [m for m, of in enumerate(atoms_of) if m != model and of & own]
            for relative in relatives[:1]:
                self.fetch(relative, atoms_of[relative])
            self.fetch(model, atoms_of[model])
            if self.show(model) > TOLERANCE:
                wrong.append(live.layout.name)
        self.clear()
        return wrong

    def wrong_at_end(self) -> list[str]:
        """Check every model on the memory that the run leaves.

        Those in memory first, as they lie there; then each of the others, loaded over
        what is left of the one before it.

        Returns
        -------
        list of str
            Models whose output is not that of the model built by itself.
        """
        held = frozenset(copy.atom for copy in self.pool.in_order())
        atoms_of = self._tables.atoms_of
        there = [model for model, of in enumerate(atoms_of) if of <= held]
        others = [model for model, of in enumerate(atoms_of) if not of <= held]
        wrong = set()
        for model in (*there, *others):
            self.fetch(model, held if model in there else atoms_of[model])
            if self.show(model) > TOLERANCE:
                wrong.add(model)
        return [self._models[model].layout.name for model in sorted(wrong)]

    def clear(self) -> None:
        """Empty the pool; what it held may not be computed with."""
        self.pool.clear()
        for live in self._models:
            live.bound.clear()

    def reset(self) -> None:
        """Begin anew: memory holds what it holds before the first round."""
        self.clear()
        self._resident = frozenset(self._tables.initial_atoms)
        self._last = 0
        self._copy(self._copies_of(self._resident))
        self.pool.counts = type(self.pool.counts)()
        self.copied_bytes = self.copies = 0

    def _missing(self, wanted: Iterable[int]) -> list[Copy]:
        """List the copies of some atoms that are not in the pool, in order."""
        return [copy for copy in self._copies_of(wanted) if copy not in self.pool]

    def _copies_of(self, atoms: Iterable[int]) -> list[Copy]:
        """List the copies of some atoms, in order."""
        return [copy for atom in sorted(atoms) for copy in self._copies[atom]]

    def _give_up(self, wanted: frozenset[int]) -> None:
        """Free what memory no longer holds."""
        for copy in [copy for copy in self.pool if copy.atom not in wanted]:
            self.pool.free(copy)

    def _timed_load(
        self, model: int, wanted: frozenset[int], missing: Sequence[Copy]
    ) -> float:
        self._give_up(wanted)
        took_s = self._copy(missing)
        self._bind(model)
        return took_s

    def _copy(self, missing: Sequence[Copy]) -> float:
        """Place blocks and copy them; return the duration, compaction included."""
        steps: list[Step] = [lambda copy=copy: self._place(copy) for copy in missing]  # type: ignore[misc]
        took_s = sum(self._copying.timed([_sequence(steps)])) if steps else 0.0
        self._copying.synchronise()
        return took_s

    def _place(self, copy: Copy) -> None:
        piece = self.pool.place(copy, self._bytes(copy))
        self._stage.hosts[copy.block].load(self._content(piece))
        self.copies += 1
        self.copied_bytes += piece.bytes

    def _bind(self, model: int) -> None:
        """Let a model's weights be views to where its blocks are now."""
        live = self._models[model]
        for atom in self._tables.atoms_of[model]:
            for copy in self._copies[atom]:
                piece = self.pool[copy]
                if live.bound.get(copy.block) != piece.offset:
                    live.bind(copy.block, self._content(piece), piece.offset)

    def _check_bound(self, model: int) -> None:
        live = self._models[model]
        for atom in self._tables.atoms_of[model]:
            for copy in self._copies[atom]:
                there = copy in self.pool
                if not there or live.bound.get(copy.block) != self.pool[copy].offset:
                    raise RuntimeError(
                        f"{live.layout.name!r} would be computed without its block "
                        f"{copy.block!r}"
                    )

    def _content(self, piece: Piece) -> torch.Tensor:
        return self._buffer[piece.offset : piece.offset + piece.bytes]

    def _move(self, piece: Piece, offset: int) -> None:
        """Move a block within the buffer; the two pieces may overlap."""
        content = self._content(piece).clone()
        self._content(Piece(offset, piece.bytes)).copy_(content)

    def _bytes(self, copy: Copy) -> int:
        return self._tables.problem.blocks[copy.block].bytes

    def _example(self, live: LiveModel, size: int) -> Example:
        key = live.layout.base, size
        if key not in self._inputs:
            self._inputs[key] = fixed_input(live, self._device, size)
            self._device.synchronise()  # whatever queue will read it
        return self._inputs[key]


def _sequence(steps: Sequence[Step]) -> Step:
    def step() -> None:
        for one in steps:
            one()

    return step
