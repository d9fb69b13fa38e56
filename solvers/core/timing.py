"""Timing of given rounds, and the spectrum of each user.

For given rounds and each uplink discipline, this is the allocation that needs the least
spectrum of all, so scheduling and bandwidth allocation decouple without loss. Every
solver's rounds are timed here and nowhere else.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from solvers.core.residency import steps
from solvers.core.tables import Floats, Rounds, Tables, count_users
from solvers.schedule import Allocation, Round, Schedule, Segment, Status
from solvers.tolerance import SPECTRUM_TOLERANCE, TIME_TOLERANCE_S
from solvers.uplink import Uplink


@dataclass(frozen=True)
class Timing:
    """Times of given rounds, each array of shape (R,), in s.

    ``slack_s`` is how far the rounds were moved ahead of their latest possible starts
    (``static`` only).
    """

    load_start_s: Floats
    load_s: Floats
    compute_start_s: Floats
    compute_s: Floats
    slack_s: float | None = None

    @property
    def end_s(self) -> Floats:
        """When each round ends."""
        return self.compute_start_s + self.compute_s


def upload_end_s(release_s: Floats, demand_s: Floats) -> float:
    """Compute when a work-conserving band has carried a set of uploads.

    This is the maximum of a + (demand released at a or later) over the releases a: from
    the release that attains it, the band is busy until the end. O(n log n).

    Parameters
    ----------
    release_s, demand_s
        Releases, and upload times over the whole band, shape (n,), n ≥ 1.
    """
    order = np.argsort(release_s, kind="stable")
    later = np.cumsum(demand_s[order][::-1])[::-1]
    return float(np.max(release_s[order] + later))


def time_rounds(tables: Tables, rounds: Rounds, uplink: Uplink) -> Timing | None:
    """Time given rounds under a discipline, or return None if they are infeasible.

    Parameters
    ----------
    tables
        The problem; ``upfront`` and ``static`` require all releases to be 0.
    rounds
        Model and users of each round, in order.
    uplink
        The uplink discipline.

    Returns
    -------
    Timing or None
        None if some user would be late or the spectrum does not suffice.

    Notes
    -----
    O(K log K) for K users; ``static`` adds 60 bisection steps of O(R). A cache adds the
    cost of :func:`solvers.core.residency.steps`.
    """
    compute = np.empty(len(rounds))
    deadline = np.empty(len(rounds))
    demand = np.empty(len(rounds))
    for r, (model, users) in enumerate(rounds):
        latency = tables.latency_s[model]
        if len(users) >= len(latency) or not np.isfinite(latency[len(users)]):
            return None
        compute[r] = latency[len(users)]
        chosen = list(users)
        deadline[r] = tables.deadline_s[chosen].min()
        demand[r] = tables.demand_s[chosen].sum()
    if not np.isfinite(demand).all():
        return None
    load, ahead = _loads(tables, rounds)
    if uplink == "static":
        return _static(load, ahead, compute, deadline, demand)
    if uplink == "upfront":
        total = float(demand.sum())
        ready = np.full(len(rounds), total)
        idle_until = total
    else:
        ready = _ready_s(tables, rounds, demand)
        idle_until = 0.0
    load_start, compute_start = _forward(load, ahead, compute, ready, idle_until)
    if (compute_start + compute > deadline + TIME_TOLERANCE_S).any():
        return None
    return Timing(load_start, load, compute_start, compute)


def _loads(tables: Tables, rounds: Rounds) -> tuple[Floats, NDArray[np.bool_]]:
    """Load time of each round, and whether the load may overlap the previous round."""
    if tables.problem.residency == "previous" and not tables.problem.overlap:
        models = [planned.model for planned in rounds]
        before = [None, *models[:-1]]
        load = [tables.load_s(*pair) for pair in zip(before, models, strict=False)]
        return np.array(load), np.zeros(len(rounds), dtype=bool)
    found = steps(tables, rounds)
    load = [tables.loads_s(step.loaded) for step in found]
    return np.array(load), np.array([step.ahead for step in found], dtype=bool)


def _forward(
    load: Floats,
    ahead: NDArray[np.bool_],
    compute: Floats,
    ready: Floats,
    idle_until_s: float,
) -> tuple[Floats, Floats]:
    """Start every load and every batch as early as possible.

    A load that runs ahead waits for the previous load and for the end of the round two
    before: memory holds two models, not three.
    """
    load_start = np.empty(len(load))
    compute_start = np.empty(len(load))
    loaded = end_before = end = idle_until_s
    for r in range(len(load)):
        load_start[r] = max(loaded, end_before) if ahead[r] else end
        loaded = load_start[r] + load[r]
        compute_start[r] = max(loaded, end, ready[r])
        end_before, end = end, compute_start[r] + compute[r]
    return load_start, compute_start


def _ready_s(tables: Tables, rounds: Rounds, demand: Floats) -> Floats:
    """When the last input of each round arrives if earlier rounds are served first."""
    if tables.releases_zero:
        return np.cumsum(demand)
    ready = np.empty(len(rounds))
    so_far: list[int] = []
    for r, (_, users) in enumerate(rounds):
        so_far.extend(users)
        ready[r] = upload_end_s(tables.release_s[so_far], tables.demand_s[so_far])
    return ready


def _static(
    load: Floats,
    ahead: NDArray[np.bool_],
    compute: Floats,
    deadline: Floats,
    demand: Floats,
) -> Timing | None:
    """Time rounds by their deadlines, or by the whole tolerance where that fails."""
    accepted = deadline + TIME_TOLERANCE_S
    # A compute time subtracted from an end and added again may be a float further.
    for latest_end in (deadline, np.nextafter(accepted, 0.0)):
        timing = _static_by(load, ahead, compute, latest_end, demand)
        if timing is not None and (timing.end_s <= accepted).all():
            return timing
    return None


def _static_by(
    load: Floats,
    ahead: NDArray[np.bool_],
    compute: Floats,
    deadline: Floats,
    demand: Floats,
) -> Timing | None:
    """Time rounds backwards, each as late as possible; then shift them all earlier.

    A later compute start needs less band, so the latest starts are feasible if any are.
    Round r may start at ``max(latest − shift, earliest)`` for any shift: both terms
    leave room for the loads, hence so does their maximum. Band use grows with the
    shift.
    """
    rounds = len(load)
    latest = _latest(load, ahead, compute, deadline)
    earliest = _forward(load, ahead, compute, np.zeros(rounds), 0.0)[1]
    # Loads have time if the batches that wait for them do.
    if (latest < earliest - TIME_TOLERANCE_S).any():
        return None

    def starts(shift: float) -> Floats:
        return np.maximum(latest - shift, earliest)

    def band(shift: float) -> float:
        return float(np.sum(demand / starts(shift)))

    if rounds and ((starts(0) <= 0).any() or band(0) > 1 + SPECTRUM_TOLERANCE):
        return None
    most = float(np.max(latest - earliest, initial=0.0))
    slack = _largest_shift(
        most, lambda shift: bool((starts(shift) > 0).all()) and band(shift) <= 1
    )
    start = starts(slack)
    # With the batches fixed, every load starts as early as possible.
    load_start = _forward(load, ahead, compute, start, 0.0)[0]
    return Timing(load_start, load, start, compute, slack)


def _latest(
    load: Floats, ahead: NDArray[np.bool_], compute: Floats, deadline: Floats
) -> Floats:
    """Latest start of every batch, computed from last to first."""
    latest = np.empty(len(load))
    # Latest start of the next round's load and batch, and of the load of the
    # round after that if it runs ahead.
    next_load = next_start = later_load = np.inf
    next_ahead = False
    for r in range(len(load) - 1, -1, -1):
        end = min(deadline[r], next_start, later_load)
        if not next_ahead:
            end = min(end, next_load)
        latest[r] = end - compute[r]
        loaded = min(latest[r], next_load) if next_ahead else latest[r]
        later_load = next_load if next_ahead else np.inf
        next_load, next_start = loaded - load[r], latest[r]
        next_ahead = bool(ahead[r])
    return latest


def rank(
    tables: Tables, rounds: Rounds, uplink: Uplink
) -> tuple[float, float, float, tuple[int, ...]]:
    """Sort key of candidate rounds, best first and infeasible ones last.

    Most users served, then earliest last end, then least Σw, then users by number.
    """
    timing = time_rounds(tables, rounds, uplink)
    if timing is None:
        return (np.inf, np.inf, np.inf, ())
    chosen = [k for _, users in rounds for k in users]
    end_s = float(timing.end_s[-1]) if rounds else 0.0
    demand_s = float(tables.demand_s[chosen].sum())
    return (-float(len(chosen)), end_s, demand_s, tuple(sorted(chosen)))


def _largest_shift(most: float, holds: Callable[[float], bool]) -> float:
    """Bisect for the largest shift in [0, most] at which a monotone condition holds."""
    if holds(most):
        return most
    low, high = 0.0, most
    for _ in range(60):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def allocate(
    tables: Tables, rounds: Rounds, timing: Timing, uplink: Uplink
) -> tuple[Allocation, ...]:
    """Allocate spectrum to every served user by the discipline's rule.

    Parameters
    ----------
    tables, rounds, uplink
        As given to :func:`time_rounds`.
    timing
        The timing it returned.

    Returns
    -------
    tuple of Allocation
        One per served user, in the order of the rounds.
    """
    band_hz = tables.problem.bandwidth_hz
    if uplink == "dynamic":
        segments = _serve_in_order(tables, rounds)
    else:
        total = sum(tables.demand_s[list(users)].sum() for _, users in rounds)
        segments = {}
        for r, (_, users) in enumerate(rounds):
            until = total if uplink == "upfront" else timing.compute_start_s[r]
            for k in users:
                hz = band_hz * tables.demand_s[k] / until
                segments[k] = [Segment(start_s=0.0, end_s=float(until), hz=float(hz))]
    return tuple(
        Allocation(user=tables.user_ids[k], segments=tuple(segments[k]))
        for _, users in rounds
        for k in users
    )


def upload_order(tables: Tables, rounds: Rounds) -> list[int]:
    """Upload order of the ``dynamic`` uplink: by round, then by release."""
    return [
        k
        for _, users in rounds
        for k in sorted(users, key=lambda k: float(tables.release_s[k]))
    ]


def _serve_in_order(tables: Tables, rounds: Rounds) -> dict[int, list[Segment]]:
    """Give the whole band to the first released upload in the upload order."""
    order = upload_order(tables, rounds)
    left = {rank: float(tables.demand_s[k]) for rank, k in enumerate(order)}
    arrivals = sorted(
        range(len(order)), key=lambda i: float(tables.release_s[order[i]])
    )
    band_hz = tables.problem.bandwidth_hz
    segments: dict[int, list[Segment]] = {k: [] for k in order}
    waiting: list[int] = []
    now = 0.0
    arrived = 0
    while waiting or arrived < len(order):
        if not waiting:
            now = max(now, float(tables.release_s[order[arrivals[arrived]]]))
        while arrived < len(order) and (
            tables.release_s[order[arrivals[arrived]]] <= now
        ):
            heapq.heappush(waiting, arrivals[arrived])
            arrived += 1
        rank = waiting[0]
        end = now + left[rank]
        if arrived < len(order):
            next_release = float(tables.release_s[order[arrivals[arrived]]])
        else:
            next_release = np.inf
        if end <= next_release:
            heapq.heappop(waiting)
        else:
            left[rank] -= next_release - now
            end = next_release
        parts = segments[order[rank]]
        if parts and parts[-1].end_s == now:
            parts[-1] = Segment(start_s=parts[-1].start_s, end_s=end, hz=band_hz)
        else:
            parts.append(Segment(start_s=now, end_s=end, hz=band_hz))
        now = end
    return segments


def make_schedule(
    tables: Tables,
    rounds: Rounds,
    uplink: Uplink,
    *,
    solver: str,
    bound: int | None,
) -> Schedule | None:
    """Turn given rounds into a schedule, or return None if they are infeasible.

    Parameters
    ----------
    tables, rounds, uplink
        As for :func:`time_rounds`; ``tables.sharing`` determines what is loaded.
    solver
        Solver name to record in the schedule.
    bound
        A proven upper bound on users served; None if the rounds are proven optimal.
    """
    timing = time_rounds(tables, rounds, uplink)
    if timing is None:
        return None
    served = count_users(rounds)
    bound = served if bound is None else bound
    status: Status = "optimal" if bound == served else "feasible"
    return Schedule(
        instance=tables.problem.name,
        solver=solver,
        sharing=tables.sharing,
        uplink=uplink,
        status=status,
        served=served,
        bound=bound,
        gap=(bound - served) / bound if bound else 0.0,
        slack_s=timing.slack_s,
        rounds=_rounds(tables, rounds, timing),
        bandwidth=allocate(tables, rounds, timing, uplink),
    )


def _rounds(tables: Tables, rounds: Rounds, timing: Timing) -> tuple[Round, ...]:
    result = []
    ends = timing.end_s
    for r, (planned, step) in enumerate(
        zip(rounds, steps(tables, rounds), strict=True)
    ):
        blocks = tables.blocks_of(planned.model, step.loaded)
        result.append(
            Round(
                model=tables.model_names[planned.model],
                users=tuple(tables.user_ids[k] for k in planned.users),
                loaded_blocks=blocks,
                loaded_bytes=sum(tables.problem.blocks[b].bytes for b in blocks),
                load_start_s=float(timing.load_start_s[r]),
                load_s=float(timing.load_s[r]),
                compute_start_s=float(timing.compute_start_s[r]),
                compute_s=float(timing.compute_s[r]),
                end_s=float(ends[r]),
            )
        )
    return tuple(result)
