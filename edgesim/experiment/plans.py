"""Plans: plan the requests of one window with several solvers, and execute each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from edgesim import radio
from edgesim.engine import noise
from edgesim.engine.plan import simulate_plan
from edgesim.errors import InputError
from edgesim.experiment.inputs import Inputs
from edgesim.experiment.own_solvers import check_by_name, failure, solve_by_name
from edgesim.experiment.trial import Trial
from edgesim.experiment.workload import Epoch, plan_epoch
from edgesim.measures.account import Account
from edgesim.trace.requests import Trace
from solvers import EdgesimError, OwnSolverError, RefusalError
from solvers.core.tables import Tables


def plan_repeat(
    inputs: Inputs,
    repeat: int,
    failed: dict[str, EdgesimError] | None = None,
    names: Sequence[str] | None = None,
    started: Callable[[str, int], None] | None = None,
) -> Iterator[Trial]:
    """Plan one window with several solvers, and execute each plan.

    All solvers face the same requests, links and noise, and a repeat's draws do not
    depend on the number of repeats.

    Parameters
    ----------
    inputs
        Inputs of a scenario that plans.
    repeat
        Number of the repeat, from 0.
    failed
        Solvers that are skipped, with the reason; one that fails is added. If None, a
        failure ends the run.
    names
        The solvers; by default the scenario's, in its order.
    started
        Called with each solver before it works, and the repeat.

    Yields
    ------
    Trial
        One per solver.

    Raises
    ------
    InputError
        If a solver cannot take the problem, naming the condition that fails, or one of
        the user's own breaks a rule.
    """
    scenario = inputs.scenario
    epoch, noise_rng = _epoch(inputs, repeat)
    realisation = _realisation(inputs, epoch, noise_rng)
    problem = epoch.problem
    tables = Tables(problem)
    for name in scenario.run.solvers if names is None else names:
        if failed and name in failed:
            continue
        if started is not None:
            started(name, repeat)
        try:
            result = solve_by_name(
                problem,
                name,
                inputs.own,
                uplink=scenario.run.uplink,
                time_limit_s=scenario.run.time_limit_s,
                seed=scenario.run.seed + repeat,
                iterations=scenario.run.iterations,
            )
        except Exception as error:
            if failed is not None:
                failed[name] = failure(name, error, _in_repeat(inputs, repeat))
                continue
            if isinstance(error, RefusalError | OwnSolverError):
                # A point of a figure says itself in which repeat it was.
                raise _refused(inputs, error, None if names else repeat) from error
            raise
        run = simulate_plan(problem, result.schedule, realisation, tables)
        yield Trial(
            repeat,
            name,
            Account(run, tables, result.schedule),
            epoch.trace_users,
            result.runtime_s,
            epoch.length_s,
            result,
        )


def check_plans(inputs: Inputs) -> None:
    """Refuse what a solver does not take in any repeat, before any of them works.

    Raises
    ------
    InputError
        As for :func:`plan_repeat`.
    """
    run = inputs.scenario.run
    for repeat in range(run.repeats):
        problem = _epoch(inputs, repeat)[0].problem
        for name in run.solvers:
            try:
                check_by_name(problem, name, inputs.own, uplink=run.uplink)
            except (RefusalError, OwnSolverError) as error:
                raise _refused(inputs, error, repeat) from error


def _refused(inputs: Inputs, error: EdgesimError, repeat: int | None) -> InputError:
    where = "" if repeat is None else _in_repeat(inputs, repeat)
    return InputError(f"{inputs.scenario_file}: run.solvers", f"{error}{where}")


def _in_repeat(inputs: Inputs, repeat: int) -> str:
    """Say in which of several repeats something is; nothing of a single one."""
    return f" (repeat {repeat})" if inputs.scenario.run.repeats > 1 else ""


def _epoch(inputs: Inputs, repeat: int) -> tuple[Epoch, np.random.Generator]:
    """Gather a repeat's requests, and return what draws its noise."""
    scenario, trace = inputs.scenario, inputs.trace
    assert isinstance(trace, Trace)
    streams = np.random.default_rng(scenario.run.seed).spawn(3 + repeat)
    radio_rng, noise_rng = streams[2 + repeat].spawn(2)
    epoch = plan_epoch(
        scenario,
        trace,
        inputs.scenario_file,
        inputs.library,
        inputs.model_names,
        repeat,
        radio_rng,
    )
    return epoch, noise_rng


def _realisation(
    inputs: Inputs, epoch: Epoch, rng: np.random.Generator
) -> noise.Realisation | None:
    """Draw the deviations from the plan; None for a nominal run."""
    spec = inputs.scenario.noise
    if spec is None:
        return None
    load_sigma, compute_sigma = inputs.sigmas()
    refade = partial(_refade, epoch, inputs.scenario.cell) if spec.fading else None
    magnitudes = noise.Noise(
        load_sigma, compute_sigma, refade, spec.coherence_s, spec.load_factor
    )
    return noise.draw(magnitudes, epoch.problem, rng)


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
