"""A live run beside its simulations: shares in time, latencies, times of rounds.

*Closed*: live run and simulation each decide for themselves. *Open*: the live run's
rounds followed by the simulated engine, so that nothing differs but times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgesim.engine.records import IN_TIME, Floats, Run
from edgesim.engine.retraced import retraced
from edgesim.live.error_split import ErrorSplit
from edgesim.measures.errors import Errors, errors
from solvers.core.tables import Tables
from solvers.tolerance import TIME_TOLERANCE_S


@dataclass(frozen=True)
class TimeSplit:
    """Where the wall time of a live run went, in seconds.

    ``deciding_s`` is that part of deciding in which the device had nothing to do,
    ``idle_s`` the time in which neither had; ``dispatch_s`` is what loads and batches
    took beyond themselves, from being handed to the device until the engine heard of
    their end; ``both_s`` is the time in which a load and a batch were under way, which
    counts in both.
    """

    wall_s: float
    load_s: float
    compute_s: float
    deciding_s: float
    idle_s: float
    dispatch_s: float
    both_s: float = 0.0

    @property
    def beyond_s(self) -> float:
        """All time that is neither work of the device nor waiting."""
        work_s = self.load_s + self.compute_s - self.both_s
        return self.wall_s - work_s - self.idle_s

    @property
    def handling_s(self) -> float:
        """The rest: the engine's own work while the device had nothing to do."""
        return self.beyond_s - self.deciding_s - self.dispatch_s


@dataclass(frozen=True, eq=False)
class Measured:
    """A live run, and what was measured of it.

    Parameters
    ----------
    name
        The policy.
    run, tables
        The records, and the library and GPU that they are of.
    requests
        Requests of the stream, whether or not they arrived before the run ended.
    split
        Where the time went.
    choose_s, deciding_s
        Duration of each call for a round, and of all calls of the policy.
    lateness_s
        How late each moment that was known beforehand was handled.
    handover_s
        How late the end of each load and batch was heard of.
    pool_bytes, copied_bytes, copies
        Size of the pool, and what was copied into it.
    scattered_bytes, compactions, moved_bytes
        Most bytes free but not in one piece; how often blocks were moved together, and
        the bytes moved.
    interrupted, ended
        Whether a signal has ended the run; or that, or its limit.
    """

    name: str
    run: Run
    tables: Tables
    requests: int
    split: TimeSplit
    choose_s: Sequence[float]
    deciding_s: float
    lateness_s: Sequence[float]
    handover_s: Sequence[float]
    pool_bytes: int = 0
    copied_bytes: int = 0
    copies: int = 0
    scattered_bytes: int = 0
    compactions: int = 0
    moved_bytes: int = 0
    interrupted: bool = False
    ended: bool = False


@dataclass(frozen=True)
class Served:
    """How a run served its requests.

    Parameters
    ----------
    requests
        Requests compared: those that arrive after the warm-up and, in a live run that
        was ended, before its end.
    on_time
        Share of them in time; None without any.
    latency_s
        Percentiles 50, 95 and 99 of the latency of those computed; None without any.
    """

    requests: int
    on_time: float | None
    latency_s: tuple[float, float, float] | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """A live run and its simulations.

    Parameters
    ----------
    measured
        The live run.
    live, closed, open
        How the requests were served: live, simulated before, and by the live run's
        rounds simulated.
    others
        Closed simulations with something else in them, by what that is.
    first_difference, live_rounds
        The first round that differs between live and closed, from 0, and the number of
        rounds of the live run; equal if none does.
    same_rounds
        Share of the live run's rounds that are the closed simulation's, in order, up
        to the first that differs; None without rounds.
    left_over
        Requests that joined a round live and came too late for it in the open
        simulation.
    loads, batches
        Simulated and live times of each load and batch of the same bytes, the same
        requests, in seconds, and these bytes or the number of these requests, shape
        (n, 3). What the profile adds to batches for dispatch is left out.
    other_deliveries
        Requests whose inputs arrived at another time than in the closed simulation;
        none where late requests are served and no queue is limited.
    count
        Number of the first requests that are compared.
    split
        Where the error of the closed simulation comes from.
    """

    measured: Measured
    live: Served
    closed: Served
    open: Served
    first_difference: int
    live_rounds: int
    left_over: int
    loads: Floats
    batches: Floats
    other_deliveries: int
    count: int
    split: ErrorSplit | None = None
    others: Mapping[str, Served] = field(default_factory=dict)

    @property
    def same_rounds(self) -> float | None:
        """Share of rounds equal until the first that differs."""
        if not self.live_rounds:
            return None
        return self.first_difference / self.live_rounds


