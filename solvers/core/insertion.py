"""Candidate insertions of unserved users into a plan, and their costs.

A user may join a round of its model, or users of one model may open a new round at any
position. Candidates are evaluated from the plan's earliest and latest times alone.
Where loads depend only on the previous round, ``upfront`` and ``dynamic`` candidates of
one user are evaluated exactly; with overlap, with releases and for new rounds under
``static`` the evaluation may be too optimistic, and the plan built from a candidate is
timed before it is accepted. With a cache it may also be too pessimistic: a new round
can save a later one a load.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from solvers.core.openings import Openings, Windows, openings, windows_of
from solvers.core.places import Bools, Places, places_of
from solvers.core.plan import SLACK_S, Clock, Plan, Times
from solvers.core.tables import Floats, Ints

# Maximum number of waiting users times positions evaluated at once. Beyond it, only
# users of randomly drawn models are considered, so that one insertion stays fast in the
# largest problems.
MAX_PAIRS = 200_000


class Criterion(NamedTuple):
    """The criterion by which candidates are ranked during one pass of the search.

    ``uplink_weight`` weighs a second of the band against one of the GPU; with
    ``urgent``, users enter new rounds by deadline rather than by demand; costs are
    perturbed by a random fraction of up to ``noise``. Users enter new rounds where
    they are in time in a batch of size ``batch``, and where they are in one of any
    size if that is 1.
    """

    uplink_weight: float
    urgent: bool
    noise: float
    batch: int = 1


class Insertion(NamedTuple):
    """Users to add to a plan, and what that costs per user.

    They join the round at ``place`` or, if ``opens``, enter a new one in front of it.
    """

    users: tuple[int, ...]
    place: int
    opens: bool
    cost: float

    def into(self, plan: Plan, clock: Clock) -> Plan:
        """Add the users to a plan."""
        r = self.place
        if self.opens:
            model = int(clock.tables.user_model[self.users[0]])
            return (*plan[:r], clock.batch(model, self.users), *plan[r:])
        model, users = plan[r].model, (*plan[r].users, *self.users)
        return (*plan[:r], clock.batch(model, users), *plan[r + 1 :])


@dataclass(frozen=True, eq=False)
class Insertions:
    """Finds candidate insertions for one problem under one discipline."""

    clock: Clock

    @property
    def latency_s(self) -> Floats:
        """Compute time by model and batch size, inf-padded, shape (M, B+2)."""
        return self.clock.padded_s

    @cached_property
    def _orders(self) -> tuple[Ints, Ints]:
        """Schedulable users sorted by model, then by demand or by deadline."""
        t = self.clock.tables
        users = t.users
        model, demand, deadline = t.user_model, t.demand_s, t.deadline_s
        by_demand = np.lexsort((deadline[users], demand[users], model[users]))
        by_deadline = np.lexsort((demand[users], deadline[users], model[users]))
        return users[by_demand], users[by_deadline]

    def need_s(self, batch: int) -> Floats:
        """Compute time of the batch in which users must be in time, by model.

        The quickest one where ``batch`` is 1 or does not fit.
        """
        if batch not in self._needs_s:
            need_s: Floats = self.latency_s[:, 1:].min(axis=1)
            if batch > 1:
                wanted = self.latency_s[:, min(batch, self.latency_s.shape[1] - 1)]
                need_s = np.where(np.isfinite(wanted), wanted, need_s)
            self._needs_s[batch] = need_s
        return self._needs_s[batch]

    @cached_property
    def _needs_s(self) -> dict[int, Floats]:
        return {}

    def order(self, criterion: Criterion) -> Ints:
        """Users by model, and then in the order in which they enter new rounds."""
        return self._orders[1 if criterion.urgent else 0]

    def around(
        self,
        plan: Plan,
        times: Times,
        waiting: Bools,
        criterion: Criterion,
        rng: np.random.Generator,
    ) -> Around:
        """Look for additions to a plan.

        Parameters
        ----------
        plan, times
            A feasible plan.
        waiting
            Mask of unserved users, shape (K,).
        criterion
            Defines the cost.
        rng
            Perturbs the costs.
        """
        order = self.sample(self.order(criterion), waiting, len(plan) + 1, rng)
        return Around(self, plan, times, order, criterion, rng)

    def sample(
        self, order: Ints, waiting: Bools, places: int, rng: np.random.Generator
    ) -> Ints:
        """Return who waits, of only some models if users times places is large."""
        order = order[waiting[order]]
        most = max(MAX_PAIRS // places, 1)
        if len(order) <= most:
            return order
        model = self.clock.tables.user_model[order]
        count = np.bincount(model)
        drawn = np.argsort(rng.random(len(count)))
        within = np.cumsum(count[drawn]) <= most
        chosen = np.zeros(len(count), dtype=bool)
        chosen[drawn[within]] = True
        return order[chosen[model]]

    def joins(
        self, times: Times, places: Places, order: Ints, uplink_weight: float
    ) -> tuple[Floats, Ints, Ints]:
        """Cost, user and round of each candidate that joins an existing round."""
        t = self.clock.tables
        grown = self.latency_s[times.models, times.sizes + 1]
        match = t.user_model[order][:, None] == times.models
        rows, r = np.nonzero(match & np.isfinite(grown))
        k = order[rows]
        demand = t.demand_s[k]
        extra = grown[r] - times.compute_s[r]
        start = np.maximum(times.loaded_s[r], places.before_s[r])
        latest = np.minimum(times.latest_end_s[r], t.deadline_s[k])
        fits = np.ones(len(k), dtype=bool)
        upload = demand
        if self.clock.uplink == "upfront":
            start = start + demand
            fits = demand <= places.early_slack_s[r] + SLACK_S
        elif self.clock.uplink == "dynamic":
            if places.arrivals is None:
                ready = times.ready_s[r] + demand
                fits = demand <= places.upload_slack_s[r + 1] + SLACK_S
            else:
                release = self.clock.release_index[k]
                ready = places.arrivals.ready_s(r + 1, release, demand)
                fits = demand <= places.arrivals.room_s[r + 1, release] + SLACK_S
            start = np.maximum(start, ready)
        else:
            band = self._joined_band(times, places, r, demand, latest - grown[r])
            fits = band <= 1 + SLACK_S
            upload = (band - times.band) * self.clock.horizon_s
        fits &= start + grown[r] <= latest + SLACK_S
        gpu = 1 - uplink_weight
        cost = uplink_weight * upload[fits] + gpu * extra[fits]
        return cost, k[fits], r[fits]

    def _joined_band(
        self, times: Times, places: Places, r: Ints, demand_s: Floats, start_s: Floats
    ) -> Floats:
        """Band of the whole plan if a user joins round r, which then starts earlier.

        Exact where no load overlaps: rounds before r are pushed as far as the chain of
        rounds requires, unless their own users' deadlines already end them early
        enough.
        """
        latest_start = places.after_s[:-1]
        if not len(r):
            return np.zeros(0)
        # An overlapping load does not push.
        load = np.where(self.clock.tables.problem.overlap, 0.0, times.load_s)
        chain = np.concatenate(([0.0], np.cumsum(times.compute_s + load)[:-1])) + load
        with np.errstate(divide="ignore", invalid="ignore"):
            pushed = np.minimum(
                latest_start, start_s[:, None] - (chain[r][:, None] - chain)
            )
            share = np.where(pushed > 0, times.demand_s / pushed, np.inf)
            now = times.demand_s / latest_start
            own = np.where(
                start_s > 0, (times.demand_s[r] + demand_s) / start_s, np.inf
            )
        index = np.arange(len(latest_start))
        # Running sums: numpy's others add in pairs, and loops do not.
        before = np.where(index < r[:, None], share, 0.0).cumsum(axis=1)[:, -1]
        after = np.where(index > r[:, None], now, 0.0).cumsum(axis=1)[:, -1]
        band: Floats = before + own + after
        return band


@dataclass(frozen=True, eq=False)
class Around:
    """The additions to one feasible plan that seem to fit.

    Parameters
    ----------
    insertions, plan, times, order, criterion, rng
        As given to :meth:`Insertions.around`; ``order`` holds the users that wait, by
        model and then in the order in which they enter new rounds.
    """

    insertions: Insertions
    plan: Plan
    times: Times
    order: Ints
    criterion: Criterion
    rng: np.random.Generator

    def candidates(self) -> Iterator[Insertion]:
        """Yield additions in order of increasing cost per user.

        Notes
        -----
        O(waiting · R) for all candidates together.
        """
        if not len(self.order):
            return
        cost, users, rounds = self.insertions.joins(
            self.times, self._places, self.order, self.criterion.uplink_weight
        )
        joins = len(cost)
        opens = self._openings(self.criterion.batch)
        if opens is not None:
            cost = np.concatenate((cost, opens.cost))
        if self.criterion.noise:
            noise = self.criterion.noise * self.rng.random(len(cost))
            cost = cost * (1 + noise)
        for i in _ascending(cost):
            if i < joins:
                joining = (int(users[i]),)
                yield Insertion(joining, int(rounds[i]), False, float(cost[i]))
            elif opens is not None:
                yield _opened(opens, i - joins, float(cost[i]))

    def alone(self) -> Iterator[Insertion]:
        """Yield new rounds of one user each, however far back in the queue.

        :meth:`candidates` offers rounds to the first users in the queue of their model
        only.
        """
        if len(self.order):
            opens = self._openings(1, alone=True)
            if opens is not None:
                for i in _ascending(opens.cost):
                    yield _opened(opens, i, float(opens.cost[i]))

    @cached_property
    def _places(self) -> Places:
        return places_of(self.insertions.clock, self.plan, self.times)

    @cached_property
    def _windows(self) -> Windows:
        clock = self.insertions.clock
        model = clock.tables.user_model[self.order]
        return windows_of(clock, self.plan, self.times, self._places, model)

    def _openings(self, batch: int, *, alone: bool = False) -> Openings | None:
        return openings(
            *(self.insertions.clock, self.times, self._places),
            *(self._windows, self.order),
            latency_s=self.insertions.latency_s,
            uplink_weight=self.criterion.uplink_weight,
            need_s=self.insertions.need_s(batch),
            alone=alone,
        )


def _ascending(cost: Floats) -> Iterator[int]:
    """Yield indices by cost, the first before sorting, since it is often the last."""
    if len(cost):
        least = int(cost.argmin())
        yield least
        for i in np.argsort(cost, kind="stable").tolist():
            if i != least:
                yield i


def _opened(opens: Openings, i: int, cost: float) -> Insertion:
    return Insertion(tuple(opens.users(i)), int(opens.place[i]), True, cost)
