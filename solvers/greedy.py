"""Greedy: the next round is the one that serves most users for its extra seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from solvers.outcome import Found, Options
from solvers.schedule import Uplink
from solvers.tables import Floats, Ints, PlannedRound, Tables
from solvers.timing import TIME_TOLERANCE_S, rank, upload_end_s

# How much a second of the band counts beside a second of the GPU.
UPLINK_WEIGHTS = (0.0, 0.25, 0.5, 0.75)

# How much an early deadline counts, where deadlines differ.
HASTES = (0.0, 2.0, 8.0)

SLACK_S = TIME_TOLERANCE_S / 2


@dataclass(frozen=True)
class _Rule:
    """One way to score a round; the best schedule over all rules is returned.

    ``spread`` says who pays for a load: ``"round"`` the round alone, ``"model"`` all
    users of the model that still wait, ``"holders"`` each block all waiting users of
    models that hold it. ``urgent`` offers users by deadline rather than by demand.
    ``haste`` weighs a round's deadline: a round that is due earlier by a share f of
    the latest deadline counts as exp(haste · f) rounds.
    """

    uplink_weight: float
    spread: str
    urgent: bool
    haste: float


def solve(tables: Tables, uplink: Uplink, options: Options) -> Found:
    """Append rounds while some round fits, the best score first.

    Any sharing, deadlines and (``dynamic``) releases. The score of a round is its
    users over the seconds it adds, of the GPU and, weighted, of the band; one schedule
    is built for each of a few weightings and the best is kept. ``static`` schedules
    are built from their last round, since later starts need less band.

    Notes
    -----
    O(rounds · models · batch limit) for each of a fixed number of rules.
    """
    del options
    # What is feasible for a stricter discipline is feasible for a freer one.
    stricter: dict[Uplink, tuple[Uplink, ...]] = {
        "upfront": ("upfront",),
        "static": ("static", "upfront"),
        "dynamic": ("dynamic", "static", "upfront"),
    }
    sides = stricter[uplink] if tables.releases_zero else (uplink,)
    candidates = [
        _build(tables, side, rule) for rule in _rules(tables) for side in sides
    ]
    return Found(min(candidates, key=lambda rounds: rank(tables, rounds, uplink)))


def _rules(tables: Tables) -> Iterator[_Rule]:
    orders = [(False, 0.0)]
    if tables.common_deadline_s is None:
        orders += [(True, haste) for haste in HASTES]
    spreads = ("round", "model", "holders")
    for weight, spread, order in product(UPLINK_WEIGHTS, spreads, orders):
        yield _Rule(weight, spread, *order)


class _Waiting:
    """Users not yet placed, as tables over (model, batch size), both padded."""

    def __init__(self, tables: Tables, order: Floats | None) -> None:
        self._tables = tables
        limits = [len(latency) for latency in tables.latency_s]
        shape = (len(limits), max(limits, default=1))
        self.latency_s = np.full(shape, np.inf)
        for m, latency in enumerate(tables.latency_s):
            self.latency_s[m, : len(latency)] = latency
        self.latency_s[:, 0] = np.inf
        self.queue: list[Ints] = []
        self.upload_s = np.full(shape, np.inf)
        self.deadline_s = np.full(shape, -np.inf)
        self.release_s = np.full(shape, np.inf)
        self.count = np.zeros(len(limits))
        for m, users in enumerate(tables.users_of):
            if order is not None:
                users = users[np.argsort(order[users], kind="stable")]
            self.queue.append(users)
            self._refresh(m)

    def _refresh(self, model: int) -> None:
        users = self.queue[model][: self.latency_s.shape[1] - 1]
        n = len(users) + 1
        tables = self._tables
        self.upload_s[model] = np.inf
        self.upload_s[model, 1:n] = np.cumsum(tables.demand_s[users])
        self.deadline_s[model, 1:n] = np.minimum.accumulate(tables.deadline_s[users])
        self.release_s[model, 1:n] = np.maximum.accumulate(tables.release_s[users])
        self.count[model] = len(self.queue[model])

    def take(self, model: int, size: int) -> tuple[int, ...]:
        """Remove and return the first users of a model."""
        users = self.queue[model][:size]
        self.queue[model] = self.queue[model][size:]
        self._refresh(model)
        return tuple(users.tolist())

    def drop(self, hopeless: NDArray[np.bool_]) -> bool:
        """Remove users marked by number; say whether there were any."""
        found = False
        for m, users in enumerate(self.queue):
            stay = ~hopeless[users]
            if not stay.all():
                self.queue[m] = users[stay]
                self._refresh(m)
                found = True
        return found

    def skip(self) -> bool:
        """Remove the first user of each model; say whether there was any.

        Where a larger batch computes faster than a smaller one, no batch may fit whose
        users seemed to be in time one by one; they must not keep out those behind.
        """
        found = False
        for m, users in enumerate(self.queue):
            if len(users):
                self.take(m, 1)
                found = True
        return found


def _build(tables: Tables, uplink: Uplink, rule: _Rule) -> list[PlannedRound]:
    """Build one schedule by one rule."""
    side = _Backward(tables) if uplink == "static" else _Forward(tables, uplink)
    # What is placed first lies last in a schedule that is built backwards.
    sign = -1.0 if uplink == "static" else 1.0
    waiting = _Waiting(tables, sign * tables.deadline_s if rule.urgent else None)
    latest_s = float(tables.deadline_s.max(initial=0.0)) or 1.0
    while True:
        load = side.load_s()
        while waiting.drop(side.hopeless(load)):
            pass
        fits, gpu_s = side.try_all(waiting, load)
        if not fits.any():
            if waiting.skip():
                continue
            return side.rounds
        size = np.arange(fits.shape[1])
        gpu_s = gpu_s - load[:, None] + _charge(tables, rule, waiting, side, load, size)
        weight = rule.uplink_weight
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            seconds = weight * waiting.upload_s + (1 - weight) * gpu_s
            rate = (
                size
                / seconds
                * np.exp(-sign * rule.haste * waiting.deadline_s / latest_s)
            )
            score = np.where(fits, rate, -np.inf)
        model, batch = np.unravel_index(int(score.argmax()), score.shape)
        users = waiting.take(int(model), int(batch))
        side.place(PlannedRound(int(model), users))


def _charge(
    tables: Tables,
    rule: _Rule,
    waiting: _Waiting,
    side: _Forward | _Backward,
    load_s: Floats,
    size: Ints,
) -> Floats:
    """Say how much of each model's load a round of each size answers for, (M, B+1)."""
    if rule.spread == "round":
        return np.broadcast_to(load_s[:, None], (len(load_s), len(size)))
    users = np.maximum(waiting.count, 1)
    if rule.spread == "model":
        return load_s[:, None] * np.minimum(size / users[:, None], 1)
    holds = tables.holds
    waiting_for = np.maximum(holds.T @ waiting.count, 1)
    per_user_s = tables.atom_load_s / waiting_for
    there = list(side.resident_atoms())
    per_user_s[there] = 0.0
    return np.minimum((holds @ per_user_s)[:, None] * size, load_s[:, None])


