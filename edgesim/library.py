"""Model libraries: who shares which parameter blocks, derived from a device profile.

The ``[library]`` section of a scenario names one kind:

- ``clusters``: fine-tuned variants that keep the bottom blocks of their base
  (bottom-layer sharing);
- ``adapters``: low-rank adapters on a common backbone (backbone sharing);
- ``mixed``: blocks swapped at arbitrary positions, so that sharing crosses;
- ``profile``: the models of the profile as they stand, sharing nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from edgesim.errors import short
from edgesim.profile import BlockProfile, Profile, Tier, Timing, by_kind
from solvers.problem import Block, Bytes, Model, Name, Positive, Value, whole

Count = Annotated[int, Field(gt=0, le=10_000), BeforeValidator(whole)]


def _names(value: Any) -> Any:
    if isinstance(value, str) and value:
        return value
    if (
        isinstance(value, (list, tuple))
        and value
        and all(isinstance(name, str) and name for name in value)
    ):
        return tuple(value)
    raise ValueError(
        f"must be a model's name or a list of such names, found {short(value)}"
    )


def _span(what: str, number: type, highest: float) -> BeforeValidator:
    """Accept one value from 0 to ``highest``, or a pair ``[lowest, highest]``."""

    def valid(value: Any) -> bool:
        real = isinstance(value, (int, number)) and not isinstance(value, bool)
        return real and 0 <= value <= highest

    def check(value: Any) -> Any:
        if valid(value):
            return value
        pair = tuple(value) if isinstance(value, (list, tuple)) else ()
        if len(pair) == 2 and all(map(valid, pair)) and pair[0] <= pair[1]:
            return pair
        raise ValueError(
            f"must be {what} or a pair [lowest, highest] of them, found {short(value)}"
        )

    return BeforeValidator(check)


Bases = Annotated[str | tuple[str, ...], BeforeValidator(_names)]
Depths = Annotated[
    int | tuple[int, int], _span("a whole number, 0 or more,", int, math.inf)
]
Fractions = Annotated[
    float | tuple[float, float], _span("a number between 0 and 1", float, 1)
]


class Cluster(Value):
    """Fine-tuned variants of each base, sharing its first blocks.

    Either ``frozen_blocks`` or ``frozen_fraction`` (of the base's number of blocks,
    rounded to the nearest) says how many; of a pair, each variant draws a whole number
    of blocks uniformly between the two, ends included. With ``include_base`` the base
    itself is a model too.
    """

    base: Bases
    variants: Count
    frozen_blocks: Depths | None = None
    frozen_fraction: Fractions | None = None
    include_base: bool = False

    @model_validator(mode="after")
    def _check(self) -> Cluster:
        if (self.frozen_blocks is None) == (self.frozen_fraction is None):
            raise ValueError("give one of frozen_blocks and frozen_fraction")
        return self


class Backbone(Value):
    """Adapters on each base: all its blocks shared, a small block more at every layer.

    The size of an adapter's block is ``adapter_bytes_per_layer``, or follows from
    ``rank`` and ``targets`` (which weights are adapted, ``"q,v"`` if not given) where
    the profile holds ``lora`` sizes for the base. Layers are the blocks whose names
    begin with ``layer_prefix``: if not given, the profile's, and every block where it
    has none.
    """

    base: Bases
    adapters: Count
    rank: Count | None = None
    targets: Name | None = None
    adapter_bytes_per_layer: Bytes | None = None
    layer_prefix: Name | None = None
    include_base: bool = False

    @model_validator(mode="after")
    def _check(self) -> Backbone:
        if (self.rank is None) == (self.adapter_bytes_per_layer is None):
            raise ValueError("give one of rank and adapter_bytes_per_layer")
        if self.rank is None and self.targets is not None:
            raise ValueError("targets needs rank, not adapter_bytes_per_layer")
        return self


class Mixture(Value):
    """Models whose blocks are swapped independently at every position.

    At each position there are ``pool`` versions of the base's block. A model takes the
    base's own, or with ``swap_probability`` one of the others, each equally likely.
    """

    base: Bases
    models: Count
    pool: Annotated[int, Field(ge=2, le=1_000_000)]
    swap_probability: Annotated[float, Field(ge=0, le=1)]


class ClustersSpec(Value):
    """``kind = "clusters"``: one ``[[library.clusters]]`` table or more."""

    kind: Literal["clusters"]
    clusters: Annotated[tuple[Cluster, ...], Field(min_length=1, strict=False)]


class AdaptersSpec(Value):
    """``kind = "adapters"``: one ``[[library.backbones]]`` table or more."""

    kind: Literal["adapters"]
    backbones: Annotated[tuple[Backbone, ...], Field(min_length=1, strict=False)]


class MixedSpec(Value):
    """``kind = "mixed"``: one ``[[library.mixed]]`` table or more."""

    kind: Literal["mixed"]
    mixed: Annotated[tuple[Mixture, ...], Field(min_length=1, strict=False)]


class ProfileSpec(Value):
    """``kind = "profile"``: all models of the profile, or those of ``models``."""

    kind: Literal["profile"]
    models: Bases | None = None


LibrarySpec: TypeAlias = Annotated[
    ClustersSpec | AdaptersSpec | MixedSpec | ProfileSpec,
    Field(discriminator="kind"),
    by_kind(ClustersSpec, AdaptersSpec, MixedSpec, ProfileSpec),
]


class LoadSource(Value):
    """Where blocks are loaded from.

    ``load_from`` picks the profile's tier. ``load_rate_bytes_per_s``, where given,
    replaces its load times by bytes / rate: an assumption, and nothing measured.
    """

    load_from: Tier = "pinned"
    load_rate_bytes_per_s: Positive | None = None


@dataclass(frozen=True)
class Library:
    """Parameter blocks and the models made of them.

    ``load_sigma`` holds the lognormal sigma of the load time of those blocks whose
    spread was measured; it is empty when a stated rate replaces the measurements.
    """

    blocks: Mapping[str, Block]
    models: Mapping[str, Model]
    load_sigma: Mapping[str, float] = field(default_factory=dict)


class _Recipe(NamedTuple):
    """A model to make: its name, its base, and its blocks under their final names."""

    name: str
    base: str
    parts: list[tuple[str, BlockProfile]]


Table = TypeVar("Table", Cluster, Backbone, Mixture)


def build_library(
    spec: LibrarySpec, profile: Profile, gpu_load: LoadSource, rng: np.random.Generator
) -> Library:
    """Make the library that a scenario asks for.

    Variants of ``resnet50`` are called ``resnet50-v01``, adapters ``resnet50-a01``,
    mixtures ``resnet50-m01``; a base that stands in several tables goes on counting.
    A base's blocks are called ``resnet50/layer1.0``, a model's own ones
    ``resnet50-v01/layer4.2``, other versions in a pool ``resnet50/layer1.0#2``.

    Parameters
    ----------
    spec
        The ``[library]`` section.
    profile
        Blocks, load times and batch tables of the base models.
    gpu_load
        The tier that blocks are loaded from, or a stated rate.
    rng
        Draws frozen depths and swaps, table by table; the same seed gives the same
        library.

    Raises
    ------
    ValueError
        Beginning with the key path of what is wrong: a base, an adapter size or a
        tier that the profile does not hold, more frozen blocks than a base has.
    """
    match spec:
        case ClustersSpec():
            recipes = _clusters(spec.clusters, profile, rng)
        case AdaptersSpec():
            recipes = _adapters(spec.backbones, profile)
        case MixedSpec():
            recipes = _mixed(spec.mixed, profile, rng)
        case ProfileSpec():
            names = profile.models if spec.models is None else _listed(spec.models)
            recipes = (
                _base(name, _find(profile, name, "library.models")) for name in names
            )
    return _assemble(recipes, profile, gpu_load)


def _clusters(
    tables: Sequence[Cluster], profile: Profile, rng: np.random.Generator
) -> Iterator[_Recipe]:
    names = _numbered("v", ((table.base, table.variants) for table in tables))
    for table, key, base, blocks in _each(tables, "clusters", profile):
        low, high = _depths(table, len(blocks), key, base)
        if table.include_base:
            yield _base(base, blocks)
        for name in islice(names[base], table.variants):
            frozen = int(rng.integers(low, high, endpoint=True))
            owners = [base] * frozen + [name] * (len(blocks) - frozen)
            parts = [
                (f"{owner}/{block.name}", block)
                for owner, block in zip(owners, blocks, strict=True)
            ]
            yield _Recipe(name, base, parts)


def _depths(table: Cluster, count: int, key: str, base: str) -> tuple[int, int]:
    if table.frozen_fraction is not None:
        low, high = _ends(table.frozen_fraction)
        return math.floor(low * count + 0.5), math.floor(high * count + 0.5)
    assert table.frozen_blocks is not None  # Cluster holds one of the two
    low, high = _ends(table.frozen_blocks)
    if high > count:
        raise ValueError(
            f"{key}.frozen_blocks: must be at most the number of blocks of {base!r} "
            f"({count}), found {high}"
        )
    return low, high


def _adapters(tables: Sequence[Backbone], profile: Profile) -> Iterator[_Recipe]:
    names = _numbered("a", ((table.base, table.adapters) for table in tables))
    for table, key, base, blocks in _each(tables, "backbones", profile):
        size = _adapter_bytes(table, profile, key, base)
        lora = profile.models[base].lora
        prefix = table.layer_prefix or (lora.layer_prefix if lora else "")
        if not any(block.name.startswith(prefix) for block in blocks):
            raise ValueError(
                f"{key}.layer_prefix: must begin the name of a block of {base!r} "
                f"({blocks[0].name}, …, {blocks[-1].name}), found {prefix!r}"
            )
        if table.include_base:
            yield _base(base, blocks)
        for name in islice(names[base], table.adapters):
            parts: list[tuple[str, BlockProfile]] = []
            for block in blocks:
                parts.append((f"{base}/{block.name}", block))
                if block.name.startswith(prefix):
                    own = _resized(block, size)
                    parts.append((f"{name}/{own.name}", own))
            yield _Recipe(name, base, parts)


def _adapter_bytes(table: Backbone, profile: Profile, key: str, base: str) -> int:
    if table.adapter_bytes_per_layer is not None:
        return table.adapter_bytes_per_layer
    assert table.rank is not None  # Backbone holds one of the two
    lora = profile.models[base].lora
    if lora is None:
        raise ValueError(
            f"{key}.rank: profile {profile.name!r} holds no lora sizes for {base!r}; "
            f"give adapter_bytes_per_layer"
        )
    targets = table.targets or "q,v"
    if targets not in lora.bytes_per_rank:
        known = ", ".join(repr(name) for name in lora.bytes_per_rank)
        raise ValueError(
            f"{key}.targets: must be one of {known} for {base!r}, found {targets!r}"
        )
    return table.rank * lora.bytes_per_rank[targets]


def _resized(block: BlockProfile, size: int) -> BlockProfile:
    """Make an adapter's block, loaded at the byte rate of the layer it belongs to."""
    ratio = size / block.bytes
    loads = {
        tier: Timing(
            **{key: s * ratio for key, s in time.model_dump(exclude_none=True).items()}
        )
        for tier, time in block.load_s.items()
    }
    return BlockProfile(name=f"{block.name}.adapter", bytes=size, load_s=loads)


