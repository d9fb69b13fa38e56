"""Schedules as paths through a grid of time: arcs, their durations, the longest path.

Times are rounded down to steps of a grid such that every feasible schedule becomes a
path of (step, model) states. ``docs/mathematics.md``, section 6, has the proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from solvers.bounds.path_kernels import Arcs, Grid, trace, walk, walk_back
from solvers.bounds.path_memory import Flags, Group, Kind, Memory
from solvers.core.compiling import COMPILED, call
from solvers.core.tables import Floats, Ints, Tables

# A step that no grid has.
NEVER = 2**62


class Stop(NamedTuple):
    """A batch on a path: its last step, size index, model index and users."""

    step: int
    size: int
    model: int
    users: Ints


class Path(NamedTuple):
    """A longest path: its value, batches and arcs between models.

    ``visits`` lists (model before, model) by index, −1 for the start; ``start`` is the
    step at which the first load starts.
    """

    value: float
    stops: list[Stop]
    visits: list[tuple[int, int]]
    start: int


class Part(NamedTuple):
    """Some of the schedules: which users they serve, and when.

    ``forced`` are users that must be served, ``banned`` those that must not, and the
    batch of a user that is served ends in a step from ``earliest`` to ``latest``, each
    of shape (K,).
    """

    forced: Flags
    banned: Flags
    earliest: Ints
    latest: Ints


class Gains(Protocol):
    """The value of every batch, for one setting of the multipliers.

    ``table`` is that of the batches that end at each step, shape (last+1, A), or has
    more columns.
    """

    table: Floats

    def users(self, step: int, arc: int) -> Ints:
        """Return the users of one batch."""


@dataclass(frozen=True, eq=False)
class Network:
    """The arcs of one problem on one grid.

    Users are renumbered 0..K−1 by model, in the order of its memory; models 0..M−1. A
    column is a model and what its memory knows of the visit; there are C, and A arcs,
    one for each batch size and pair of columns that it may lead from and to, by the
    latter.

    Parameters
    ----------
    step_s, last
        The step of the grid, and its last one that any deadline allows.
    models, users
        Numbers of models and users in the tables.
    first
        First user of each model, and K, shape (M+1,).
    column
        First column of each model, and C, shape (M+1,).
    model_of, user_model
        Model of each column and of each user.
    demand_s, until, barring, arrival_s
        Demand of each user, the last step at which its batch may end, the last one
        until which it bars others, and the earliest time at which its upload can have
        ended, shape (K,).
    latency_s, batch_steps
        Compute time of each batch, inf if impossible, and its steps, (B, M).
    load_s, load_steps
        Least load time between models, and its steps, (M+1, M); the last row is for
        the first round.
    sigma_s
        Time before which a batch starts that ends at a step, shape (last+1, B, M).
    memories
        What is remembered of a visit to each model.
    arc_size, arc_source, arc_column, arc_last
        Size index of each arc, the columns it leads from and to, and the user that it
        must take or −1, shape (A,).
    arc_offset, load_offset
        Where a batch or a load comes from, in flat arrays of rows by step: (A,) and
        (M, M).
    pad
        Rows before step 0.
    block
        Steps of the shortest batch: so many rows depend on earlier ones alone.
    loops
        Whether it is gone through in compiled loops; what is found is the same.
    """

    tables: Tables
    memories: tuple[Memory, ...]
    step_s: float
    last: int
    models: tuple[int, ...]
    users: Ints
    first: Ints
    column: Ints
    model_of: Ints
    user_model: Ints
    demand_s: Floats
    until: Ints
    barring: Ints
    arrival_s: Floats
    latency_s: Floats
    batch_steps: Ints
    load_s: Floats
    load_steps: Ints
    sigma_s: Floats
    arc_size: Ints
    arc_source: Ints
    arc_column: Ints
    arc_last: Ints
    arc_offset: Ints
    load_offset: Ints
    pad: int
    block: int
    loops: bool = COMPILED

    @property
    def sizes(self) -> int:
        """Number of batch sizes."""
        return len(self.latency_s)

    @property
    def ordered(self) -> bool:
        """Whether the order of the users alone says who is served."""
        return self.memories[0].kind == "prefix"

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Models with as many users and the same kind of memory."""
        alike: dict[tuple[int, Kind], list[int]] = {}
        for m, memory in enumerate(self.memories):
            alike.setdefault((memory.users, memory.kind), []).append(m)
        return tuple(self._group(np.array(models)) for models in alike.values())

    def _group(self, models: Ints) -> Group:
        memories = [self.memories[m] for m in models]
        users, places = memories[0].users, memories[0].places
        arcs = np.full((self.sizes, places, places, len(models)), len(self.arc_size))
        number = np.zeros(len(self.memories), dtype=np.int64)
        number[models] = np.arange(len(models))
        here = np.flatnonzero(np.isin(self.arc_model, models))
        first = self.column[:-1][self.arc_model[here]]
        arcs[
            self.arc_size[here],
            self.arc_column[here] - first,
            self.arc_source[here] - first,
            number[self.arc_model[here]],
        ] = here
        open_to = np.ones((users, places, len(models), 1), dtype=bool)
        if memories[0].kind == "last":
            for g, memory in enumerate(memories):
                open_to[:, 1:, g, 0] = ~memory.bars.T
        return Group(models, memories[0].kind, arcs, open_to)

    @cached_property
    def arc_model(self) -> Ints:
        """Model of each arc, shape (A,)."""
        return self.model_of[self.arc_column]

    @cached_property
    def _first_arc(self) -> Ints:
        """First of the arcs that lead to each column, and A, shape (C+1,)."""
        return np.searchsorted(self.arc_column, np.arange(len(self.model_of) + 1))

    @cached_property
    def _bars_until(self) -> Ints:
        """Last step until which the user of a column bars others, shape (C,)."""
        found = np.full(len(self.model_of), NEVER)
        for m, memory in enumerate(self.memories):
            if memory.kind == "last":
                span = slice(self.column[m] + 1, self.column[m + 1])
                found[span] = self.barring[self.first[m] : self.first[m + 1]]
        return found

    @cached_property
    def _from_nobody(self) -> Flags:
        """Arcs from nobody, which may also follow a user who bars no longer."""
        last = np.array([memory.kind == "last" for memory in self.memories])
        found: Flags = last[self.arc_model] & ~self._is_user[self.arc_source]
        return found & bool(self._bars_until.min() < self.last)

    @cached_property
    def _offset(self) -> Ints:
        """Where a batch comes from, by size and column, shape (B, C)."""
        columns = len(self.model_of)
        back = self.pad - self.batch_steps[:, self.model_of]
        found: Ints = back * columns + np.arange(columns)
        return found

    @cached_property
    def _is_user(self) -> Flags:
        """Whether a column stands for the last user served, shape (C,)."""
        last = np.array([memory.kind == "last" for memory in self.memories])
        place = np.arange(len(self.model_of)) - self.column[self.model_of]
        found: Flags = last[self.model_of] & (place > 0)
        return found

    def longest(
        self,
        gains: Gains,
        between: Floats,
        first: Floats,
        start: Floats,
    ) -> Path:
        """Find a longest path; the empty one has value 0.

        Parameters
        ----------
        gains
            Value of each batch.
        between
            Value of each change of model, shape (M, M); the diagonal is ignored.
        first
            Value of each model being the first, shape (M,).
        start
            Value of the first load starting at each step, shape (last+1,).

        Notes
        -----
        O(steps · (arcs + M²)), in blocks of as many steps as the shortest batch.
        """
        grid = self._walked(gains, between, first, start)
        value = float(grid.served[-1].max())
        if value <= 0:
            return Path(0.0, [], [], 0)
        if self.loops:
            batches, visits, begins = call(trace, grid)
        else:
            batches, visits, begins = self._trace(grid)
        stops = [
            Stop(
                step,
                int(self.arc_size[arc]),
                int(self.arc_model[arc]),
                gains.users(step, arc),
            )
            for step, arc in batches[::-1].tolist()
        ]
        changes = [(a, m) for a, m in visits[::-1].tolist()]
        return Path(value, stops, changes, int(start[: begins + 1].argmax()))

    @cached_property
    def _arcs(self) -> Arcs:
        by_source = np.argsort(self.arc_source, kind="stable")
        columns = np.arange(len(self.model_of) + 1)
        return Arcs(
            batch_steps=self.batch_steps,
            load_steps=self.load_steps,
            arc_size=self.arc_size,
            arc_column=self.arc_column,
            arc_model=self.arc_model,
            from_nobody=self._from_nobody,
            by_source=by_source,
            first_from=np.searchsorted(self.arc_source[by_source], columns),
            column=self.column,
            bars_until=self._bars_until,
            is_user=self._is_user,
        )

    def before(
        self, gains: Gains, between: Floats, first: Floats, start: Floats
    ) -> tuple[Floats, Floats]:
        """Value of a longest path before a batch, and up to one, by step and model.

        Parameters are those of :meth:`longest`.

        Returns
        -------
        Floats, Floats
            For a batch of each model that begins at a step, and one that ended by it,
            shape (last+1, M), −inf if there is none; neither decreases with the step.
        """
        grid = self._walked(gains, between, first, start)
        entered = grid.entered[self.pad :]
        before = np.maximum.reduceat(entered, self.column[:-1], axis=1)
        return before, grid.left[self.pad :]

    def _walked(
        self, gains: Gains, between: Floats, first: Floats, start: Floats
    ) -> Grid:
        steps = np.arange(self.last + 1)
        at = steps[:, None] - self.load_steps[-1]
        earlier = np.maximum.accumulate(start)
        rows, models = self.pad + self.last + 1, len(self.models)
        grid = Grid(
            table=gains.table,
            batch_steps=self.batch_steps,
            load_steps=self.load_steps,
            change=np.where(np.eye(models, dtype=bool), -np.inf, between),
            begun=np.where(at >= 0, first + earlier[np.maximum(at, 0)], -np.inf),
            first_arc=self._first_arc,
            arc_size=self.arc_size,
            arc_source=self.arc_source,
            arc_model=self.arc_model,
            from_nobody=self._from_nobody,
            column=self.column,
            bars_until=self._bars_until,
            is_user=self._is_user,
            served=np.full((rows, len(self.model_of)), -np.inf),
            entered=np.full((rows, len(self.model_of)), -np.inf),
            left=np.full((rows, models), -np.inf),
            arrived=np.full((self.last + 1, models), -np.inf),
        )
        if self.loops:
            call(walk, grid)
        else:
            self._walk(grid)
        return grid

    def rest(self, gains: Gains, between: Floats) -> tuple[Floats, Floats]:
        """Value of a longest rest of a path, after a batch and with one.

        Parameters
        ----------
        gains, between
            As for :meth:`longest`.

        Returns
        -------
        Floats, Floats
            After a batch, by its step and column, shape (last+1, C), at least 0; and
            with a batch of each model that begins at a step or later, shape
            (last+1, M), −inf if there is none. Neither increases with the step.

        Notes
        -----
        O(steps · (arcs + M²)).
        """
        found = np.zeros((self.last + 1, len(self.model_of)))
        begins = np.zeros((self.last + 1, len(self.models)))
        table = gains.table
        if self.loops:
            call(walk_back, self._arcs, table, between, found, begins)
        else:
            self._walk_back(self._arcs, table, between, found, begins)
        return found, begins

    def _walk_back(
        self,
        arcs: Arcs,
        table: Floats,
        change: Floats,
        found: Floats,
        begins: Floats,
    ) -> None:
        """Do what :func:`walk_back` does, in as many steps at once as a batch has."""
        del arcs
        took = self.batch_steps[self.arc_size, self.arc_model]
        from_ = self._arcs.by_source
        sources, first_from = np.unique(self.arc_source[from_], return_index=True)
        here = self.column[:-1]
        change = np.where(np.eye(len(here), dtype=bool), -np.inf, change)
        entered = np.full_like(begins, -np.inf)
        number = np.arange(len(took))
        for high in range(self.last, -1, -self.block):
            rows = np.arange(max(high - self.block + 1, 0), high + 1)
            ends = rows[:, None] + took
            at = np.minimum(ends, self.last)
            total = table[at, number] + found[at, self.arc_column]
            total[ends > self.last] = -np.inf
            best = np.full((len(rows), len(self.model_of)), -np.inf)
            best[:, sources] = np.maximum.reduceat(total[:, from_], first_from, axis=1)
            begins[rows] = np.maximum.reduceat(best, here, axis=1)
            entering = np.where(self._is_user, -np.inf, best)
            entered[rows] = np.maximum.reduceat(entering, here, axis=1)
            arrives = rows[:, None, None] + self.load_steps[:-1]
            worth = entered[np.minimum(arrives, self.last), np.arange(len(here))]
            worth = np.where(arrives > self.last, -np.inf, worth + change)
            leaving = np.maximum(worth.max(axis=2), 0.0)
            best = np.maximum(best, leaving[:, self.model_of])
            for a in np.flatnonzero(self._from_nobody).tolist():
                m = self.arc_model[a]
                span = slice(self.column[m] + 1, self.column[m + 1])
                free = self._bars_until[span] < ends[:, a, None]
                worth = np.where(free, total[:, a, None], -np.inf)
                best[:, span] = np.maximum(best[:, span], worth)
            if high < self.last:
                best[-1] = np.maximum(best[-1], found[high + 1])
                begins[high] = np.maximum(begins[high], begins[high + 1])
            found[rows] = np.maximum.accumulate(best[::-1], axis=0)[::-1]
            begins[rows] = np.maximum.accumulate(begins[rows][::-1], axis=0)[::-1]

    def _walk(self, grid: Grid) -> None:
        """Do what :func:`walk` does, in as many steps at once as a batch has."""
        columns, models = len(self.model_of), len(self.models)
        ends = np.unique(self.arc_column)
        first_arc = self._first_arc[ends]
        before = np.full(columns, -np.inf)
        for low in range(0, self.last + 1, self.block):
            now = np.arange(low, min(low + self.block, self.last + 1))
            total = self._before(grid, now) + grid.table[now, : len(self.arc_size)]
            best = np.full((len(now), columns), -np.inf)
            best[:, ends] = np.maximum.reduceat(total, first_arc, axis=1)
            np.maximum(best[0], before, out=best[0])
            np.maximum.accumulate(best, axis=0, out=best)
            before = best[-1]
            here = slice(self.pad + low, self.pad + low + len(now))
            grid.served[here] = best
            grid.left[here] = np.maximum.reduceat(best, self.column[:-1], axis=1)
            change_to = grid.left.reshape(-1).take(
                self.load_offset + (now * models)[:, None, None]
            )
            change_to += grid.change
            arrive = np.maximum(change_to.max(axis=1), grid.begun[now])
            grid.arrived[now] = arrive
            came = np.where(self._is_user, -np.inf, arrive[:, self.model_of])
            grid.entered[here] = np.maximum(best, came)

    def _before(self, grid: Grid, rows: Ints) -> Floats:
        """Value of the longest path before each batch that ends at some steps.

        Shape (rows, A). A batch from nobody may also follow any user who does not bar
        others any more when it ends.
        """
        columns = len(self.model_of)
        found: Floats = grid.entered.reshape(-1).take(
            self.arc_offset + (rows * columns)[:, None]
        )
        nobody = np.flatnonzero(self._from_nobody)
        if len(nobody):
            forgotten = grid.served.reshape(-1).take(
                self._offset + (rows * columns)[:, None, None]
            )
            barring = rows[:, None] <= self._bars_until
            forgotten = np.where(barring[:, None, :], -np.inf, forgotten)
            best = np.maximum.reduceat(forgotten, self.column[:-1], axis=2)
            of_arc = best[:, self.arc_size[nobody], self.arc_model[nobody]]
            found[:, nobody] = np.maximum(found[:, nobody], of_arc)
        return found

    def _trace(self, grid: Grid) -> tuple[Ints, Ints, int]:
        """Do what :func:`trace` does."""
        pad, served, models = self.pad, grid.served, len(self.models)
        step, column = self.last, int(served[-1].argmax())
        batches: list[tuple[int, int]] = []
        visits: list[tuple[int, int]] = []
        while True:
            while step and served[pad + step - 1, column] == served[pad + step, column]:
                step -= 1
            arcs = slice(self._first_arc[column], self._first_arc[column + 1])
            total = (
                self._before(grid, np.array([step]))[0, arcs] + grid.table[step, arcs]
            )
            arc = int(arcs.start + total.argmax())
            batches.append((step, arc))
            m = int(self.arc_model[arc])
            ended = step
            step -= int(self.batch_steps[self.arc_size[arc], m])
            column = self._column_before(grid, arc, ended, step)
            came = -np.inf if self._is_user[column] else grid.arrived[step, m]
            if served[pad + step, column] >= came:
                continue
            left = grid.left.reshape(-1)[self.load_offset[:, m] + step * models]
            left = left + grid.change[:, m]
            a = int(left.argmax())
            if grid.begun[step, m] >= left[a]:
                visits.append((-1, m))
                step -= int(self.load_steps[-1, m])
                return np.array(batches), np.array(visits), step
            visits.append((a, m))
            step -= int(self.load_steps[a, m])
            span = slice(self.column[a], self.column[a + 1])
            column = int(self.column[a] + served[pad + step, span].argmax())

    def _column_before(self, grid: Grid, arc: int, ended: int, step: int) -> int:
        """Column that a batch leads from on the longest path, where it starts."""
        column = int(self.arc_source[arc])
        if not self._from_nobody[arc]:
            return column
        m = int(self.arc_model[arc])
        span = np.arange(self.column[m], self.column[m + 1])
        free = span[self._bars_until[span] < ended]
        served = grid.served[self.pad + step, free]
        if len(free) and served.max() > grid.entered[self.pad + step, column]:
            return int(free[served.argmax()])
        return column