class _Forward:
    """A schedule for ``dynamic`` or ``upfront`` that grows at its end."""

    def __init__(self, tables: Tables, uplink: Uplink) -> None:
        self._tables = tables
        self._upfront = uplink == "upfront"
        self.rounds: list[PlannedRound] = []
        self._gpu_free_s = 0.0
        self._uploaded_s = 0.0
        self._slack_s = np.inf
        self._last: int | None = None
        self._placed: list[int] = []

    def resident_atoms(self) -> frozenset[int]:
        tables = self._tables
        return (
            tables.initial_atoms if self._last is None else tables.atoms_of[self._last]
        )

    def load_s(self) -> Floats:
        """Load time of each model now, shape (M,)."""
        return self._tables.loads_after(self._last)

    def hopeless(self, load_s: Floats) -> NDArray[np.bool_]:
        """Mark users that even a round of their own would now serve late."""
        t = self._tables
        end = self._end_s(
            load_s[t.user_model],
            t.release_s,
            t.demand_s,
            t.least_latency_s[t.user_model],
        )
        late = end > t.deadline_s + SLACK_S
        if self._upfront:
            late |= t.demand_s > self._slack_s + SLACK_S
        return late

    def _end_s(
        self, load_s: Floats, release_s: Floats, upload_s: Floats, latency_s: Floats
    ) -> Floats:
        if self._upfront:
            return self._uploaded_s + upload_s + self._gpu_free_s + load_s + latency_s
        # Later releases could be served in gaps; one after the other is never earlier.
        ready = np.maximum(self._uploaded_s, release_s) + upload_s
        return np.maximum(self._gpu_free_s + load_s, ready) + latency_s

    def try_all(
        self, waiting: _Waiting, load_s: Floats
    ) -> tuple[NDArray[np.bool_], Floats]:
        """Say which rounds fit next and what GPU seconds they take, (M, B+1) each."""
        end = self._end_s(
            load_s[:, None], waiting.release_s, waiting.upload_s, waiting.latency_s
        )
        fits = np.isfinite(end) & (end <= waiting.deadline_s + SLACK_S)
        if self._upfront:
            fits &= waiting.upload_s <= self._slack_s + SLACK_S
            return fits, load_s[:, None] + waiting.latency_s
        return fits, end - self._gpu_free_s

    def place(self, planned: PlannedRound) -> None:
        """Append a round that fits."""
        t = self._tables
        model, users = planned
        chosen = list(users)
        load = t.load_s(self._last, model)
        latency = float(t.latency_s[model][len(users)])
        deadline = float(t.deadline_s[chosen].min())
        upload = float(t.demand_s[chosen].sum())
        self._placed += chosen
        self.rounds.append(planned)
        self._last = model
        if self._upfront:
            self._uploaded_s += upload
            self._gpu_free_s += load + latency
            self._slack_s = min(
                self._slack_s - upload, deadline - self._uploaded_s - self._gpu_free_s
            )
            return
        if t.releases_zero:
            self._uploaded_s += upload
        else:
            self._uploaded_s = upload_end_s(
                t.release_s[self._placed], t.demand_s[self._placed]
            )
        self._gpu_free_s = max(self._gpu_free_s + load, self._uploaded_s) + latency


