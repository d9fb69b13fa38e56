"""Valid schedules, and ways to change them, which the judge must notice."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from solvers import Problem, Schedule, VerificationError, verify
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import make_schedule

USER = {"spectral_efficiency": 2.0, "input_bits": 8.0, "deadline_s": 20.0}

PROBLEM: dict[str, Any] = {
    "name": "base",
    "bandwidth_hz": 10.0,
    "gpu_memory_bytes": 100,
    "resident_model": "c",
    "blocks": {
        "stem": {"bytes": 30, "load_s": 0.5},
        "a": {"bytes": 20, "load_s": 0.25},
        "b": {"bytes": 10, "load_s": 0.125},
        "c": {"bytes": 5, "load_s": 0.1},
    },
    "models": {
        "a": {
            "blocks": ["stem", "a"],
            "latency_s": [1.0, 1.5],
            "activation_bytes": [40, 50],
        },
        "b": {"blocks": ["stem", "b"], "latency_s": [0.7]},
        "c": {"blocks": ["c"], "latency_s": [0.3, 0.4]},
    },
    "users": [
        {**USER, "id": "a0", "model": "a"},
        {**USER, "id": "a1", "model": "a"},
        {**USER, "id": "b0", "model": "b"},
        {**USER, "id": "c0", "model": "c"},
        {**USER, "id": "c1", "model": "c"},
    ],
}

# c is resident, so the first round loads nothing; b then keeps the stem of a.
ROUNDS = [
    PlannedRound(2, (3,)),
    PlannedRound(0, (0, 1)),
    PlannedRound(1, (2,)),
]


def base(uplink: str) -> dict[str, Any]:
    """Build a valid schedule with a load, a kept block and a batch of two."""
    tables = Tables(Problem.model_validate(PROBLEM))
    schedule = make_schedule(tables, ROUNDS, uplink, solver="test", bound=None)
    return schedule.model_dump()


def changed(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Change values at dotted paths; functions are given the old value."""
    document = deepcopy(document)
    for path, value in changes.items():
        *way, last = (int(p) if p.isdigit() else p for p in path.split("."))
        place = document
        for step in way:
            place = list(place) if isinstance(place, tuple) else place
            place = place[step]
        place[last] = value(place.get(last) if isinstance(place, dict) else place[last])
    return document


def listed(value: Any) -> Any:
    """Turn tuples into lists all the way down, so that paths can be assigned to."""
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [listed(item) for item in value]
    return value


def to(value: Any) -> Any:
    """Make a change that ignores the old value."""
    return lambda _: value


def plus(amount: float) -> Any:
    """Make a change that adds."""
    return lambda old: old + amount


def times(factor: float) -> Any:
    """Make a change that multiplies."""
    return lambda old: old * factor


def later(r: int, seconds: float) -> dict[str, Any]:
    """Move a round."""
    names = ("load_start_s", "compute_start_s", "end_s")
    return {f"rounds.{r}.{name}": plus(seconds) for name in names}


# With a cache and overlap: c, a and b fit side by side, but a's batch beside b's load
# costs c, which the last round has to load again. Then a finds all its blocks.
CACHED: dict[str, Any] = {**PROBLEM, "residency": "cache", "overlap": True}

CACHED_ROUNDS = [
    PlannedRound(2, (3,)),
    PlannedRound(0, (0,)),
    PlannedRound(1, (2,)),
    PlannedRound(0, (1,)),
    PlannedRound(2, (4,)),
]


def cached(**options: bool) -> dict[str, Any]:
    """Build a valid schedule of them; loads 1, 2 and 4 run beside a batch."""
    tables = Tables(Problem.model_validate(CACHED), **options)
    schedule = make_schedule(
        tables, CACHED_ROUNDS, "dynamic", solver="test", bound=None
    )
    return listed(schedule.model_dump())


def loading(r: int, *blocks: str) -> dict[str, Any]:
    """Let a round load given blocks, with the time and bytes that they take."""
    entries = [PROBLEM["blocks"][block] for block in blocks]
    return {
        f"rounds.{r}.loaded_blocks": to(list(blocks)),
        f"rounds.{r}.load_s": to(sum(entry["load_s"] for entry in entries)),
        f"rounds.{r}.loaded_bytes": to(sum(entry["bytes"] for entry in entries)),
    }


def complaints(problem: dict[str, Any], schedule: dict[str, Any]) -> str:
    """Return what the judge says."""
    with pytest.raises(VerificationError) as caught:
        verify(Problem.model_validate(problem), Schedule.model_validate(schedule))
    return str(caught.value)
