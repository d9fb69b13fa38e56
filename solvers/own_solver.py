"""Solvers of one's own: their answers, held to the rules and put into numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from solvers.core.algorithm import Options
from solvers.errors import OwnSolverError
from solvers.problem import Problem
from solvers.schedule import Uplink

if TYPE_CHECKING:
    from solvers.core.tables import PlannedRound, Tables

Answer: TypeAlias = Iterable[tuple[str, Sequence[str]]]
"""Rounds in order: a model's name, and the ids of the users in its batch."""

OwnSolver: TypeAlias = Callable[[Problem, Uplink, Options], Answer]
"""What answers a problem; users that are in no round are not served."""


def name_of(solver: OwnSolver) -> str:
    """Name a solver as its schedules do: by the function's or the class's name."""
    return str(getattr(solver, "__name__", type(solver).__name__))


def planned_rounds(
    tables: Tables, answer: Any, uplink: Uplink, name: str
) -> list[PlannedRound]:
    """Turn an answer into rounds that can be timed.

    Parameters
    ----------
    tables
        The problem's, with sharing.
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

    rounds = [
        PlannedRound(*_numbers(tables, pair, f"{name}: round {number}"))
        for number, pair in enumerate(_listed(answer, f"{name}: its answer"))
    ]
    seen: dict[int, int] = {}
    for number, (_, users) in enumerate(rounds):
        for user in users:
            if user in seen:
                raise OwnSolverError(
                    f"{name}: round {number}: user {tables.user_ids[user]!r} is in "
                    f"round {seen[user]} already"
                )
            seen[user] = number
    if time_rounds(tables, rounds, uplink) is None:
        late = next(
            number
            for number in range(len(rounds))
            if time_rounds(tables, rounds[: number + 1], uplink) is None
        )
        model = tables.model_names[rounds[late].model]
        raise OwnSolverError(
            f"{name}: round {late}: a batch of {len(rounds[late].users)} of {model!r} "
            f"cannot end by the deadlines of its users after the rounds before it "
            f"(uplink {uplink!r})"
        )
    return rounds


def _listed(value: Any, where: str) -> list[Any]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise OwnSolverError(f"{where} must be a list, found {value!r:.80}")
    return list(value)


def _numbers(tables: Tables, pair: Any, where: str) -> tuple[int, tuple[int, ...]]:
    """Turn a model's name and user ids into numbers, once they go together."""
    parts = _listed(pair, where)
    if len(parts) != 2:
        raise OwnSolverError(
            f"{where} must be a pair (model, [user ids]), found {pair!r:.80}"
        )
    model_number = {name: number for number, name in enumerate(tables.model_names)}
    user_number = {name: number for number, name in enumerate(tables.user_ids)}
    if parts[0] not in model_number:
        raise OwnSolverError(f"{where}: there is no model {parts[0]!r:.80}")
    model = model_number[parts[0]]
    users = []
    for user in _listed(parts[1], f"{where}: its users"):
        if user not in user_number:
            raise OwnSolverError(f"{where}: there is no user {user!r:.80}")
        number = user_number[user]
        wanted = tables.model_names[int(tables.user_model[number])]
        if wanted != parts[0]:
            raise OwnSolverError(
                f"{where}: user {user!r} wants {wanted!r}, not {parts[0]!r}"
            )
        users.append(number)
    if not users:
        raise OwnSolverError(f"{where}: must serve a user, found none")
    most = len(tables.latency_s[model]) - 1
    if len(users) > most:
        raise OwnSolverError(
            f"{where}: a batch of {parts[0]!r} holds at most {most} users, found "
            f"{len(users)}"
        )
    return model, tuple(users)
