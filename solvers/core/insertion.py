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
from numpy.typing import NDArray

from solvers.core.plan import SLACK_S, Clock, Plan, Times
from solvers.core.tables import Floats, Ints

Bools = NDArray[np.bool_]

# Maximum number of waiting users times positions evaluated at once. Beyond it, only
# users of randomly drawn models are considered, so that one insertion stays fast in the
# largest problems.
MAX_PAIRS = 1_000_000


class Criterion(NamedTuple):
    """The criterion by which candidates are ranked during one pass of the search.

    ``uplink_weight`` weighs a second of the band against one of the GPU; with
    ``urgent``, users enter new rounds by deadline rather than by demand; costs are
    perturbed by a random fraction of up to ``noise``.
    """

    uplink_weight: float
    urgent: bool
    noise: float


class Insertion(NamedTuple):
    """A plan that serves more users, and the users added."""

    plan: Plan
    users: tuple[int, ...]


class _Places(NamedTuple):
    """State at each position of a plan, before each round and at the end, (R+1,).

    At each position, ``before_s`` is when the GPU becomes free, ``loading_s`` when a
    load may start at the earliest and ``after_s`` when the following batch must start.
    ``sent_s`` is the total upload time before it, ``upload_slack_s`` how much later the
    uploads of all following rounds may end, and ``early_slack_s`` how much later all
    preceding rounds may end.
    """

    before_s: Floats
    loading_s: Floats
    after_s: Floats
    sent_s: Floats
    upload_slack_s: Floats
    early_slack_s: Floats


