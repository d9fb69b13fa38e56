"""What a batch is worth under given multipliers."""

from __future__ import annotations

import numpy as np

from solvers.bounds.path_grid import GRANTED_S
from solvers.bounds.path_kernels import fill_batches, worths
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
        size, model = network.arc_size, network.arc_model
        source, column = network.arc_source, network.arc_column
        # A user that may not be served leaves out all of its model after it as well.
        worth = _by_column(network, value)
        gained = worth[column] - worth[source] - cost[size, model]
        gone = _by_column(network, part.banned)[column] > 0
        gained = np.where(gone, -np.inf, gained)
        demand_s = _by_column(network, network.demand_s)
        demand_s = np.where(gone, 0.0, demand_s[column] - demand_s[source])
        self.table = prices.reshape(len(prices), -1).take(
            size * len(network.models) + model, axis=1
        )
        self.table *= -demand_s
        self.table += gained
        earliest, latest = self._windows(part)
        if (earliest > 0).any() or (latest < network.last).any():
            step = np.arange(network.last + 1)[:, None]
            self.table[(step < earliest) | (step > latest)] = -np.inf

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
        arguments = (
            value,
            prices,
            kind,
            network.demand_s,
            network.sigma_s,
            network.user_model,
            network.arrival_s - GRANTED_S,
            part.earliest,
            part.latest,
            part.banned,
        )
        self._worth = worths(*arguments) if network.loops else _worths(*arguments)
        # The last column is that of no batch.
        self.table = np.full((network.last + 1, len(network.arc_size) + 1), -np.inf)
        fill = _fill_compiled if network.loops else _fill
        for group in network.groups:
            span = network.first[group.models][:, None] + np.arange(group.users)
            for size in range(min(network.sizes, group.users)):
                if np.isfinite(network.latency_s[size, group.models]).any():
                    worth = self._worth[size][span]
                    fill(self.table, group, size, worth, cost[size, group.models])

    def users(self, step: int, arc: int) -> Ints:
        """Return the users of one batch."""
        network = self._network
        m, size = int(network.arc_model[arc]), int(network.arc_size[arc])
        first = int(network.first[m])
        worth = self._worth[size, first : int(network.first[m + 1]), step]
        start, last = int(network.column[m]), int(network.arc_last[arc])
        among = network.memories[m].among(
            int(network.arc_source[arc]) - start, int(network.arc_column[arc]) - start
        )
        best = among[np.argsort(-worth[among], kind="stable")]
        best = best[worth[best] > 0][: size + (last < 0)]
        found: Ints = first + np.sort(best)
        return found if last < 0 else np.append(found, last)


def _worths(
    value: Floats,
    prices: Floats,
    kind: Ints,
    demand_s: Floats,
    sigma_s: Floats,
    user_model: Ints,
    arrival_s: Floats,
    earliest: Ints,
    latest: Ints,
    banned: Flags,
) -> Floats:
    """Do what :func:`worths` does."""
    steps, sizes, _ = sigma_s.shape
    found = np.full((sizes, len(value), steps), -np.inf)
    step = np.arange(steps)
    for k in np.flatnonzero(~banned).tolist():
        m = int(user_model[k])
        worth = value[k] - prices[kind[k], :, :, m] * demand_s[k]
        allowed = (earliest[k] <= step) & (step <= latest[k])
        allowed = allowed[:, None] & (arrival_s[k] <= sigma_s[:, :, m])
        found[:, k] = np.where(allowed, worth, -np.inf).T
    return found


def _fill_compiled(
    table: Floats, group: Group, size: int, worth: Floats, cost: Floats
) -> None:
    """Do what :func:`_fill` does."""
    kept = size + (not group.last)
    for g in range(len(group.models)):
        # Arrays and numbers are converted without any Python: interrupts need not wait.
        fill_batches(
            table,
            worth[g],
            cost[g],
            np.ascontiguousarray(group.arcs[size, :, :, g]),
            ~group.open_to[:, :, g, 0],
            kept,
            group.last,
            group.total,
        )


def _fill(table: Floats, group: Group, size: int, worth: Floats, cost: Floats) -> None:
    """Value all batches of one size of the models of a group.

    Parameters
    ----------
    table
        Value by step and arc, one column more than there are arcs.
    group, size
        The models, and the index of the size.
    worth
        Worth of users by step, shape (G, users, last+1).
    cost
        Price of a batch of each model, shape (G,).
    """
    models, users, steps = worth.shape
    by_arc = table.T
    best = _Best(group, size + (not group.last), models, steps)
    cost = cost[:, None]
    arcs = group.arcs[size]
    for k in range(users):
        here = worth[:, k]
        if group.last:
            sources = slice(0, k + 1)
            by_arc[arcs[k + 1, sources]] = best.total[sources] + (here - cost)
            if not group.total:
                by_arc[arcs[k + 1, k + 1]] = best.one_more(k + 1) - cost
        best.enter(here, k)
    if not group.last:
        by_arc[arcs[0, 0]] = best.total[0] - cost


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
