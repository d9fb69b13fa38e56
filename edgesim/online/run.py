"""The online job: a scenario and a trace in, one simulated run for every policy out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgesim import own_models
from edgesim.engine.noise import median_spread, stated_sigma
from edgesim.engine.policy import PolicyError
from edgesim.engine.records import OnlineRun
from edgesim.engine.request import Arrival
from edgesim.engine.server import simulate
from edgesim.engine.settings import Settings
from edgesim.errors import InputError, in_file
from edgesim.inputs import Source, library_of, locate
from edgesim.library.build import Library
from edgesim.online.intervals import batch_spans
from edgesim.online.registry import make_policy, shares
from edgesim.online.spec import OnlineSpec, online_faults
from edgesim.online.stream import Spool, Stream, make_stream, open_trace
from edgesim.own_solvers import with_solver
from edgesim.profile.file import read_profile
from edgesim.scenario import Scenario, read_scenario
from edgesim.trace.scale import window_length_s
from edgesim.workload import check_windows, make_problem, map_models
from solvers import RefusalError
from solvers.core.tables import Tables

_TOLD_EVERY = 4096  # arrivals between two looks at the progress bar
_FACTORS = 4096  # factors of noise drawn at a time


@dataclass(frozen=True)
class OnlineInputs:
    """Everything an online run reads, checked; its trace lies in a temporary file.

    Parameters
    ----------
    scenario, library
        What is run; the scenario has an ``online`` section.
    spool
        The trace.
    model_names
        The library's model for each model of the trace.
    sources
        What was read, by role: scenario, trace, profile.
    assumed
        What nobody stated and was chosen, a line each, for people to read.
    """

    scenario: Scenario
    library: Library
    spool: Spool
    model_names: tuple[str, ...]
    sources: Mapping[str, Source]
    assumed: tuple[str, ...] = ()

    @property
    def online(self) -> OnlineSpec:
        """The scenario's online section."""
        assert self.scenario.online is not None
        return self.scenario.online

    @property
    def scenario_file(self) -> Path:
        """Where the scenario was read."""
        return self.sources["scenario"].path

    @property
    def length_s(self) -> float:
        """How long requests arrive in a repeat, in seconds."""
        where = f"{self.scenario_file}: workload.window_s"
        scaling = self.scenario.workload.scaling(0)
        return window_length_s(where, self.spool.arrival_s, scaling)


@dataclass(frozen=True)
class PolicyRun:
    """What one policy did in one repeat.

    Parameters
    ----------
    repeat, policy
        Which.
    stream
        The requests of the repeat, the same for every policy.
    tables
        The library as the policy meets it, with or without sharing.
    run
        Its records.
    runtime_s
        Wall-clock time of the simulation.
    """

    repeat: int
    policy: str
    stream: Stream
    tables: Tables
    run: OnlineRun
    runtime_s: float


def load_online(
    scenario_file: Path,
    folder: Path,
    *,
    trace_file: Path | None = None,
    profile_name: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    own_code: bool = False,
) -> OnlineInputs:
    """Read a scenario and its profile, build its library, and check its trace.

    Parameters
    ----------
    scenario_file
        A scenario (TOML) with an ``online`` section.
    folder
        Where the trace's columns are kept; it outlives the inputs.
    trace_file, profile_name, overrides, own_code
        As for :func:`edgesim.inputs.locate`.

    Raises
    ------
    InputError
        For whatever is wrong with any of them, naming file and place.
    """
    found = locate(
        scenario_file, trace_file, profile_name, overrides, own_code=own_code
    )
    scenario = found.scenario
    profile = read_profile(found.profile_file)
    spool = open_trace(found.trace_file, folder)
    own = own_models.is_own_models(scenario_file)
    if own:
        chosen = own_models.choose_models(found.profile_file, profile, spool)
        scenario = read_scenario(scenario_file, {**chosen, **found.overrides})
    library_rng, map_rng = np.random.default_rng(scenario.run.seed).spawn(2)
    library = library_of(scenario_file, scenario, profile, library_rng)
    check_windows(scenario_file, scenario, found.trace_file, spool.arrival_s)
    names = map_models(scenario_file, spool, library, scenario.workload.models, map_rng)
    assumed = (
        own_models.assumptions_online(scenario, spool, library, names) if own else ()
    )
    inputs = OnlineInputs(scenario, library, spool, names, found.sources, assumed)
    _check(inputs)
    return inputs


