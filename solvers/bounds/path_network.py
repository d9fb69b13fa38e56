"""Schedules as paths through a grid of time: arcs, their durations, the longest path.

Times are rounded down to steps of a grid such that every feasible schedule becomes a
path of (step, model) states. ``docs/mathematics.md``, section 6, has the proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from solvers.core.tables import Floats, Ints, Tables


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


class Gains(Protocol):
    """The value of every batch, for one setting of the multipliers."""

    def of(self, rows: Ints) -> Floats:
        """Value of the batches that end at some steps, shape (rows, B, C)."""

    def at(self, step: int, column: int) -> Floats:
        """Value of the batches that end at one step and column, shape (B,)."""

    def users(self, step: int, size: int, column: int, source: int) -> Ints:
        """Return the users of one batch."""


@dataclass(frozen=True, eq=False)
class Network:
    """The arcs of one problem on one grid.

    Users are renumbered 0..K−1 by model, least demand first; models 0..M−1. There are
    C columns. With ``ordered`` users, a column is a model and the number of its users
    served so far, and batches take consecutive users; otherwise it is a model.

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
    demand_s, until, arrival_s
        Demand of each user, the last step at which its batch may end, and the earliest
        time at which its upload can have ended, shape (K,).
    latency_s, batch_steps
        Compute time of each batch, inf if impossible, and its steps, (B, M).
    load_s, load_steps
        Least load time between models, and its steps, (M+1, M); the last row is for
        the first round.
    sigma_s
        Time before which a batch starts that ends at a step, shape (last+1, B, M).
    source, possible
        Column before each batch, and whether there is one, shape (B, C).
    batch_offset, load_offset
        Where a batch or a load comes from, in flat arrays of rows by step: (B, C) and
        (M, M).
    pad
        Rows before step 0.
    block
        Steps of the shortest batch: so many rows depend on earlier ones alone.
    """

    tables: Tables
    ordered: bool
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
    arrival_s: Floats
    latency_s: Floats
    batch_steps: Ints
    load_s: Floats
    load_steps: Ints
    sigma_s: Floats
    source: Ints
    possible: NDArray[np.bool_]
    batch_offset: Ints
    load_offset: Ints
    pad: int
    block: int

    @property
    def sizes(self) -> int:
        """Number of batch sizes."""
        return len(self.latency_s)

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
        last, pad = self.last, self.pad
        columns, models = len(self.model_of), len(self.models)
        served = np.full((pad + last + 1, columns), -np.inf)
        entered = np.full((pad + last + 1, columns), -np.inf)
        left = np.full((pad + last + 1, models), -np.inf)
        arrived = np.full((last + 1, models), -np.inf)
        steps = np.arange(last + 1)
        at = steps[:, None] - self.load_steps[-1]
        earlier = np.maximum.accumulate(start)
        begun = np.where(at >= 0, first + earlier[np.maximum(at, 0)], -np.inf)
        before = np.full(columns, -np.inf)
        change = np.where(np.eye(models, dtype=bool), -np.inf, between)
        for low in range(0, last + 1, self.block):
            rows = steps[low : low + self.block]
            total = entered.reshape(-1).take(
                self.batch_offset + (rows * columns)[:, None, None]
            )
            total += gains.of(rows)
            best = total.max(axis=1)
            np.maximum(best[0], before, out=best[0])
            np.maximum.accumulate(best, axis=0, out=best)
            before = best[-1]
            here = slice(pad + low, pad + low + len(rows))
            served[here] = best
            left[here] = np.maximum.reduceat(best, self.column[:-1], axis=1)
            change_to = left.reshape(-1).take(
                self.load_offset + (rows * models)[:, None, None]
            )
            change_to += change
            arrive = np.maximum(change_to.max(axis=1), begun[rows])
            arrived[rows] = arrive
            entered[here] = np.maximum(best, arrive[:, self.model_of])
        if before.max() <= 0:
            return Path(0.0, [], [], 0)
        return self._trace(gains, change, begun, start, served, entered, left, arrived)

    def _trace(
        self,
        gains: Gains,
        change: Floats,
        begun: Floats,
        start: Floats,
        served: Floats,
        entered: Floats,
        left: Floats,
        arrived: Floats,
    ) -> Path:
        """Follow a longest path back from its end."""
        pad, columns, models = self.pad, len(self.model_of), len(self.models)
        step, column = self.last, int(served[-1].argmax())
        value = float(served[-1, column])
        stops: list[Stop] = []
        visits: list[tuple[int, int]] = []
        while True:
            while step and served[pad + step - 1, column] == served[pad + step, column]:
                step -= 1
            total = entered.reshape(-1)[self.batch_offset[:, column] + step * columns]
            size = int((total + gains.at(step, column)).argmax())
            m = int(self.model_of[column])
            source = int(self.source[size, column])
            users = gains.users(step, size, column, source)
            stops.append(Stop(step, size, m, users))
            step -= int(self.batch_steps[size, m])
            column = source
            if served[pad + step, column] >= arrived[step, m]:
                continue
            total = left.reshape(-1)[self.load_offset[:, m] + step * models]
            total = total + change[:, m]
            a = int(total.argmax())
            if begun[step, m] >= total[a]:
                visits.append((-1, m))
                step -= int(self.load_steps[-1, m])
                begins = int(start[: step + 1].argmax())
                return Path(value, stops[::-1], visits[::-1], begins)
            visits.append((a, m))
            step -= int(self.load_steps[a, m])
            span = slice(self.column[a], self.column[a + 1])
            column = int(self.column[a] + served[pad + step, span].argmax())
