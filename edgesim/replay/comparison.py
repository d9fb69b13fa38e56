"""Planned against measured times of each round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import and_

from edgesim.replay.plan import ReplayPlan
from edgesim.results.rows import Cell, Row
from solvers.tolerance import TIME_TOLERANCE_S

COLUMNS = (
    "repeat",
    "round",
    "model",
    "batch",
    "padded_batch",
    "loaded_blocks",
    "loaded_bytes",
    "simulated_load_s",
    "measured_load_s",
    "load_error_s",
    "load_error_ratio",
    "simulated_compute_s",
    "measured_compute_s",
    "compute_error_s",
    "compute_error_ratio",
    "simulated_overhead_s",
    "measured_overhead_s",
    "overhead_error_s",
    "overhead_error_ratio",
    "simulated_end_s",
    "measured_end_s",
    "end_error_s",
    "end_error_ratio",
)


@dataclass(frozen=True)
class RoundTime:
    """Measured times of one round.

    Parameters
    ----------
    load_s
        Time of its copies; 0 if it loads nothing.
    compute_s
        Time of its batch; None if it was left out.
    end_s
        Its end, on the clock that starts with the schedule.
    """

    load_s: float
    compute_s: float | None
    end_s: float


@dataclass(frozen=True)
class Pair:
    """One round in one repeat, simulated and measured.

    Parameters
    ----------
    simulated_overhead_s, measured_overhead_s
        Time of the round beyond its load and its batch. The simulated overhead is not
        part of ``simulated_compute_s``; the measured one is None if rounds waited for
        inputs.
    same_work
        Whether every batch up to here was computed. If not, the measured and the
        simulated end are not of the same work.
    """

    repeat: int
    round: int
    model: str
    batch: int
    padded_batch: int | None
    loaded_blocks: int
    loaded_bytes: int
    simulated_load_s: float
    measured_load_s: float
    simulated_compute_s: float
    measured_compute_s: float | None
    simulated_overhead_s: float
    measured_overhead_s: float | None
    simulated_end_s: float
    measured_end_s: float
    same_work: bool


def pair_rounds(
    plan: ReplayPlan, repeats: Sequence[Sequence[RoundTime]], *, paced: bool
) -> list[Pair]:
    """Pair the measured rounds with those of the plan.

    Parameters
    ----------
    plan
        The executed plan.
    repeats
        Measured times of each round, by repeat.
    paced
        Whether rounds waited for their inputs. If not, the simulated end of a round is
        the sum of all loads and batches up to it.
    """
    simulated = plan.schedule.rounds
    if paced:
        ends = [round_.end_s for round_ in simulated]
    else:
        ends = list(
            accumulate(round_.load_s + round_.compute_s for round_ in simulated)
        )
    computed = [round_.batch is not None for round_ in plan.rounds]
    same_work: list[bool] = list(accumulate(computed, and_))
    return [
        Pair(
            repeat=repeat,
            round=r,
            model=simulated[r].model,
            batch=len(simulated[r].users),
            padded_batch=None if batch is None else batch.size,
            loaded_blocks=len(simulated[r].loaded_blocks),
            loaded_bytes=simulated[r].loaded_bytes,
            simulated_load_s=simulated[r].load_s,
            measured_load_s=time.load_s,
            simulated_compute_s=simulated[r].compute_s - plan.overhead_s,
            measured_compute_s=time.compute_s,
            simulated_overhead_s=plan.overhead_s,
            measured_overhead_s=None if paced else overheads_s[r],
            simulated_end_s=ends[r],
            measured_end_s=time.end_s,
            same_work=same_work[r],
        )
        for repeat, times in enumerate(repeats)
        for overheads_s in [round_overheads_s(times)]
        for r, time in enumerate(times)
        for batch in [plan.rounds[r].batch]
    ]


def round_overheads_s(times: Sequence[RoundTime]) -> list[float]:
    """Return each round's time beyond its load and its batch, if none waited."""
    ends = pairwise([0.0, *(time.end_s for time in times)])
    return [
        end - start - time.load_s - (time.compute_s or 0.0)
        for (start, end), time in zip(ends, times, strict=True)
    ]


