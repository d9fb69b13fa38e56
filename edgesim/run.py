"""The main job: a scenario and its trace in; plans, simulated runs and measures out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgesim import own_models, radio
from edgesim.engine import noise
from edgesim.engine.plan import Run, simulate_plan
from edgesim.errors import InputError, in_file
from edgesim.inputs import Source, library_of, locate
from edgesim.library.build import Library
from edgesim.measures import Measures, measure
from edgesim.own_solvers import check_solvers_there, solve_by_name
from edgesim.plugins import is_own
from edgesim.profile.file import read_profile
from edgesim.scenario import Scenario, read_scenario
from edgesim.trace.requests import Trace, read_trace
from edgesim.workload import Epoch, check_windows, map_models, plan_epoch
from solvers import EdgesimError, OwnSolverError, RefusalError, Result


@dataclass(frozen=True)
class Inputs:
    """Everything a run reads, checked and in memory.

    Parameters
    ----------
    scenario, trace, library
        What is run.
    model_names
        The library's model for each model of the trace.
    sources
        What was read, by role: scenario, trace, profile.
    assumed
        What nobody stated and was chosen, a line each, for people to read.
    """

    scenario: Scenario
    trace: Trace
    library: Library
    model_names: tuple[str, ...]
    sources: Mapping[str, Source]
    assumed: tuple[str, ...] = ()


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
    profile_name: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    own_code: bool = False,
) -> Inputs:
    """Read a scenario, its trace and its profile, and build its library.

    Parameters
    ----------
    scenario_file, trace_file, profile_name, overrides, own_code
        As for :func:`edgesim.inputs.locate`. What they leave open in ``own-models`` is
        chosen here (:mod:`edgesim.own_models`).

    Raises
    ------
    InputError
        For whatever is wrong with any of them, naming file and place.
    """
    found = locate(
        scenario_file, trace_file, profile_name, overrides, own_code=own_code
    )
    scenario = found.scenario
    with in_file(scenario_file):
        check_solvers_there(scenario.run.solvers)
    trace = read_trace(found.trace_file)
    profile = read_profile(found.profile_file)
    own = own_models.is_own_models(scenario_file)
    if own:
        chosen = own_models.choose(found.profile_file, profile, trace)
        scenario = read_scenario(scenario_file, {**chosen, **found.overrides})
    check_windows(scenario_file, scenario, found.trace_file, trace.arrival_s)
    library_rng, map_rng = np.random.default_rng(scenario.run.seed).spawn(2)
    library = library_of(scenario_file, scenario, profile, library_rng)
    names = map_models(scenario_file, trace, library, scenario.workload.models, map_rng)
    assumed = own_models.assumptions(scenario, trace, library, names) if own else ()
    return Inputs(scenario, trace, library, names, found.sources, assumed)


def run_repeat(
    inputs: Inputs, repeat: int, failed: dict[str, EdgesimError] | None = None
) -> Iterator[PlanRun]:
    """Plan one window with every solver of the scenario, and execute each plan.

    All solvers meet the same requests, links and noise, and a repeat's draws do not
    depend on how many repeats there are.

    Parameters
    ----------
    inputs
        From :func:`load_inputs`.
    repeat
        Which one, from 0.
    failed
        Solvers of the user's own that are left out, and why; one that fails is added.
        If None, its failure ends the run.

    Yields
    ------
    PlanRun
        One a solver, in the scenario's order.

    Raises
    ------
    InputError
        When a solver cannot take the problem, saying which condition fails, or one of
        the user's own breaks a rule.
    """
    scenario = inputs.scenario
    streams = np.random.default_rng(scenario.run.seed).spawn(3 + repeat)
    radio_rng, noise_rng = streams[2 + repeat].spawn(2)
    epoch = plan_epoch(
        scenario,
        inputs.trace,
        inputs.sources["scenario"].path,
        inputs.library,
        inputs.model_names,
        repeat,
        radio_rng,
    )
    realisation = _realisation(inputs, epoch, noise_rng)
    for name in scenario.run.solvers:
        if failed and name in failed:
            continue
        try:
            result = solve_by_name(
                epoch.problem,
                name,
                uplink=scenario.run.uplink,
                time_limit_s=scenario.run.time_limit_s,
                seed=scenario.run.seed + repeat,
                iterations=scenario.run.iterations,
            )
        except (RefusalError, OwnSolverError) as error:
            if failed is not None and is_own(name):
                failed[name] = error
                continue
            raise InputError(
                f"{inputs.sources['scenario'].path}: run.solvers", str(error)
            ) from error
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
    library = inputs.library
    try:
        return noise.draw(
            scenario.noise,
            epoch.problem,
            rng,
            fading_efficiency=partial(_refade, epoch, scenario.cell),
            measured_load_sigma=noise.median_spread(library.load_sigma.values()),
            measured_compute_sigma=noise.median_spread(library.compute_sigma.values()),
        )
    except ValueError as error:
        raise InputError(inputs.sources["scenario"].path, str(error)) from None


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
    inputs: Inputs,
    done: Callable[[PlanRun], None] | None = None,
    failed: dict[str, EdgesimError] | None = None,
) -> list[PlanRun]:
    """Run every repeat with every solver.

    Parameters
    ----------
    inputs
        From :func:`load_inputs`.
    done
        Called after each plan, for a progress bar.
    failed
        Takes up the solvers of the user's own that fail, and why: what they did before
        is left out. If None, a failure ends the run.
    """
    runs = []
    for repeat in range(inputs.scenario.run.repeats):
        for plan_run in run_repeat(inputs, repeat, failed):
            runs.append(plan_run)
            if done is not None:
                done(plan_run)
    return [one for one in runs if one.solver not in (failed or ())]
