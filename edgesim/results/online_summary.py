"""Results of an online run: summary, time series and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from edgesim.errors import in_file
from edgesim.experiment.inputs import Inputs
from edgesim.experiment.trial import Trial
from edgesim.measures.intervals import (
    Estimate,
    batch_spans,
    differences,
    estimates,
    method,
    sample,
)
from edgesim.measures.losses import losses, lost_by
from edgesim.measures.measure import Measures, measure_span
from edgesim.measures.series import sample_series
from edgesim.plotting.online import (
    plot_goodput,
    plot_gpu,
    plot_latency,
    plot_on_time,
)
from edgesim.plotting.online_data import Drawn, keep_for_plots
from edgesim.plugins import file_name
from edgesim.results.perfetto import write_window
from edgesim.results.pictures import Pictures, picture_files
from edgesim.results.provenance import library_facts
from edgesim.results.series_table import SERIES_COLUMNS, dump_series
from edgesim.results.tables import dump_header
from solvers.registry import NO_SHARING

PICTURES = ("latency", "on-time", "gpu-time", "goodput")
OUTPUTS = (
    "summary.json",
    "requests.csv",
    "rounds.csv",
    "series.csv",
    "run.json",
    *picture_files(PICTURES),
    "perfetto/*.json",
)
OpenTable = Callable[[Path], IO[str]]
"""Opens a table to write to, and sees to it that it is closed."""

SUMMARY = "edgesim.online-summary/1"


@dataclass
class _Kept:
    """Data kept of one policy: everything but its records."""

    samples: list[Measures] = field(default_factory=list)
    whole: list[Measures] = field(default_factory=list)
    drawn: list[Drawn] = field(default_factory=list)
    runtime_s: list[float] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)


class OnlineSummary:
    """Collects the trials of an online run, and keeps only small data.

    Parameters
    ----------
    inputs
        The inputs of the run.
    folder, open_
        Destination of the time series, windows and pictures, and what opens the series;
        None to write none of them.
    """

    def __init__(
        self,
        inputs: Inputs,
        folder: Path | None = None,
        open_: OpenTable | None = None,
    ) -> None:
        self._inputs = inputs
        self._folder = folder
        self._kept: dict[str, _Kept] = {}
        # Number of spans per run: batches of one run, or repeats undivided.
        self._batches = inputs.online.batches if inputs.scenario.run.repeats == 1 else 1
        self._series = None
        if folder is not None and open_ is not None:
            self._series = open_(folder / "series.csv")
            dump_header(self._series, "policy", SERIES_COLUMNS)

    def add(self, trial: Trial) -> None:
        """Measure a trial, and write its series and its window for a viewer."""
        online, account = self._inputs.online, trial.account
        kept = self._kept.setdefault(trial.name, _Kept())
        whole = batch_spans(online.warmup_s, trial.duration_s)
        spans = batch_spans(online.warmup_s, trial.duration_s, self._batches)
        measures = measure_span(account, *whole[0])
        with in_file(self._inputs.scenario_file):
            series = sample_series(account, online.sample_s)
        kept.samples += sample([account], spans)
        kept.whole.append(measures)
        kept.lost.update(losses(account, online.warmup_s))
        kept.drawn.append(keep_for_plots(account, measures, series, whole[0]))
        kept.runtime_s.append(trial.runtime_s)
        if self._series is not None:
            dump_series(self._series, series, trial.repeat, trial.name)
        if self._folder is not None and online.window_s is not None:
            place = self._folder / "perfetto"
            place.mkdir(exist_ok=True)
            name = f"{trial.repeat}-{file_name(trial.name)}.json"
            write_window(place / name, account, trial.users, online.window_s)

    def runtime_s(self) -> dict[str, list[float]]:
        """Wall-clock times by policy, one per repeat."""
        return {name: kept.runtime_s for name, kept in self._kept.items()}

    def summary(self) -> dict[str, Any]:
        """Condense the run: every measure by policy, and what sharing gains.

        ``lost_to`` says what requests were lost to, if any was.
        """
        scenario, online, kept = self._inputs.scenario, self._inputs.online, self._kept
        first = next(iter(kept.values()))
        repeats = scenario.run.repeats
        end_s = online.warmup_s + first.whole[0].span_s
        return {
            "schema": SUMMARY,
            "scenario": scenario.name,
            "uplink": online.uplink,
            "late": online.late,
            "residency": scenario.gpu.residency,
            "overlap": scenario.gpu.overlap,
            "seed": scenario.run.seed,
            "repeats": repeats,
            "batches": self._batches,
            "warmup_s": online.warmup_s,
            "measured_s": [measures.span_s for measures in first.whole],
            "method": method(repeats, self._batches, online.warmup_s, end_s),
            "library": library_facts(self._inputs.library),
            "requests": [measures.requests for measures in first.whole],
            "policies": {name: _condensed(policy) for name, policy in kept.items()},
            "sharing_gain": {
                name: {
                    measure: _interval(estimate)
                    for measure, estimate in differences(
                        policy.samples, kept[name + NO_SHARING].samples
                    ).items()
                }
                for name, policy in kept.items()
                if name + NO_SHARING in kept
            },
            **lost_by({name: policy.lost for name, policy in kept.items()}),
        }

    def pictures(self) -> Pictures:
        """Draw latencies, shares in time, GPU time and goodput of all policies."""
        scenario, online = self._inputs.scenario, self._inputs.online
        runs = {name: of.drawn for name, of in self._kept.items()}
        rest = ", loads overlap batches" if scenario.gpu.overlap else ""
        title = (
            f"{scenario.name}, {online.uplink} uplink, "
            f"residency {scenario.gpu.residency}{rest}"
        )
        drawings = (
            lambda: plot_latency(runs, title=title),
            lambda: plot_on_time(runs, warmup_s=online.warmup_s, title=title),
            lambda: plot_gpu(runs, title=title),
            lambda: plot_goodput(runs, title=title)[0],
        )
        return dict(zip(PICTURES, drawings, strict=True))


def _interval(estimate: Estimate) -> dict[str, Any]:
    return {
        "mean": estimate.mean,
        "half_width_95": estimate.half_width,
        "lag1": estimate.lag1,
        "values": list(estimate.values),
    }


def _condensed(kept: _Kept) -> dict[str, Any]:
    """Totals over all measured spans, and each measure with its interval."""
    dropped_by: dict[str, int] = {}
    models = dict.fromkeys(name for m in kept.whole for name in m.offered_per_s)
    for measures in kept.whole:
        for reason, count in measures.dropped_by.items():
            dropped_by[reason] = dropped_by.get(reason, 0) + count
    measured_s = sum(m.span_s for m in kept.whole)
    return {
        "in_time": sum(m.in_time for m in kept.whole),
        "late": sum(m.late for m in kept.whole),
        "dropped": sum(m.dropped for m in kept.whole),
        "dropped_by": dropped_by,
        "measures": {n: _interval(e) for n, e in estimates(kept.samples).items()},
        "goodput_per_s": {
            name: sum(m.goodput_per_s.get(name, 0.0) * m.span_s for m in kept.whole)
            / measured_s
            for name in models
        },
    }
