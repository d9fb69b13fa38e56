"""What ``edgesim run`` leaves behind: tables, summary, plans, pictures."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from edgesim import __version__, perfetto, plots, results, sharing, timeline
from edgesim.files import sha256, write_json, write_whole_folder
from edgesim.formats import write_instance, write_schedule
from edgesim.measures import mean_interval
from edgesim.run import Inputs, PlanRun

MARKER = "run.json"
PACKAGES = ("numpy", "simpy", "networkx", "pulp", "highspy", "matplotlib", "pydantic")
NO_SHARING = "-noshare"


def write_report(folder: Path, inputs: Inputs, runs: Sequence[PlanRun]) -> None:
    """Write every output of a run into a folder, all of them or none.

    ``summary.json``, ``requests.csv``, ``rounds.csv``, ``run.json``,
    ``throughput.png``, ``timeline.png``, ``perfetto.json`` (the last two of the first
    solver's first plan), and ``plans/REPEAT/`` with the instance and each schedule.
    All but ``run.json``, which holds run times and versions, are the same bytes for
    the same inputs and seed, unless a time limit ended a solver.

    Parameters
    ----------
    folder
        Made, or replaced if it holds an earlier run.
    inputs, runs
        What was run and what came out, repeat by repeat.

    Raises
    ------
    InputError
        When the folder holds something else or cannot be written.
    """
    with write_whole_folder(folder, MARKER) as temporary:
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
        _write_pictures(temporary, runs)
        perfetto.write_trace(temporary / "perfetto.json", runs[0].run)
        write_json(temporary / MARKER, _provenance(inputs, runs))


def _write_plans(folder: Path, runs: Sequence[PlanRun]) -> None:
    for repeat, group in groupby(runs, key=lambda one: one.repeat):
        place = folder / str(repeat)
        place.mkdir(parents=True)
        for number, one in enumerate(group):
            if number == 0:
                write_instance(place / "instance.json", one.epoch.problem)
            write_schedule(place / f"{one.solver}.json", one.result.schedule)


def _write_pictures(folder: Path, runs: Sequence[PlanRun]) -> None:
    in_time = {
        name: [float(one.measures.in_time) for one in of]
        for name, of in by_solver(runs).items()
    }
    requests = [one.measures.requests for one in runs]
    ax = plots.plot_throughput(
        in_time,
        bound=_bounds(runs),
        requests=requests[0] if len(set(requests)) == 1 else None,
    )
    plots.save(ax, folder / "throughput.png")
    first = runs[0]
    schedule = first.result.schedule
    uplink_ax, _ = timeline.plot_timeline(
        first.epoch.problem,
        first.run,
        name=f"{schedule.instance}, {schedule.solver}, {schedule.uplink} uplink",
    )
    plots.save(uplink_ax, folder / "timeline.png")


def _bounds(runs: Sequence[PlanRun]) -> list[float]:
    """Least proven bound of each repeat over the solvers that share."""
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
    """Condense a run: per solver the means over repeats, with 95 % half-widths."""
    scenario = inputs.scenario
    return {
        "schema": "edgesim.summary/1",
        "scenario": scenario.name,
        "uplink": scenario.run.uplink,
        "seed": scenario.run.seed,
        "repeats": scenario.run.repeats,
        "noise": scenario.noise is not None,
        "library": {
            "models": len(inputs.library.models),
            "blocks": len(inputs.library.blocks),
            "clusters": len(sharing.clusters(inputs.library)),
            "laminar": sharing.is_laminar(inputs.library),
            "bytes_total": sharing.bytes_total(inputs.library),
            "bytes_distinct": sharing.bytes_distinct(inputs.library),
        },
        "requests": [of[0].measures.requests for of in _by_repeat(runs)],
        "solvers": {name: _condensed(of) for name, of in by_solver(runs).items()},
    }


def _by_repeat(runs: Sequence[PlanRun]) -> list[list[PlanRun]]:
    return [list(group) for _, group in groupby(runs, key=lambda one: one.repeat)]


def _condensed(runs: Sequence[PlanRun]) -> dict[str, Any]:
    measures = [one.measures for one in runs]
    in_time, half_width = mean_interval([m.in_time for m in measures])
    goodput: dict[str, int] = {}
    for m in measures:
        for model, count in m.goodput.items():
            goodput[model] = goodput.get(model, 0) + count

    def total(name: str) -> Any:
        return sum(getattr(m, name) for m in measures)

    def each(name: str) -> list[Any]:
        return [getattr(m, name) for m in measures]

    return {
        "in_time_mean": in_time,
        "in_time_half_width_95": half_width,
        "in_time": each("in_time"),
        "late": each("late"),
        "dropped": each("dropped"),
        "served": [one.result.served for one in runs],
        "bound": [one.result.bound for one in runs],
        "gap": [one.result.gap for one in runs],
        "status": [one.result.status for one in runs],
        "on_time_ratio": each("on_time_ratio"),
        "in_time_per_s": each("in_time_per_s"),
        "latency_p50_s": each("latency_p50_s"),
        "latency_p95_s": each("latency_p95_s"),
        "latency_p99_s": each("latency_p99_s"),
        "span_s": each("span_s"),
        "load_s": total("load_s"),
        "compute_s": total("compute_s"),
        "wait_s": total("wait_s"),
        "idle_s": total("idle_s"),
        "spectrum_use": each("spectrum_use"),
        "bytes_loaded": total("bytes_loaded"),
        "bytes_saved": total("bytes_saved"),
        "goodput": goodput,
    }


def _provenance(inputs: Inputs, runs: Sequence[PlanRun]) -> dict[str, Any]:
    return {
        "schema": "edgesim.run/1",
        "edgesim": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "seed": inputs.scenario.run.seed,
        "inputs": {
            role: {"file": path.name, "sha256": sha256(path)}
            for role, path in inputs.files.items()
        },
        "scenario": inputs.scenario.model_dump(mode="json", exclude_none=True),
        "runtime_s": {
            name: [one.result.runtime_s for one in of]
            for name, of in by_solver(runs).items()
        },
    }


def table(inputs: Inputs, runs: Sequence[PlanRun]) -> str:
    """Write what people read: the library, and a row a solver, means over repeats."""
    library = inputs.library
    total, distinct = sharing.bytes_total(library), sharing.bytes_distinct(library)
    lines = [
        f"{len(library.models)} models in {len(sharing.clusters(library))} clusters, "
        f"{'laminar' if sharing.is_laminar(library) else 'crossing'} sharing: "
        f"{distinct / 1e9:.2f} GB distinct of {total / 1e9:.2f} GB",
        f"{'solver':<16}{'in time':>14}{'planned':>9}{'bound':>8}{'gap':>8}"
        f"{'optimal':>10}{'solver time':>14}",
    ]
    for name, of in by_solver(runs).items():
        in_time, half = mean_interval([one.measures.in_time for one in of])
        interval = "" if half is None else f" ± {half:.1f}"
        proven = sum(one.result.status == "optimal" for one in of)
        lines.append(
            f"{name:<16}{f'{in_time:.1f}{interval}':>14}"
            f"{_mean([one.result.served for one in of]):>9.1f}"
            f"{_mean([one.result.bound for one in of]):>8.1f}"
            f"{_mean([one.result.gap for one in of]):>8.1%}"
            f"{f'{proven}/{len(of)}':>10}"
            f"{_mean([one.result.runtime_s for one in of]):>12.3f} s"
        )
    requests = [one[0].measures.requests for one in _by_repeat(runs)]
    lines.append(
        f"of {_mean(requests):.1f} requests on average; "
        f"means over {len(requests)} repeat{'s' if len(requests) > 1 else ''}"
        + (", ± half a 95 % interval" if len(requests) > 1 else "")
    )
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    return mean_interval([float(value) for value in values])[0]