def _mixed(
    tables: Sequence[Mixture], profile: Profile, rng: np.random.Generator
) -> Iterator[_Recipe]:
    names = _numbered("m", ((table.base, table.models) for table in tables))
    for table, _, base, blocks in _each(tables, "mixed", profile):
        for name in islice(names[base], table.models):
            swapped = rng.random(len(blocks)) < table.swap_probability
            others = rng.integers(2, table.pool, len(blocks), endpoint=True)
            parts = [
                (f"{base}/{block.name}" + (f"#{other}" if swap else ""), block)
                for block, swap, other in zip(blocks, swapped, others, strict=True)
            ]
            yield _Recipe(name, base, parts)


def _base(base: str, blocks: Sequence[BlockProfile]) -> _Recipe:
    return _Recipe(base, base, [(f"{base}/{block.name}", block) for block in blocks])


def _numbered(
    letter: str, tables: Iterable[tuple[str | tuple[str, ...], int]]
) -> dict[str, Iterator[str]]:
    """Give out names per base, numbered as wide as the last one needs."""
    totals: Counter[str] = Counter()
    for bases, count in tables:
        for base in _listed(bases):
            totals[base] += count
    return {
        base: iter(
            [f"{base}-{letter}{n + 1:0{max(2, len(str(total)))}}" for n in range(total)]
        )
        for base, total in totals.items()
    }


