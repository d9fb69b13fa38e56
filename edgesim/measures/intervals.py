"""Means with confidence intervals: warm-up removal, batch means, repeats, pairs.

A measure over a span is a quotient y / x: requests in time over requests, seconds of
loading over seconds, bytes over seconds. Over spans 1 to n (batches of one run, or
repeats) its mean is Σ y / Σ x, the measure over all of them, and its interval is that
of a ratio estimator:

    half-width = t · s / (√n · x̄),

with s the standard deviation of y_i − mean · x_i, x̄ the mean of x, and t Student's for
95 % and n − 1 degrees of freedom. If all x are equal, as for every measure per second,
these are the plain mean and its plain interval. A percentile of latency has x = 1, or 0
in a span in which nothing finished: its mean is that of the percentiles.

The method of batch means is described in A. M. Law, Simulation Modeling and Analysis,
chapter 9; ratio estimators in W. G. Cochran, Sampling Techniques, chapter 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from edgesim.engine.records import Floats
from edgesim.errors import InputError
from edgesim.measures.account import Account
from edgesim.measures.measure import Measures, measure_span
from edgesim.measures.student import student_t

LEVEL = 0.95

Fraction: TypeAlias = tuple[float, float]
Quotient: TypeAlias = Callable[[Measures], Fraction]


def _percentile(value_s: float | None) -> Fraction:
    return (0.0, 0.0) if value_s is None else (value_s, 1.0)


QUOTIENTS: Mapping[str, Quotient] = {
    "on_time_ratio": lambda m: (m.in_time, m.requests),
    "late_ratio": lambda m: (m.late, m.requests),
    "dropped_ratio": lambda m: (m.dropped, m.requests),
    "in_time_per_s": lambda m: (m.in_time, m.span_s),
    "latency_p50_s": lambda m: _percentile(m.latency_p50_s),
    "latency_p95_s": lambda m: _percentile(m.latency_p95_s),
    "latency_p99_s": lambda m: _percentile(m.latency_p99_s),
    "load_share": lambda m: (m.load_s, m.span_s),
    "compute_share": lambda m: (m.compute_s, m.span_s),
    "wait_share": lambda m: (m.wait_s, m.span_s),
    "idle_share": lambda m: (m.idle_s, m.span_s),
    "spectrum_use": lambda m: (m.spectrum_use * m.span_s, m.span_s),
    "bytes_loaded_per_s": lambda m: (m.bytes_loaded, m.span_s),
    "bytes_saved_per_s": lambda m: (m.bytes_saved, m.span_s),
    "rounds_per_s": lambda m: (m.rounds, m.span_s),
    "empty_rounds_per_s": lambda m: (m.empty_rounds, m.span_s),
    "mean_batch": lambda m: (m.computed, m.rounds - m.empty_rounds),
    "mean_waiting": lambda m: (m.mean_waiting * m.span_s, m.span_s),
}
"""Measures that have an interval, each as numerator and denominator."""


@dataclass(frozen=True)
class Estimate:
    """A measure over several spans.

    Attributes
    ----------
    mean
        Its mean; None if it is defined in no span.
    half_width
        Half-width of the 95 % interval; None for fewer than two spans.
    values
        The measure of each span, None if undefined.
    spans
        Number of spans behind the mean: those in which the measure is defined. A share
        of another measure may be undefined in one of them, where the other is 0, and
        the share of both sums is not.
    lag1
        Correlation of the contributions of neighbouring spans to the mean's error: near
        0 if they are independent. None for fewer than three spans or without spread.
    """

    mean: float | None
    half_width: float | None
    values: tuple[float | None, ...]
    spans: int
    lag1: float | None


def batch_spans(
    warmup_s: float, end_s: float, batches: int = 1
) -> list[tuple[float, float]]:
    """Remove the warm-up and divide the rest into equal spans.

    Parameters
    ----------
    warmup_s
        Start of the first span.
    end_s
        End of arrivals, inclusive.
    batches
        Number of spans, ≥ 1.

    Raises
    ------
    InputError
        If the warm-up leaves nothing.
    """
    if not warmup_s < end_s:
        raise InputError(
            "online.warmup_s",
            f"must be less than the {end_s:g} s in which requests arrive, "
            f"found {warmup_s:g}",
        )
    edges_s = np.linspace(warmup_s, end_s, batches + 1).tolist()
    edges_s[-1] = math.nextafter(end_s, math.inf)
    return list(pairwise(edges_s))


def sample(
    accounts: Sequence[Account],
    spans: Sequence[tuple[float, float]],
) -> list[Measures]:
    """Take the measures of each span of each run, run by run.

    One run and several spans are batch means; several runs (repeats) and one span are
    independent replications.
    """
    return [measure_span(account, *span) for account in accounts for span in spans]


def estimates(
    samples: Sequence[Measures],
    quotients: Mapping[str, Quotient] = QUOTIENTS,
) -> dict[str, Estimate]:
    """Estimate measures from spans or repeats.

    Parameters
    ----------
    samples
        Measures of one policy, at least one.
    quotients
        The measures to estimate.
    """
    return {
        name: estimate(_fractions(samples, quotient))
        for name, quotient in quotients.items()
    }


def differences(
    samples: Sequence[Measures], others: Sequence[Measures]
) -> dict[str, Estimate]:
    """Estimate by how much one policy exceeds another, paired span by span.

    Both had the same arrivals in the same spans, so common random variation cancels and
    the interval is as narrow as the differences allow.

    Parameters
    ----------
    samples, others
        Measures of the two policies over the same spans or repeats, at least one.
    """
    return {
        name: estimate(_fractions(samples, quotient), _fractions(others, quotient))
        for name, quotient in QUOTIENTS.items()
    }


def method(repeats: int, batches: int, warmup_s: float, end_s: float) -> str:
    """Describe in a sentence how means and intervals were obtained.

    Parameters
    ----------
    repeats, batches
        Number of runs, and number of spans per run.
    warmup_s, end_s
        As for :func:`batch_spans`.
    """
    window = f"requests that arrive from {warmup_s:g} to {end_s:g} s"
    if repeats > 1:
        return (
            f"Measured over {window} of each of {repeats} independent repeats; "
            f"± is the 95 % interval over them (Student's t)."
        )
    if batches > 1:
        length_s = (end_s - warmup_s) / batches
        return (
            f"Measured over {window} of one run; ± is the 95 % interval of "
            f"{batches} batch means of {length_s:g} s each (Student's t), which holds "
            f"where neighbouring batches are not correlated (lag-1 correlation within "
            f"±{correlation_limit(batches):.2f})."
        )
    return f"Measured over {window} of one run, without intervals."


def correlation_limit(batches: int) -> float:
    """Bound on the lag-1 correlation of independent batches: 95 % stay within it.

    1.96 / √n, the large-sample bound; a correlation above it indicates that batches are
    too short and intervals too narrow.
    """
    return 1.96 / math.sqrt(batches)


def _fractions(samples: Sequence[Measures], quotient: Quotient) -> Floats:
    """Numerators and denominators, shape (n, 2)."""
    return np.array([quotient(measures) for measures in samples], dtype=np.float64)


def estimate(
    first: Floats, second: Floats | None = None, *, relative: bool = False
) -> Estimate:
    """Estimate a quotient, or by how much it exceeds another one, paired span by span.

    Parameters
    ----------
    first, second
        Numerators and denominators, shape (n, 2); a denominator of 0 where the quotient
        is undefined.
    relative
        Whether the excess is a share of the second quotient: first / second − 1, with
        the interval of a ratio (linear in the errors of both).
    """
    sides = [first] if second is None else [first, second]
    defined = np.logical_and.reduce([side[:, 1] > 0 for side in sides])
    ratios, values, errors = [], [], []
    for side in sides:
        y, x = side[defined].T
        if not len(x):
            return _undefined(len(first))
        ratio = float(y.sum() / x.sum())
        ratios.append(ratio)
        values.append(y / x)
        errors.append((y - ratio * x) / x.mean())
    mean, spread, each = ratios[0], errors[0], values[0]
    if second is not None:
        if not relative:
            mean, spread, each = mean - ratios[1], spread - errors[1], each - values[1]
        elif ratios[1] == 0:
            return _undefined(len(first))
        else:
            quotient = mean / ratios[1]
            mean, spread = quotient - 1, (spread - quotient * errors[1]) / ratios[1]
            with np.errstate(divide="ignore", invalid="ignore"):
                each = each / values[1] - 1
    known = iter(each.tolist())
    listed = tuple(next(known) if there else None for there in defined.tolist())
    return Estimate(
        mean=mean,
        half_width=_half_width(spread),
        values=tuple(
            None if value is None or not math.isfinite(value) else value
            for value in listed
        ),
        spans=int(defined.sum()),
        lag1=_lag1(spread),
    )


def _undefined(spans: int) -> Estimate:
    return Estimate(None, None, (None,) * spans, 0, None)


def _half_width(errors: Floats) -> float | None:
    n = len(errors)
    if n < 2:
        return None
    return float(student_t(LEVEL, n - 1) * errors.std(ddof=1) / math.sqrt(n))


def _lag1(errors: Floats) -> float | None:
    """Correlation of neighbouring errors, which have mean 0."""
    spread = float(errors @ errors)
    if len(errors) < 3 or spread == 0:
        return None
    return float(errors[:-1] @ errors[1:]) / spread
