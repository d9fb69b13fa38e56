"""A small library of two fine-tunes, its profile and its plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgesim.profile.values import Profile
from solvers import Problem, Schedule, Uplink, verify
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import make_schedule

NETWORK = "tests.small_networks:convnet"
STEM, HEAD = 4000, 700
STEM_S, HEAD_S = 0.004, 0.002
ONE_S, FOUR_S = 0.010, 0.016


def profile(**changes: Any) -> Profile:
    """Make a profile of one model ``net``: blocks stem and head, batches of 1 and 4.

    Parameters
    ----------
    changes
        Keys of the model that are replaced, or left out if None.
    """
    model = {
        "blocks": [
            {
                "name": "stem",
                "bytes": STEM,
                "load_s": {"pageable": {"median_s": STEM_S}},
            },
            {
                "name": "head",
                "bytes": HEAD,
                "load_s": {"pageable": {"median_s": HEAD_S}},
            },
        ],
        "latency_s": {"1": ONE_S, "4": FOUR_S},
        "architecture": NETWORK,
        "input": "3x16x16",
        "dtype": "float32",
    } | changes
    return Profile.model_validate(
        {
            "name": "small",
            "provenance": {
                "kind": "published",
                "device": "a board",
                "citation": "made up",
            },
            "models": {"net": {k: v for k, v in model.items() if v is not None}},
        }
    )


def problem(
    models: Sequence[str] = ("net-v01", "net-v02", "net-v01"), **changes: Any
) -> Problem:
    """Make a problem in which each named model is wanted, in this order.

    The variants share the stem. Uploads take 1 ms each at the whole band; deadlines
    are at 0.5 s.

    Parameters
    ----------
    models
        What the users want.
    changes
        Keys of the problem that are replaced.
    """
    blocks = {"net/stem": {"bytes": STEM, "load_s": STEM_S}}
    for name in ("net-v01", "net-v02"):
        blocks[f"{name}/head"] = {"bytes": HEAD, "load_s": HEAD_S}
    return Problem.model_validate(
        {
            "name": "tiny",
            "bandwidth_hz": 1e6,
            "blocks": blocks,
            "models": {
                name: {
                    "blocks": ["net/stem", f"{name}/head"],
                    "latency_s": [ONE_S, FOUR_S, FOUR_S, FOUR_S],
                }
                for name in ("net-v01", "net-v02")
            },
            "users": [
                {
                    "id": f"u{number}",
                    "model": model,
                    "input_bits": 1000.0,
                    "spectral_efficiency": 1.0,
                    "deadline_s": 0.5,
                }
                for number, model in enumerate(models)
            ],
        }
        | changes
    )


def schedule(
    problem: Problem, *, solver: str = "edf", uplink: Uplink = "dynamic"
) -> Schedule:
    """Plan one round a user, in the problem's order, under a solver's name."""
    sharing = not solver.endswith("-noshare")
    tables = Tables(problem, sharing=sharing)
    rounds = [
        PlannedRound(int(model), (number,))
        for number, model in enumerate(tables.user_model)
    ]
    planned = make_schedule(
        tables, rounds, uplink, solver=solver, bound=len(problem.users)
    )
    assert planned is not None
    verify(problem, planned, sharing=sharing)
    return planned
