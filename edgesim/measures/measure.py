"""The measures of a run, over the whole run or any span of its time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesim.engine.records import DROPPED, IN_TIME, LATE, Floats
from edgesim.measures.account import Account
from edgesim.measures.gpu_time import gpu_split
from solvers.tolerance import TIME_TOLERANCE_S


@dataclass(frozen=True)
class Measures:
    """The measures of one run over a span [a, b), or over the whole run.

    Requests are those that *arrive* in the span, whenever they end; rounds are those
    whose load starts in it; GPU and uplink times are the parts that lie in the span. So
    the counts and times of consecutive spans add up. Over the whole run all requests
    and rounds count; then a = 0 and b = T, the end of the last round (0 without one),
    and every quotient by T is 0 if T = 0. A request arrives when it is released.

    Attributes
    ----------
    requests
        N, requests that arrive in the span.
    in_time, late, dropped
        Requests by outcome; they add up to N. In a plan, ``in_time`` is the task
        throughput.
    dropped_by
        Dropped requests by reason, for the reasons that occurred; they add up to
        ``dropped``.
    on_time_ratio
        in_time / N; None if N = 0.
    in_time_per_s
        in_time / (b − a): the task throughput per second.
    offered, goodput
        Requests, and requests in time, of each model requested in the span, in the
        library's order.
    finished
        in_time + late: the computed requests.
    latency_p50_s, latency_p95_s, latency_p99_s
        Percentiles of (end − arrival) over finished requests, linear between order
        statistics; None if none finished.
    span_s
        b − a.
    load_s
        Time loading but not computing. Load time hidden behind a batch counts as
        compute time.
    compute_s
        Time computing.
    wait_s
        Time neither loading nor computing in which a round is loaded, but some of its
        inputs are missing.
    idle_s
        The remainder: no round in flight. load_s + compute_s + wait_s + idle_s =
        span_s.
    spectrum_use
        Σ over bands held of hz · (end − start), / (bandwidth · (b − a)).
    bytes_loaded
        Σ over rounds of the bytes loaded.
    bytes_saved
        Bytes that the same rounds would have loaded without sharing, less
        ``bytes_loaded``. Without sharing a round loads its whole model, or nothing if
        it is resident by the same rule, each model with its own copies of its blocks. 0
        for a run without sharing.
    rounds
        Rounds.
    empty_rounds
        Rounds that loaded in vain: the inputs arrived too late to be computed.
    computed
        Σ over rounds of the batch size.
    mean_batch
        computed / (rounds − empty_rounds); None without batches.
    mean_waiting
        Time average of the number of requests whose input has arrived and whose batch
        has not started.
    """

    requests: int
    in_time: int
    late: int
    dropped: int
    dropped_by: Mapping[str, int]
    on_time_ratio: float | None
    in_time_per_s: float
    offered: Mapping[str, int]
    goodput: Mapping[str, int]
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

    @property
    def offered_per_s(self) -> dict[str, float]:
        """``offered`` / (b − a)."""
        return {name: count / self.span_s for name, count in self.offered.items()}

    @property
    def goodput_per_s(self) -> dict[str, float]:
        """``goodput`` / (b − a)."""
        return {name: count / self.span_s for name, count in self.goodput.items()}


def measure(account: Account) -> Measures:
    """Take the measures of a whole run.

    O(n log n) in requests and rounds.
    """
    run = account.run
    rounds = run.rounds
    span_s = float(rounds.end_s.max(initial=0.0))
    split = gpu_split(rounds)
    if not span_s:
        spectrum_use = 0.0
    elif len(run.bands.hz):
        held_hz_s = run.bands.hz * (run.bands.end_s - run.bands.start_s)
        bandwidth_hz = account.tables.problem.bandwidth_hz
        spectrum_use = math.fsum(held_hz_s) / (bandwidth_hz * span_s)
    else:
        spectrum_use = account.band.between(0.0, span_s) / span_s
    return _measures(
        account,
        slice(0, len(run.requests.outcome)),
        slice(0, len(rounds.batch)),
        span_s,
        gpu_s=split,
        spectrum_use=spectrum_use,
        waiting_s=account.waiting.between(0.0, span_s),
    )


def measure_span(account: Account, start_s: float, end_s: float) -> Measures:
    """Take the measures of a run over one span [start, end), in seconds of the run.

    Requests are in order of arrival. O(log) of the run's size plus O(n log n) for the n
    requests and rounds of the span; the first call sorts those of the whole run.

    Raises
    ------
    ValueError
        If the span has no length.
    """
    if not end_s > start_s:
        raise ValueError(f"a span must have a length, found {start_s} to {end_s} s")
    span_s = end_s - start_s
    load_s, compute_s, wait_s = (kind.between(start_s, end_s) for kind in account.gpu)
    idle_s = span_s - load_s - compute_s - wait_s
    # Rounding may leave a tiny or negative remainder.
    idle_s = idle_s if idle_s > TIME_TOLERANCE_S else 0.0
    return _measures(
        account,
        _between(account.run.requests.arrival_s, start_s, end_s),
        _between(account.run.rounds.load_start_s, start_s, end_s),
        span_s,
        gpu_s=(load_s, compute_s, wait_s, idle_s),
        spectrum_use=account.band.between(start_s, end_s) / span_s,
        waiting_s=account.waiting.between(start_s, end_s),
    )


def _measures(
    account: Account,
    request_rows: slice,
    round_rows: slice,
    span_s: float,
    *,
    gpu_s: tuple[float, float, float, float],
    spectrum_use: float,
    waiting_s: float,
) -> Measures:
    """Count requests and rounds, and combine them with the given times."""
    run, names = account.run, account.tables.model_names
    outcome = run.requests.outcome[request_rows]
    model = run.requests.model[request_rows]
    counts = np.bincount(outcome, minlength=DROPPED + len(run.reasons)).tolist()
    in_time, late, drops = counts[IN_TIME], counts[LATE], counts[DROPPED:]
    offered = np.bincount(model, minlength=len(names)).tolist()
    good = np.bincount(model[outcome == IN_TIME], minlength=len(names)).tolist()
    finished = outcome < DROPPED
    latency_s = (
        run.requests.end_s[request_rows] - run.requests.arrival_s[request_rows]
    )[finished]
    p50, p95, p99 = percentiles(latency_s)
    rounds = round_rows.stop - round_rows.start
    batch = run.rounds.batch[round_rows]
    computed = int(batch.sum())
    batches = int(np.count_nonzero(batch))
    load_s, compute_s, wait_s, idle_s = gpu_s
    return Measures(
        requests=len(outcome),
        in_time=in_time,
        late=late,
        dropped=sum(drops),
        dropped_by={r: n for r, n in zip(run.reasons, drops, strict=True) if n},
        on_time_ratio=in_time / len(outcome) if len(outcome) else None,
        in_time_per_s=in_time / span_s if span_s else 0.0,
        offered={m: n for m, n in zip(names, offered, strict=True) if n},
        goodput={m: g for m, g, n in zip(names, good, offered, strict=True) if n},
        finished=in_time + late,
        latency_p50_s=p50,
        latency_p95_s=p95,
        latency_p99_s=p99,
        span_s=span_s,
        load_s=load_s,
        compute_s=compute_s,
        wait_s=wait_s,
        idle_s=idle_s,
        spectrum_use=spectrum_use,
        bytes_loaded=_total(run.rounds.loaded_bytes[round_rows]),
        bytes_saved=_total(account.saved_bytes[round_rows]),
        rounds=rounds,
        empty_rounds=rounds - batches,
        computed=computed,
        mean_batch=computed / batches if batches else None,
        mean_waiting=waiting_s / span_s if span_s else 0.0,
    )


def _total(values: NDArray[np.int64]) -> int:
    """Add up whole numbers, also beyond what numpy's hold."""
    if float(np.sum(values, dtype=np.float64)) < 2.0**62:
        return int(values.sum())
    return sum(values.tolist())


def percentiles(
    values: Sequence[float] | NDArray[np.float64],
) -> tuple[float | None, float | None, float | None]:
    """Return the 50th, 95th and 99th percentile, or None for each without values.

    Linear between order statistics.
    """
    if not len(values):
        return None, None, None
    p50, p95, p99 = np.percentile(values, [50, 95, 99]).tolist()
    return p50, p95, p99


def _between(times_s: Floats, start_s: float, end_s: float) -> slice:
    """Rows of an ordered column that lie in [start, end)."""
    first, last = np.searchsorted(times_s, [start_s, end_s]).tolist()
    return slice(first, last)
