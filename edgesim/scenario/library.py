"""The ``[library]`` section of a scenario, and the source of its block loads."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

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


class Cluster(Value):
    """Fine-tuned variants of each base, sharing its first blocks.

    Their number is ``frozen_blocks``, or ``frozen_fraction`` of the base's number of
    blocks, rounded to the nearest, or the most whose bytes are at most
    ``frozen_bytes_fraction`` of the base's; for a pair, each variant draws an integer
    number of blocks uniformly between the two, inclusive. With ``include_base``, the
    base itself is a model too.
    """

    base: Bases
    variants: Count
    frozen_blocks: Depths | None = None
    frozen_fraction: Fractions | None = None
    frozen_bytes_fraction: Fractions | None = None
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
    """

    base: Bases
    adapters: Count
    rank: Count | None = None
    targets: Name | None = None
    adapter_bytes_per_layer: Bytes | None = None
    layer_prefix: Name | None = None
    adapter_load_s: PositiveSeconds | None = None
    adapter_copies_per_layer: Count | None = None
    include_base: bool = False

    @model_validator(mode="after")
    def _check(self) -> Backbone:
        if (self.rank is None) == (self.adapter_bytes_per_layer is None):
            raise ValueError("give one of rank and adapter_bytes_per_layer")
        if self.rank is None and self.targets is not None:
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
    ClustersSpec | AdaptersSpec | MixedSpec | ProfileSpec | CheckpointsSpec,
    Field(discriminator="kind"),
    by_kind(ClustersSpec, AdaptersSpec, MixedSpec, ProfileSpec, CheckpointsSpec),
]


class LoadSource(Value):
    """Where blocks are loaded from, and what is assumed of their bytes and times.

    ``load_from`` selects the profile's tier. ``load_rate_bytes_per_s``, if given,
    replaces its load times by bytes / rate: an assumption, not a measurement. So are
    ``weight_scale``, a factor on the bytes of all blocks and on their load times, and
    ``load_time_scale``, one on load times alone.
    """

    load_from: Tier = "pinned"
    load_rate_bytes_per_s: Positive | None = None
    weight_scale: Scale = 1.0
    load_time_scale: Scale = 1.0