@dataclass(frozen=True, eq=False)
class Insertions:
    """Finds candidate insertions for one problem under one discipline."""

    clock: Clock

    @cached_property
    def _latency_s(self) -> Floats:
        """Compute time by model and batch size, inf-padded, shape (M, B+2)."""
        tables = self.clock.tables.latency_s
        padded = np.full((len(tables), max(map(len, tables), default=1) + 1), np.inf)
        for m, table in enumerate(tables):
            padded[m, : len(table)] = table
        return padded

    @cached_property
    def _orders(self) -> tuple[Ints, Ints]:
        """Schedulable users sorted by model, then by demand or by deadline."""
        t = self.clock.tables
        users = t.users
        model, demand, deadline = t.user_model, t.demand_s, t.deadline_s
        by_demand = np.lexsort((deadline[users], demand[users], model[users]))
        by_deadline = np.lexsort((demand[users], deadline[users], model[users]))
        return users[by_demand], users[by_deadline]

    @cached_property
    def _deadline_rank(self) -> Ints:
        rank = np.empty(len(self.clock.tables.deadline_s), dtype=np.int64)
        order = np.argsort(self.clock.tables.deadline_s, kind="stable")
        rank[order] = np.arange(len(rank))
        return rank

    @cached_property
    def _horizon_s(self) -> float:
        return float(self.clock.tables.deadline_s.max(initial=0.0)) or 1.0

    def candidates(
        self,
        plan: Plan,
        times: Times,
        waiting: Bools,
        criterion: Criterion,
        rng: np.random.Generator,
    ) -> Iterator[Insertion]:
        """Yield plans that serve more users, in order of increasing cost per user.

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

        Notes
        -----
        O(waiting · R) for all candidates together, O(R) for each one yielded.
        """
        places = self._places(times)
        order = self._orders[1 if criterion.urgent else 0]
        order = self._sample(order[waiting[order]], len(plan) + 1, rng)
        if not len(order):
            return
        joins = self._join_candidates(plan, times, places, order, criterion)
        opens = self._open_candidates(plan, times, places, order, criterion)
        cost = np.concatenate((joins[0], opens[0]))
        if criterion.noise:
            cost = cost * (1 + criterion.noise * rng.random(len(cost)))
        for i in np.argsort(cost, kind="stable").tolist():
            if i < len(joins[0]):
                k, r = int(joins[1][i]), int(joins[2][i])
                batch = plan[r]
                new = self.clock.batch(batch.model, (*batch.users, k))
                yield Insertion((*plan[:r], new, *plan[r + 1 :]), (k,))
            else:
                i -= len(joins[0])
                users, p = opens[1][i], int(opens[2][i])
                chosen = order[users[0] : users[1]].tolist()
                model = int(self.clock.tables.user_model[chosen[0]])
                new = self.clock.batch(model, chosen)
                yield Insertion((*plan[:p], new, *plan[p:]), new.users)

    def _sample(self, order: Ints, places: int, rng: np.random.Generator) -> Ints:
        """Sample models until users times positions is small enough."""
        most = max(MAX_PAIRS // places, 1)
        if len(order) <= most:
            return order
        model = self.clock.tables.user_model[order]
        count = np.bincount(model)
        drawn = rng.permutation(len(count))
        within = np.cumsum(count[drawn]) <= most
        chosen = np.zeros(len(count), dtype=bool)
        chosen[drawn[within]] = True
        return order[chosen[model]]

    def _places(self, times: Times) -> _Places:
        rounds = len(times.models)
        idle_s = times.demand_s.sum() if self.clock.uplink == "upfront" else 0.0
        latest_start = times.latest_end_s - times.compute_s
        slack = np.full(rounds + 1, np.inf)
        slack[:-1] = np.minimum.accumulate((latest_start - times.ready_s)[::-1])[::-1]
        early = np.full(rounds + 1, np.inf)
        early[1:] = np.minimum.accumulate(times.deadline_s - times.end_s)
        before = np.concatenate(([idle_s], times.end_s))
        loading = before
        if self.clock.tables.problem.overlap:
            loaded = np.concatenate(([idle_s], times.loaded_s))
            loading = np.maximum(loaded, np.concatenate(([idle_s], before[:-1])))
        return _Places(
            before_s=before,
            loading_s=loading,
            after_s=np.concatenate((latest_start, [np.inf])),
            sent_s=np.concatenate(([0.0], times.demand_s.cumsum())),
            upload_slack_s=slack,
            early_slack_s=early,
        )

    def _join_candidates(
        self,
        plan: Plan,
        times: Times,
        places: _Places,
        order: Ints,
        criterion: Criterion,
    ) -> tuple[Floats, Ints, Ints]:
        """Cost, user and round of each candidate that joins an existing round."""
        t = self.clock.tables
        grown = self._latency_s[times.models, times.sizes + 1]
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
            if t.releases_zero:
                ready = times.ready_s[r] + demand
                fits = demand <= places.upload_slack_s[r + 1] + SLACK_S
            else:
                later = self._arrivals(
                    plan, places, self.clock.release_index[k], demand
                )
                ready = later.ready_s[r + 1, np.arange(len(k))]
                fits = later.slack_s[r + 1, np.arange(len(k))] >= -SLACK_S
            start = np.maximum(start, ready)
        else:
            band = self._joined_band(times, places, r, demand, latest - grown[r])
            fits = band <= 1 + SLACK_S
            upload = (band - times.band) * self._horizon_s
        fits &= start + grown[r] <= latest + SLACK_S
        weight = criterion.uplink_weight
        cost = weight * upload[fits] + (1 - weight) * extra[fits]
        return cost, k[fits], r[fits]

    def _joined_band(
        self, times: Times, places: _Places, r: Ints, demand_s: Floats, start_s: Floats
    ) -> Floats:
        """Band of the whole plan if a user joins round r, which then starts earlier.

        Exact where no load overlaps: rounds before r are pushed as far as the chain of
        rounds requires, unless their own users' deadlines already end them early
        enough.
        """
        latest_start = places.after_s[:-1]
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
        before = np.where(index < r[:, None], share, 0.0).sum(axis=1)
        after = np.where(index > r[:, None], now, 0.0).sum(axis=1)
        band: Floats = before + own + after
        return band

    def _open_candidates(
        self,
        plan: Plan,
        times: Times,
        places: _Places,
        order: Ints,
        criterion: Criterion,
    ) -> tuple[Floats, Ints, Ints]:
        """Cost, users (range in ``order``) and position of each new-round candidate."""
        t = self.clock.tables
        model = t.user_model[order]
        first = np.searchsorted(model, model)
        size = np.arange(len(order)) - first + 1
        limit = self._latency_s.shape[1] - 1
        compute = self._latency_s[model, np.minimum(size, limit)]
        whole = np.flatnonzero(np.isfinite(compute) & (size <= limit))
        total = np.cumsum(t.demand_s[order])
        demand = (total - total[first] + t.demand_s[order][first])[whole]
        # Ranks rather than times: offsets of integers are exact.
        rank = _running_min(self._deadline_rank[order], model)[whole]
        deadline = np.sort(t.deadline_s)[rank]
        model, size, compute, first = (
            model[whole],
            size[whole],
            compute[whole],
            first[whole],
        )
        load, extra_load = self._new_loads(plan, times, model)
        start = np.maximum(places.before_s, places.loading_s + load)
        latest = np.minimum(deadline[:, None], self._latest_new(times, places, model))
        fits = np.ones(start.shape, dtype=bool)
        extra = extra_load + compute[:, None]
        upload: Floats = demand[:, None]
        if self.clock.uplink == "upfront":
            start = start + demand[:, None]
            fits = demand[:, None] <= places.early_slack_s + SLACK_S
        elif self.clock.uplink == "dynamic":
            if t.releases_zero:
                ready = places.sent_s + demand[:, None]
                fits = demand[:, None] <= places.upload_slack_s + SLACK_S
            else:
                release = self.clock.release_index[order]
                least = _running_min(release, t.user_model[order])[whole]
                later = self._arrivals(plan, places, least, demand)
                ready = later.ready_s.T
                fits = later.slack_s.T >= -SLACK_S
            start = np.maximum(start, ready)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                begin = latest - compute[:, None]
                own = np.where(begin > 0, demand[:, None] / begin, np.inf)
                # Derivative of the band when all preceding rounds are pushed.
                slope = np.cumsum(times.demand_s / places.after_s[:-1] ** 2)
                slope = np.concatenate(([0.0], slope))
            fits = times.band + own <= 1 + SLACK_S
            upload = (own + slope * extra) * self._horizon_s
        fits &= start + compute[:, None] <= latest + SLACK_S
        row, place = np.nonzero(fits)
        weight = criterion.uplink_weight
        band = np.broadcast_to(upload, fits.shape)[row, place]
        cost = (weight * band + (1 - weight) * extra[row, place]) / size[row]
        users = np.stack((first[row], first[row] + size[row]), axis=1)
        return cost, users, place

    def _new_loads(
        self, plan: Plan, times: Times, model: Ints
    ) -> tuple[Floats, Floats]:
        """Load of a new round, and the total load it adds, shape (n, R+1) each."""
        models = np.concatenate(([-1], times.models, [-1]))
        if self.clock.tables.problem.residency == "cache":
            load = self._missing_s(plan)[model]
            return load, load
        load = self.clock.loads_between_s[models[:-1]][:, model].T
        after = self.clock.loads_between_s[model][:, models[1:]]
        now = self.clock.loads_between_s[models[:-1], models[1:]]
        return load, load + after - now

    def _missing_s(self, plan: Plan) -> Floats:
        """Load of each model at each position of a plan, given the cache there."""
        t = self.clock.tables
        missing = np.repeat(t.atom_load_s[:, None], len(plan) + 1, axis=1)
        missing[list(t.initial_atoms), 0] = 0.0
        for r, step in enumerate(self.clock.steps(plan)):
            missing[list(step.memory.atoms), r + 1] = 0.0
        found: Floats = t.holds @ missing
        return found

    def _latest_new(self, times: Times, places: _Places, model: Ints) -> Floats:
        """Latest end of a new round at each position, shape (n, R+1)."""
        if not self.clock.plain:
            return np.broadcast_to(places.after_s, (len(model), len(places.after_s)))
        following = np.concatenate((times.models, [-1]))
        return places.after_s - self.clock.loads_between_s[model][:, following]

    def _arrivals(
        self, plan: Plan, places: _Places, release: Ints, demand_s: Floats
    ) -> _Arrivals:
        """When inputs arrive if uploads of a release are added, shape (R+1, n)."""
        clock = self.clock
        grid = clock.release_grid_s
        ends = clock.arrivals(plan)
        sent = np.where(np.isfinite(ends), ends - grid, 0.0)
        upto = np.maximum.accumulate(ends, axis=1)[:, release]
        beyond = np.full((len(ends), len(grid) + 1), -np.inf)
        beyond[:, :-1] = np.maximum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
        alone = grid[release] + sent[:, release]
        ready = np.maximum(beyond[:, release + 1], np.maximum(upto, alone) + demand_s)
        slack = np.full(ready.shape, np.inf)
        late = places.after_s[:-1, None] - ready[1:]
        slack[:-1] = np.minimum.accumulate(late[::-1], axis=0)[::-1]
        return _Arrivals(ready, slack)


class _Arrivals(NamedTuple):
    """Row p is for a new round at position p, row r + 1 for a user joining round r.

    Row p of ``slack_s`` is the minimum slack of the uploads of all rounds from p on.
    """

    ready_s: Floats
    slack_s: Floats


def _running_min(rank: Ints, model: Ints) -> Ints:
    """Compute the running minimum rank within each run of equal (ascending) models."""
    span = int(rank.max(initial=0)) + 1
    least: Ints = np.minimum.accumulate(rank - span * model) + span * model
    return least
