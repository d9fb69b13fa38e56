"""Label setting along a depth-first order, for ``dynamic`` and ``static`` uplinks.

A label is a partial schedule that visits some of the models so far in the order: how
many users it serves, how much of the path to the next model is resident, a time and an
amount of spectrum. Labels that another one of the same users and residency equals or
beats in both time and spectrum are dropped. A visit is a run of batches of one model;
its users are those of least demand, the least first: with one deadline any exchange
towards that needs no more spectrum and no more time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.forest import Forest
from solvers.tables import Floats, Ints, PlannedRound, Tables
from solvers.timing import TIME_TOLERANCE_S

NOTHING_SERVED = -1

# At most so many labels of one count and residency are kept, evenly over time; the
# schedule stays feasible, only the search is narrowed.
MOST_LABELS = 32


class Labels(NamedTuple):
    """Partial schedules, each field of shape (n,).

    ``depth`` counts the nodes on the path to the current model that are resident,
    or is ``NOTHING_SERVED``. ``entry`` points into the list of all visits.
    """

    users: Ints
    depth: Ints
    time_s: Floats
    spectrum: Floats
    entry: Ints

    def take(self, which: NDArray[np.bool_] | Ints) -> Labels:
        """Pick some labels."""
        return Labels(
            self.users[which],
            self.depth[which],
            self.time_s[which],
            self.spectrum[which],
            self.entry[which],
        )


class _Visits:
    """Every visit made by some label, so that the way to a label can be walked back."""

    def __init__(self) -> None:
        self._columns: list[tuple[Ints, int, Ints]] = []
        self._starts: list[int] = []
        self._count = 1

    def add(self, parents: Ints, model: int, batches: Ints) -> Ints:
        """Record visits (or parts of one) and return their numbers; 0 is the start."""
        self._starts.append(self._count)
        self._columns.append((parents, model, batches))
        numbers = np.arange(self._count, self._count + len(parents))
        self._count += len(parents)
        return numbers

    def way(self, entry: int) -> list[tuple[int, int]]:
        """(model, number) of each step from an entry back to the start."""
        steps = []
        while entry:
            column = int(np.searchsorted(self._starts, entry, side="right")) - 1
            parents, model, batches = self._columns[column]
            row = entry - self._starts[column]
            steps.append((model, int(batches[row])))
            entry = int(parents[row])
        return steps


@dataclass(frozen=True)
class _Path:
    """Where a model hangs, and what it shares with the model before it in an order.

    ``left_load_s[d]`` is the load of the nodes that the model before holds up to depth
    d and this one does not.
    """

    nodes: tuple[int, ...]
    node_load_s: Floats
    shared: int
    left_load_s: Floats

    @property
    def remaining_load_s(self) -> Floats:
        """Load still to do when d nodes are resident, by d, shape (depth+1,)."""
        loads = self.node_load_s
        return np.concatenate((np.cumsum(loads[::-1])[::-1], [0.0]))


def _paths(tables: Tables, forest: Forest, order: Sequence[int]) -> list[_Path]:
    paths = []
    before: tuple[int, ...] = ()
    before_load_s = np.zeros(0)
    for model in order:
        nodes = forest.path(model)
        shared = 0
        while shared < min(len(nodes), len(before)) and nodes[shared] == before[shared]:
            shared += 1
        loads = np.array([tables.loads_s(forest.atoms[node]) for node in nodes])
        left = np.concatenate(([0.0], np.cumsum(before_load_s)))
        left_load = np.maximum(left - left[shared], 0.0)
        paths.append(_Path(nodes, loads, shared, left_load))
        before, before_load_s = nodes, loads
    return paths


def _prune(labels: Labels, spectrum_limit: float) -> Labels:
    """Drop labels that another of the same users and residency equals or beats."""
    if len(labels.users) < 2:
        return labels
    group = labels.users * (labels.depth.max() + 2) + labels.depth + 1
    order = np.lexsort((labels.spectrum, labels.time_s, group))
    group, spectrum = group[order], labels.spectrum[order]
    # Falling offsets make one running minimum start afresh in every group.
    level = spectrum - group * (2 * spectrum_limit + 1)
    best_before = np.concatenate(([np.inf], np.minimum.accumulate(level)[:-1]))
    kept = order[level < best_before]
    return labels.take(_thin(group[level < best_before], kept))


def _thin(group: Ints, kept: Ints) -> Ints:
    """Keep at most ``MOST_LABELS`` of each group, evenly spread, both ends included."""
    starts = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
    sizes = np.diff(starts, append=len(group))
    if sizes.max() <= MOST_LABELS:
        return kept
    picked = [
        kept[start : start + size]
        if size <= MOST_LABELS
        else kept[start + np.linspace(0, size - 1, MOST_LABELS).astype(np.int64)]
        for start, size in zip(starts, sizes, strict=True)
    ]
    return np.concatenate(picked)


def _join(parts: Sequence[Labels]) -> Labels:
    return Labels(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _start(time_s: float) -> Labels:
    zero = np.zeros(1, dtype=np.int64)
    return Labels(
        zero, zero + NOTHING_SERVED, np.array([time_s]), np.zeros(1), zero.copy()
    )


def along_dynamic(
    tables: Tables, forest: Forest, order: Sequence[int], deadline_s: float
) -> list[PlannedRound]:
    """Serve the most users along a given order under the ``dynamic`` uplink.

    Labels run forwards: time is the end of the last round, spectrum the upload time of
    all users served. Inside a visit that starts with uploads P, serving k users takes
    f(k) = min over b of max(f(k − b), P + their demand) + latency[b].

    Parameters
    ----------
    tables, forest
        The problem and its sharing forest.
    order
        A depth-first order of the active models.
    deadline_s
        The common deadline.
    """
    limit_s = deadline_s + TIME_TOLERANCE_S / 2
    visits = _Visits()
    labels = _start(0.0)
    for model, path in zip(order, _paths(tables, forest, order), strict=True):
        labels = labels._replace(depth=np.minimum(labels.depth, path.shared))
        first = tables.load_s(None, model)
        load = np.where(
            labels.depth == NOTHING_SERVED,
            first,
            path.remaining_load_s[np.maximum(labels.depth, 0)],
        )
        upload = np.cumsum(tables.demand_s[tables.users_of[model]])
        latency = tables.latency_s[model]
        end = _visit_ends(labels.time_s + load, labels.spectrum, upload, latency)[0]
        row, extra = np.nonzero(end[:, 1:] <= limit_s)
        entry = visits.add(labels.entry[row], model, extra + 1)
        new = Labels(
            labels.users[row] + extra + 1,
            np.full(len(row), len(path.nodes)),
            end[row, extra + 1],
            labels.spectrum[row] + upload[extra],
            entry,
        )
        labels = _prune(_join([labels, new]), deadline_s)
    best = np.lexsort((labels.spectrum, labels.time_s, -labels.users))[0]
    return _forward_rounds(tables, visits.way(int(labels.entry[best]))[::-1])


def _visit_ends(
    loaded_s: Floats, uploaded_s: Floats, upload_s: Floats, latency_s: Floats
) -> tuple[Floats, Ints]:
    """Find when k users of one model are done, for k = 0 … and each label.

    Parameters
    ----------
    loaded_s, uploaded_s
        When the model is loaded and earlier uploads have ended, shape (n,).
    upload_s
        Upload time of the first k + 1 users, shape (K,).
    latency_s
        Compute time by batch size, shape (B+1,).

    Returns
    -------
    end_s, batch
        Earliest end and size of the last batch, shape (n, K+1).
    """
    users = len(upload_s)
    end = np.empty((len(loaded_s), users + 1))
    batch = np.zeros((len(loaded_s), users + 1), dtype=np.int64)
    end[:, 0] = loaded_s
    for k in range(1, users + 1):
        most = min(len(latency_s) - 1, k)
        sizes = np.arange(1, most + 1)
        ready = (uploaded_s + upload_s[k - 1])[:, None]
        options = np.maximum(end[:, k - sizes], ready) + latency_s[sizes]
        best = options.argmin(axis=1)
        end[:, k] = np.take_along_axis(options, best[:, None], axis=1)[:, 0]
        batch[:, k] = best + 1
    return end, batch


def _forward_rounds(
    tables: Tables, visits: list[tuple[int, int]]
) -> list[PlannedRound]:
    """Cut each visit into the batches that end it earliest."""
    rounds: list[PlannedRound] = []
    time_s = uploaded_s = 0.0
    before: int | None = None
    for model, count in visits:
        users = tables.users_of[model][:count]
        upload = np.cumsum(tables.demand_s[users])
        loaded = time_s + tables.load_s(before, model)
        end, batch = _visit_ends(
            np.array([loaded]), np.array([uploaded_s]), upload, tables.latency_s[model]
        )
        left, sizes = count, []
        while left:
            sizes.append(int(batch[0, left]))
            left -= sizes[-1]
        done = 0
        for size in reversed(sizes):
            chosen = users[done : done + size]
            rounds.append(PlannedRound(model, tuple(chosen.tolist())))
            done += size
        time_s, uploaded_s = float(end[0, count]), uploaded_s + float(upload[-1])
        before = model
    return rounds


def along_static(
    tables: Tables, forest: Forest, order: Sequence[int], deadline_s: float
) -> list[PlannedRound]:
    """Serve the most users along a given order under the ``static`` uplink.

    Labels run backwards from the deadline: time is by when the resident part of the
    path must be there, spectrum the sum of w/s over the users served, as a share of
    the band. Larger times are better, so they are kept negated. A visit is built
    batch by batch from its last: the users not yet in it are those of least demand.

    Parameters
    ----------
    tables, forest, order, deadline_s
        As for :func:`along_dynamic`; the order is walked from its end.
    """
    backwards = list(reversed(order))
    visits = _Visits()
    labels = _start(-deadline_s)
    best_users, best_entry = 0, 0
    for model, path in zip(backwards, _paths(tables, forest, backwards), strict=True):
        # What the next path does not hold must be loaded after it, so before the time.
        left = path.left_load_s[np.maximum(labels.depth, 0)]
        labels = labels._replace(
            depth=np.minimum(labels.depth, path.shared), time_s=labels.time_s + left
        )
        new = _static_visit(tables, model, labels, len(path.nodes), visits)
        in_time = -new.time_s >= tables.load_s(None, model) - TIME_TOLERANCE_S / 2
        if in_time.any():
            done = new.take(in_time)
            most = np.lexsort((done.spectrum, done.time_s, -done.users))[0]
            if done.users[most] > best_users:
                best_users, best_entry = int(done.users[most]), int(done.entry[most])
        labels = _prune(_join([labels, new]), 1.0)
    rounds: list[PlannedRound] = []
    placed: dict[int, int] = {}
    for model, size in visits.way(best_entry):
        first = placed.get(model, 0)
        users = tables.users_of[model][first : first + size]
        rounds.append(PlannedRound(model, tuple(users.tolist())))
        placed[model] = first + size
    return rounds


def _static_visit(
    tables: Tables, model: int, labels: Labels, depth: int, visits: _Visits
) -> Labels:
    """Put a visit before every label, batch by batch from its last one."""
    users = tables.users_of[model]
    demand = np.concatenate(([0.0], np.cumsum(tables.demand_s[users])))
    latency = tables.latency_s[model]
    waiting: list[list[Labels]] = [[] for _ in range(len(users) + 1)]
    labels = labels._replace(depth=np.full(len(labels.users), depth))
    for count in range(len(users), 0, -1):
        entering = labels._replace(users=labels.users + count)
        here = _prune(_join([*waiting[count], entering]), 1.0)
        for size in range(1, min(count, len(latency) - 1) + 1):
            start = -here.time_s - latency[size]
            with np.errstate(divide="ignore"):
                share = (demand[count] - demand[count - size]) / start
            band = here.spectrum + share
            fits = (start > 0) & (band <= 1 + TIME_TOLERANCE_S / 2)
            if fits.any():
                entry = visits.add(
                    here.entry[fits], model, np.full(int(fits.sum()), size)
                )
                waiting[count - size].append(
                    Labels(
                        here.users[fits],
                        here.depth[fits],
                        -start[fits],
                        band[fits],
                        entry,
                    )
                )
    if not waiting[0]:
        return labels.take(np.zeros(len(labels.users), dtype=bool))
    return _prune(_join(waiting[0]), 1.0)
