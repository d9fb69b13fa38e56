"""What the positions of a plan allow: the state before each round and at the end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.core.plan import Clock, Plan, Times, total
from solvers.core.tables import Floats, Ints

Bools = NDArray[np.bool_]


class Arrivals(NamedTuple):
    """When inputs arrive if uploads of one release are added, shape (R+1, A) each.

    Row p is for uploads that go with round p of the first p + 1, so before those of all
    later rounds; column i for the release ``release_grid_s[i]``. Uploads of demand d
    arrive at the maximum of ``beyond_s`` and ``base_s`` + d, with those of the first p
    rounds. All rounds from p on allow them if d is at most ``room_s``.
    """

    base_s: Floats
    beyond_s: Floats
    room_s: Floats

    def ready_s(self, place: Ints, release: Ints, demand_s: Floats) -> Floats:
        """When the inputs have arrived, by position, release and demand."""
        base_s = self.base_s[place, release]
        ready: Floats = np.maximum(self.beyond_s[place, release], base_s + demand_s)
        return ready


class Places(NamedTuple):
    """State at each position of a plan, before each round and at the end, (R+1,).

    At each position, ``before_s`` is when the GPU becomes free, ``loading_s`` when a
    load may start at the earliest and ``after_s`` when the following batch must start.
    ``sent_s`` is the total upload time before it, ``upload_slack_s`` how much later the
    uploads of all following rounds may end, and ``early_slack_s`` how much later all
    preceding rounds may end. ``arrivals`` is None if all releases are 0.
    """

    before_s: Floats
    loading_s: Floats
    after_s: Floats
    sent_s: Floats
    upload_slack_s: Floats
    early_slack_s: Floats
    arrivals: Arrivals | None


def places_of(clock: Clock, plan: Plan, times: Times) -> Places:
    """Return the state at each position of a feasible plan. O(R), or O(R·A)."""
    rounds = len(plan)
    idle_s = total(times.demand_s.tolist()) if clock.uplink == "upfront" else 0.0
    latest_start = times.latest_end_s - times.compute_s
    slack = np.full(rounds + 1, np.inf)
    slack[:-1] = np.minimum.accumulate((latest_start - times.ready_s)[::-1])[::-1]
    early = np.full(rounds + 1, np.inf)
    early[1:] = np.minimum.accumulate(times.deadline_s - times.end_s)
    before = np.concatenate(([idle_s], times.end_s))
    loading = before
    if clock.tables.problem.overlap:
        loaded = np.concatenate(([idle_s], times.loaded_s))
        loading = np.maximum(loaded, np.concatenate(([idle_s], before[:-1])))
    after = np.concatenate((latest_start, [np.inf]))
    return Places(
        before_s=before,
        loading_s=loading,
        after_s=after,
        sent_s=np.concatenate(([0.0], times.demand_s.cumsum())),
        upload_slack_s=slack,
        early_slack_s=early,
        arrivals=(
            None
            if times.arrivals_s is None
            else _arrivals(clock, times.arrivals_s, after)
        ),
    )


def _arrivals(clock: Clock, ends: Floats, after_s: Floats) -> Arrivals:
    grid = clock.release_grid_s
    sent = np.where(np.isfinite(ends), ends - grid, 0.0)
    beyond = np.full(ends.shape, -np.inf)
    beyond[:, :-1] = np.maximum.accumulate(ends[:, :0:-1], axis=1)[:, ::-1]
    base = np.maximum(np.maximum.accumulate(ends, axis=1), grid + sent)
    room = np.full(ends.shape, np.inf)
    late = after_s[:-1, None] - base[1:]
    room[:-1] = np.minimum.accumulate(late[::-1], axis=0)[::-1]
    return Arrivals(base, beyond, room)
