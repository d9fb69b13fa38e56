"""The cases of the family, by group, and the problem of each."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from solvers import UPLINKS, Problem, Uplink
from tests.instances.draw import pick, short, uniform
from tests.instances.libraries import (
    REAL_RATES_BYTES_PER_S,
    RESNET50_BYTES,
    Library,
    adapters,
    bottom,
    crossing,
    measured,
    with_activations,
)
from tests.instances.workload import Deadlines, Load, draw_users

VERSION = 1
"""Version of the family; another version is another family, with new optima."""

SIZES = (
    *((2, 10), (3, 12), (4, 20), (6, 30), (8, 40), (12, 60), (16, 80), (16, 80)),
    *((24, 120), (32, 160), (40, 200), (40, 200)),
)
"""(models, users) of a group's cases; 3 models or more where sharing must cross."""

LARGE = "large"
LARGE_MODELS = 300

Sharing = Literal["laminar", "crossing", "both"]


@dataclass(frozen=True)
class Group:
    """What the cases of a group have in common.

    Parameters
    ----------
    what
        One line for people.
    sharing
        Laminar, crossing, or each in turn.
    deadlines
        One for all (``"common"``), each its own (``"own"``), these after releases
        (``"released"``), or ``"some"``: own in every third case, else common.
    uplinks
        Disciplines, taken in turn.
    spectrum_per_gpu
        Upload seconds per GPU second, least and most.
    """

    what: str
    sharing: Sharing = "laminar"
    deadlines: Deadlines | Literal["some"] = "common"
    uplinks: tuple[Uplink, ...] = UPLINKS
    spectrum_per_gpu: tuple[float, float] = (0.7, 1.4)


GROUPS: Mapping[str, Group] = {
    "bottom-balanced": Group("fine-tuned models keep bottom blocks of a relative"),
    "bottom-spectrum": Group("the same, bound by spectrum", spectrum_per_gpu=(2, 4)),
    "bottom-gpu": Group("the same, bound by the GPU", spectrum_per_gpu=(0.15, 0.4)),
    "adapters": Group("LoRA adapters on one to three large backbones"),
    "measured": Group("tables with plateaus and steps; ResNet-50 at real load rates"),
    "tight": Group("batches of 4 at most, scarce memory, some users without a link"),
    "mixed": Group("blocks from anywhere: sharing crosses", sharing="crossing"),
    "own-laminar": Group("a deadline for each user", deadlines="own"),
    "own-crossing": Group(
        "a deadline for each user, sharing crosses", "crossing", deadlines="own"
    ),
    "releases": Group(
        "requests arrive over time", "both", "released", uplinks=("dynamic",)
    ),
    "cache": Group("blocks stay while memory allows", "both", "some"),
    "overlap": Group("loads run while the GPU computes", "both", "some"),
    LARGE: Group(f"{LARGE_MODELS} models, 2,000 or 10,000 users"),
}


@dataclass(frozen=True)
class Case:
    """One instance under one uplink discipline.

    ``number`` counts the cases of a group from 0. ``draw`` is 0 for the family itself;
    others are drawn alike from other seeds, and nothing is known of them.
    """

    name: str
    group: str
    number: int
    uplink: Uplink
    models: int
    users: int
    draw: int = 0


def _cases() -> Iterator[Case]:
    for turn, (name, group) in enumerate(GROUPS.items()):
        if name == LARGE:
            sizes = [(uplink, users) for users in (2000, 10000) for uplink in UPLINKS]
            for number, (uplink, users) in enumerate([*sizes, ("dynamic", 2000)]):
                yield _case(name, number, uplink, LARGE_MODELS, users)
            return
        for number, (models, users) in enumerate(SIZES):
            uplink = group.uplinks[(number + turn) % len(group.uplinks)]
            least = 2 if _sharing(group, number) == "laminar" else 3
            yield _case(name, number, uplink, max(least, models), users)


def _case(group: str, number: int, uplink: Uplink, models: int, users: int) -> Case:
    name = f"{group}-{number:02d}-{uplink}"
    return Case(name, group, number, uplink, models, users)


def drawn_again(case: Case, draw: int) -> Case:
    """Return a case that is drawn alike from another seed, numbered from 1."""
    name = f"{case.group}-{case.number:02d}-draw-{draw}-{case.uplink}"
    return replace(case, name=name, draw=draw)


