"""The main job: a scenario and its trace in; plans, simulated runs and measures out."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgesim import noise, radio
from edgesim.errors import InputError
from edgesim.library import Library, build_library
from edgesim.measures import Measures, measure
from edgesim.profile import read_profile, shipped_profiles
from edgesim.scenario import Scenario, beside, read_scenario
from edgesim.simulation import Run, simulate_plan
from edgesim.trace import Trace, read_trace
from edgesim.workload import Epoch, map_models, plan_epoch
from solvers import RefusalError, Result, solve


@dataclass(frozen=True)
class Inputs:
    """Everything a run reads, checked and in memory.

    Parameters
    ----------
    scenario, trace, library
        What is run.
    model_names
        The library's model for each model of the trace.
    files
        The files that were read, by role: scenario, trace, profile.
    """

    scenario: Scenario
    trace: Trace
    library: Library
    model_names: tuple[str, ...]
    files: Mapping[str, Path]


@dataclass(frozen=True)
class PlanRun:
    """What one solver did in one repeat: its plan, and the plan executed."""

    repeat: int
    solver: str
    epoch: Epoch
    result: Result
    run: Run
    measures: Measures


def load_inputs(
    scenario_file: Path,
    *,
    trace_file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Inputs:
    """Read a scenario, its trace and its profile, and build its library.

    Parameters
    ----------
    scenario_file
        A scenario (TOML).
    trace_file
        A trace that replaces the scenario's.
    overrides
        Values that replace the scenario's, by key path.

    Raises
    ------
    InputError
        For whatever is wrong with any of them, naming file and place.
    """
    scenario = read_scenario(scenario_file, overrides)
    if trace_file is None:
        if scenario.workload.trace is None:
            raise InputError(
                f"{scenario_file}: workload.trace",
                "required key is missing (or name a trace with --trace)",
            )
        trace_file = beside(scenario_file, scenario.workload.trace, "traces")
    trace = read_trace(trace_file)
    named = beside(scenario_file, scenario.profile, "profiles")
    if not named.is_file() and scenario.profile not in shipped_profiles():
        raise InputError(
            f"{scenario_file}: profile",
            f"must be a file or one of {', '.join(shipped_profiles())}, "
            f"found {scenario.profile!r}",
        )
    profile = read_profile(named if named.is_file() else scenario.profile)
    library_rng, map_rng = np.random.default_rng(scenario.run.seed).spawn(2)
    try:
        library = build_library(scenario.library, profile, scenario.gpu, library_rng)
    except ValueError as error:
        raise InputError(scenario_file, str(error)) from None
    resident = scenario.gpu.resident_model
    if resident is not None and resident not in library.models:
        raise InputError(
            f"{scenario_file}: gpu.resident_model",
            f"must name a model of the library ({next(iter(library.models))}, …), "
            f"found {resident!r}",
        )
    names = map_models(scenario_file, trace, library, scenario.workload.models, map_rng)
    files = {"scenario": scenario_file, "trace": trace_file}
    if named.is_file():
        files["profile"] = named
    return Inputs(scenario, trace, library, names, files)


def run_repeat(inputs: Inputs, repeat: int) -> Iterator[PlanRun]:
    """Plan one window with every solver of the scenario, and execute each plan.

    All solvers meet the same requests, links and noise, and a repeat's draws do not
    depend on how many repeats there are.

    Parameters
    ----------
    inputs
        From :func:`load_inputs`.
    repeat
        Which one, from 0.

    Yields
    ------
    PlanRun
        One a solver, in the scenario's order.

    Raises
    ------
    InputError
        When a solver cannot take the problem, saying which condition fails.
    """
    scenario = inputs.scenario
    streams = np.random.default_rng(scenario.run.seed).spawn(3 + repeat)
    radio_rng, noise_rng = streams[2 + repeat].spawn(2)
    epoch = plan_epoch(
        scenario,
        inputs.trace,
        inputs.files["trace"],
        inputs.library,
        inputs.model_names,
        repeat,
        radio_rng,
    )
    realisation = _realisation(inputs, epoch, noise_rng)
    for name in scenario.run.solvers:
        try:
            result = solve(
                epoch.problem,
                name,
                uplink=scenario.run.uplink,
                time_limit_s=scenario.run.time_limit_s,
                seed=scenario.run.seed + repeat,
            )
        except RefusalError as refusal:
            raise InputError(
                f"{inputs.files['scenario']}: run.solvers", str(refusal)
            ) from None
        run = simulate_plan(epoch.problem, result.schedule, realisation)
        measures = measure(epoch.problem, run)
        yield PlanRun(repeat, name, epoch, result, run, measures)


def _realisation(
    inputs: Inputs, epoch: Epoch, rng: np.random.Generator
) -> noise.Realisation | None:
    """Draw what the plan does not know; None for a nominal run."""
    scenario = inputs.scenario
    if scenario.noise is None:
        return None
    sigma = inputs.library.load_sigma.values()
    try:
        return noise.draw(
            scenario.noise,
            epoch.problem,
            rng,
            fading_efficiency=partial(_refade, epoch, scenario.cell),
            measured_load_sigma=statistics.median(sigma) if sigma else None,
        )
    except ValueError as error:
        raise InputError(inputs.files["scenario"], str(error)) from None


def _refade(
    epoch: Epoch,
    cell: radio.CellSpec,
    user: int,
    blocks: int,
    rng: np.random.Generator,
) -> noise.Floats:
    """Draw a request's efficiency in later coherence blocks around its mean SNR."""
    snr_db = np.full(blocks, epoch.mean_snr_db[user])
    return radio.faded_efficiency(snr_db, cell, rng)


def run_all(
    inputs: Inputs, done: Callable[[PlanRun], None] | None = None
) -> list[PlanRun]:
    """Run every repeat with every solver.

    Parameters
    ----------
    inputs
        From :func:`load_inputs`.
    done
        Called after each plan, for a progress bar.
    """
    runs = []
    for repeat in range(inputs.scenario.run.repeats):
        for plan_run in run_repeat(inputs, repeat):
            runs.append(plan_run)
            if done is not None:
                done(plan_run)
    return runs
