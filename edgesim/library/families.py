"""Families that share at arbitrary places: pools of shards, and merged blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from edgesim.errors import InputError
from edgesim.library.recipe import Recipe, base_recipe, each_base, numbered
from edgesim.profile.fit import copy_time, scaled
from edgesim.profile.values import BlockProfile, Profile
from edgesim.scenario.library import Group, MergedSpec, Pool
from solvers.spelling import did_you_mean


def shard_recipes(
    tables: Sequence[Pool], profile: Profile, rng: np.random.Generator
) -> Iterator[Recipe]:
    """Make adapters of a backbone and of shards, most from a pool common to all.

    Shards come after all blocks of the backbone, since every layer may use them. Each
    is one copy: it costs what one of its size does by the profile's copies, otherwise
    its bytes at the rate of the backbone's largest block.
    """
    names = numbered("a", ((table.base, table.adapters) for table in tables))
    for position, (table, _, base, blocks) in enumerate(
        each_base(tables, "pools", profile)
    ):
        shard = _shard(table.shard_bytes, blocks, profile)
        if table.include_base:
            yield base_recipe(base, blocks)
        for name in islice(names[base], table.adapters):
            taken = np.sort(rng.choice(table.pool, table.takes, replace=False))
            shards = [f"{base}/pool{position + 1}.{n + 1}" for n in taken]
            shards += [f"{name}/shard{n + 1}" for n in range(table.own)]
            parts = [
                *base_recipe(base, blocks).parts,
                *((shard_name, shard) for shard_name in shards),
            ]
            yield Recipe(name, base, parts)


def _shard(size: int, blocks: Sequence[BlockProfile], profile: Profile) -> BlockProfile:
    largest = max(blocks, key=lambda block: block.bytes)
    loads = {
        tier: copy_time(profile, tier, size) or scaled(time, size / largest.bytes)
        for tier, time in largest.load_s.items()
    }
    return BlockProfile(name="shard", bytes=size, load_s=loads)


def merged_recipes(spec: MergedSpec, profile: Profile) -> list[Recipe]:
    """Make models whose blocks are their own, except those of a group.

    A group's blocks are one, under the name and with the load times of its first.

    Raises
    ------
    InputError
        Naming the key: there is no such base or block, a block is in two groups, two
        blocks of a group are of one model or differ in bytes.
    """
    names = numbered("g", ((table.base, table.models) for table in spec.merged))
    recipes = [
        Recipe(name, base, [(f"{name}/{block.name}", block) for block in blocks])
        for table, _, base, blocks in each_base(spec.merged, "merged", profile)
        for name in islice(names[base], table.models)
    ]
    merged = _merged(spec.groups, recipes)
    return [
        Recipe(name, base, [merged.get(part, (part, of)) for part, of in parts])
        for name, base, parts in recipes
    ]


def _merged(
    groups: Sequence[Group], recipes: Sequence[Recipe]
) -> dict[str, tuple[str, BlockProfile]]:
    """Map each block of a group to the group's first."""
    known = {
        part: (recipe.name, block) for recipe in recipes for part, block in recipe.parts
    }
    found: dict[str, tuple[str, BlockProfile]] = {}
    for position, group in enumerate(groups):
        key = f"library.groups[{position}].blocks"
        owners: dict[str, str] = {}
        for part in group.blocks:
            if part not in known:
                raise InputError(
                    key,
                    f"must be blocks MODEL/BLOCK such as {next(iter(known))!r}, found "
                    f"{part!r}{did_you_mean(part, known)}",
                )
            owner, block = known[part]
            if owner in owners or part in found:
                other = owners.get(owner, "another group")
                raise InputError(
                    key,
                    f"must hold one block of a model, each in one group, found "
                    f"{part!r} beside {other!r}",
                )
            owners[owner] = part
            first = known[group.blocks[0]][1]
            if block.bytes != first.bytes:
                raise InputError(
                    key,
                    f"must be of equal size, found {group.blocks[0]!r} of "
                    f"{first.bytes} bytes and {part!r} of {block.bytes}",
                )
            found[part] = (group.blocks[0], first)
    return found
