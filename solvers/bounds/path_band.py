"""What the uplink allows on a path, as rows with a multiplier each, by discipline."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from solvers.bounds.path_grid import GRANTED_S
from solvers.bounds.path_network import Network, Path
from solvers.core.tables import Floats, Ints
from solvers.tolerance import SPECTRUM_TOLERANCE
from solvers.uplink import Uplink

# Under ``dynamic``, uploads are counted until so many times, from so many releases.
TIMES, RELEASES = 32, 8

# Size of a multiplier of ``dynamic``, and the first one of the last row, as shares of
# the users served a second.
SCALE, FIRST = 0.25, 0.25


class Band(Protocol):
    """R rows: what the users of a schedule take of the band is within a capacity.

    ``capacity``, ``scale`` (the size that a multiplier is likely to have) and ``first``
    (one to begin with), as shares of the users served, have shape (R,). ``kind`` is the
    row of a price table that applies to each user, shape (K,). ``waits`` says that the
    GPU does nothing before all uploads have ended.
    """

    waits: bool

    capacity: Floats
    scale: Floats
    first: Floats
    kind: Ints

    def prices(self, multipliers: Floats) -> Floats:
        """Price of demand by kind of user and batch, (kinds, last+1, B, M)."""

    def start_worth(self, multipliers: Floats) -> Floats:
        """Worth of starting the GPU's first load at each step, (last+1,)."""

    def used(self, path: Path) -> Floats:
        """Sum what a path takes of each row, (R,)."""


def make_band(network: Network, uplink: Uplink) -> Band:
    """List the rows of a discipline."""
    if uplink == "upfront":
        return _Upfront(network)
    return _Static(network) if uplink == "static" else _Dynamic(network)


class _Static:
    """Σ w/σ ≤ 1: a round starts before σ, and its users hold w/start each."""

    waits = False

    def __init__(self, network: Network) -> None:
        self._network = network
        self._inverse = 1.0 / network.sigma_s
        self.capacity = np.array([1.0 + 2 * SPECTRUM_TOLERANCE])
        self.scale = self.first = np.array([0.5])
        self.kind = np.zeros(len(network.users), dtype=np.int64)

    def prices(self, multipliers: Floats) -> Floats:
        """Price of demand by kind of user and batch."""
        found: Floats = multipliers[0] * self._inverse[None]
        return found

    def start_worth(self, multipliers: Floats) -> Floats:
        """Worth of starting the first load at each step."""
        del multipliers
        return np.zeros(self._network.last + 1)

    def used(self, path: Path) -> Floats:
        """Sum what a path takes of each row."""
        demand_s = self._network.demand_s
        return np.array(
            [
                sum(
                    float(demand_s[stop.users].sum())
                    * float(self._inverse[stop.step, stop.size, stop.model])
                    for stop in path.stops
                )
            ]
        )


class _Upfront:
    """Σw ≤ U: the first load starts when all uploads have ended."""

    waits = True

    def __init__(self, network: Network) -> None:
        self._network = network
        self._latest_s = np.arange(1, network.last + 2) * network.step_s
        self.capacity = np.array([GRANTED_S])
        self.scale = self.first = np.array([1.0 / float(self._latest_s[-1])])
        self.kind = np.zeros(len(network.users), dtype=np.int64)

    def prices(self, multipliers: Floats) -> Floats:
        """Price of demand by kind of user and batch."""
        return np.full((1, *self._network.sigma_s.shape), multipliers[0])

    def start_worth(self, multipliers: Floats) -> Floats:
        """Worth of starting the first load at each step."""
        found: Floats = multipliers[0] * self._latest_s
        return found

    def used(self, path: Path) -> Floats:
        """Sum what a path takes of each row."""
        if not path.stops:
            return np.zeros(1)
        demand_s = self._network.demand_s
        sent_s = sum(float(demand_s[stop.users].sum()) for stop in path.stops)
        return np.array([sent_s - float(self._latest_s[path.start])])


class _Dynamic:
    """Σ{w : σ ≤ τ, release ≥ a} ≤ max(0, τ − a) for some times τ and releases a."""

    waits = False

    def __init__(self, network: Network) -> None:
        self._network = network
        release_s = network.tables.release_s[network.users]
        usable = np.isfinite(network.latency_s)
        most_s = float(network.sigma_s[:, usable].max())
        self._time_s = np.linspace(0.0, most_s, TIMES + 1)[1:]
        there = np.unique(release_s)
        if len(there) > RELEASES:
            there = there[np.linspace(0, len(there) - 1, RELEASES).astype(np.int64)]
        self._release_s = there
        self.kind = np.searchsorted(there, release_s, side="right") - 1
        # The first row that a batch falls under; TIMES if there is none.
        self._from = np.searchsorted(self._time_s, network.sigma_s)
        span_s = self._time_s[None, :] - there[:, None]
        self.capacity = np.maximum(span_s, 0.0).ravel() + GRANTED_S
        self.scale = np.full(self.capacity.shape, SCALE / most_s)
        # All uploads have ended when the last round starts.
        self.first = np.zeros(self.capacity.shape)
        self.first[TIMES - 1] = FIRST / most_s

    def prices(self, multipliers: Floats) -> Floats:
        """Price of demand by kind of user and batch."""
        rows = multipliers.reshape(len(self._release_s), TIMES)
        later = np.cumsum(rows[:, ::-1], axis=1)[:, ::-1]
        priced = np.zeros((len(rows), TIMES + 1))
        priced[:, :-1] = np.cumsum(later, axis=0)
        return priced[:, self._from]

    def start_worth(self, multipliers: Floats) -> Floats:
        """Worth of starting the first load at each step."""
        del multipliers
        return np.zeros(self._network.last + 1)

    def used(self, path: Path) -> Floats:
        """Sum what a path takes of each row."""
        sent = np.zeros((len(self._release_s), TIMES + 1))
        for stop in path.stops:
            column = self._from[stop.step, stop.size, stop.model]
            np.add.at(
                sent,
                (self.kind[stop.users], column),
                self._network.demand_s[stop.users],
            )
        until = np.cumsum(sent, axis=1)[:, :-1]
        return np.cumsum(until[::-1], axis=0)[::-1].ravel()
