"""Results of a run of plans: summary, schedules and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from edgesim.experiment.inputs import Inputs
from edgesim.experiment.trial import Trial
from edgesim.instances import write_instance, write_schedule
from edgesim.measures.losses import losses, lost_by
from edgesim.measures.student import mean_interval
from edgesim.names import shares
from edgesim.plotting import timeline
from edgesim.plotting.style import Drawing
from edgesim.plotting.throughput import plot_throughput
from edgesim.plugins import file_name
from edgesim.results import perfetto
from edgesim.results.pictures import Pictures, picture_files
from edgesim.results.provenance import library_facts
from solvers import Result
from solvers.registry import NO_SHARING

PICTURES = ("throughput", "timeline")
OUTPUTS = (
    "summary.json",
    "requests.csv",
    "rounds.csv",
    "run.json",
    *picture_files(PICTURES),
    "perfetto.json",
    "plans/*/*.json",
)

PLAN_SUMMARY = "edgesim.summary/1"

MEASURES = (
    "in_time",
    "late",
    "dropped",
    "on_time_ratio",
    "in_time_per_s",
    "latency_p50_s",
    "latency_p95_s",
    "latency_p99_s",
    "span_s",
    "load_s",
    "compute_s",
    "wait_s",
    "idle_s",
    "spectrum_use",
    "bytes_loaded",
    "bytes_saved",
)
"""Measures of a plan in ``summary.json``, one value per repeat."""


class PlanSummary:
    """Collects the trials of plans.

    Parameters
    ----------
    inputs
        The inputs of the run.
    folder
        Destination of schedules and pictures; None to write neither.
    """

    def __init__(self, inputs: Inputs, folder: Path | None = None) -> None:
        self._inputs = inputs
        self._folder = folder
        self._trials: list[Trial] = []

    def add(self, trial: Trial) -> None:
        """Take in a trial, and write its schedule; the first one for a viewer too."""
        self._trials.append(trial)
        if self._folder is None:
            return
        if trial is self._trials[0]:
            perfetto.write_plan(self._folder / "perfetto.json", trial.account)
        place = self._folder / "plans" / str(trial.repeat)
        if not place.is_dir():
            place.mkdir(parents=True)
            write_instance(place / "instance.json", trial.account.tables.problem)
        write_schedule(
            place / f"{file_name(trial.name)}.json", _planned(trial).schedule
        )

    def runtime_s(self) -> dict[str, list[float]]:
        """Wall-clock times by solver, one per repeat."""
        return {
            name: [trial.runtime_s for trial in group]
            for name, group in by_name(self._trials).items()
        }

    def summary(self) -> dict[str, Any]:
        """Summarise the run: every measure by solver, and the gains of sharing.

        Each measure has its values, one a repeat, their mean, and half the width of its
        95 % interval (null for one repeat); ``goodput`` and ``dropped_by`` are summed
        over repeats. The bound is the least that any solver of the same sharing has
        proven for the same repeat; gap and status follow from it. A gain is the
        difference of a solver and its twin without sharing in the same repeat.
        ``lost_to`` says what requests were lost to, if any was.
        """
        scenario, trials = self._inputs.scenario, self._trials
        bounds = {
            sharing: _bounds(trials, sharing=sharing) for sharing in (True, False)
        }
        return {
            "schema": PLAN_SUMMARY,
            "scenario": scenario.name,
            "uplink": scenario.run.uplink,
            "seed": scenario.run.seed,
            "repeats": scenario.run.repeats,
            "noise": scenario.noise is not None,
            "library": library_facts(self._inputs.library),
            "requests": [
                next(group).measures.requests
                for _, group in groupby(trials, key=lambda trial: trial.repeat)
            ],
            "solvers": {
                name: _condensed(group, bounds[shares(name)])
                for name, group in by_name(trials).items()
            },
            "sharing_gain_in_time": {
                name: _interval(values) for name, values in _gains(trials).items()
            },
            **self._lost(),
        }

    def _lost(self) -> dict[str, Any]:
        """Say what requests were lost to, by solver; nothing if none was lost."""
        lost: dict[str, Counter[str]] = {}
        for trial in self._trials:
            lost.setdefault(trial.name, Counter()).update(losses(trial.account))
        return lost_by(lost)

    def pictures(self) -> Pictures:
        """Draw requests in time, and the first plan over time."""
        return dict(zip(PICTURES, (self._throughput, self._timeline), strict=True))

    def _throughput(self) -> Drawing:
        trials = self._trials
        in_time = {
            name: [float(trial.measures.in_time) for trial in group]
            for name, group in by_name(trials).items()
        }
        requests = {trial.measures.requests for trial in trials}
        return plot_throughput(
            in_time,
            bound=[*_bounds(trials, sharing=True).values()] or None,
            requests=requests.pop() if len(requests) == 1 else None,
            title=self._title(),
        )

    def _timeline(self) -> Drawing:
        first = self._trials[0]
        schedule = _planned(first).schedule
        uplink, _ = timeline.plot_timeline(
            first.account,
            name=f"{schedule.instance}, {schedule.solver}, {schedule.uplink} uplink",
        )
        return uplink

    def _title(self) -> str:
        scenario = self._inputs.scenario
        noise = "" if scenario.noise is None else ", with noise"
        return f"{scenario.name}, {scenario.run.uplink} uplink{noise}"


def by_name(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """Group trials by solver or policy, in the order of the scenario."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.name, []).append(trial)
    return groups


def _planned(trial: Trial) -> Result:
    assert trial.result is not None
    return trial.result


def _bounds(trials: Sequence[Trial], *, sharing: bool) -> dict[int, int]:
    """Return each repeat's least bound over the solvers with sharing, or without.

    All of them are proven for the same problem.
    """
    least: dict[int, int] = {}
    for trial in trials:
        if shares(trial.name) == sharing:
            bound = _planned(trial).bound
            least[trial.repeat] = min(least.get(trial.repeat, bound), bound)
    return least


def _gains(trials: Sequence[Trial]) -> dict[str, list[float]]:
    """Count requests in time gained by sharing, by solver with a no-sharing variant."""
    groups = by_name(trials)
    return {
        name: [
            float(sharing.measures.in_time - twin.measures.in_time)
            for sharing, twin in zip(group, groups[name + NO_SHARING], strict=True)
        ]
        for name, group in groups.items()
        if name + NO_SHARING in groups
    }


def _interval(values: Sequence[float | None]) -> dict[str, Any]:
    known = [float(value) for value in values if value is not None]
    mean, half_width = mean_interval(known) if known else (None, None)
    return {"mean": mean, "half_width_95": half_width, "values": list(values)}


def _condensed(trials: Sequence[Trial], bounds: Mapping[int, int]) -> dict[str, Any]:
    goodput: Counter[str] = Counter()
    dropped_by: Counter[str] = Counter()
    for trial in trials:
        goodput.update(trial.measures.goodput)
        dropped_by.update(trial.measures.dropped_by)
    served = [_planned(trial).served for trial in trials]
    bound = [bounds[trial.repeat] for trial in trials]
    pairs = list(zip(served, bound, strict=True))
    return {
        "status": [
            "optimal" if least == number else "feasible" for number, least in pairs
        ],
        "served": _interval(served),
        "bound": _interval(bound),
        "gap": _interval(
            [(least - number) / least if least else 0.0 for number, least in pairs]
        ),
        **{
            name: _interval([getattr(trial.measures, name) for trial in trials])
            for name in MEASURES
        },
        "goodput": dict(goodput),
        "dropped_by": dict(dropped_by),
    }
