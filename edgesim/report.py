"""What ``edgesim run`` leaves behind: tables, summary, plans, pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

from edgesim import perfetto, results
from edgesim.files import write_json, write_whole_folder
from edgesim.formats import write_instance, write_schedule
from edgesim.measures import Measures, mean_interval
from edgesim.plotting import timeline
from edgesim.plotting.style import save
from edgesim.plotting.throughput import plot_throughput
from edgesim.plugins import file_name
from edgesim.provenance import assumed_text, library_facts, library_text, provenance
from edgesim.run import Inputs, PlanRun
from edgesim.text import shortened
from solvers.registry import NO_SHARING

OUTPUTS = (
    "summary.json",
    "requests.csv",
    "rounds.csv",
    "run.json",
    "throughput.png",
    "timeline.png",
    "perfetto.json",
    "plans",
)


def write_report(
    folder: Path,
    inputs: Inputs,
    runs: Sequence[PlanRun],
    failed: Mapping[str, Exception] | None = None,
) -> None:
    """Write every output of a run into a folder, all of them or none.

    ``summary.json``, ``requests.csv``, ``rounds.csv``, ``run.json``,
    ``throughput.png``, ``timeline.png`` and ``perfetto.json`` of the first solver's
    plan in repeat 0, and ``plans/REPEAT/`` with the instance and each schedule.
    All but ``run.json``, which holds run times and versions, are the same bytes for
    the same inputs and seed, unless a time limit ended a solver.

    Parameters
    ----------
    folder
        Made, or replaced if it holds an earlier run.
    inputs, runs
        What was run and what came out, repeat by repeat.
    failed
        Solvers of the user's own that are left out, and why, for ``run.json``.

    Raises
    ------
    InputError
        When the folder holds something else or cannot be written.
    """
    with write_whole_folder(folder, OUTPUTS) as temporary:
        write_json(temporary / "summary.json", summary(inputs, runs))
        results.write_requests(
            temporary / "requests.csv",
            (
                {**row, "user": user}
                for one in runs
                for row, user in zip(
                    results.request_rows(one.run, repeat=one.repeat, solver=one.solver),
                    one.epoch.trace_users,
                    strict=True,
                )
            ),
        )
        results.write_rounds(
            temporary / "rounds.csv",
            (
                row
                for one in runs
                for row in results.round_rows(
                    one.run, repeat=one.repeat, solver=one.solver
                )
            ),
        )
        _write_plans(temporary / "plans", runs)
        _write_pictures(temporary, inputs, runs)
        perfetto.write_trace(temporary / "perfetto.json", runs[0].run)
        runtime_s = {
            name: [one.result.runtime_s for one in of]
            for name, of in by_solver(runs).items()
        }
        write_json(
            temporary / "run.json",
            provenance(
                inputs.scenario, inputs.sources, runtime_s, inputs.assumed, failed
            ),
        )


def _write_plans(folder: Path, runs: Sequence[PlanRun]) -> None:
    for repeat, group in groupby(runs, key=lambda one: one.repeat):
        place = folder / str(repeat)
        place.mkdir(parents=True)
        for number, one in enumerate(group):
            if number == 0:
                write_instance(place / "instance.json", one.epoch.problem)
            name = file_name(one.solver)
            write_schedule(place / f"{name}.json", one.result.schedule)


def _write_pictures(folder: Path, inputs: Inputs, runs: Sequence[PlanRun]) -> None:
    in_time = {
        name: [float(one.measures.in_time) for one in of]
        for name, of in by_solver(runs).items()
    }
    requests = [one.measures.requests for one in runs]
    ax = plot_throughput(
        in_time,
        bound=_bounds(runs) or None,
        requests=requests[0] if len(set(requests)) == 1 else None,
        title=_what(inputs),
    )
    save(ax, folder / "throughput.png")
    first = runs[0]
    schedule = first.result.schedule
    uplink_ax, _ = timeline.plot_timeline(
        first.epoch.problem,
        first.run,
        name=f"{schedule.instance}, {schedule.solver}, {schedule.uplink} uplink",
    )
    save(uplink_ax, folder / "timeline.png")


def _what(inputs: Inputs) -> str:
    """Name what was run, for a picture's title."""
    scenario = inputs.scenario
    noise = "" if scenario.noise is None else ", with noise"
    return f"{scenario.name}, {scenario.run.uplink} uplink{noise}"


def _bounds(runs: Sequence[PlanRun]) -> list[float]:
    """List each repeat's least bound over the solvers that share, if there are any."""
    least: dict[int, float] = {}
    for one in runs:
        if not one.solver.endswith(NO_SHARING):
            bound = float(one.result.bound)
            least[one.repeat] = min(least.get(one.repeat, bound), bound)
    return list(least.values())


