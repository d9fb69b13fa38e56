"""Summary statistics of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgesim.trace.requests import Trace

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


def summarise(trace: Trace) -> TraceSummary:
    """Compute the statistics of a trace with any number of requests, even none."""
    n = len(trace)
    gaps_s = np.diff(trace.arrival_s)
    span_s = float(trace.arrival_s[-1] - trace.arrival_s[0]) if n else 0.0
    requested = popularity(trace)
    return TraceSummary(
        requests=n,
        first_s=float(trace.arrival_s[0]) if n else None,
        last_s=float(trace.arrival_s[-1]) if n else None,
        mean_rate_per_s=(n - 1) / span_s if span_s > 0 else None,
        inter_arrival_cv=(
            float(gaps_s.std() / gaps_s.mean()) if n >= 3 and span_s > 0 else None
        ),
        peak_to_mean_second=_peak_to_mean(trace, 1.0),
        peak_to_mean_minute=_peak_to_mean(trace, 60.0),
        models=requested.models,
        users=len(np.unique(trace.user)),
        top_models=requested.top_models,
        zipf_exponent=requested.zipf_exponent,
        input_bytes=_spread(trace.input_bytes),
        slo_s=_spread(trace.slo_s),
    )


def popularity(trace: Trace) -> Popularity:
    """Count the requests of each model of a trace, with any number of requests."""
    counts = np.bincount(trace.model, minlength=len(trace.models))
    order = trace.popularity()
    popular = counts[order]
    top = [code for code in order[:_TOP_MODELS].tolist() if counts[code]]
    return Popularity(
        models=int(np.count_nonzero(counts)),
        top_models=tuple(
            (trace.models[code], float(counts[code] / len(trace))) for code in top
        ),
        zipf_exponent=zipf_exponent(popular[popular > 0]),
    )


def _peak_to_mean(trace: Trace, bin_s: float) -> float | None:
    if not len(trace):
        return None
    # Only non-empty bins are counted, since a trace may span years.
    bins, counts = np.unique(np.floor(trace.arrival_s / bin_s), return_counts=True)
    return float(counts.max() * (bins[-1] - bins[0] + 1) / len(trace))


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


def _spread(values: npt.NDArray[Any]) -> Spread | None:
    if not len(values):
        return None
    return Spread(*np.quantile(values, (0.0, 0.5, 0.95, 1.0)).tolist())
