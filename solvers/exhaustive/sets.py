"""Exhaustive search over sets of users, where a load depends on two rounds alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.core.algorithm import Solution
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.tables import PlannedRound, Tables, count_users
from solvers.core.timing import rank, upload_end_s
from solvers.exhaustive.batches import batches
from solvers.tolerance import granted
from solvers.uplink import Uplink


class Label(NamedTuple):
    """Two costs to minimise, the last round added and the predecessor label."""

    first: float
    second: float
    round: PlannedRound | None
    before: Label | None


def solve(tables: Tables, uplink: Uplink, limit: Limit = UNLIMITED) -> Solution:
    """Serve the maximum number of users over all sequences of rounds.

    A state is a set of served users and the model of the adjacent round; each state
    keeps the labels that are not dominated in both costs. The costs are

    - ``dynamic``: the end of the last round (the uploads depend on the set alone);
    - ``upfront``: the GPU time so far, and the negated minimum slack of the rounds so
      far, which is compared with the upload time of the set;
    - ``static``, built backwards from the last round: the negated latest compute start
      of the earliest round so far, and the band used.

    Labels may use all that a proof grants (:func:`solvers.tolerance.granted`), so the
    most users of any label are a bound. The rounds are those that the timing accepts,
    and proven unless rounding alone decides.

    O(3^K · models) labels.
    """
    users = [int(k) for k in tables.users]
    step = {"dynamic": _dynamic, "upfront": _upfront, "static": _static}[uplink]
    states: dict[int, dict[int | None, list[Label]]] = {
        0: {None: [Label(0.0, -np.inf, None, None)]}
    }
    done: dict[int, list[Label]] = {}
    # A set is a bit mask with one bit per user, so supersets come later.
    for served in range(1 << len(users)):
        here = states.pop(served, None)
        if here is None:
            continue
        limit.check()
        done[served] = [
            label
            for labels in here.values()
            for label in labels
            if uplink != "static" or _first_load_fits(tables, label)
        ]
        for planned, mask in batches(tables, served):
            together = served | mask
            upload_s = _upload_s(tables, users, together)
            for neighbour, labels in here.items():
                for label in labels:
                    new = step(tables, planned, neighbour, label, upload_s)
                    if new is not None:
                        _keep(states.setdefault(together, {}), planned.model, new)
    rounds = _best(tables, uplink, done)
    most = max(served.bit_count() for served, labels in done.items() if labels)
    proven = most == sum(len(batch) for _, batch in rounds)
    return Solution(rounds, proven=proven, bound=None if proven else most)


def _upload_s(tables: Tables, users: list[int], served: int) -> float:
    chosen = [k for i, k in enumerate(users) if served >> i & 1]
    return upload_end_s(tables.release_s[chosen], tables.demand_s[chosen])


def _latest_end_s(tables: Tables, users: tuple[int, ...]) -> float:
    return granted(float(tables.deadline_s[list(users)].min()))


def _first_load_fits(tables: Tables, label: Label) -> bool:
    """Whether the load before the earliest round of a ``static`` label fits."""
    return label.round is None or -label.first >= tables.load_s(None, label.round.model)


def _dynamic(
    tables: Tables,
    planned: PlannedRound,
    before: int | None,
    label: Label,
    upload_s: float,
) -> Label | None:
    model, users = planned
    loaded_s = label.first + tables.load_s(before, model)
    end_s = max(loaded_s, upload_s) + float(tables.latency_s[model][len(users)])
    if end_s > _latest_end_s(tables, users):
        return None
    return Label(end_s, 0.0, planned, label)


def _upfront(
    tables: Tables,
    planned: PlannedRound,
    before: int | None,
    label: Label,
    upload_s: float,
) -> Label | None:
    model, users = planned
    gpu_s = label.first + tables.load_s(before, model)
    gpu_s += float(tables.latency_s[model][len(users)])
    slack_s = min(-label.second, _latest_end_s(tables, users) - gpu_s)
    # A superset's uploads only take longer.
    if upload_s > slack_s:
        return None
    return Label(gpu_s, -slack_s, planned, label)


def _static(
    tables: Tables,
    planned: PlannedRound,
    after: int | None,
    label: Label,
    upload_s: float,
) -> Label | None:
    del upload_s
    model, users = planned
    chosen = list(users)
    end_s = _latest_end_s(tables, users)
    band = 0.0
    if after is not None:
        end_s = min(end_s, -label.first - tables.load_s(model, after))
        band = label.second
    start_s = end_s - float(tables.latency_s[model][len(users)])
    if start_s <= 0:
        return None
    band += float(tables.demand_s[chosen].sum()) / start_s
    if band > granted(1.0):
        return None
    return Label(-start_s, band, planned, label)


def _keep(models: dict[int | None, list[Label]], model: int, new: Label) -> None:
    """Add a label unless it is dominated; drop the labels that it dominates."""
    labels = models.setdefault(model, [])
    if any(old.first <= new.first and old.second <= new.second for old in labels):
        return
    labels[:] = [o for o in labels if o.first < new.first or o.second < new.second]
    labels.append(new)


def _best(
    tables: Tables, uplink: Uplink, done: dict[int, list[Label]]
) -> list[PlannedRound]:
    """Choose by most users served, earliest last end, least demand, lowest ids."""
    best: list[PlannedRound] = []
    for served in sorted(done, key=lambda s: (-s.bit_count(), s)):
        if best and served.bit_count() < count_users(best):
            break
        traces = [_trace(label, backwards=uplink == "static") for label in done[served]]
        best = min([best, *traces], key=lambda rounds: rank(tables, rounds, uplink))
    return best


def _trace(label: Label, *, backwards: bool) -> list[PlannedRound]:
    rounds = []
    step: Label | None = label
    while step is not None and step.round is not None:
        rounds.append(step.round)
        step = step.before
    return rounds if backwards else rounds[::-1]