def rows(pairs: Sequence[Pair]) -> Iterator[Row]:
    """Yield a row of ``COLUMNS`` per pair; errors are measured − simulated.

    Ratios are over the simulated time, and empty if that is 0. Errors of ends are empty
    if the work was not the same.
    """
    for pair in pairs:
        yield {
            "repeat": pair.repeat,
            "round": pair.round,
            "model": pair.model,
            "batch": pair.batch,
            "padded_batch": pair.padded_batch,
            "loaded_blocks": pair.loaded_blocks,
            "loaded_bytes": pair.loaded_bytes,
            **_columns("load", pair.simulated_load_s, pair.measured_load_s),
            **_columns("compute", pair.simulated_compute_s, pair.measured_compute_s),
            **_columns("overhead", pair.simulated_overhead_s, pair.measured_overhead_s),
            **_columns("end", pair.simulated_end_s, pair.measured_end_s)
            | (
                {} if pair.same_work else {"end_error_s": None, "end_error_ratio": None}
            ),
        }


def _columns(
    name: str, simulated_s: float, measured_s: float | None
) -> dict[str, Cell]:
    error_s = ratio = None
    if measured_s is not None:
        error_s = measured_s - simulated_s
        ratio = error_s / simulated_s if simulated_s else None
    return {
        f"simulated_{name}_s": simulated_s,
        f"measured_{name}_s": measured_s,
        f"{name}_error_s": error_s,
        f"{name}_error_ratio": ratio,
    }


@dataclass(frozen=True)
class InTime:
    """How many of the plan's users are in time with measured times.

    Parameters
    ----------
    planned
        Users whose round was planned to end by their deadline.
    kept
        Number of these whose round still does, one per repeat.
    latest_s
        Maximum tardiness of the others over all repeats; 0 if none is late.
    """

    planned: int
    kept: tuple[int, ...]
    latest_s: float


def users_in_time(
    plan: ReplayPlan, repeats: Sequence[Sequence[RoundTime]], *, paced: bool
) -> InTime | None:
    """Compare measured ends with the users' deadlines.

    Parameters
    ----------
    plan, repeats
        As for :func:`pair_rounds`.
    paced
        If not, no round waited for its inputs, so ends follow from the measured loads
        and batches by the rules of the plan: a load starts when the previous round has
        ended, a batch when it is loaded and its inputs have arrived.

    Returns
    -------
    InTime or None
        None if a batch was left out.
    """
    if not plan.computes:
        return None
    deadline_s = {user.id: user.deadline_s for user in plan.problem.users}
    simulated = plan.schedule.rounds
    planned = [
        [user for user in r.users if r.end_s <= deadline_s[user] + TIME_TOLERANCE_S]
        for r in simulated
    ]
    kept = []
    latest_s = 0.0
    for times in repeats:
        ends = [time.end_s for time in times] if paced else retimed(plan, times)
        late_s = [
            end - deadline_s[user]
            for users, end in zip(planned, ends, strict=True)
            for user in users
        ]
        kept.append(sum(late <= TIME_TOLERANCE_S for late in late_s))
        latest_s = max([latest_s, *late_s])
    return InTime(sum(map(len, planned)), tuple(kept), latest_s)


def retimed(plan: ReplayPlan, times: Sequence[RoundTime]) -> list[float]:
    """Return the ends of rounds that take measured times and wait for inputs.

    The times are those of rounds that did not wait.
    """
    ends = []
    end_s = 0.0
    beyond = round_overheads_s(times)
    for round_, time, overhead_s in zip(plan.rounds, times, beyond, strict=True):
        loaded_s = max(end_s, round_.load_after_s) + time.load_s
        end_s = max(loaded_s, round_.inputs_at_s) + (time.compute_s or 0.0)
        end_s += overhead_s
        ends.append(end_s)
    return ends
