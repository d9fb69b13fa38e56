"""Streams: serve the requests of one repeat as they arrive under several policies."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from edgesim.engine.policy import Policy, PolicyError
from edgesim.engine.request import Arrival
from edgesim.engine.server import simulate
from edgesim.engine.settings import Settings
from edgesim.errors import InputError
from edgesim.experiment.faults import online_faults
from edgesim.experiment.inputs import Inputs
from edgesim.experiment.own_solvers import with_solver
from edgesim.experiment.policies import make_policy
from edgesim.experiment.stream import Stream, make_stream
from edgesim.experiment.trial import Trial
from edgesim.experiment.workload import make_problem
from edgesim.measures.account import Account
from edgesim.names import shares
from edgesim.plugins import keeping_folder
from edgesim.trace.stored import StoredTrace
from solvers import RefusalError
from solvers.core.tables import Tables

_ARRIVALS_BETWEEN = 4096  # two calls of the progress bar
_FACTORS = 4096  # factors of noise drawn at a time


def serve_repeat(
    inputs: Inputs,
    repeat: int,
    advance: Callable[[str, int, int], None] | None = None,
    names: Sequence[str] | None = None,
) -> Iterator[Trial]:
    """Run one repeat's requests under several policies.

    All policies face the same requests, links, faults and noise, and a repeat's draws
    do not depend on the number of repeats.

    Parameters
    ----------
    inputs
        Inputs of a scenario with an online section.
    repeat
        Number of the repeat, from 0.
    advance
        Called periodically with the policy, the number of requests arrived, and the
        total.
    names
        The policies; by default the scenario's, in its order.

    Yields
    ------
    Trial
        One per policy. Its records are large: a caller that
        does not keep them needs memory for only one policy.

    Raises
    ------
    InputError
        If a policy fails or makes a choice that cannot be run, or its solver refuses.
    """
    scenario, online = inputs.scenario, inputs.online
    stream, noise_seed = stream_of(inputs, repeat)
    load_sigma, compute_sigma = inputs.sigmas()
    load_factor = 1.0 if scenario.noise is None else scenario.noise.load_factor
    load_seed, compute_seed = noise_seed.spawn(2)
    made: dict[bool, Tables] = {}
    for name in online.policies if names is None else names:
        tables, policy, settings = service_of(inputs, name, stream, made)
        settings = replace(
            settings,
            load_factor=_factors(load_sigma, load_seed, load_factor),
            compute_factor=_factors(compute_sigma, compute_seed),
            dispatch_s=scenario.gpu.dispatch_s or 0.0,
            decision_s=online.decision_s or 0.0,
        )
        arrivals = stream if advance is None else _counted(stream, name, advance)
        began_s = time.perf_counter()
        with policy_refused(inputs, name):
            run = simulate(tables, arrivals, policy, settings)
        runtime_s = time.perf_counter() - began_s
        account = Account(run, tables)
        del run  # or its records would be in memory together with those of the next
        yield Trial(repeat, name, account, stream.users, runtime_s, stream.duration_s)
        del account


class Service(NamedTuple):
    """What serves a stream: library and GPU, a new policy, and the rules of the run."""

    tables: Tables
    policy: Policy
    settings: Settings


def service_of(
    inputs: Inputs, name: str, stream: Stream, made: dict[bool, Tables] | None = None
) -> Service:
    """Make what serves a stream under a policy, without noise, dispatch and decisions.

    Tables are taken from those that were made for other policies, if there are any.
    """
    online = inputs.online
    made = {} if made is None else made
    sharing = shares(name)
    if sharing not in made:
        made[sharing] = tables_of(inputs, sharing=sharing)
    settings = Settings(
        uplink=online.uplink,
        late=online.late,
        queue_limit=online.queue_limit,
        faults=online_faults(str(inputs.scenario_file), online, stream.users),
    )
    policy = make_policy(name, with_solver(name, online.options(name)), inputs.own)
    return Service(made[sharing], policy, settings)


@contextmanager
def policy_refused(inputs: Inputs, name: str) -> Iterator[None]:
    """Convert what a policy does wrong in a run to an input error.

    Raises
    ------
    InputError
        Naming the policy.
    """
    try:
        with keeping_folder():
            yield
    except (PolicyError, RefusalError) as error:
        raise InputError(
            f"{inputs.scenario_file}: online.policies", f"{name}: {error}"
        ) from error


def stream_of(inputs: Inputs, repeat: int) -> tuple[Stream, np.random.SeedSequence]:
    """Prepare the requests of a repeat, and the seed of its noise."""
    trace = inputs.trace
    assert isinstance(trace, StoredTrace)
    seed = np.random.SeedSequence(inputs.scenario.run.seed)
    stream_seed, noise_seed = seed.spawn(3 + repeat)[2 + repeat].spawn(2)
    stream = make_stream(
        trace,
        inputs.scenario,
        inputs.scenario_file,
        inputs.library,
        inputs.model_names,
        repeat,
        np.random.default_rng(stream_seed),
    )
    return stream, noise_seed


def tables_of(inputs: Inputs, *, sharing: bool) -> Tables:
    """Make the tables of a library and a GPU, without users."""
    scenario = inputs.scenario
    problem = make_problem(scenario, inputs.library, scenario.name)
    return Tables(problem, sharing=sharing)


def _factors(
    sigma: float, seed: np.random.SeedSequence, median: float = 1.0
) -> Iterator[float] | None:
    """Draw an endless sequence of lognormal factors; None if all are 1."""
    if not sigma:
        return None if median == 1 else itertools.repeat(median)

    def factors() -> Iterator[float]:
        rng = np.random.default_rng(seed)
        while True:
            drawn = np.exp(sigma * rng.standard_normal(_FACTORS))
            yield from (median * drawn).tolist()

    return factors()


def _counted(
    stream: Stream, policy: str, advance: Callable[[str, int, int], None]
) -> Iterator[Arrival]:
    """Pass arrivals on, and periodically report how many there were."""
    for number, arrival in enumerate(stream):
        if number % _ARRIVALS_BETWEEN == 0:
            advance(policy, number, stream.requests)
        yield arrival
