"""What an online run comes to, over any span of its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgesim.engine.records import DROPPED, IN_TIME, LATE, Floats, Ints, OnlineRun
from edgesim.measures import percentiles
from edgesim.online.gpu_time import Cover, GpuTime, cover, gpu_time
from edgesim.online.whole_models import whole_bytes
from solvers.core.tables import Tables
from solvers.tolerance import TIME_TOLERANCE_S


@dataclass(frozen=True)
class OnlineMeasures:
    """The measures of one run over a span [a, b).

    Requests are those that *arrive* in the span, whenever they end; rounds are those
    whose load starts in it; time of GPU and uplink is what of it lies in the span. So
    the counts and times of spans that follow one another add up.

    Attributes
    ----------
    requests
        N, requests that arrive in the span.
    in_time, late, dropped
        Requests by outcome; they add up to N.
    dropped_by
        Dropped requests by reason, those that occurred; they add up to ``dropped``.
    on_time_ratio
        in_time / N; None if N = 0.
    in_time_per_s
        in_time / (b − a): the task throughput.
    offered_per_s, goodput_per_s
        Requests, and requests in time, of each model asked for in the span, / (b − a);
        in the library's order.
    finished
        in_time + late: those that were computed.
    latency_p50_s, latency_p95_s, latency_p99_s
        Percentiles of (end − arrival) over the finished, linear between order
        statistics; None if none finished.
    span_s
        b − a.
    load_s
        Time loading but not computing. Load time hidden behind a batch counts as
        compute time.
    compute_s
        Time computing.
    wait_s
        Time neither loading nor computing in which a round is loaded, but inputs of
        it are missing.
    idle_s
        The rest: no round in hand. load_s + compute_s + wait_s + idle_s = span_s.
    spectrum_use
        Time in which the band carries anything, / (b − a): it is used whole or not at
        all.
    bytes_loaded
        Σ over rounds of the bytes loaded.
    bytes_saved
        Bytes that the same rounds would have loaded without sharing, less
        ``bytes_loaded``. Without sharing a round loads its whole model, or nothing if
        it is resident by the same rule, each model with copies of its blocks to
        itself. 0 for a run without sharing.
    rounds
        Rounds.
    empty_rounds
        Those of them that loaded in vain: the inputs came too late to be computed.
    computed
        Σ over rounds of their batch.
    mean_batch
        computed / (rounds − empty_rounds); None without batches.
    mean_waiting
        Time average of the number of requests whose input is there and whose batch has
        not started.
    """

    requests: int
    in_time: int
    late: int
    dropped: int
    dropped_by: Mapping[str, int]
    on_time_ratio: float | None
    in_time_per_s: float
    offered_per_s: Mapping[str, float]
    goodput_per_s: Mapping[str, float]
    finished: int
    latency_p50_s: float | None
    latency_p95_s: float | None
    latency_p99_s: float | None
    span_s: float
    load_s: float
    compute_s: float
    wait_s: float
    idle_s: float
    spectrum_use: float
    bytes_loaded: int
    bytes_saved: int
    rounds: int
    empty_rounds: int
    computed: int
    mean_batch: float | None
    mean_waiting: float


@dataclass(frozen=True, eq=False)
class Account:
    """A run, and what several measures need of it; worked out when first asked for.

    Parameters
    ----------
    run
        The run.
    tables
        What it was simulated with: library, GPU, with or without sharing.
    """

    run: OnlineRun
    tables: Tables

    @cached_property
    def gpu(self) -> GpuTime:
        """What the GPU did when."""
        return gpu_time(self.run.rounds)

    @cached_property
    def band(self) -> Cover:
        """When the band carried anything."""
        return cover(self.run.busy_s[:, 0], self.run.busy_s[:, 1])

    @cached_property
    def waiting_s(self) -> tuple[Floats, Floats]:
        """From when to when requests waited, shape (n,) each: those with an input."""
        requests = self.run.requests
        there = ~np.isnan(requests.upload_end_s)
        return requests.upload_end_s[there], self.leave_s[there]

    @cached_property
    def leave_s(self) -> Floats:
        """When each request's batch started, or it was dropped, shape (K,)."""
        requests = self.run.requests
        leave_s = requests.end_s.copy()
        computed = requests.round >= 0
        leave_s[computed] = self.run.rounds.compute_start_s[requests.round[computed]]
        return leave_s

    @cached_property
    def waiting(self) -> Cover:
        """Request-seconds of waiting by when."""
        return cover(*self.waiting_s)

    @cached_property
    def saved_bytes(self) -> Ints:
        """Bytes that sharing saved, by round, shape (R,)."""
        rounds = self.run.rounds
        if not self.tables.sharing:
            return np.zeros_like(rounds.loaded_bytes)
        return whole_bytes(self.tables, rounds) - rounds.loaded_bytes

    @property
    def last_s(self) -> float:
        """When the last outcome or round of the run was; 0 if there was nothing."""
        requests, rounds = self.run.requests, self.run.rounds
        ends_s = [requests.end_s.max(initial=0.0), rounds.end_s.max(initial=0.0)]
        return float(max(ends_s))