class _Backward:
    """A schedule for ``static`` that grows at its beginning."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._first: int | None = None
        self._start_s = np.inf
        self._band = 0.0
        self._reversed: list[PlannedRound] = []
        self._first_load_s = tables.loads_after(None)

    @property
    def rounds(self) -> list[PlannedRound]:
        """The rounds so far, in order."""
        return self._reversed[::-1]

    def resident_atoms(self) -> frozenset[int]:
        return (
            frozenset() if self._first is None else self._tables.atoms_of[self._first]
        )

    def load_s(self) -> Floats:
        """Load time that putting each model before the first round adds, shape (M,).

        The first model's own load shrinks by what the two share, so what is added is
        the load of what they do not share.
        """
        if self._first is None:
            return self._first_load_s
        return self._tables.loads_after(self._first)

    def _starts_s(
        self, after_s: Floats, deadline_s: Floats, latency_s: Floats
    ) -> Floats:
        return np.minimum(deadline_s, self._start_s - after_s) - latency_s

    def _after_s(self) -> Floats:
        """Load of the first round when each model runs before it, shape (M,)."""
        tables = self._tables
        if self._first is None:
            return np.zeros(len(tables.model_names))
        return np.array(
            [tables.load_s(m, self._first) for m in range(len(tables.model_names))]
        )

    def _fits(
        self, start_s: Floats, upload_s: Floats, first_load_s: Floats
    ) -> NDArray[np.bool_]:
        with np.errstate(divide="ignore", invalid="ignore"):
            band = self._band + upload_s / start_s
        return (
            np.isfinite(start_s)
            & (start_s > 0)
            & (start_s >= first_load_s - SLACK_S)
            & (band <= 1 + SLACK_S)
        )

    def hopeless(self, load_s: Floats) -> NDArray[np.bool_]:
        """Mark users that even a round of their own could not serve before the rest."""
        del load_s
        t = self._tables
        of = t.user_model
        start = self._starts_s(self._after_s()[of], t.deadline_s, t.least_latency_s[of])
        return ~self._fits(start, t.demand_s, self._first_load_s[of])

    def try_all(
        self, waiting: _Waiting, load_s: Floats
    ) -> tuple[NDArray[np.bool_], Floats]:
        """Say which rounds fit first and what GPU seconds they take, (M, B+1) each."""
        start = self._starts_s(
            self._after_s()[:, None], waiting.deadline_s, waiting.latency_s
        )
        fits = self._fits(start, waiting.upload_s, self._first_load_s[:, None])
        latest = self._start_s
        if np.isinf(latest):
            latest = float(self._tables.deadline_s.max(initial=0.0))
        return fits, np.where(fits, latest - start + load_s[:, None], np.inf)

    def place(self, planned: PlannedRound) -> None:
        """Put a round that fits before the others."""
        t = self._tables
        model, users = planned
        chosen = list(users)
        end = float(t.deadline_s[chosen].min())
        if self._first is not None:
            end = min(end, self._start_s - t.load_s(model, self._first))
        self._start_s = end - float(t.latency_s[model][len(users)])
        self._band += float(t.demand_s[chosen].sum()) / self._start_s
        self._reversed.append(planned)
        self._first = model
