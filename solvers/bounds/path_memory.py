"""What a path remembers of a visit: columns of a model, and batches between them.

The users of a model have an order such that, in some best schedule, no round takes a
user after one that comes later in the order and could have waited. So the last user
served tells who cannot follow. ``docs/mathematics.md``, section 6, has the proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.core.tables import Floats, Ints, Tables
from solvers.uplink import Uplink

Flags = NDArray[np.bool_]

# ``prefix``: with one deadline the users before a place have been served, and no
# others. ``last``: a place is the last user served. ``nothing`` is remembered.
Kind = Literal["prefix", "last", "nothing"]


class Arc(NamedTuple):
    """A batch of ``size`` + 1 users between two places of a model.

    Place 0 is that of nobody, place k + 1 that of user k. ``last`` is the place of a
    user that the batch must take, 0 if there is none.
    """

    size: int
    source: int
    place: int
    last: int


@dataclass(frozen=True, eq=False)
class Memory:
    """What is remembered of the users of one model, and whom that bars.

    Parameters
    ----------
    kind
        What a place stands for.
    bars
        Whether a user, by row, bars another one while it could have waited, shape
        (users, users).
    """

    kind: Kind
    bars: Flags

    @property
    def users(self) -> int:
        """Number of users."""
        return len(self.bars)

    @property
    def places(self) -> int:
        """Number of places."""
        return 1 if self.kind == "nothing" else self.users + 1

    def among(self, source: int, place: int) -> Ints:
        """Users that a batch between two places may take besides its last one.

        Not to be asked of ``prefix``, where they are all that lie between.
        """
        if self.kind == "nothing":
            return np.arange(self.users)
        before = np.arange(place - 1)
        return before[~self.bars[source - 1, : place - 1]] if source else before

    def arcs(self, sizes: Ints) -> list[Arc]:
        """Batches of the sizes that there are, by the place they lead to."""
        allowed = sizes.tolist()
        if self.kind == "nothing":
            return [Arc(size, 0, 0, 0) for size in allowed if size < self.users]
        if self.kind == "prefix":
            return [
                Arc(size, place - size - 1, place, place)
                for place in range(1, self.users + 1)
                for size in allowed
                if size < place
            ]
        found = []
        for place in range(1, self.users + 1):
            for source in range(place + 1):
                last = place if source < place else 0
                most = len(self.among(source, place)) + (last > 0)
                found += [
                    Arc(size, source, place, last) for size in allowed if size < most
                ]
        return found


@dataclass(frozen=True, eq=False)
class Group:
    """Models with as many users and the same kind of memory.

    ``models`` has shape (G,). ``arcs`` are numbers of arcs by size, place to, place
    from and model, shape (B, P, P, G), that of no arc where there is none; ``open_to``
    says whom a place does not bar, shape (users, P, G, 1).
    """

    models: Ints
    kind: Kind
    arcs: Ints
    open_to: Flags

    @property
    def users(self) -> int:
        """Number of users of each model."""
        return len(self.open_to)

    @property
    def last(self) -> bool:
        """Whether places are those of users."""
        return self.kind == "last"

    @cached_property
    def total(self) -> bool:
        """Whether each user bars all before it."""
        users, places = np.arange(self.users), np.arange(self.open_to.shape[1])
        after = users[:, None] >= places
        return self.last and bool((self.open_to[:, :, :, 0] == after[..., None]).all())


def memories(
    tables: Tables, uplink: Uplink, most_arcs: float
) -> tuple[list[Ints], tuple[Memory, ...]]:
    """Order the users of each active model, and decide what is remembered of them.

    Parameters
    ----------
    tables, uplink
        A problem with users, and the discipline.
    most_arcs
        With own deadlines or releases, models with the most users remember nothing as
        far as the number of arcs would exceed this.

    Returns
    -------
    list of Ints, tuple of Memory
        The users of each active model in order, and the memories.
    """
    by_model = [tables.users_of[m] for m in tables.active]
    if tables.common_deadline_s is not None and tables.releases_zero:
        return by_model, tuple(
            Memory("prefix", np.tri(len(users), dtype=bool)) for users in by_model
        )
    keys: tuple[Floats, ...] = (tables.deadline_s, tables.release_s, tables.demand_s)
    if uplink == "upfront":
        keys = (tables.demand_s, tables.deadline_s)
    by_model = [users[np.lexsort([key[users] for key in keys])] for users in by_model]
    found = []
    arcs = np.array(
        [
            len(users) ** 2 * min(len(users), len(tables.latency_s[m]) - 1)
            for m, users in zip(tables.active, by_model, strict=True)
        ]
    )
    fewest_first = np.argsort(arcs, kind="stable")
    remembers = np.empty(len(arcs), dtype=bool)
    remembers[fewest_first] = np.cumsum(arcs[fewest_first]) <= most_arcs
    for users, remember in zip(by_model, remembers.tolist(), strict=True):
        release_s = tables.release_s[users]
        # ``upfront`` all releases are 0.
        bars = np.tri(len(users), dtype=bool) & (release_s <= release_s[:, None])
        found.append(Memory("last" if remember else "nothing", bars))
    return by_model, tuple(found)
