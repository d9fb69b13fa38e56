"""Summary statistics of a trace."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgesim.trace.order import quantiles
from edgesim.trace.requests import Requests

_TOP_MODELS = 5


@dataclass(frozen=True)
class Spread:
    """Minimum, median, 95th percentile and maximum of a quantity."""

    least: float
    median: float
    p95: float
    greatest: float


class Popularity(NamedTuple):
    """How many models are requested, and how unequally; see :class:`TraceSummary`."""

    models: int
    top_models: tuple[tuple[str, float], ...]
    zipf_exponent: float | None

    def __str__(self) -> str:
        """Format it on one line."""
        top = ", ".join(f"{name} {share:.1%}" for name, share in self.top_models)
        text = f"models {self.models:,}: {top}"
        if self.models > len(self.top_models):
            text += ", ..."
        if self.zipf_exponent is not None:
            text += f"; Zipf exponent {self.zipf_exponent:.3g}"
        return text


@dataclass(frozen=True)
class TraceSummary:
    """The statistics of a trace; None where there are too few requests.

    Parameters
    ----------
    requests
        Number of requests.
    first_s, last_s
        First and last arrival.
    mean_rate_per_s
        (requests − 1) / (last − first): one over the mean inter-arrival time.
    inter_arrival_cv
        Standard deviation of the inter-arrival times over their mean (three requests
        or more); about 1 for Poisson arrivals.
    peak_to_mean_second, peak_to_mean_minute
        Maximum number of arrivals in a whole second (minute) over the mean of all
        seconds (minutes) from the first arrival's to the last one's.
    models, users
        Numbers of requested models and of requesting users.
    top_models
        The most requested models and their shares of all requests.
    zipf_exponent
        s of count ~ 1/rank^s, by least squares of log count on log rank over all models
        (two or more).
    input_bytes, slo_s
        Distribution of sizes and deadlines.
    """

    requests: int
    first_s: float | None
    last_s: float | None
    mean_rate_per_s: float | None
    inter_arrival_cv: float | None
    peak_to_mean_second: float | None
    peak_to_mean_minute: float | None
    models: int
    users: int
    top_models: tuple[tuple[str, float], ...]
    zipf_exponent: float | None
    input_bytes: Spread | None
    slo_s: Spread | None

    def __str__(self) -> str:
        """Format the summary as the command prints it, one quantity per line."""
        rows = [
            ("requests", f"{self.requests:,}"),
            ("first arrival", _text(self.first_s, "s")),
            ("last arrival", _text(self.last_s, "s")),
            ("mean rate", _text(self.mean_rate_per_s, "1/s")),
            ("inter-arrival CV", _text(self.inter_arrival_cv)),
            ("peak to mean, seconds", _text(self.peak_to_mean_second)),
            ("peak to mean, minutes", _text(self.peak_to_mean_minute)),
            ("users", f"{self.users:,}"),
            ("models", f"{self.models:,}"),
            *((f"  {name}", f"{share:.1%}") for name, share in self.top_models),
            ("Zipf exponent", _text(self.zipf_exponent)),
            ("input size", _spread_text(self.input_bytes, "B")),
            ("deadline", _spread_text(self.slo_s, "s")),
        ]
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def _text(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:,.6g} {unit}".rstrip()


def _spread_text(spread: Spread | None, unit: str) -> str:
    if spread is None:
        return "-"
    if spread.least == spread.greatest:
        return f"{_text(spread.least, unit)} (all)"
    return (
        f"{_text(spread.least, unit)} to {_text(spread.greatest, unit)}, "
        f"median {_text(spread.median, unit)}, p95 {_text(spread.p95, unit)}"
    )


def summarise(trace: Requests) -> TraceSummary:
    """Compute the statistics of a trace with any number of requests, even none.

    Goes through the trace some requests at a time; what grows in memory is the names.
    """
    n = len(trace)
    arrivals = _Arrivals()
    seen = np.zeros(len(trace.users), dtype=np.bool_)
    for piece in trace.pieces():
        arrivals.add(piece["arrival_s"])
        seen[piece["user"]] = True
    requested = popularity(trace)
    span_s = arrivals.last_s - arrivals.first_s if n else 0.0
    return TraceSummary(
        requests=n,
        first_s=arrivals.first_s if n else None,
        last_s=arrivals.last_s if n else None,
        mean_rate_per_s=(n - 1) / span_s if span_s > 0 else None,
        inter_arrival_cv=arrivals.gap_cv if n >= 3 and span_s > 0 else None,
        peak_to_mean_second=arrivals.seconds.peak_to_mean,
        peak_to_mean_minute=arrivals.minutes.peak_to_mean,
        models=requested.models,
        users=int(seen.sum()),
        top_models=requested.top_models,
        zipf_exponent=requested.zipf_exponent,
        input_bytes=_spread(trace, "input_bytes"),
        slo_s=_spread(trace, "slo_s"),
    )


def model_counts(trace: Requests) -> npt.NDArray[np.int64]:
    """Count the requests of each model, by its number."""
    counts = np.zeros(len(trace.models), dtype=np.int64)
    for piece in trace.pieces():
        counts += np.bincount(piece["model"], minlength=len(counts))
    return counts


def popularity(trace: Requests) -> Popularity:
    """Count the requests of each model of a trace, with any number of requests."""
    counts = model_counts(trace)
    order = np.argsort(-counts, kind="stable")
    popular = counts[order]
    top = [code for code in order[:_TOP_MODELS].tolist() if counts[code]]
    return Popularity(
        models=int(np.count_nonzero(counts)),
        top_models=tuple(
            (trace.models[code], float(counts[code] / len(trace))) for code in top
        ),
        zipf_exponent=zipf_exponent(popular[popular > 0]),
    )


class _Arrivals:
    """What is known of arrivals in order, some of which were added."""

    def __init__(self) -> None:
        self.first_s = self.last_s = math.nan
        self.seconds, self.minutes = _Bins(1.0), _Bins(60.0)
        self._gaps = 0
        self._mean_s = self._squares = 0.0  # of the gaps, and of their differences

    def add(self, arrival_s: npt.NDArray[np.float64]) -> None:
        """Add the next arrivals."""
        if not len(arrival_s):
            return
        if math.isnan(self.first_s):
            self.first_s = self.last_s = float(arrival_s[0])
            self._add_gaps(np.diff(arrival_s))
        else:
            self._add_gaps(np.diff(arrival_s, prepend=self.last_s))
        self.last_s = float(arrival_s[-1])
        self.seconds.add(arrival_s)
        self.minutes.add(arrival_s)

    def _add_gaps(self, gaps_s: npt.NDArray[np.float64]) -> None:
        """Join the mean and the squares of two sets (Chan, Golub and LeVeque 1979)."""
        if not len(gaps_s):
            return
        mean_s = float(gaps_s.mean())
        total = self._gaps + len(gaps_s)
        apart_s = mean_s - self._mean_s
        self._squares += float(((gaps_s - mean_s) ** 2).sum())
        self._squares += apart_s**2 * self._gaps * len(gaps_s) / total
        self._mean_s += apart_s * len(gaps_s) / total
        self._gaps = total

    @property
    def gap_cv(self) -> float:
        """Standard deviation of the gaps over their mean."""
        return math.sqrt(self._squares / self._gaps) / self._mean_s


class _Bins:
    """Arrivals by whole seconds, or longer bins, of which the fullest is known."""

    def __init__(self, bin_s: float) -> None:
        self._bin_s = bin_s
        self._first = self._last = math.nan
        self._in_last = self._most = self._all = 0

    def add(self, arrival_s: npt.NDArray[np.float64]) -> None:
        """Add the next arrivals, at least one."""
        # Only non-empty bins are counted, since a trace may span years.
        bins, counts = np.unique(np.floor(arrival_s / self._bin_s), return_counts=True)
        if not self._all:
            self._first = float(bins[0])
        elif bins[0] == self._last:
            counts[0] += self._in_last
        self._last, self._in_last = float(bins[-1]), int(counts[-1])
        self._most = max(self._most, int(counts.max()))
        self._all += len(arrival_s)

    @property
    def peak_to_mean(self) -> float | None:
        """The most arrivals of a bin over the mean of all bins; None without any."""
        if not self._all:
            return None
        return self._most * (self._last - self._first + 1) / self._all


def zipf_exponent(popular: npt.NDArray[np.int64]) -> float | None:
    """Fit Zipf's exponent to the request counts of models, most popular first.

    None if there are fewer than two models.
    """
    if len(popular) < 2:
        return None
    rank = np.log(np.arange(1, len(popular) + 1))
    count = np.log(popular)
    rank -= rank.mean()
    return float(-(rank @ (count - count.mean())) / (rank @ rank)) + 0.0


def _spread(trace: Requests, name: str) -> Spread | None:
    if not len(trace):
        return None

    def pieces() -> Iterator[npt.NDArray[Any]]:
        return (piece[name] for piece in trace.pieces())

    return Spread(*quantiles(pieces, len(trace), (0.0, 0.5, 0.95, 1.0)))
