"""Rounds to be timed: random ones, and those of one tiny model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from solvers import Problem
from solvers.core.tables import PlannedRound, Tables
from tests.solvers.arithmetic import NamedRound
from tests.solvers.strategies import planned

FEW = settings(
    max_examples=90,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

ROUNDS = planned(deadlines="any", min_users=3, horizon=(8, 50))

RELEASED = planned(deadlines="any", releases=True, min_users=3, horizon=(8, 50))

# With a cache or without, loads overlapping batches or not.
EXTENDED = planned(deadlines="any", min_users=6, horizon=(8, 70), extensions=True)

BOTH = pytest.mark.parametrize("drawn", [ROUNDS, EXTENDED], ids=["plain", "extended"])

Check = Callable[[Tables, list[PlannedRound], Counter], None]


def over(drawn: st.SearchStrategy, check: Check) -> Counter:
    """Run a check on random rounds of its own, and return what it counted.

    Each with the time drawn, with three times as much and with a third of it, so that
    some are feasible and some are not, whatever is drawn.
    """
    seen: Counter = Counter()

    @seed(crc32(check.__qualname__.encode()))
    @FEW
    @given(drawn)
    def run(case):
        if case[1]:
            for share in (3.0, 1.0, 0.3):
                check(with_time(case[0], share), case[1], seen)

    run()
    return seen


def with_time(tables: Tables, share: float) -> Tables:
    """Give every user a share of its time between release and deadline."""
    users = tuple(
        user.model_copy(
            update={
                "deadline_s": user.release_s
                + share * (user.deadline_s - user.release_s)
            }
        )
        for user in tables.problem.users
    )
    return Tables(tables.problem.model_copy(update={"users": users}))


def named(tables: Tables, rounds: list[PlannedRound]) -> list[NamedRound]:
    """Name the models and users of planned rounds."""
    users = tables.problem.users
    return [
        (tables.model_names[model], tuple(users[k] for k in chosen))
        for model, chosen in rounds
    ]


def relaxed(tables: Tables) -> Tables:
    """Give every user all the time in the world."""
    return with_time(tables, 1e3)


def tiny(
    *users: dict[str, Any], latency_s: float = 0.1, load_s: float = 0.0, **each: object
) -> Tables:
    """Build one model, and one user of 0.1 s upload time unless users are given."""
    user = {
        "model": "m",
        "input_bits": 0.1,
        "spectral_efficiency": 1.0,
        "deadline_s": 1.0,
        **each,
    }
    return Tables(
        Problem.model_validate(
            {
                "name": "tiny",
                "bandwidth_hz": 1.0,
                "blocks": {"b": {"bytes": 1, "load_s": load_s}},
                "models": {"m": {"latency_s": [latency_s] * 2, "blocks": ["b"]}},
                "users": [
                    {"id": f"u{k}", **user, **u} for k, u in enumerate(users or [{}])
                ],
            }
        )
    )


ONE = [PlannedRound(0, (0,))]
