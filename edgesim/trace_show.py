"""What a trace looks like: its numbers, and a picture of arrivals and popularity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgesim.colours import COLOURS
from edgesim.errors import InputError
from edgesim.files import write_whole
from edgesim.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURES = (".png", ".pdf", ".svg")
_TOP_MODELS = 5
_WIDTHS_S = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 21_600, 86_400, 604_800)
_MOST_BARS = 300


@dataclass(frozen=True)
class Spread:
    """Least, median, 95th percentile and greatest of a quantity."""

    least: float
    median: float
    p95: float
    greatest: float


@dataclass(frozen=True)
class TraceSummary:
    """The numbers of a trace; None where there are too few requests to say.

    Parameters
    ----------
    requests
        How many there are.
    first_s, last_s
        First and last arrival.
    mean_rate_per_s
        (requests − 1) / (last − first): one over the mean inter-arrival time.
    inter_arrival_cv
        Standard deviation of the inter-arrival times over their mean (three requests
        or more); about 1 for Poisson arrivals.
    peak_to_mean_second, peak_to_mean_minute
        Most arrivals in one whole second (minute) over the mean of all seconds
        (minutes) from the first arrival's to the last one's.
    models, users
        How many are requested, and how many request.
    top_models
        The most requested models and their shares of all requests.
    zipf_exponent
        s of count ~ 1/rank^s, least squares of log count on log rank over all models
        (two or more).
    input_bytes, slo_s
        How sizes and deadlines spread.
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
        """Write the summary as the command prints it, one quantity a line."""
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
    """Compute the numbers of a trace; any number of requests will do, even none."""
    n = len(trace)
    gaps_s = np.diff(trace.arrival_s)
    span_s = float(trace.arrival_s[-1] - trace.arrival_s[0]) if n else 0.0
    counts = np.bincount(trace.model, minlength=len(trace.models))
    order = trace.popularity()
    popular = counts[order]
    top = [code for code in order[:_TOP_MODELS].tolist() if counts[code]]
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
        models=int(np.count_nonzero(counts)),
        users=len(np.unique(trace.user)),
        top_models=tuple((trace.models[code], float(counts[code] / n)) for code in top),
        zipf_exponent=_zipf_exponent(popular[popular > 0]),
        input_bytes=_spread(trace.input_bytes),
        slo_s=_spread(trace.slo_s),
    )


def _peak_to_mean(trace: Trace, bin_s: float) -> float | None:
    if not len(trace):
        return None
    # Only the bins that hold something are counted: a trace may span years.
    bins, counts = np.unique(np.floor(trace.arrival_s / bin_s), return_counts=True)
    return float(counts.max() * (bins[-1] - bins[0] + 1) / len(trace))


def _zipf_exponent(popular: npt.NDArray[np.int64]) -> float | None:
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


def plot_arrivals(trace: Trace, ax: Axes) -> Axes:
    """Draw the arrival rate over time, in at most 300 steps of a round width."""
    if not len(trace):
        return _nothing(ax)
    first_s, last_s = float(trace.arrival_s[0]), float(trace.arrival_s[-1])
    # Far from 0 a narrow step would vanish in rounding.
    least_s = max((last_s - first_s) / (_MOST_BARS - 1), last_s * 1e-9)
    width_s = next((w for w in _WIDTHS_S if w > least_s), least_s)
    start = np.floor(first_s / width_s)
    steps = int(np.floor(last_s / width_s) - start) + 1
    edges_s = (start + np.arange(steps + 1)) * width_s
    bins = np.floor(trace.arrival_s / width_s) - start
    counts = np.bincount(bins.astype(np.int64), minlength=steps)
    unit_s, unit = (3600.0, "h") if last_s - first_s > 10_000 else (1.0, "s")
    ax.stairs(counts / width_s, edges_s / unit_s, color=COLOURS["dp"], fill=True)
    ax.set_xlim(edges_s[0] / unit_s, edges_s[-1] / unit_s)
    ax.set_ylim(bottom=0)
    ax.locator_params(axis="x", nbins=6)
    _label(ax, f"time ({unit})", f"arrivals (1/s), mean of {width_s:g} s")
    return ax


def plot_popularity(trace: Trace, ax: Axes) -> Axes:
    """Draw requests by rank of the model on log axes, with the fitted Zipf line."""
    counts = np.sort(np.bincount(trace.model))[::-1]
    counts = counts[counts > 0]
    if not len(counts):
        return _nothing(ax)
    rank = np.arange(1, len(counts) + 1)
    ax.loglog(rank, counts, "o", color=COLOURS["dp"], markersize=4, label="models")
    exponent = _zipf_exponent(counts)
    if exponent is not None:
        level = np.exp(np.mean(np.log(counts) + exponent * np.log(rank)))
        ax.loglog(
            rank,
            level * rank**-exponent,
            "--",
            color=COLOURS["greedy"],
            label=f"fit, exponent {exponent:.2f}",
        )
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")
    ax.set_xlim(0.8, len(counts) * 1.25)
    ax.set_ylim(bottom=0.8)
    _label(ax, "rank of the model", "requests")
    ax.legend(frameon=False, fontsize=8)
    return ax


def _label(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=9)
    ax.set_ylabel(y, fontsize=9)
    ax.tick_params(which="both", labelsize=8)


def _nothing(ax: Axes) -> Axes:
    ax.text(0.5, 0.5, "no requests", ha="center", va="center", transform=ax.transAxes)
    ax.set_axis_off()
    return ax


def trace_figure(trace: Trace) -> Figure:
    """Draw arrivals over time beside popularity, 18 cm wide for print."""
    from matplotlib.figure import Figure

    from edgesim.plots import style

    with style():
        figure = Figure(figsize=(7.1, 2.8), layout="constrained")
        arrivals, popularity = figure.subplots(1, 2)
        plot_arrivals(trace, arrivals)
        plot_popularity(trace, popularity)
    return figure


def check_picture_name(path: Path) -> None:
    """Refuse a picture's name whose ending says no known format.

    Raises
    ------
    InputError
        Naming ``--out`` and the endings that are known.
    """
    if path.suffix.lower() not in PICTURES:
        raise InputError(
            "--out", f"must end in {', '.join(PICTURES)}, found {path.name!r}"
        )


def write_picture(trace: Trace, path: Path) -> None:
    """Write the picture of a trace, whole or not at all; the ending says the format.

    Raises
    ------
    InputError
        When the ending is not a known one or the file cannot be written.
    """
    check_picture_name(path)
    figure = trace_figure(trace)
    with write_whole(path, "wb") as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=200)
