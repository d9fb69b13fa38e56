"""Adapters on a shared backbone: their sizes, copies and load times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise

from edgesim.errors import InputError
from edgesim.library.recipe import Recipe, base_recipe, each_base, numbered
from edgesim.profile.fit import copy_offset_s, copy_time, scaled
from edgesim.profile.values import BlockProfile, Profile, Tier, Timing
from edgesim.scenario.library import Backbone

DEFAULT_TARGETS = "q,v"
"""The adapted weights of a table that gives a rank and no targets."""


def adapter_recipes(tables: Sequence[Backbone], profile: Profile) -> Iterator[Recipe]:
    """Make the adapters of each backbone: its blocks, and one of their own a layer.

    With several ranks, a layer's adapter is cut where one ends: each slice is a block
    that all models of the adapter with this rank or a higher one hold.

    Raises
    ------
    InputError
        Naming the key of what is wrong.
    """
    names = numbered("a", ((table.base, table.adapters) for table in tables))
    for table, key, base, blocks in each_base(tables, "backbones", profile):
        if table.include_base:
            yield base_recipe(base, blocks)
        if table.ranks is None:
            slices = [_adapter_blocks(table, profile, key, base)]
            ends = [""]
        else:
            slices = _slices(table, table.ranks, profile, key, base)
            ends = [f"-r{rank}" for rank in table.ranks]
        for name in islice(names[base], table.adapters):
            for count, end in enumerate(ends, start=1):
                parts: list[tuple[str, BlockProfile]] = []
                for block in blocks:
                    parts.append((f"{base}/{block.name}", block))
                    parts += [
                        (f"{name}/{own[block.name].name}", own[block.name])
                        for own in slices[:count]
                        if block.name in own
                    ]
                yield Recipe(f"{name}{end}", base, parts)


def _slices(
    table: Backbone, ranks: Sequence[int], profile: Profile, key: str, base: str
) -> list[Mapping[str, BlockProfile]]:
    """Make what each rank adds to the one below, by the layer's name."""
    highest = table.adapter_bytes_per_layer
    if highest is not None and any(rank * highest % ranks[-1] for rank in ranks):
        raise InputError(
            f"{key}.adapter_bytes_per_layer",
            f"must give whole bytes at ranks {', '.join(map(str, ranks))}, "
            f"found {highest}",
        )
    lora = profile.models[base].lora
    if lora is not None and lora.adapter_load_s is not None:
        raise InputError(
            f"{key}.ranks",
            f"needs loads by bytes, and profile {profile.name!r} knows those of whole "
            f"adapters of {base!r}",
        )
    found: list[Mapping[str, BlockProfile]] = []
    for low, high in pairwise((0, *ranks)):
        one = table.model_copy(
            update={"rank": high - low}
            if highest is None
            else {"adapter_bytes_per_layer": (high - low) * highest // ranks[-1]}
        )
        found.append(
            {
                layer: block.model_copy(update={"name": f"{block.name}.r{high}"})
                for layer, block in _adapter_blocks(one, profile, key, base).items()
            }
        )
    return found


def _adapter_blocks(
    table: Backbone, profile: Profile, key: str, base: str
) -> Mapping[str, BlockProfile]:
    """Make an adapter's block for each layer of a base, by the layer's name."""
    lora, blocks = profile.models[base].lora, profile.models[base].blocks
    size = _bytes_per_layer(table, profile, key, base)
    prefix = table.layer_prefix or (lora.layer_prefix if lora else "")
    layers = [block for block in blocks if block.name.startswith(prefix)]
    if not layers:
        raise InputError(
            f"{key}.layer_prefix",
            f"must begin the name of a block of {base!r} "
            f"({blocks[0].name}, …, {blocks[-1].name}), found {prefix!r}",
        )
    whole = _whole_loads(table, profile, key, base)
    if whole is not None:
        loads = {tier: scaled(time, 1 / len(layers)) for tier, time in whole.items()}
        return {layer.name: _adapter(layer, size, loads) for layer in layers}
    copies = _copies_per_layer(table, profile, key, base)
    return {
        layer.name: _adapter(layer, size, _copied(layer, size, profile), copies)
        for layer in layers
    }


def _adapter(
    layer: BlockProfile,
    size: int,
    loads: Mapping[Tier, Timing],
    copies: int | None = None,
) -> BlockProfile:
    name = f"{layer.name}.adapter"
    return BlockProfile(name=name, bytes=size, load_s=loads, copies=copies)


def _bytes_per_layer(table: Backbone, profile: Profile, key: str, base: str) -> int:
    if table.adapter_bytes_per_layer is not None:
        return table.adapter_bytes_per_layer
    assert table.rank is not None  # Backbone holds one of the two
    lora = profile.models[base].lora
    if lora is None:
        raise InputError(
            f"{key}.rank" + ("s" if table.ranks else ""),
            f"profile {profile.name!r} holds no lora sizes for {base!r}; "
            f"give adapter_bytes_per_layer",
        )
    targets = table.targets or DEFAULT_TARGETS
    if targets not in lora.bytes_per_rank:
        known = ", ".join(repr(name) for name in lora.bytes_per_rank)
        raise InputError(
            f"{key}.targets", f"must be one of {known} for {base!r}, found {targets!r}"
        )
    return table.rank * lora.bytes_per_rank[targets]


def _whole_loads(
    table: Backbone, profile: Profile, key: str, base: str
) -> Mapping[Tier, Timing] | None:
    """Return the load time of a whole adapter where one is stated, by tier.

    That of the scenario comes before the profile's, which knows it by rank.
    """
    model = profile.models[base]
    if table.adapter_load_s is not None:
        return dict.fromkeys(model.tiers, Timing(median_s=table.adapter_load_s))
    known = model.lora.adapter_load_s if model.lora else None
    if known is None or table.rank is None or table.adapter_copies_per_layer:
        return None
    if str(table.rank) not in known:
        raise InputError(
            f"{key}.rank",
            f"profile {profile.name!r} holds load times of adapters of rank "
            f"{', '.join(known)} for {base!r}, found {table.rank}; "
            f"give adapter_load_s for another",
        )
    return known[str(table.rank)]


def _copies_per_layer(
    table: Backbone, profile: Profile, key: str, base: str
) -> int | None:
    """Return how many copies load an adapter's block; None where nothing says so."""
    if table.adapter_copies_per_layer is not None:
        if table.adapter_copies_per_layer > 1:
            _check_ladder(profile, f"{key}.adapter_copies_per_layer", base)
        return table.adapter_copies_per_layer
    lora = profile.models[base].lora
    if table.rank is None or lora is None or lora.copies is None:
        return None
    return lora.copies.get(table.targets or DEFAULT_TARGETS)


def _check_ladder(profile: Profile, key: str, base: str) -> None:
    for tier in profile.models[base].tiers:
        if copy_offset_s(profile, tier) is None:
            raise InputError(
                key,
                f"needs plain copies in the profile, which say what a copy costs "
                f"beyond its bytes, and {profile.name!r} holds none of tier {tier!r}",
            )


def _copied(layer: BlockProfile, size: int, profile: Profile) -> Mapping[Tier, Timing]:
    """Time an adapter's block as one copy of its size if the profile has copies.

    It is one of hundreds of copies in a row, so it costs what a copy in a chain does.
    Without measured copies it is loaded at the byte rate of its layer, which neglects
    the overhead of every copy.
    """
    return {
        tier: copy_time(profile, tier, size) or scaled(time, size / layer.bytes)
        for tier, time in layer.load_s.items()
    }