def _sharing(group: Group, number: int) -> Sharing:
    if group.sharing == "both":
        return "crossing" if number % 2 else "laminar"
    return group.sharing


CASES: tuple[Case, ...] = tuple(_cases())
"""Every case, group by group."""


def make(case: Case) -> Problem:
    """Draw the problem of a case; the same one every time.

    Only the generator's streams of doubles, integers and permutations are used, and
    numbers are rounded to 6 significant digits.
    """
    seed = [VERSION, zlib.crc32(case.group.encode()), case.number]
    if case.draw:
        seed.append(case.draw)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    group = GROUPS[case.group]
    library = _library(rng, case)
    memory_bytes = _memory_bytes(rng, case, library)
    tight = case.group == "tight"
    low, high = (0.35, 0.55) if case.number % 2 else (0.55, 0.8)
    load = Load(
        share=uniform(rng, low, high),
        spectrum_per_gpu=uniform(rng, *group.spectrum_per_gpu),
        deadlines=_deadlines(case),
        no_link=0.05 if tight else 0.0,
    )
    bandwidth_hz = pick(rng, (1e7, 2e7, 4e7, 1e8))
    users = draw_users(rng, library, case.users, load, case.uplink, bandwidth_hz)
    resident = pick(rng, list(library.models)) if tight and case.number % 2 else None
    return Problem.model_validate(
        {
            "name": case.name,
            "bandwidth_hz": bandwidth_hz,
            "gpu_memory_bytes": memory_bytes,
            "resident_model": resident,
            "blocks": library.blocks,
            "models": library.models,
            "users": users,
            **_rules(case),
        }
    )


def _library(rng: np.random.Generator, case: Case) -> Library:
    if case.group == "adapters":
        return adapters(rng, case.models)
    if case.group == "measured":
        rate = pick(rng, REAL_RATES_BYTES_PER_S)
        return bottom(
            rng,
            case.models,
            table=measured,
            limits=(8, 16),
            shape=RESNET50_BYTES,
            rate_bytes_per_s=rate,
        )
    if case.group == "tight":
        return with_activations(rng, bottom(rng, case.models, limits=(1, 2, 3, 4)))
    crosses = _sharing(GROUPS[case.group], case.number) == "crossing"
    if case.group == LARGE:
        crosses = _last_of_large(case)
    library = (crossing if crosses else bottom)(rng, case.models)
    if case.group in ("cache", "overlap"):
        return with_activations(rng, library)
    return library


def _last_of_large(case: Case) -> bool:
    return case.number == 2 * len(UPLINKS)


def _deadlines(case: Case) -> Deadlines:
    deadlines = GROUPS[case.group].deadlines
    if case.group == LARGE:
        return "own" if _last_of_large(case) else "common"
    if deadlines == "some":
        return "own" if case.number % 3 == 2 else "common"
    return deadlines


def _memory_bytes(rng: np.random.Generator, case: Case, library: Library) -> int | None:
    """Memory in bytes; every model runs at least alone."""
    if case.group not in ("tight", "cache", "overlap"):
        return None
    if case.group == "overlap" and case.number % 4 == 0:
        return None
    weights = [library.weight_bytes(name) for name in library.models]
    alone = max(
        weight + model.activation_bytes[0]
        for weight, model in zip(weights, library.models.values(), strict=True)
        if model.activation_bytes is not None
    )
    # Few enough that the cache has to choose, also where there are few models.
    least = {"tight": 1.05, "cache": 1.15, "overlap": 1.5}[case.group]
    more = 0.25 if case.group == "tight" else min(3.0, case.models / 8)
    held = uniform(rng, least, least + more) * sum(weights) / len(weights)
    return int(short(max(1.001 * alone, held)))


def _rules(case: Case) -> dict[str, object]:
    """Rules of GPU memory and of overlap, by group and number."""
    pair, four = case.number // 2 % 2, case.number // 4 % 2
    evictions = ("lru", "furthest-next-use")
    if case.group == "cache":
        return {"residency": "cache", "eviction": evictions[pair]}
    if case.group == "overlap" and pair:
        cache = {"residency": "cache", "eviction": evictions[four]}
        return {"overlap": True, **cache}
    return {"overlap": True} if case.group == "overlap" else {}


def digest(problem: Problem) -> str:
    """Hash what is to be solved: sha256 of its JSON, keys sorted, defaults left out."""
    values = problem.model_dump(mode="json", exclude_defaults=True)
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
