"""Small servers for policies, and what became of each round and request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgesim.engine.policy import Policy
from edgesim.engine.records import DROPPED, IN_TIME, LATE, Run
from edgesim.engine.request import Arrival
from edgesim.engine.server import simulate
from edgesim.engine.settings import Settings
from solvers import Block, Model, Problem
from solvers.core.tables import Tables


def library(
    models: Mapping[str, tuple[Mapping[str, float], Sequence[float]]],
    *,
    sharing: bool = True,
    **rules: Any,
) -> Tables:
    """Make tables of models: load time by block, and latency by batch from 1."""
    loads_s = {b: s for held, _ in models.values() for b, s in held.items()}
    problem = Problem(
        name="case",
        bandwidth_hz=1.0,
        blocks={b: Block(bytes=100, load_s=s) for b, s in loads_s.items()},
        models={
            name: Model(blocks=tuple(held), latency_s=tuple(latency_s))
            for name, (held, latency_s) in models.items()
        },
        users=(),
        **rules,
    )
    return Tables(problem, sharing=sharing)


def run(
    tables: Tables,
    policy: Policy,
    requests: Sequence[tuple[float, str, float]],
    *,
    demand_s: float = 0.0,
    late: Any = "serve",
) -> Run:
    """Run requests of (arrival, model, deadline), in order of arrival."""
    number = {name: m for m, name in enumerate(tables.model_names)}
    arrivals = [
        Arrival(arrival_s, k, number[model], demand_s, deadline_s - arrival_s)
        for k, (arrival_s, model, deadline_s) in enumerate(requests)
    ]
    return simulate(tables, arrivals, policy, Settings(late=late))


def rounds_of(found: Run) -> list[list[int]]:
    """List the requests of each round that computed anything."""
    rounds: list[list[int]] = [[] for _ in found.rounds.model]
    for number, index in enumerate(found.requests.round.tolist()):
        if index >= 0:
            rounds[index].append(number)
    return [members for members in rounds if members]


def outcomes(found: Run) -> list[str]:
    """Tell the outcome of each request in words."""
    words = {IN_TIME: "in time", LATE: "late"}
    return [
        words.get(code, "") or found.reasons[code - DROPPED]
        for code in found.requests.outcome.tolist()
    ]
