"""What a batch is worth under given multipliers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from solvers.bounds.path_grid import GRANTED_S
from solvers.bounds.path_network import Network
from solvers.core.tables import Floats, Ints

Flags = NDArray[np.bool_]


class OrderedGains:
    """Batches of consecutive users, least demand first.

    Parameters
    ----------
    network
        With ordered users.
    value
        Worth of each user, less all but the price of its demand, shape (K,).
    prices
        Price of demand by batch, shape (last+1, B, M).
    cost
        Price of each batch itself, shape (B, M).
    banned
        Users that may not be served, shape (K,).
    """

    def __init__(
        self,
        network: Network,
        value: Floats,
        prices: Floats,
        cost: Floats,
        banned: Flags,
    ) -> None:
        self._network = network
        self._prices = prices
        possible = network.possible & ~(_by_column(network, banned) > 0)
        worth = _by_column(network, value)
        demand_s = _by_column(network, network.demand_s)
        # A user that may not be served leaves out all of its model after it as well.
        gained = worth - worth[network.source] - cost[:, network.model_of]
        self._gained = np.where(possible, gained, -np.inf)
        self._demand_s = np.where(possible, demand_s - demand_s[network.source], 0.0)

    def of(self, rows: Ints) -> Floats:
        """Value of the batches that end at some steps, shape (rows, B, C)."""
        found = self._prices[rows].take(self._network.model_of, axis=2)
        found *= -self._demand_s
        found += self._gained
        return found

    def at(self, step: int, column: int) -> Floats:
        """Value of the batches that end at one step and column, shape (B,)."""
        price = self._prices[step, :, self._network.model_of[column]]
        found: Floats = self._gained[:, column] - price * self._demand_s[:, column]
        return found

    def users(self, step: int, size: int, column: int, source: int) -> Ints:
        """Return the users of one batch."""
        del step, size
        m = int(self._network.model_of[column])
        shift = int(self._network.first[m] - self._network.column[m])
        return np.arange(source + shift, column + shift)


def _by_column(network: Network, amount: Floats | Flags) -> Floats:
    """Sum an amount over the users of a model up to each column."""
    so_far = np.concatenate(([0.0], np.cumsum(amount)))
    place = np.arange(len(network.model_of)) - network.column[network.model_of]
    first = network.first[network.model_of]
    found: Floats = so_far[first + place] - so_far[first]
    return found


class FreeGains:
    """Batches of any users of a model, each the most valuable that may be in it.

    Parameters are those of :class:`OrderedGains`, but ``prices`` are by kind of user,
    shape (kinds, last+1, B, M), and ``kind`` is that of each user.
    """

    def __init__(
        self,
        network: Network,
        value: Floats,
        prices: Floats,
        kind: Ints,
        cost: Floats,
        banned: Flags,
    ) -> None:
        self._network = network
        self._value = value
        self._prices = prices
        self._kind = kind
        self._banned = banned
        self._steps = np.arange(network.last + 1)
        sizes, models = network.latency_s.shape
        self._table = np.full((network.last + 1, sizes, models), -np.inf)
        for m in range(models):
            for size in np.flatnonzero(np.isfinite(network.latency_s[:, m])).tolist():
                worth = np.maximum(self._worth(self._steps, size, m), 0.0)
                count = size + 1
                if count < worth.shape[1]:
                    worth = np.partition(worth, -count, axis=1)[:, -count:]
                self._table[:, size, m] = worth.sum(axis=1) - cost[size, m]

    def _worth(self, steps: Ints, size: int, m: int) -> Floats:
        """Worth of each user of a model in a batch, −inf if it may not be in it."""
        network = self._network
        span = slice(int(network.first[m]), int(network.first[m + 1]))
        price = self._prices[:, steps, size, m][self._kind[span]].T
        worth = self._value[span] - price * network.demand_s[span]
        sigma_s = network.sigma_s[steps, size, m][:, None]
        allowed = steps[:, None] <= network.until[span]
        allowed &= network.arrival_s[span] <= sigma_s + GRANTED_S
        allowed &= ~self._banned[span]
        return np.where(allowed, worth, -np.inf)

    def of(self, rows: Ints) -> Floats:
        """Value of the batches that end at some steps, shape (rows, B, C)."""
        return self._table[rows]

    def at(self, step: int, column: int) -> Floats:
        """Value of the batches that end at one step and column, shape (B,)."""
        found: Floats = self._table[step, :, column]
        return found

    def users(self, step: int, size: int, column: int, source: int) -> Ints:
        """Return the users of one batch."""
        del source
        worth = self._worth(np.array([step]), size, column)[0]
        best = np.argsort(-worth, kind="stable")[: size + 1]
        found: Ints = int(self._network.first[column]) + best[worth[best] > 0]
        return found
