"""From a trace to problems: one window of requests, planned together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edgesim.errors import InputError, from_validation, short
from edgesim.experiment.popularity import drawn_ranks
from edgesim.experiment.window import links_of, window_of
from edgesim.library.build import Library
from edgesim.library.family_order import family_order
from edgesim.profile.values import Profile
from edgesim.scenario import Scenario
from edgesim.scenario.scenario import ModelMap
from edgesim.trace.requests import Trace
from solvers import Problem, User
from solvers.spelling import did_you_mean

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Epoch:
    """Requests planned together at time 0, with their mean SNR.

    Parameters
    ----------
    problem
        The problem; its users are the requests of one window.
    trace_users
        The trace's user behind each request.
    mean_snr_db
        SNR of each request averaged over fading, shape (K,).
    length_s
        Duration for which they arrive.
    """

    problem: Problem
    trace_users: tuple[str, ...]
    mean_snr_db: Floats
    length_s: float


class Demand(Protocol):
    """Arrivals and models of requests: a trace, in memory or not."""

    @property
    def arrival_s(self) -> Floats:
        """Arrivals in seconds from the start of the trace, in order."""
        ...

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, by number."""
        ...

    def popularity(self) -> NDArray[np.int32]:
        """List every model's number, most requested first, ties by lower number."""
        ...


def map_models(
    scenario_file: Path,
    trace: Demand,
    library: Library,
    profile: Profile,
    rule: ModelMap,
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """Map each model of the trace to a library model.

    Parameters
    ----------
    scenario_file
        For messages.
    trace, library
        The trace and the library to match.
    profile
        The profile that the library is made of, for the contents of its models.
    rule
        ``workload.models`` of the scenario.
    rng
        Draws the permutation of ``"random"``.

    Returns
    -------
    tuple of str
        Names in the library, by the trace's model number.

    Raises
    ------
    InputError
        If a name is not in the library, or there are more ranks than models.
    """
    names = list(library.models)
    key = f"{scenario_file}: workload.models"
    if rule == "name":
        for name in trace.models:
            if name not in library.models:
                raise InputError(
                    key,
                    f"trace model {name!r} is not in the library "
                    f"({short(names)}); with 'rank', 'round-robin', 'families' or "
                    f"'random' the names need not match{did_you_mean(name, names)}",
                )
        return trace.models
    if rule in ("rank", "random") and len(trace.models) > len(names):
        raise InputError(
            key,
            f"{rule!r} needs at least as many library models ({len(names)}) as the "
            f"trace has ({len(trace.models)}); 'round-robin' and 'families' reuse them",
        )
    if rule == "families":
        names = family_order(library, profile)
    elif rule == "random":
        names = [names[i] for i in rng.permutation(len(names))]
    rank = np.empty(len(trace.models), dtype=np.int64)
    rank[trace.popularity()] = np.arange(len(trace.models))
    return tuple(names[r % len(names)] for r in rank)


def make_problem(
    scenario: Scenario, library: Library, name: str, users: tuple[User, ...] = ()
) -> Problem:
    """Combine a library, the scenario's band and GPU, and users in a problem.

    Raises
    ------
    pydantic.ValidationError
        If they do not make a valid problem.
    """
    gpu = scenario.gpu
    return Problem(
        name=name,
        bandwidth_hz=scenario.cell.bandwidth_hz,
        gpu_memory_bytes=gpu.memory_bytes,
        resident_model=gpu.resident_model,
        residency=gpu.residency,
        eviction=gpu.eviction,
        overlap=gpu.overlap,
        blocks=library.blocks,
        models=library.models,
        users=users,
    )


def plan_epoch(
    scenario: Scenario,
    trace: Trace,
    scenario_file: Path,
    library: Library,
    model_names: tuple[str, ...],
    repeat: int,
    rng: np.random.Generator,
) -> Epoch:
    """Collect the requests of one repeat in a problem.

    Parameters
    ----------
    scenario, trace, library
        The inputs of the run.
    scenario_file
        For messages.
    model_names
        From :func:`map_models`, or by rank if the models of requests are drawn.
    repeat
        Number of the repeat, from 0.
    rng
        Draws places, shadowing and fading, the scaling, and models if they are drawn.

    Raises
    ------
    InputError
        If a request cannot be part of a problem, for example because a common deadline
        precedes its release.
    """
    workload = scenario.workload
    where = f"{scenario_file}: workload.window_s"
    scale_rng, model_rng = rng.spawn(2)
    found = window_of(workload, trace, where, repeat, scale_rng)
    window = found.requests
    snr_db, efficiency = links_of(found, trace, scenario.cell, rng)
    if workload.releases == "trace":
        release_s = window.arrival_s
    else:
        release_s = np.zeros(len(window))
    deadline_s = release_s + window.slo_s
    if workload.deadline_s is not None:
        last_s = float(release_s.max(initial=0.0))
        if workload.deadline_s <= last_s:
            raise InputError(
                f"{scenario_file}: workload.deadline_s",
                f"must be later than every release of its window ({last_s:g} s), "
                f"found {workload.deadline_s:g}",
            )
        deadline_s = np.full(len(window), workload.deadline_s)
    model = window.model
    if workload.zipf is not None:
        model = drawn_ranks(len(window), len(model_names), workload.zipf, model_rng)
    width = len(str(len(window)))
    try:
        users = tuple(
            User(
                id=f"q{i + 1:0{width}}",
                model=model_names[model[i]],
                input_bits=8.0 * float(window.input_bytes[i]),
                spectral_efficiency=float(efficiency[i]),
                release_s=float(release_s[i]),
                deadline_s=float(deadline_s[i]),
            )
            for i in range(len(window))
        )
        problem = make_problem(scenario, library, f"{scenario.name}-{repeat}", users)
    except ValidationError as error:
        raise from_validation(scenario_file, error) from None
    names = tuple(window.users[code] for code in window.user)
    return Epoch(problem, names, snr_db, found.length_s)