def _check(inputs: OnlineInputs) -> None:
    """Refuse what only shows once all is there, before anything is simulated."""
    online, length_s = inputs.online, inputs.length_s
    with in_file(inputs.scenario_file):
        for name in online.policies:
            make_policy(name, with_solver(name, online.options(name)))
        if not length_s:
            raise InputError(
                "workload.window_s",
                "must be given for a trace whose requests come all at once, or that "
                "has none: nothing can be measured over 0 s",
            )
        batch_spans(online.warmup_s, length_s)
        for i, fault in enumerate(online.faults):
            if fault.at_s > length_s:
                raise InputError(
                    f"online.faults[{i}].at_s",
                    f"must lie within the {length_s:g} s in which requests arrive, "
                    f"found {fault.at_s:g}",
                )
    _sigmas(inputs)


def _sigmas(inputs: OnlineInputs) -> tuple[float, float]:
    """Sigmas of the factors on load and compute times, 0 without noise."""
    spec, library = inputs.scenario.noise, inputs.library
    if spec is None:
        return 0.0, 0.0
    load = median_spread(library.load_sigma.values())
    compute = median_spread(library.compute_sigma.values())
    try:
        return (
            stated_sigma("load_sigma", spec.load_sigma, load),
            stated_sigma("compute_sigma", spec.compute_sigma, compute),
        )
    except ValueError as error:
        raise InputError(inputs.scenario_file, str(error)) from None


def _factors(sigma: float, seed: np.random.SeedSequence) -> Iterator[float] | None:
    """Draw lognormal factors of median 1, without end; None where all are 1."""
    if not sigma:
        return None

    def drawn() -> Iterator[float]:
        rng = np.random.default_rng(seed)
        while True:
            yield from np.exp(sigma * rng.standard_normal(_FACTORS)).tolist()

    return drawn()


def _counted(
    stream: Stream, policy: str, told: Callable[[str, int, int], None]
) -> Iterator[Arrival]:
    """Pass arrivals on, and tell now and then how many there were."""
    for number, arrival in enumerate(stream):
        if number % _TOLD_EVERY == 0:
            told(policy, number, stream.requests)
        yield arrival


def tables_of(inputs: OnlineInputs, *, sharing: bool) -> Tables:
    """Make the tables of a library and a GPU, without users."""
    scenario = inputs.scenario
    problem = make_problem(scenario, inputs.library, scenario.name)
    return Tables(problem, sharing=sharing)


def run_repeat(
    inputs: OnlineInputs,
    repeat: int,
    told: Callable[[str, int, int], None] | None = None,
) -> Iterator[PolicyRun]:
    """Run one repeat's requests under every policy of the scenario.

    All policies meet the same requests, links, faults and noise, and a repeat's draws
    do not depend on how many repeats there are.

    Parameters
    ----------
    inputs
        From :func:`load_online`.
    repeat
        Which one, from 0.
    told
        Called now and then with policy, requests that have come, and all there are.

    Yields
    ------
    PolicyRun
        One a policy, in the scenario's order. Its records are large: whoever does not
        keep them needs memory for one policy.

    Raises
    ------
    InputError
        When a policy fails or chooses what cannot be run, or its solver refuses.
    """
    scenario, online = inputs.scenario, inputs.online
    seed = np.random.SeedSequence(scenario.run.seed).spawn(3 + repeat)[2 + repeat]
    stream_seed, noise_seed = seed.spawn(2)
    stream = make_stream(
        inputs.spool,
        scenario,
        inputs.scenario_file,
        inputs.library,
        inputs.model_names,
        repeat,
        np.random.default_rng(stream_seed),
    )
    faults = online_faults(str(inputs.scenario_file), online, stream.users)
    load_sigma, compute_sigma = _sigmas(inputs)
    load_seed, compute_seed = noise_seed.spawn(2)
    for name in online.policies:
        tables = tables_of(inputs, sharing=shares(name))
        policy = make_policy(name, with_solver(name, online.options(name)))
        settings = Settings(
            uplink=online.uplink,
            late=online.late,
            queue_limit=online.queue_limit,
            faults=faults,
            load_factor=_factors(load_sigma, load_seed),
            compute_factor=_factors(compute_sigma, compute_seed),
        )
        arrivals = stream if told is None else _counted(stream, name, told)
        began_s = time.perf_counter()
        try:
            run = simulate(tables, arrivals, policy, settings)
        except (PolicyError, RefusalError) as error:
            raise InputError(
                f"{inputs.scenario_file}: online.policies", f"{name}: {error}"
            ) from error
        runtime_s = time.perf_counter() - began_s
        yield PolicyRun(repeat, name, stream, tables, run, runtime_s)
        del run  # or its records would be in memory beside those of the next
