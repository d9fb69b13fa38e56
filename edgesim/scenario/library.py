"""The ``[library]`` section of a scenario, and the source of its block loads."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from edgesim.errors import short
from edgesim.profile.values import Tier, by_kind
from edgesim.trace.scale import Scale
from solvers.problem import Bytes, Name, Positive, PositiveSeconds, Value, whole

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
        if number is int:
            value = whole(value)
        if valid(value):
            return value
        pair = tuple(value) if isinstance(value, (list, tuple)) else ()
        if number is int:
            pair = tuple(map(whole, pair))
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


FROZEN = ("frozen_blocks", "frozen_fraction", "frozen_bytes_fraction")
"""Keys of a cluster that say how many blocks its variants share: one of them."""


def _rising(ranks: tuple[int, ...]) -> tuple[int, ...]:
    if all(low < high for low, high in pairwise(ranks)):
        return ranks
    raise ValueError(f"must be distinct ranks, the lowest first, found {list(ranks)}")


Ranks = Annotated[
    tuple[Count, ...], Field(min_length=2, strict=False), AfterValidator(_rising)
]


class Cluster(Value):
    """Fine-tuned variants of each base, sharing its first blocks, or its last.

    Their number is ``frozen_blocks``, or ``frozen_fraction`` of the base's number of
    blocks, rounded to the nearest, or the most whose bytes are at most
    ``frozen_bytes_fraction`` of the base's; for a pair, each variant draws an integer
    number of blocks uniformly between the two, inclusive. With ``include_base``, the
    base itself is a model too.

    With ``shares = "top"`` they share its last blocks instead, and these keys count
    from there: variants whose bottom was tuned, under a common top.
    """

    base: Bases
    variants: Count
    frozen_blocks: Depths | None = None
    frozen_fraction: Fractions | None = None
    frozen_bytes_fraction: Fractions | None = None
    shares: Literal["bottom", "top"] = "bottom"
    include_base: bool = False

    @model_validator(mode="after")
    def _check(self) -> Cluster:
        if sum(getattr(self, key) is not None for key in FROZEN) != 1:
            raise ValueError(f"give one of {', '.join(FROZEN[:-1])} and {FROZEN[-1]}")
        return self


class Backbone(Value):
    """Adapters on each base: all its blocks shared, plus a small block at every layer.

    The size of an adapter's block is ``adapter_bytes_per_layer``, or follows from
    ``rank`` and ``targets`` (the adapted weights, ``"q,v"`` by default) if the profile
    holds ``lora`` sizes for the base. Layers are the blocks whose names start with
    ``layer_prefix``: by default the profile's prefix, or every block if it has none.

    ``adapter_load_s`` is the load time of a whole adapter, from wherever adapters lie,
    in equal parts at every layer; otherwise it follows from the profile: its load times
    of adapters of this rank, or the bytes and copies. ``adapter_copies_per_layer``
    says how many copies load an adapter's block, in place of the profile's number.

    With ``ranks`` in place of ``rank`` each adapter is a model at each of them, and a
    lower rank is part of a higher one: its rows and columns are the first. Then
    ``adapter_bytes_per_layer``, if given, is the size at the highest.
    """

    base: Bases
    adapters: Count
    rank: Count | None = None
    ranks: Ranks | None = None
    targets: Name | None = None
    adapter_bytes_per_layer: Bytes | None = None
    layer_prefix: Name | None = None
    adapter_load_s: PositiveSeconds | None = None
    adapter_copies_per_layer: Count | None = None
    include_base: bool = False

    @model_validator(mode="after")
    def _check(self) -> Backbone:
        sizes = (self.rank, self.ranks, self.adapter_bytes_per_layer)
        by_bytes = self.rank is None and self.adapter_bytes_per_layer is not None
        if sum(size is not None for size in sizes) != 1 and not by_bytes:
            raise ValueError("give one of rank and adapter_bytes_per_layer, or ranks")
        if self.ranks is not None and self.adapter_load_s is not None:
            raise ValueError(
                "adapter_load_s is the time of an adapter of one rank, so give no "
                "ranks with it"
            )
        if by_bytes and self.targets is not None:
            raise ValueError("targets needs rank, not adapter_bytes_per_layer")
        if self.adapter_load_s is not None and self.adapter_copies_per_layer:
            raise ValueError(
                "adapter_load_s is the time of all copies, so give no "
                "adapter_copies_per_layer with it"
            )
        return self


class Mixture(Value):
    """Models whose blocks are swapped independently at every position.

    At each position there are ``pool`` versions of the base's block. A model takes the
    base's version, or with ``swap_probability`` one of the others, uniformly at random.
    """

    base: Bases
    models: Count
    pool: Annotated[int, Field(ge=2, le=1_000_000), BeforeValidator(whole)]
    swap_probability: Annotated[float, Field(ge=0, le=1)]


class Pool(Value):
    """Adapters on each base that are made of shards, most from a pool common to all.

    Each adapter takes ``takes`` of the ``pool`` common shards, drawn at random, and has
    ``own`` more of its own; a shard has ``shard_bytes``.
    """

    base: Bases
    adapters: Count
    shard_bytes: Bytes
    pool: Count
    takes: Count
    own: Annotated[int, Field(ge=0, le=10_000), BeforeValidator(whole)] = 0
    include_base: bool = False

    @model_validator(mode="after")
    def _check(self) -> Pool:
        if self.takes > self.pool:
            raise ValueError(
                f"takes must be at most pool ({self.pool}), found {self.takes}"
            )
        return self


class Merging(Value):
    """Models of one architecture each, before any of their blocks are merged."""

    base: Bases
    models: Count


class Group(Value):
    """Blocks of equal size that are merged: one in place of all of them.

    Each is named ``MODEL/BLOCK`` and of another model.
    """

    blocks: Annotated[tuple[Name, ...], Field(min_length=2, strict=False)]


class ClustersSpec(Value):
    """``kind = "clusters"``: at least one ``[[library.clusters]]`` table."""

    kind: Literal["clusters"]
    clusters: Annotated[tuple[Cluster, ...], Field(min_length=1, strict=False)]


class AdaptersSpec(Value):
    """``kind = "adapters"``: at least one ``[[library.backbones]]`` table."""

    kind: Literal["adapters"]
    backbones: Annotated[tuple[Backbone, ...], Field(min_length=1, strict=False)]


class MixedSpec(Value):
    """``kind = "mixed"``: at least one ``[[library.mixed]]`` table."""

    kind: Literal["mixed"]
    mixed: Annotated[tuple[Mixture, ...], Field(min_length=1, strict=False)]


class ShardsSpec(Value):
    """``kind = "shards"``: at least one ``[[library.pools]]`` table."""

    kind: Literal["shards"]
    pools: Annotated[tuple[Pool, ...], Field(min_length=1, strict=False)]


class MergedSpec(Value):
    """``kind = "merged"``: models by ``[[library.merged]]``, and groups of blocks."""

    kind: Literal["merged"]
    merged: Annotated[tuple[Merging, ...], Field(min_length=1, strict=False)]
    groups: Annotated[tuple[Group, ...], Field(strict=False)] = ()


class ProfileSpec(Value):
    """``kind = "profile"``: all models of the profile, or those of ``models``."""

    kind: Literal["profile"]
    models: Bases | None = None


class CheckpointsSpec(Value):
    """``kind = "checkpoints"``: models of the profile, sharing identical content.

    All of them, or those of ``models``.
    """

    kind: Literal["checkpoints"]
    models: Bases | None = None


LibrarySpec: TypeAlias = Annotated[
    ClustersSpec
    | AdaptersSpec
    | MixedSpec
    | ShardsSpec
    | MergedSpec
    | ProfileSpec
    | CheckpointsSpec,
    Field(discriminator="kind"),
    by_kind(
        ClustersSpec,
        AdaptersSpec,
        MixedSpec,
        ShardsSpec,
        MergedSpec,
        ProfileSpec,
        CheckpointsSpec,
    ),
]


class LoadSource(Value):
    """Where blocks are loaded from, and what is assumed of their bytes and times.

    ``load_from`` selects the profile's tier. ``load_rate_bytes_per_s``, given instead,
    replaces its load times by bytes / rate: an assumption, not a measurement. So are
    ``weight_scale``, a factor on the bytes of all blocks and on their load times, and
    ``load_time_scale``, one on load times alone.
    """

    load_from: Tier = "pinned"
    load_rate_bytes_per_s: Positive | None = None
    weight_scale: Scale = 1.0
    load_time_scale: Scale = 1.0

    @model_validator(mode="after")
    def _check_source(self) -> LoadSource:
        both = {"load_from", "load_rate_bytes_per_s"} <= self.model_fields_set
        if both and self.load_rate_bytes_per_s is not None:
            raise ValueError(
                f"give load_from or load_rate_bytes_per_s, which replaces the load "
                f"times of any tier; found both ({self.load_from}, "
                f"{self.load_rate_bytes_per_s:g})"
            )
        return self
