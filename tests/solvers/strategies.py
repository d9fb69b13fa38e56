"""Random problems: hypothesis strategies that shrink, and a seeded family.

Numbers of a problem lie either all on a grid of 0.1, so that deadlines are met to the
last digit and bands are filled exactly, or all anywhere. Small structures come first:
a failing problem shrinks towards no memory limit, nothing resident, one model, one
block, one user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st

from solvers import Problem
from solvers.core.tables import PlannedRound, Tables

Sharing = Literal["laminar", "crossing", "any"]
Deadlines = Literal["common", "own"]
Draw = Callable[[st.SearchStrategy[Any]], Any]

EXTENDED_KINDS: dict[str, dict[str, Any]] = {
    "one deadline": {"deadlines": "common"},
    "own deadlines": {"deadlines": "own"},
    "cache and overlap": {"deadlines": "any", "extensions": True},
    "releases": {"deadlines": "any", "releases": True},
}
"""Arguments of :func:`problems` by what is drawn, for solvers that take everything."""


def _numbers(draw: Draw) -> Callable[[int, int], float]:
    """Choose between grid and generic floats; bounds are in tenths."""
    if draw(st.booleans()):
        return lambda low, high: draw(st.floats(low / 10 + 0.01, high / 10))
    return lambda low, high: draw(st.integers(low, high)) / 10


def _laminar_models(draw: Draw, count: int) -> list[list[str]]:
    """Give each model the first blocks of an earlier one, then some of its own."""
    models: list[list[str]] = []
    for m in range(count):
        blocks: list[str] = []
        if models:
            relative = models[draw(st.integers(0, m - 1))]
            blocks = relative[: draw(st.integers(0, len(relative)))]
        own = draw(st.integers(0 if blocks else 1, 2))
        models.append(blocks + [f"b{m}.{i}" for i in range(own)])
    return models


def _crossing_models(draw: Draw, count: int) -> list[list[str]]:
    """Give each model any blocks of a common pool, so that the first three cross."""
    pool = [f"b{i}" for i in range(draw(st.integers(2, 5)))]
    some = st.lists(st.sampled_from(pool[2:] or pool), max_size=3, unique=True)
    witness = [["b0"], ["b0", "b1"], ["b1"], ["b0"]]
    return [list(dict.fromkeys([*draw(some), *held])) for held in witness[:count]]


@st.composite
def latency_tables(
    draw: Draw, number: Callable[[int, int], float], *, max_batch: int = 4
) -> list[float]:
    """Draw a batch table: affine, growing like a measured one, or not even growing."""
    kind = draw(st.sampled_from(["affine", "measured", "any"]))
    size = draw(st.integers(1, max_batch))
    if kind == "affine":
        fixed, each = number(1, 4), number(1, 2)
        return [fixed + each * b for b in range(size)]
    if kind == "measured":
        steps = [number(1, 4), *(number(0, 3) for _ in range(size - 1))]
        return np.cumsum(steps).tolist()
    return [number(1, 6) for _ in range(size)]


@st.composite
def problems(
    draw: Draw,
    *,
    sharing: Sharing = "any",
    deadlines: Deadlines | Literal["any"] = "common",
    releases: bool = False,
    min_users: int = 2,
    max_users: int = 6,
    max_models: int = 4,
    horizon: tuple[int, int] = (3, 25),
    extensions: bool = False,
) -> Problem:
    """Draw a tiny problem.

    Parameters
    ----------
    draw
        Given by hypothesis.
    sharing
        ``"laminar"``: the models with users are a forest of prefixes. ``"crossing"``:
        blocks at arbitrary positions; laminar only when one of the first three models
        is left without users that can be scheduled. ``"any"``: one of the two.
    deadlines
        ``"common"``, each user its ``"own"``, or ``"any"`` of the two.
    releases
        Whether users may be released later than 0.
    min_users, max_users, max_models
        Limits of the size, at most 4 models; one more, without users, may come on top.
    horizon
        Least and largest time to a deadline, in tenths of a second.
    extensions
        Whether residency, eviction and overlap are drawn, and memory more often limits
        what stays.
    """
    number = _numbers(draw)
    if sharing == "any":
        sharing = draw(st.sampled_from(["laminar", "crossing"]))
    if deadlines == "any":
        deadlines = draw(st.sampled_from(["common", "own"]))
    sizes = [3, 4] if sharing == "crossing" else [2, 1, 3, 4]
    count = draw(st.sampled_from([n for n in sizes if n <= max_models] or [1]))
    make = _laminar_models if sharing == "laminar" else _crossing_models
    block_lists = make(draw, count)
    names = [f"m{m}" for m in range(count)]
    # Nobody wants the spare model; it may cross with all others, and be resident.
    if draw(st.booleans()):
        pool = sorted({block for blocks in block_lists for block in blocks})
        spare = st.lists(st.sampled_from(pool), max_size=3, unique=True)
        block_lists.append([*draw(spare), "spare"])
        names.append("spare")
    blocks = {
        block: {"bytes": draw(st.integers(1, 9)), "load_s": number(0, 3)}
        for block in sorted({block for blocks in block_lists for block in blocks})
    }
    limited = draw(st.sampled_from([False, extensions, True]))
    models: dict[str, Any] = {}
    for name, held in zip(names, block_lists, strict=True):
        models[name] = {"blocks": held, "latency_s": draw(latency_tables(number))}
        if limited and draw(st.booleans()):
            size = len(models[name]["latency_s"])
            few = st.lists(st.integers(1, 20), min_size=size, max_size=size)
            models[name]["activation_bytes"] = draw(few)
    common_s = number(*horizon)
    bandwidth_hz = draw(st.sampled_from([1.0, 2e7]))
    efficiencies = st.sampled_from([1.0, 0.5, 4.0] * 4 + [0.0])
    offsets = st.sampled_from([0] * 2 * count + [*range(count)])
    least = draw(st.sampled_from([min_users, max_users // 2, max_users]))
    choices = draw(
        st.lists(
            st.tuples(offsets, efficiencies),
            min_size=max(min_users, least),
            max_size=max_users,
        )
    )
    users: list[dict[str, Any]] = []
    for k, (offset, efficiency) in enumerate(choices):
        # Mostly every model is wanted in turn, so that even small problems share.
        model = (k + offset) % count
        if users and draw(st.integers(0, 5)) == 5:
            users.append({**users[-1], "id": f"u{k}"})
            continue
        release_s = number(0, 8) if releases and draw(st.booleans()) else 0.0
        if deadlines == "own":
            deadline_s = release_s + number(*horizon)
        else:
            deadline_s = max(common_s, release_s + 0.1)
        users.append(
            {
                "id": f"u{k}",
                "model": names[model],
                "input_bits": number(1, 5) * bandwidth_hz * (efficiency or 1.0),
                "spectral_efficiency": efficiency,
                "release_s": release_s,
                "deadline_s": deadline_s,
            }
        )
    if releases and deadlines == "common" and users:
        latest = max(user["deadline_s"] for user in users)
        users = [{**user, "deadline_s": latest} for user in users]
    resident = draw(st.sampled_from([None, *names]))
    memory_bytes = draw(st.integers(8, 60)) if limited else None
    rules: dict[str, Any] = {}
    if extensions:
        if limited:
            # Every model fits without activations, not all of them beside each other.
            weights = {b: entry["bytes"] for b, entry in blocks.items()}
            least = max(sum(map(weights.__getitem__, held)) for held in block_lists)
            most = max(least, sum(weights.values()) - 1)
            memory_bytes = draw(st.integers(least, most))
        rules["residency"] = draw(st.sampled_from(["cache", "cache", "previous"]))
        rules["eviction"] = draw(st.sampled_from(["lru", "furthest-next-use"]))
        rules["overlap"] = draw(st.booleans())
    return Problem.model_validate(
        {
            "name": "random",
            "bandwidth_hz": bandwidth_hz,
            "gpu_memory_bytes": memory_bytes,
            "resident_model": resident,
            **rules,
            "blocks": blocks,
            "models": models,
            "users": users,
        }
    )


@st.composite
def planned(draw: Draw, **kwargs: Any) -> tuple[Tables, list[PlannedRound]]:
    """Draw a problem and rounds for it, each of them allowed if not in time.

    Every user that can be scheduled is left out or put into one of a few rounds;
    keyword arguments are those of :func:`problems`.
    """
    tables = Tables(draw(problems(**kwargs)))
    waiting = list(draw(st.permutations(tables.users.tolist())))
    rounds: list[PlannedRound] = []
    while waiting:
        model = int(tables.user_model[waiting[0]])
        mates = [k for k in waiting if tables.user_model[k] == model]
        latency = tables.latency_s[model]
        sizes = [
            b
            for b in range(min(len(mates), len(latency) - 1) + 1)
            if np.isfinite(latency[b])
        ]
        # Memory is only used again over several rounds, so few are left out then.
        if kwargs.get("extensions") and len(sizes) > 1:
            sizes = [*sizes[1:], sizes[1], 0]
        size = draw(st.sampled_from(sizes))
        chosen = mates[:size]
        if chosen:
            rounds.append(PlannedRound(model, tuple(chosen)))
        gone = set(chosen) or {waiting[0]}
        waiting = [k for k in waiting if k not in gone]
    return tables, rounds


def seeded_problem(
    rng: np.random.Generator,
    *,
    sharing: Literal["laminar", "crossing"],
    users: int,
    models: int,
    deadlines: Deadlines = "common",
) -> Problem:
    """Draw one problem of a seeded family, for averages: clusters of relatives.

    Loads, computes and uploads are of one size, so either may be scarce; the horizon
    lets roughly half of the users be served.
    """
    blocks: dict[str, Any] = {}
    entries: dict[str, Any] = {}

    def block(name: str) -> str:
        load_s = float(rng.uniform(0.0, 0.2))
        blocks.setdefault(name, {"bytes": int(rng.integers(1, 100)), "load_s": load_s})
        return name

    for m in range(models):
        cluster, frozen = m % max(1, models // 3), int(rng.integers(0, 5))
        if sharing == "laminar":
            held = [f"c{cluster}.{i}" for i in range(frozen)]
            held += [f"m{m}.{i}" for i in range(frozen, 4)]
        else:
            shared = rng.random(4) < 0.6
            held = [f"c{cluster}.{i}" if shared[i] else f"m{m}.{i}" for i in range(4)]
        size = int(rng.integers(1, 9))
        entries[f"m{m}"] = {
            "blocks": [block(name) for name in [*held, f"m{m}.head"]],
            "latency_s": np.cumsum(rng.uniform(0.005, 0.08, size)).tolist(),
        }
    horizon_s = float(rng.uniform(0.05, 0.2)) * users + 0.5
    return Problem.model_validate(
        {
            "name": "seeded",
            "bandwidth_hz": 1.0,
            "blocks": blocks,
            "models": entries,
            "users": [
                {
                    "id": f"u{k}",
                    "model": f"m{rng.integers(models)}",
                    "input_bits": float(rng.uniform(0.02, 0.3)),
                    "spectral_efficiency": 1.0,
                    "deadline_s": horizon_s
                    * (float(rng.uniform(0.4, 1.0)) if deadlines == "own" else 1.0),
                }
                for k in range(users)
            ],
        }
    )


def seeded_plan(number: int) -> tuple[Tables, list[PlannedRound]]:
    """Draw 20 users in rounds of six models, two or three of which fit in memory.

    Residency, eviction and overlap are drawn too; deadlines are far away.
    """
    rng = np.random.default_rng(number)
    sharing = rng.choice(["laminar", "crossing"])
    problem = seeded_problem(rng, sharing=sharing, users=20, models=6)
    heaviest = max(problem.weight_bytes(model) for model in problem.models)
    models = {
        name: model.model_copy(
            update={
                "activation_bytes": tuple(
                    int(rng.integers(1, 60)) for _ in model.latency_s
                )
            }
        )
        for name, model in problem.models.items()
    }
    users = [user.model_copy(update={"deadline_s": 99.0}) for user in problem.users]
    rules = {
        "gpu_memory_bytes": heaviest + int(rng.integers(60, 60 + 2 * heaviest)),
        "resident_model": rng.choice([None, *models]),
        "residency": rng.choice(["cache", "cache", "previous"]).item(),
        "eviction": rng.choice(["lru", "furthest-next-use"]).item(),
        "overlap": bool(rng.integers(2)),
    }
    tables = Tables(
        problem.model_copy(update={"models": models, "users": tuple(users), **rules})
    )
    rounds: list[PlannedRound] = []
    for k in rng.permutation(len(users)).tolist():
        model = int(tables.user_model[k])
        last = rounds[-1] if rounds else PlannedRound(-1, ())
        if last.model == model and len(last.users) + 1 < len(tables.latency_s[model]):
            rounds[-1] = PlannedRound(model, (*last.users, k))
        else:
            rounds.append(PlannedRound(model, (k,)))
    return tables, rounds


def without_sharing(problem: Problem) -> Problem:
    """Give every model private copies of its blocks, under names of their own."""
    return problem.model_copy(
        update={
            "blocks": {
                f"{name}/{block}": problem.blocks[block]
                for name, model in problem.models.items()
                for block in model.blocks
            },
            "models": {
                name: model.model_copy(
                    update={"blocks": tuple(f"{name}/{b}" for b in model.blocks)}
                )
                for name, model in problem.models.items()
            },
        }
    )