def measure(
    run: OnlineRun, tables: Tables, start_s: float, end_s: float
) -> OnlineMeasures:
    """Take the measures of a run over one span.

    For several spans of a run make its :class:`Account` once, and use
    :func:`measure_span`.

    Parameters
    ----------
    run
        The run.
    tables
        What it was simulated with.
    start_s, end_s
        The span [start, end), in seconds of the run.

    Raises
    ------
    ValueError
        When the span has no length.
    """
    return measure_span(Account(run, tables), start_s, end_s)


def measure_span(account: Account, start_s: float, end_s: float) -> OnlineMeasures:
    """Take the measures of a run over a span, as :func:`measure` does.

    O(log) of the run's size plus O(n log n) for the n requests and rounds of the span;
    the first call sorts those of the whole run.
    """
    if not end_s > start_s:
        raise ValueError(f"a span must have a length, found {start_s} to {end_s} s")
    run, names = account.run, account.tables.model_names
    span_s = end_s - start_s
    mine = _between(run.requests.arrival_s, start_s, end_s)
    outcome = run.requests.outcome[mine]
    model = run.requests.model[mine]
    counts = np.bincount(outcome, minlength=DROPPED + len(run.reasons)).tolist()
    in_time, late, drops = counts[IN_TIME], counts[LATE], counts[DROPPED:]
    offered = np.bincount(model, minlength=len(names)).tolist()
    good = np.bincount(model[outcome == IN_TIME], minlength=len(names)).tolist()
    finished = outcome < DROPPED
    latency_s = (run.requests.end_s[mine] - run.requests.arrival_s[mine])[finished]
    p50, p95, p99 = percentiles(latency_s)
    load_s, compute_s, wait_s = (kind.between(start_s, end_s) for kind in account.gpu)
    held = _between(run.rounds.load_start_s, start_s, end_s)
    rounds = held.stop - held.start
    batch = run.rounds.batch[held]
    computed = int(batch.sum())
    batches = int(np.count_nonzero(batch))
    idle_s = span_s - load_s - compute_s - wait_s
    return OnlineMeasures(
        requests=len(outcome),
        in_time=in_time,
        late=late,
        dropped=sum(drops),
        dropped_by={r: n for r, n in zip(run.reasons, drops, strict=True) if n},
        on_time_ratio=in_time / len(outcome) if len(outcome) else None,
        in_time_per_s=in_time / span_s,
        offered_per_s={m: n / span_s for m, n in zip(names, offered, strict=True) if n},
        goodput_per_s={
            m: g / span_s for m, g, n in zip(names, good, offered, strict=True) if n
        },
        finished=in_time + late,
        latency_p50_s=p50,
        latency_p95_s=p95,
        latency_p99_s=p99,
        span_s=span_s,
        load_s=load_s,
        compute_s=compute_s,
        wait_s=wait_s,
        # Rounding may leave almost nothing, or less than nothing.
        idle_s=idle_s if idle_s > TIME_TOLERANCE_S else 0.0,
        spectrum_use=account.band.between(start_s, end_s) / span_s,
        bytes_loaded=int(run.rounds.loaded_bytes[held].sum()),
        bytes_saved=int(account.saved_bytes[held].sum()),
        rounds=rounds,
        empty_rounds=rounds - batches,
        computed=computed,
        mean_batch=computed / batches if batches else None,
        mean_waiting=account.waiting.between(start_s, end_s) / span_s,
    )


def _between(times_s: Floats, start_s: float, end_s: float) -> slice:
    """Rows of an ordered column that lie in [start, end)."""
    first, last = np.searchsorted(times_s, [start_s, end_s]).tolist()
    return slice(first, last)
