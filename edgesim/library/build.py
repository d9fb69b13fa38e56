"""Model libraries and their shared parameter blocks, derived from a device profile.

The ``[library]`` section of a scenario names one kind:

- ``clusters``: fine-tuned variants that keep the bottom blocks of their base
  (bottom-layer sharing), or its top blocks;
- ``adapters``: low-rank adapters on a common backbone (backbone sharing);
- ``shards``: adapters made of shards from a common pool, so that sharing is crossing;
- ``merged``: models with stated blocks merged, whatever their place;
- ``mixed``: blocks swapped at arbitrary positions, so that sharing is crossing;
- ``checkpoints``: the models of the profile, sharing blocks of identical content;
- ``profile``: the models of the profile unchanged, sharing nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from edgesim.errors import InputError
from edgesim.library.adapters import adapter_recipes
from edgesim.library.families import merged_recipes, shard_recipes
from edgesim.library.recipe import (
    Recipe,
    base_recipe,
    each_base,
    find_base,
    listed,
    numbered,
)
from edgesim.profile.fit import block_load
from edgesim.profile.values import BlockProfile, Profile, Timing
from edgesim.scenario.library import (
    AdaptersSpec,
    Backbone,
    Bases,
    CheckpointsSpec,
    Cluster,
    ClustersSpec,
    LibrarySpec,
    LoadSource,
    MergedSpec,
    MixedSpec,
    Mixture,
    ProfileSpec,
    ShardsSpec,
)
from solvers.problem import MOST_SECONDS, Block, Model


@dataclass(frozen=True)
class Library:
    """Parameter blocks and the models built from them.

    ``load_sigma`` holds the lognormal sigma of the load time of blocks with a measured
    spread; it is empty if a stated rate replaces the measurements. ``compute_sigma``
    holds that of the batch latency of models with a measured spread.
    """

    blocks: Mapping[str, Block]
    models: Mapping[str, Model]
    load_sigma: Mapping[str, float] = field(default_factory=dict)
    compute_sigma: Mapping[str, float] = field(default_factory=dict)


def build_library(
    spec: LibrarySpec, profile: Profile, gpu_load: LoadSource, rng: np.random.Generator
) -> Library:
    """Build the library that a scenario specifies.

    Variants of ``resnet50`` are named ``resnet50-v01``, adapters ``resnet50-a01``,
    mixtures ``resnet50-m01``; numbering continues if a base occurs in several tables.
    A base's blocks are named ``resnet50/layer1.0``, a model's private ones
    ``resnet50-v01/layer4.2``, other versions in a pool ``resnet50/layer1.0#2``. A block
    shared by checkpoints takes its name from the first of them.

    A model's ``latency_s`` is the time of a round beyond its load, including the
    profile's ``round_s``: a plan has no separate term for the cost of a round beyond
    its load and its batch, and every round has exactly one batch.

    Parameters
    ----------
    spec
        The ``[library]`` section.
    profile
        Blocks, load times and batch tables of the base models.
    gpu_load
        The tier that blocks are loaded from, or a stated rate, and factors on the bytes
        and the load times of all blocks.
    rng
        Draws frozen depths and swaps, table by table; the same seed gives the same
        library.

    Raises
    ------
    InputError
        Naming the key of what is wrong: a base, its latency, an adapter size, a tier or
        contents that the profile does not hold, more frozen blocks than a base has.
    """
    match spec:
        case ClustersSpec():
            recipes = _clusters(spec.clusters, profile, rng)
        case AdaptersSpec():
            _check_load_source(spec.backbones, gpu_load)
            recipes = adapter_recipes(spec.backbones, profile)
        case ShardsSpec():
            recipes = shard_recipes(spec.pools, profile, rng)
        case MergedSpec():
            recipes = iter(merged_recipes(spec, profile))
        case MixedSpec():
            recipes = _mixed(spec.mixed, profile, rng)
        case CheckpointsSpec():
            recipes = _checkpoints(_models(spec.models, profile), profile)
        case ProfileSpec():
            recipes = (
                base_recipe(name, profile.models[name].blocks)
                for name in _models(spec.models, profile)
            )
    return _assemble(recipes, profile, gpu_load)


def content_parts(
    profile: Profile, models: Iterable[str]
) -> dict[str, list[tuple[str, BlockProfile]]]:
    """Name the blocks of models so that blocks of equal content have equal names.

    Parameters
    ----------
    profile
        The profile that holds the models.
    models
        Names in the profile, in the order in which they claim blocks.

    Returns
    -------
    dict
        Model to its blocks, each with its name: ``MODEL/BLOCK`` of the first model
        that holds the content. A block without content belongs to its model alone.
    """
    known: dict[str, tuple[str, BlockProfile]] = {}
    parts: dict[str, list[tuple[str, BlockProfile]]] = {}
    for model in models:
        parts[model] = [
            part if block.content is None else known.setdefault(block.content, part)
            for block in profile.models[model].blocks
            for part in [(f"{model}/{block.name}", block)]
        ]
    return parts


def _check_load_source(tables: Sequence[Backbone], gpu_load: LoadSource) -> None:
    """Refuse load times of adapters beside a rate that would replace them."""
    for position, table in enumerate(tables):
        if table.adapter_load_s and gpu_load.load_rate_bytes_per_s is not None:
            raise InputError(
                f"library.backbones[{position}].adapter_load_s",
                "is not taken with gpu.load_rate_bytes_per_s, by which all blocks "
                "load, adapters too",
            )


def _checkpoints(models: Sequence[str], profile: Profile) -> Iterator[Recipe]:
    parts = content_parts(profile, models)
    if not any(block.content for of in parts.values() for _, block in of):
        which = "any block" if len(parts) > 1 else f"the blocks of {models[0]!r}"
        raise InputError(
            "library.kind",
            f"'checkpoints' shares blocks by their content, and profile "
            f"{profile.name!r} holds no content of {which}; make one with edgesim "
            f"profile sharing or measure it from checkpoint files, or use 'profile', "
            f"which shares nothing",
        )
    for name, of in parts.items():
        yield Recipe(name, name, of)


def _models(names: Bases | None, profile: Profile) -> list[str]:
    """List the models that a section names, or all of the profile if it names none."""
    chosen = list(profile.models if names is None else listed(names))
    for name in chosen:
        find_base(profile, name, "library.models")
    return chosen


def _clusters(
    tables: Sequence[Cluster], profile: Profile, rng: np.random.Generator
) -> Iterator[Recipe]:
    names = numbered("v", ((table.base, table.variants) for table in tables))
    for table, key, base, blocks in each_base(tables, "clusters", profile):
        low, high = _depths(table, blocks, key, base)
        if table.include_base:
            yield base_recipe(base, blocks)
        for name in islice(names[base], table.variants):
            frozen = int(rng.integers(low, high, endpoint=True))
            own = len(blocks) - frozen
            owners = (
                [base] * frozen + [name] * own
                if table.shares == "bottom"
                else [name] * own + [base] * frozen
            )
            parts = [
                (f"{owner}/{block.name}", block)
                for owner, block in zip(owners, blocks, strict=True)
            ]
            yield Recipe(name, base, parts)


def _depths(
    table: Cluster, blocks: Sequence[BlockProfile], key: str, base: str
) -> tuple[int, int]:
    count = len(blocks)
    if table.frozen_fraction is not None:
        low, high = _ends(table.frozen_fraction)
        return math.floor(low * count + 0.5), math.floor(high * count + 0.5)
    if table.frozen_bytes_fraction is not None:
        low, high = _ends(table.frozen_bytes_fraction)
        if table.shares == "top":
            blocks = blocks[::-1]
        return _depth_within(low, blocks), _depth_within(high, blocks)
    assert table.frozen_blocks is not None  # Cluster holds one of the three
    low, high = _ends(table.frozen_blocks)
    if high > count:
        raise InputError(
            f"{key}.frozen_blocks",
            f"must be at most the number of blocks of {base!r} ({count}), found {high}",
        )
    return low, high


def _depth_within(fraction: float, blocks: Sequence[BlockProfile]) -> int:
    """Count the first blocks that take at most a fraction of all bytes."""
    held = np.cumsum([block.bytes for block in blocks], dtype=np.float64)
    # Rounding of a fraction that is exactly that of some blocks must not lose one.
    return int(np.searchsorted(held, (fraction + 1e-9) * held[-1], side="right"))


def _mixed(
    tables: Sequence[Mixture], profile: Profile, rng: np.random.Generator
) -> Iterator[Recipe]:
    names = numbered("m", ((table.base, table.models) for table in tables))
    for table, _, base, blocks in each_base(tables, "mixed", profile):
        for name in islice(names[base], table.models):
            swapped = rng.random(len(blocks)) < table.swap_probability
            others = rng.integers(2, table.pool, len(blocks), endpoint=True)
            parts = [
                (f"{base}/{block.name}" + (f"#{other}" if swap else ""), block)
                for block, swap, other in zip(blocks, swapped, others, strict=True)
            ]
            yield Recipe(name, base, parts)


def _assemble(
    recipes: Iterable[Recipe], profile: Profile, gpu_load: LoadSource
) -> Library:
    tier, rate = gpu_load.load_from, gpu_load.load_rate_bytes_per_s
    weight, time_scale = gpu_load.weight_scale, gpu_load.load_time_scale
    blocks: dict[str, Block] = {}
    sources: dict[str, BlockProfile] = {}
    models: dict[str, Model] = {}
    # Models share the blocks of their base, each of which ``sources`` keeps.
    timings: dict[int, Timing] = {}
    load_sigma: dict[str, float] = {}
    compute_sigma: dict[str, float] = {}
    for name, base, parts in recipes:
        names = tuple(part for part, _ in parts)
        if name in models:
            if models[name].blocks != names:
                raise InputError("library", f"two models are called {name!r}")
            continue
        if rate is None and tier not in profile.models[base].tiers:
            raise InputError(
                "gpu.load_from",
                f"must be a tier that profile {profile.name!r} holds "
                f"for {base!r} ({', '.join(profile.models[base].tiers)}), "
                f"found {tier!r}",
            )
        for part, source in parts:
            if part in blocks:
                if sources[part] is not source and sources[part] != source:
                    raise InputError("library", f"two blocks are called {part!r}")
                continue
            sources[part] = source
            size = max(1, round(source.bytes * weight)) if weight != 1 else source.bytes
            if rate is None:
                if id(source) not in timings:
                    timings[id(source)] = block_load(profile, source, tier)
                time = timings[id(source)]
                load_s = time.median_s * weight * time_scale
                if time.spread is not None:
                    load_sigma[part] = time.spread
            else:
                load_s = size / rate * time_scale
                _check_load(part, size, load_s, rate)
            blocks[part] = Block(bytes=size, load_s=load_s)
        models[name] = Model(
            blocks=names,
            latency_s=profile.round_table(base),
            activation_bytes=profile.activation_table(base),
        )
        spread = profile.latency_spread(base)
        if spread is not None:
            compute_sigma[name] = spread
    return Library(blocks, models, load_sigma, compute_sigma)


def _check_load(block: str, size: int, load_s: float, rate: float) -> None:
    """Refuse a rate at which a block takes longer than any value may be."""
    if load_s > MOST_SECONDS:
        raise InputError(
            "gpu.load_rate_bytes_per_s",
            f"must load every block within {MOST_SECONDS:g} s, found {rate:g}, at "
            f"which {block!r} of {size:,} bytes takes {load_s:g} s",
        )


def _ends(span: Any) -> tuple[Any, Any]:
    return span if isinstance(span, tuple) else (span, span)