def by_solver(runs: Sequence[PlanRun]) -> dict[str, list[PlanRun]]:
    """Group runs by solver, in the order of the scenario."""
    groups: dict[str, list[PlanRun]] = {}
    for one in runs:
        groups.setdefault(one.solver, []).append(one)
    return groups


def summary(inputs: Inputs, runs: Sequence[PlanRun]) -> dict[str, Any]:
    """Condense a run: every measure by solver, and what sharing gains.

    Each measure has its values, one a repeat, their mean, and half the width of its
    95 % interval (null for one repeat); ``goodput`` is summed over repeats. A gain is
    the difference of a solver and its twin without sharing in the same repeat.
    """
    scenario = inputs.scenario
    return {
        "schema": "edgesim.summary/1",
        "scenario": scenario.name,
        "uplink": scenario.run.uplink,
        "seed": scenario.run.seed,
        "repeats": scenario.run.repeats,
        "noise": scenario.noise is not None,
        "library": library_facts(inputs.library),
        "requests": [of[0].measures.requests for of in _by_repeat(runs)],
        "solvers": {name: _condensed(of) for name, of in by_solver(runs).items()},
        "sharing_gain_in_time": {
            name: _interval(values) for name, values in gains(runs).items()
        },
    }


def gains(runs: Sequence[PlanRun]) -> dict[str, list[float]]:
    """Count the requests in time that sharing gains, by solver with a twin."""
    groups = by_solver(runs)
    return {
        name: [
            float(one.measures.in_time - twin.measures.in_time)
            for one, twin in zip(of, groups[name + NO_SHARING], strict=True)
        ]
        for name, of in groups.items()
        if name + NO_SHARING in groups
    }


def _interval(values: Sequence[float | None]) -> dict[str, Any]:
    known = [float(value) for value in values if value is not None]
    mean, half_width = mean_interval(known) if known else (None, None)
    return {"mean": mean, "half_width_95": half_width, "values": list(values)}


def _condensed(runs: Sequence[PlanRun]) -> dict[str, Any]:
    goodput: Counter[str] = Counter()
    for one in runs:
        goodput.update(one.measures.goodput)
    numbers = [
        f.name for f in fields(Measures) if f.name not in ("requests", "goodput")
    ]
    return {
        "status": [one.result.status for one in runs],
        "served": _interval([one.result.served for one in runs]),
        "bound": _interval([one.result.bound for one in runs]),
        "gap": _interval([one.result.gap for one in runs]),
        **{
            name: _interval([getattr(one.measures, name) for one in runs])
            for name in numbers
        },
        "goodput": dict(goodput),
    }


def _by_repeat(runs: Sequence[PlanRun]) -> list[list[PlanRun]]:
    return [list(group) for _, group in groupby(runs, key=lambda one: one.repeat)]


def table(inputs: Inputs, runs: Sequence[PlanRun]) -> str:
    """Write what people read: the library, and a row a solver, means over repeats.

    What was assumed stands below, where a scenario leaves that to edgesim.
    """
    lines = [
        library_text(library_facts(inputs.library)),
        f"{'solver':<22}{'in time':>14}{'planned':>9}{'bound':>8}{'gap':>8}"
        f"{'optimal':>10}{'solver time':>14}",
    ]
    for name, of in by_solver(runs).items():
        in_time, half = mean_interval([one.measures.in_time for one in of])
        interval = "" if half is None else f" ± {half:.1f}"
        proven = sum(one.result.status == "optimal" for one in of)
        lines.append(
            f"{shortened(name, 21):<22}{f'{in_time:.1f}{interval}':>14}"
            f"{_mean([one.result.served for one in of]):>9.1f}"
            f"{_mean([one.result.bound for one in of]):>8.1f}"
            f"{_mean([one.result.gap for one in of]):>8.1%}"
            f"{f'{proven}/{len(of)}':>10}"
            f"{_mean([one.result.runtime_s for one in of]):>12.3f} s"
        )
    for name, difference in gains(runs).items():
        gain, half = mean_interval(difference)
        interval = "" if half is None else f" ± {half:.1f}"
        alone = _mean([one.measures.in_time for one in by_solver(runs)[name]]) - gain
        share = f" ({gain / alone:+.0%})" if alone else ""
        lines.append(f"sharing gains {name} {gain:+.1f}{interval} in time{share}")
    requests = [one[0].measures.requests for one in _by_repeat(runs)]
    lines.append(
        f"of {_mean(requests):.1f} requests on average; "
        f"means over {len(requests)} repeat{'s' if len(requests) > 1 else ''}"
        + (", ± half a 95 % interval" if len(requests) > 1 else "")
    )
    if inputs.assumed:
        lines.append(assumed_text(inputs.assumed))
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    return mean_interval([float(value) for value in values])[0]
