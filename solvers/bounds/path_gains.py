"""What a batch is worth under given multipliers."""

from __future__ import annotations

import numpy as np

from solvers.bounds.path_grid import GRANTED_S
from solvers.bounds.path_memory import Flags, Group
from solvers.bounds.path_network import Network, Part
from solvers.core.tables import Floats, Ints


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
    part
        The schedules that are looked at.
    """

    def __init__(
        self,
        network: Network,
        value: Floats,
        prices: Floats,
        cost: Floats,
        part: Part,
    ) -> None:
        self._network = network
        self._prices = prices.reshape(len(prices), -1)
        size, model = network.arc_size, network.arc_model
        self._arc = size * len(network.first[:-1]) + model
        source, column = network.arc_source, network.arc_column
        # A user that may not be served leaves out all of its model after it as well.
        worth = _by_column(network, value)
        gained = worth[column] - worth[source] - cost[size, model]
        gone = _by_column(network, part.banned)[column] > 0
        self._gained = np.where(gone, -np.inf, gained)
        demand_s = _by_column(network, network.demand_s)
        self._demand_s = np.where(gone, 0.0, demand_s[column] - demand_s[source])
        earliest, latest = self._windows(part)
        self._earliest, self._latest = earliest, latest
        self._in_time = bool((earliest <= 0).all() and (latest >= network.last).all())

    def _windows(self, part: Part) -> tuple[Ints, Ints]:
        """Return the steps in which batches may end for all users, shape (A,) each."""
        network = self._network
        size, m = network.arc_size, network.arc_model
        end = network.first[m] + network.arc_column - network.column[m]
        earliest, latest = np.zeros_like(size), np.full_like(size, network.last)
        for back in range(network.sizes):
            user = np.where(back <= size, end - 1 - back, end - 1)
            earliest = np.maximum(earliest, part.earliest[user])
            latest = np.minimum(latest, part.latest[user])
        return earliest, latest

    def of(self, rows: slice) -> Floats:
        """Value of the batches that end at some steps, shape (rows, A)."""
        found: Floats = self._prices[rows].take(self._arc, axis=1)
        found *= -self._demand_s
        found += self._gained
        if not self._in_time:
            step = np.arange(rows.start, rows.stop)[:, None]
            late = (step < self._earliest) | (step > self._latest)
            found[late] = -np.inf
        return found

    def users(self, step: int, arc: int) -> Ints:
        """Return the users of one batch."""
        del step
        network = self._network
        m = int(network.arc_model[arc])
        shift = int(network.first[m] - network.column[m])
        return np.arange(
            network.arc_source[arc] + shift, network.arc_column[arc] + shift
        )


def _by_column(network: Network, amount: Floats | Flags) -> Floats:
    """Sum an amount over the users of a model up to each column."""
    so_far = np.concatenate(([0.0], np.cumsum(amount)))
    place = np.arange(len(network.model_of)) - network.column[network.model_of]
    first = network.first[network.model_of]
    found: Floats = so_far[first + place] - so_far[first]
    return found


class FreeGains:
    """Batches of any users of a model whom the memory of the visit does not bar.

    A batch takes its last user, if it must, and the most valuable ones before it.

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
        part: Part,
    ) -> None:
        self._network = network
        self._value = value
        self._prices = prices
        self._kind = kind
        self._part = part
        self._steps = np.arange(network.last + 1)
        # The last row is that of no batch.
        self._table = np.full((len(network.arc_size) + 1, network.last + 1), -np.inf)
        for group in network.groups:
            for size in range(min(network.sizes, group.users)):
                self._fill(group, size, cost[size, group.models])
        self._table[-1] = -np.inf

    def _fill(self, group: Group, size: int, cost: Floats) -> None:
        """Value all batches of one size of models with as many users, (users, G, J)."""
        models = group.models.tolist()
        if not np.isfinite(self._network.latency_s[size, models]).any():
            return
        worth = np.stack([self._worth(self._steps, size, m).T for m in models], axis=1)
        best = _Best(group, size + (not group.last), len(models), len(self._steps))
        cost = cost[:, None]
        arcs = group.arcs[size]
        for k in range(group.users):
            here = worth[k]
            if group.last:
                sources = slice(0, k + 1)
                value = best.total[sources] + (here - cost)
                self._table[arcs[k + 1, sources]] = value
                if not group.total:
                    self._table[arcs[k + 1, k + 1]] = best.one_more(k + 1) - cost
            best.enter(here, k)
        if not group.last:
            self._table[arcs[0, 0]] = best.total[0] - cost

    def _worth(self, steps: Ints, size: int, m: int) -> Floats:
        """Worth of each user of a model in a batch, −inf if it may not be in it."""
        network = self._network
        span = slice(int(network.first[m]), int(network.first[m + 1]))
        price = self._prices[:, steps, size, m][self._kind[span]].T
        worth = self._value[span] - price * network.demand_s[span]
        sigma_s = network.sigma_s[steps, size, m][:, None]
        allowed = steps[:, None] <= self._part.latest[span]
        allowed &= steps[:, None] >= self._part.earliest[span]
        allowed &= network.arrival_s[span] <= sigma_s + GRANTED_S
        allowed &= ~self._part.banned[span]
        return np.where(allowed, worth, -np.inf)

    def of(self, rows: slice) -> Floats:
        """Value of the batches that end at some steps, shape (rows, A)."""
        return self._table[:-1, rows].T

    def users(self, step: int, arc: int) -> Ints:
        """Return the users of one batch."""
        network = self._network
        m, size = int(network.arc_model[arc]), int(network.arc_size[arc])
        worth = self._worth(np.array([step]), size, m)[0]
        start, last = int(network.column[m]), int(network.arc_last[arc])
        among = network.memories[m].among(
            int(network.arc_source[arc]) - start, int(network.arc_column[arc]) - start
        )
        best = among[np.argsort(-worth[among], kind="stable")]
        best = best[worth[best] > 0][: size + (last < 0)]
        found: Ints = int(network.first[m]) + np.sort(best)
        return found if last < 0 else np.append(found, last)


class _Best:
    """The greatest positive worths so far of those whom each place does not bar.

    Parameters
    ----------
    group
        Models of as many users.
    kept
        How many worths are summed.
    models, steps
        Numbers of each.
    """

    def __init__(self, group: Group, kept: int, models: int, steps: int) -> None:
        self._group = group
        self._kept = kept
        places = group.open_to.shape[1]
        # One more than is summed is known where a batch need not take its last user.
        ranks = kept + (group.last and not group.total)
        self._worth = np.zeros((ranks, places, models, steps))
        self.total = np.zeros((places, models, steps))

    def one_more(self, place: int) -> Floats:
        """Sum one more at one place than elsewhere, shape (models, steps)."""
        found: Floats = self.total[place] + self._worth[self._kept, place]
        return found

    def enter(self, worth: Floats, k: int) -> None:
        """Count user k, of a worth of shape (models, steps), where it is not barred."""
        entering, span = worth[None], slice(0, len(self.total))
        if self._group.total:
            span = slice(0, k + 1)
        elif self._group.last:
            entering = np.where(self._group.open_to[k], worth, -np.inf)
        for rank, there in enumerate(self._worth[:, span]):
            higher = np.maximum(there, entering)
            if rank < self._kept:
                self.total[span] += higher - there
            entering = np.minimum(there, entering)
            there[:] = higher
