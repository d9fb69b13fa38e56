"""User-supplied solvers: their answers, checked against the rules and indexed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from solvers.core.algorithm import Options
from solvers.errors import OwnSolverError
from solvers.uplink import Uplink

if TYPE_CHECKING:
    from solvers.core.tables import PlannedRound, Tables
    from solvers.problem import Problem

Answer: TypeAlias = Iterable[tuple[str, Sequence[str]]]
"""Rounds in order: a model's name, and the ids of the users in its batch."""

OwnSolver: TypeAlias = Callable[["Problem", Uplink, Options], Answer]
"""What answers a problem; users that are in no round are not served."""


def name_of(solver: OwnSolver) -> str:
    """Name a solver as its schedules do: by the function's or the class's name."""
    return str(getattr(solver, "__name__", type(solver).__name__))


def without_sharing(problem: Problem) -> Problem:
    """Give each model one block of its own, called as the model, in place of all its.

    Loading the whole of a model costs the same time and memory; models, users and the
    rest stay as they are.
    """
    from solvers.problem import Block

    blocks, models = {}, {}
    for name, model in problem.models.items():
        parts = [problem.blocks[block] for block in model.blocks]
        # Sums may exceed what a block of a file may have; they are not checked again.
        blocks[name] = Block.model_construct(
            bytes=sum(part.bytes for part in parts),
            load_s=math.fsum(part.load_s for part in parts),
        )
        models[name] = model.model_copy(update={"blocks": (name,)})
    return problem.model_copy(update={"blocks": blocks, "models": models})


def planned_rounds(
    tables: Tables, answer: Any, uplink: Uplink, name: str
) -> list[PlannedRound]:
    """Turn an answer into rounds that can be timed.

    Parameters
    ----------
    tables
        The problem's, with or without sharing.
    answer
        What the solver gave; anything.
    uplink
        The discipline.
    name
        The solver's, for messages.

    Raises
    ------
    OwnSolverError
        Naming the round and the rule that it breaks.

    Notes
    -----
    O(rounds²) in the worst case, where a round turns out too late.
    """
    from solvers.core.tables import PlannedRound
    from solvers.core.timing import time_rounds

    model_number = {name: number for number, name in enumerate(tables.model_names)}
    user_number = {name: number for number, name in enumerate(tables.user_ids)}
    rounds: list[PlannedRound] = []
    seen: dict[int, int] = {}
    # Each round serves a user who is in no other: one round more breaks a rule.
    most = len(user_number) + 1
    for number, pair in enumerate(_listed(answer, f"{name}: its answer", most)):
        where = f"{name}: round {number}"
        model, users = _numbers(model_number, user_number, pair, where)
        for user in users:
            if user in seen:
                raise OwnSolverError(
                    f"{where}: user {tables.user_ids[user]!r} is in round "
                    f"{seen[user]} already"
                )
            seen[user] = number
        _check_batch(tables, model, users, where)
        rounds.append(PlannedRound(model, users))
    if time_rounds(tables, rounds, uplink) is None:
        late = next(
            number
            for number in range(len(rounds))
            if time_rounds(tables, rounds[: number + 1], uplink) is None
        )
        model_name = tables.model_names[rounds[late].model]
        raise OwnSolverError(
            f"{name}: round {late}: a batch of {len(rounds[late].users)} of "
            f"{model_name!r} cannot end by the deadlines of its users after the rounds "
            f"before it (uplink {uplink!r})"
        )
    return rounds


def _listed(value: Any, where: str, most: int) -> list[Any]:
    """List what a value iterates over, and no more than ``most``: it may be endless."""
    try:
        # What a generator raises is not about whether it is one: list() comes after.
        found = None if isinstance(value, str) else iter(value)
    except TypeError:
        found = None
    if found is None:
        raise OwnSolverError(f"{where} must be a list, found {value!r:.80}")
    return list(islice(found, most))


def _numbers(
    model_number: Mapping[str, int],
    user_number: Mapping[str, int],
    pair: Any,
    where: str,
) -> tuple[int, tuple[int, ...]]:
    """Turn a model's name and user ids into numbers, if they are those of anything."""
    parts = _listed(pair, where, 3)
    if len(parts) != 2:
        raise OwnSolverError(
            f"{where} must be a pair (model, [user ids]), found {pair!r:.80}"
        )
    model, users = parts
    # Names first of all: what is no text may not even be hashable.
    if not isinstance(model, str) or model not in model_number:
        raise OwnSolverError(f"{where}: there is no model {model!r:.80}")
    numbers = []
    for user in _listed(users, f"{where}: its users", len(user_number) + 1):
        if not isinstance(user, str) or user not in user_number:
            raise OwnSolverError(f"{where}: there is no user {user!r:.80}")
        numbers.append(user_number[user])
    return model_number[model], tuple(numbers)


def _check_batch(tables: Tables, model: int, users: Sequence[int], where: str) -> None:
    """Refuse a batch that could be run at no time at all."""
    name = tables.model_names[model]
    for user in users:
        given = tables.problem.users[user]
        if given.model != name:
            raise OwnSolverError(
                f"{where}: user {given.id!r} wants {given.model!r}, not {name!r}"
            )
        if math.isinf(tables.demand_s[user]):
            raise OwnSolverError(
                f"{where}: user {given.id!r} has no link "
                f"(spectral_efficiency {given.spectral_efficiency:g})"
            )
    if not users:
        raise OwnSolverError(f"{where}: must serve a user, found none")
    latency_s = tables.latency_s[model]
    if len(users) >= len(latency_s):
        raise OwnSolverError(
            f"{where}: a batch of {name!r} holds at most {len(latency_s) - 1} users, "
            f"found {len(users)}"
        )
    if math.isinf(latency_s[len(users)]):
        raise OwnSolverError(
            f"{where}: a batch of {len(users)} of {name!r} does not fit in GPU memory "
            f"({tables.problem.gpu_memory_bytes} bytes)"
        )