def compare(
    measured: Measured,
    simulated: Run,
    warmup_s: float,
    others: Mapping[str, Run] | None = None,
    overhead_s: float = 0.0,
) -> Comparison:
    """Compare a live run with its simulations.

    Parameters
    ----------
    measured
        The live run.
    simulated
        The same requests, simulated before the live run under the same policy.
    warmup_s
        Requests that arrive earlier are not compared.
    others
        Further simulations, by what differs in them.
    overhead_s
        What the profile adds to each batch for dispatch.
    """
    live = measured.run
    until_s = measured.split.wall_s if measured.ended else float("inf")
    arrived = int((simulated.requests.arrival_s <= until_s).sum())
    count = min(arrived, len(live.requests.outcome))
    again, number = retraced(measured.tables, live)
    records = live.requests
    computed = records.round >= 0
    end_s = np.full(len(computed), np.nan)
    # Who came too late to join a round again is counted with it all the same.
    end_s[number] = np.maximum(
        again.rounds.end_s[records.round[number]], records.upload_end_s[number]
    )
    in_time = end_s <= records.deadline_s + TIME_TOLERANCE_S
    return Comparison(
        measured=measured,
        live=served(live, warmup_s, count),
        closed=served(simulated, warmup_s, count),
        open=_share(records.arrival_s, in_time, end_s, computed, warmup_s, count),
        left_over=int((again.requests.round < 0).sum()),
        first_difference=_first_difference(live, simulated),
        live_rounds=len(live.rounds.model),
        loads=_pairs(again, live, "load_s", "loaded_bytes"),
        batches=_pairs(again, live, "compute_s", "batch", overhead_s),
        other_deliveries=_other_deliveries(live, simulated, count, until_s),
        count=count,
        others={
            what: served(run, warmup_s, count) for what, run in (others or {}).items()
        },
    )


def signed_errors(pairs: Floats) -> Errors | None:
    """Summarise live − simulated, in seconds; None without pairs."""
    return errors((pairs[:, 1] - pairs[:, 0]).tolist()) if len(pairs) else None


def total_ratio(pairs: Floats) -> float | None:
    """Return the sum of the errors over the sum of the simulated times."""
    simulated_s = float(pairs[:, 0].sum())
    if not simulated_s:
        return None
    return float(pairs[:, 1].sum()) / simulated_s - 1


def percentiles(values: Sequence[float]) -> tuple[float, float, float] | None:
    """Return p50, p99 and the largest of some values; None without any."""
    if not values:
        return None
    p50, p99 = np.percentile(values, [50, 99]).tolist()
    return p50, p99, max(values)


def served(run: Run, warmup_s: float, count: int) -> Served:
    """Summarise how a run served its first requests, those of the warm-up left out."""
    records = run.requests
    return _share(
        records.arrival_s,
        records.outcome == IN_TIME,
        records.end_s,
        records.round >= 0,
        warmup_s,
        count,
    )


def _share(
    arrival_s: Floats,
    in_time: np.ndarray,
    end_s: Floats,
    computed: np.ndarray,
    warmup_s: float,
    count: int,
) -> Served:
    """Summarise the first requests of a run."""
    of = np.flatnonzero(arrival_s[:count] >= warmup_s - TIME_TOLERANCE_S)
    if not len(of):
        return Served(0, None, None)
    done = of[computed[of]]
    latency_s = None
    if len(done):
        found = np.percentile(end_s[done] - arrival_s[done], [50, 95, 99]).tolist()
        latency_s = (found[0], found[1], found[2])
    return Served(len(of), float(in_time[of].mean()), latency_s)


def _first_difference(live: Run, simulated: Run) -> int:
    ours, theirs = _batches(live), _batches(simulated)
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return number
    return min(len(ours), len(theirs))


def _batches(run: Run) -> list[tuple[int, frozenset[int]]]:
    """List the model and the requests of each round."""
    of: list[set[int]] = [set() for _ in run.rounds.model]
    for number, index in enumerate(run.requests.round.tolist()):
        if index >= 0:
            of[index].add(number)
    models = run.rounds.model.tolist()
    return [(model, frozenset(one)) for model, one in zip(models, of, strict=True)]


def _other_deliveries(live: Run, simulated: Run, count: int, until_s: float) -> int:
    """Count the first requests that are delivered at different times, until some."""
    ours, theirs = (run.requests.upload_end_s[:count] for run in (live, simulated))
    ours, theirs = (np.where(of <= until_s, of, np.inf) for of in (ours, theirs))
    return int((ours != theirs).sum())


def _pairs(
    simulated: Run, live: Run, time: str, work: str, overhead_s: float = 0.0
) -> Floats:
    """Pair the times of rounds whose work is the same, and is any."""
    one, other = simulated.rounds, live.rounds
    count = min(len(one.model), len(other.model))
    same = getattr(one, work)[:count] == getattr(other, work)[:count]
    same &= getattr(other, work)[:count] > 0
    pairs: Floats = np.stack(
        [
            getattr(one, time)[:count][same] - overhead_s,
            getattr(other, time)[:count][same],
            getattr(one, work)[:count][same],
        ],
        axis=1,
    )
    return pairs