def _each(
    tables: Sequence[Table], section: str, profile: Profile
) -> Iterator[tuple[Table, str, str, tuple[BlockProfile, ...]]]:
    """Go through tables and their bases: table, key path, base, the base's blocks."""
    for position, table in enumerate(tables):
        key = f"library.{section}[{position}]"
        for base in _listed(table.base):
            yield table, key, base, _find(profile, base, f"{key}.base")


def _assemble(
    recipes: Iterable[_Recipe], profile: Profile, gpu_load: LoadSource
) -> Library:
    tier, rate = gpu_load.load_from, gpu_load.load_rate_bytes_per_s
    blocks: dict[str, Block] = {}
    models: dict[str, Model] = {}
    sigma: dict[str, float] = {}
    for name, base, parts in recipes:
        names = tuple(part for part, _ in parts)
        if name in models:
            if models[name].blocks != names:
                raise ValueError(f"library: two models are called {name!r}")
            continue
        if rate is None and tier not in profile.models[base].tiers:
            raise ValueError(
                f"gpu.load_from: must be a tier that profile {profile.name!r} holds "
                f"for {base!r} ({', '.join(profile.models[base].tiers)}), "
                f"found {tier!r}"
            )
        for part, source in parts:
            if part in blocks:
                continue
            if rate is None:
                time = source.load_s[tier]
                blocks[part] = Block(bytes=source.bytes, load_s=time.median_s)
                if time.spread is not None:
                    sigma[part] = time.spread
            else:
                blocks[part] = Block(bytes=source.bytes, load_s=source.bytes / rate)
        models[name] = Model(
            blocks=names,
            latency_s=profile.latency_table(base),
            activation_bytes=profile.activation_table(base),
        )
    return Library(blocks, models, sigma)


def _find(profile: Profile, base: str, key: str) -> tuple[BlockProfile, ...]:
    if base not in profile.models:
        raise ValueError(
            f"{key}: must be a model of profile {profile.name!r} "
            f"({', '.join(profile.models)}), found {base!r}"
        )
    return profile.models[base].blocks


def _listed(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _ends(span: Any) -> tuple[Any, Any]:
    return span if isinstance(span, tuple) else (span, span)
