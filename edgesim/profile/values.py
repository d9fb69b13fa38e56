"""Device profiles: block load times and batch latencies of one device, as JSON.

A profile states where its numbers come from: measured by a stated command, published
and cited, or synthetic by a stated formula. The format is ``edgesim.profile/3``.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from edgesim.errors import short
from solvers.problem import (
    LEAST_SECONDS,
    Bytes,
    Count,
    Name,
    Positive,
    PositiveSeconds,
    Seconds,
    Value,
    whole,
)
from solvers.spelling import closest, did_you_mean

SCHEMA = "edgesim.profile/3"

Number = TypeVar("Number", int, float)

Tier = Literal["pinned", "pageable", "disk"]
PLACE: Mapping[Tier, str] = {
    "pinned": "pinned memory",
    "pageable": "pageable memory",
    "disk": "disk",
}
"""Descriptions of the tiers."""

Batch = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}$")]

Rank = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}$")]

BatchMode = Literal["eager", "graph"]
"""How a batch is run: launched operator by operator, or as one captured graph."""

AtLeastOne = Annotated[int, Field(ge=1, le=2**63 - 1), BeforeValidator(whole)]

_DECILE_SPAN = 2 * 1.2815515655446004  # p10 to p90 of the standard normal


def _measurable(value_s: float) -> float:
    """Refuse what no clock can tell from 0, and what no arithmetic can either."""
    if 0 < value_s < LEAST_SECONDS:
        raise ValueError(
            f"must be 0 or at least {LEAST_SECONDS:g} (seconds), found {value_s:g}"
        )
    return value_s


Duration = Annotated[Seconds, AfterValidator(_measurable)]
"""How long something took: 0 where the clock shows nothing."""


def by_kind(*kinds: type[Value]) -> WrapValidator:
    """Choose among records by their ``kind``, keeping the key path of an error.

    pydantic's own tagged unions put the tag into the location of an error
    (``provenance.published.citation``), a path that does not exist in the file.

    Parameters
    ----------
    kinds
        The records; each has a field ``kind`` with one literal value.
    """
    table = {get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in kinds}

    def choose(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if not isinstance(value, Mapping):
            return handler(value)
        found = value.get("kind")
        if not isinstance(found, str) or found not in table:
            allowed = ", ".join(repr(name) for name in table)
            if found is None:
                meant = closest("kind", value)
                what = "it is missing" if meant is None else f"found key {meant!r}"
            else:
                what = f"found {short(found)}{did_you_mean(found, table)}"
            raise ValueError(f"kind must be one of {allowed}; {what}")
        return table[found].model_validate(value)

    return WrapValidator(choose)


class Timing(Value):
    """How long one copy or batch takes: median, and deciles where measured.

    ``runs_s`` holds the medians of separate runs if profiles were merged; ``median_s``
    is then their median.
    """

    median_s: Duration
    p10_s: Duration | None = None
    p90_s: Duration | None = None
    runs_s: Annotated[tuple[Duration, ...], Field(strict=False)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Timing:
        low = self.median_s if self.p10_s is None else self.p10_s
        high = self.median_s if self.p90_s is None else self.p90_s
        if not low <= self.median_s <= high:
            raise ValueError(
                f"p10_s <= median_s <= p90_s must hold, "
                f"found {low:g}, {self.median_s:g}, {high:g}"
            )
        if self.runs_s is not None:
            if len(self.runs_s) < 2:
                raise ValueError(
                    f"runs_s must hold two runs or more, found {len(self.runs_s)}"
                )
            median_s = statistics.median(self.runs_s)
            if not math.isclose(self.median_s, median_s, rel_tol=1e-9):
                raise ValueError(
                    f"median_s must be the median of runs_s ({median_s:g}), "
                    f"found {self.median_s:g}"
                )
        return self

    @property
    def spread(self) -> float | None:
        """Sigma of the lognormal with these deciles; None if they are unknown."""
        if not self.p10_s or not self.p90_s:
            return None
        return math.log(self.p90_s / self.p10_s) / _DECILE_SPAN


def _number_or_timing(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Distinguish a number from a timing before pydantic's union hides the key path."""
    del handler
    if isinstance(value, (Mapping, Timing)):
        return Timing.model_validate(value)
    return _POSITIVE.validate_python(value, strict=True)


_POSITIVE: TypeAdapter[float] = TypeAdapter(PositiveSeconds)

Loads = Annotated[Mapping[Tier, Timing], Field(min_length=1)]
Latency = Annotated[PositiveSeconds | Timing, WrapValidator(_number_or_timing)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16,128}$")]


class BlockProfile(Value):
    """One parameter block: its size and its load time from each tier.

    ``content`` is a hash of the block's weights: blocks of several models with the same
    hash are the same block. ``tensors`` counts the tensors it consists of. ``load_s``
    is the time of one contiguous copy; with ``copies``, the block is loaded by that
    many, and each beyond the first costs what the profile's plain copies of several
    sizes say a copy costs beyond its bytes.
    """

    name: Name
    bytes: Bytes
    load_s: Loads
    content: Digest | None = None
    tensors: Count | None = None
    copies: AtLeastOne | None = None


class CopyTime(Value):
    """A plain copy of a given size to the device, from each tier.

    ``load_s`` is the time of a single copy. ``chained_s`` is the cost of a copy inside
    a load: the time of 64 copies back to back, timed as one, less the start-up cost and
    divided by 64.
    """

    bytes: Bytes
    load_s: Loads
    chained_s: Loads | None = None

    @model_validator(mode="after")
    def _check(self) -> CopyTime:
        strange = [tier for tier in self.chained_s or {} if tier not in self.load_s]
        if strange:
            raise ValueError(
                f"chained_s must hold no tier but those of load_s "
                f"({', '.join(self.load_s)}), found {', '.join(strange)}"
            )
        return self


class LoraSizes(Value):
    """Sizes of low-rank adapters of a model, per layer and unit of rank.

    A rank-r adapter of a weight with d_in inputs and d_out outputs has r(d_in + d_out)
    parameters (Hu et al., "LoRA", ICLR 2022), so its bytes are linear in the rank.

    ``layer_prefix`` begins the names of the blocks that carry an adapter;
    ``bytes_per_rank`` maps the adapted weights, as in ``"q,v"``, to bytes per layer,
    and ``copies``, where given, some or all of the same to the number of copies that
    load a layer's adapter: two tensors for each adapted weight, unless they are packed.
    ``adapter_load_s`` holds load times of a whole adapter, by its rank, where they are
    known as such.
    """

    layer_prefix: Name
    bytes_per_rank: Annotated[Mapping[Name, Bytes], Field(min_length=1)]
    copies: Mapping[Name, AtLeastOne] | None = None
    adapter_load_s: Annotated[Mapping[Rank, Loads], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _check(self) -> LoraSizes:
        known = self.bytes_per_rank
        strange = [name for name in self.copies or {} if name not in known]
        if strange:
            raise ValueError(
                f"copies must hold no targets but those of bytes_per_rank "
                f"({', '.join(known)}), found {', '.join(strange)}"
            )
        return self


class Overlap(Value):
    """The slowdown of copies and batches that run at the same time.

    A copy of ``copy_bytes``, the model's, from pinned memory, and ``passes`` batches of
    ``batch`` inputs in sequence: medians of each alone and of each while the other
    runs.
    """

    batch: AtLeastOne
    passes: AtLeastOne
    copy_bytes: Bytes
    copy_s: PositiveSeconds
    copy_beside_s: PositiveSeconds
    batches_s: PositiveSeconds
    batches_beside_s: PositiveSeconds


class ModelProfile(Value):
    """One model on the device: blocks, input side first, and its batch table.

    Keys of ``latency_s`` are batch sizes; it is empty if no latency was measured, and
    ``latency_from`` names its source if that is another profile. ``latency_mode`` tells
    how the batches were run: operator by operator (``eager``) or replayed as a captured
    CUDA graph (``graph``). ``eager_latency_s`` holds some or all of the same batches
    launched operator by operator. ``overlap`` is the slowdown of batches and copies
    that run at the same time.
    ``activation_bytes``, where given, has the same keys. ``whole_load_s`` (the model as
    one copy), ``by_block_load_s`` (block by block, timed as one) and
    ``by_tensor_load_s`` (tensor by tensor) show the error of adding up block loads.

    ``architecture`` is the SPEC that builds the network and ``input`` what one input of
    it is (``3x224x224``, ``tokens:128:30522``), for replays; ``dtype`` is that of the
    weights, ``mixed`` if there are several.
    """

    blocks: Annotated[tuple[BlockProfile, ...], Field(min_length=1, strict=False)]
    latency_s: Mapping[Batch, Latency] = {}
    latency_from: Name | None = None
    latency_mode: BatchMode | None = None
    eager_latency_s: Mapping[Batch, Timing] | None = None
    overlap: Overlap | None = None
    activation_bytes: Mapping[Batch, Bytes] | None = None
    whole_load_s: Loads | None = None
    by_block_load_s: Loads | None = None
    by_tensor_load_s: Loads | None = None
    lora: LoraSizes | None = None
    architecture: Name | None = None
    input: Name | None = None
    dtype: Name | None = None

    @model_validator(mode="after")
    def _check(self) -> ModelProfile:
        first = self.blocks[0]
        seen: set[str] = set()
        contents: dict[str, str] = {}
        for position, block in enumerate(self.blocks):
            if block.name in seen:
                raise ValueError(
                    f"block names must be unique, found {block.name!r} twice"
                )
            seen.add(block.name)
            if block.content is not None and block.content in contents:
                raise ValueError(
                    f"blocks[{position}].content must differ from that of other blocks "
                    f"of the model, found that of {contents[block.content]!r}"
                )
            if block.content is not None:
                contents[block.content] = block.name
            if block.load_s.keys() != first.load_s.keys():
                raise ValueError(
                    f"blocks[{position}].load_s must hold the tiers of blocks[0] "
                    f"({', '.join(first.load_s)}), found {', '.join(block.load_s)}"
                )
        if self.latency_s and "1" not in self.latency_s:
            raise ValueError("latency_s must hold batch size 1")
        eager = self.eager_latency_s or {}
        for key, latencies in (
            ("latency_s", self.latency_s),
            ("eager_latency_s", eager),
        ):
            for batch, latency in latencies.items():
                if isinstance(latency, Timing) and latency.median_s <= 0:
                    raise ValueError(
                        f"{key}.{batch}.median_s must be greater than 0, "
                        f"found {latency.median_s:g}"
                    )
        strange = [batch for batch in eager if batch not in self.latency_s]
        if strange:
            raise ValueError(
                f"eager_latency_s must hold no batch size but those of latency_s "
                f"({', '.join(self.latency_s) or 'none'}), found {', '.join(strange)}"
            )
        if (
            self.activation_bytes is not None
            and self.activation_bytes.keys() != self.latency_s.keys()
        ):
            raise ValueError(
                f"activation_bytes must have the batch sizes of latency_s "
                f"({', '.join(self.latency_s)}), "
                f"found {', '.join(self.activation_bytes) or 'none'}"
            )
        if self.lora is not None and not any(
            name.startswith(self.lora.layer_prefix) for name in seen
        ):
            raise ValueError(
                f"lora.layer_prefix must begin the name of a block, "
                f"found {self.lora.layer_prefix!r}"
            )
        for rank, loads in ((self.lora and self.lora.adapter_load_s) or {}).items():
            if loads.keys() != first.load_s.keys():
                raise ValueError(
                    f"lora.adapter_load_s.{rank} must hold the tiers of the blocks "
                    f"({', '.join(first.load_s)}), found {', '.join(loads)}"
                )
        return self

    @property
    def copies(self) -> int:
        """The most copies that load one of its blocks, or an adapter of a layer."""
        adapters = (self.lora and self.lora.copies) or {}
        return max(*(block.copies or 1 for block in self.blocks), 1, *adapters.values())

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The tiers that every block of the model has a load time for."""
        return tuple(self.blocks[0].load_s)


class Measured(Value):
    """Numbers measured on the device by a reproducible command.

    ``copy_bytes_per_s`` is the rate of a plain large copy from each tier; ``machine``
    states what else affects the numbers: processor, clocks, PCIe generation, threads.
    """

    kind: Literal["measured"]
    device: Name
    driver: Name
    versions: Annotated[Mapping[Name, Name], Field(min_length=1)]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}")]
    command: Name
    copy_bytes_per_s: Mapping[Tier, Positive] | None = None
    machine: Mapping[Name, Name] | None = None
    note: Name | None = None


class Published(Value):
    """Numbers taken from a publication, not measured by edgesim."""

    kind: Literal["published"]
    device: Name
    citation: Name
    note: Name | None = None


class Synthetic(Value):
    """Numbers produced by a stated formula, not measured at all."""

    kind: Literal["synthetic"]
    device: Name
    method: Name
    note: Name | None = None


Provenance = Annotated[
    Measured | Published | Synthetic,
    Field(discriminator="kind"),
    by_kind(Measured, Published, Synthetic),
]


class Profile(Value):
    """The cost of loading and running some models on one device.

    Times are in seconds, sizes in bytes. ``copies`` are plain copies of a ladder of
    sizes, in ascending size. ``round_s`` is the time of a round beyond its load and its
    batch, as measured for empty rounds with the device idle after each. Every method
    raises ``KeyError`` for a model that the profile does not hold.
    """

    name: Name
    provenance: Provenance
    models: Annotated[Mapping[Name, ModelProfile], Field(min_length=1)]
    copies: Annotated[tuple[CopyTime, ...], Field(strict=False)] | None = None
    round_s: Timing | None = None

    @model_validator(mode="after")
    def _check(self) -> Profile:
        known: dict[str, tuple[str, BlockProfile]] = {}
        for name, model in self.models.items():
            for position, block in enumerate(model.blocks):
                if block.content is None:
                    continue
                owner, twin = known.setdefault(block.content, (name, block))
                if _cost(block) != _cost(twin):
                    raise ValueError(
                        f"models.{name}.blocks[{position}] has the content of block "
                        f"{twin.name!r} of {owner!r}, so it must have its bytes, "
                        f"load_s and copies too"
                    )
        for name, model in self.models.items():
            for tier in model.tiers if model.copies > 1 else ():
                if not any(tier in copy.load_s for copy in self.copies or ()):
                    raise ValueError(
                        f"models.{name} states copies, so copies must say what one "
                        f"costs from {tier!r}, found none of that tier"
                    )
        sizes = [copy.bytes for copy in self.copies or ()]
        if any(low >= high for low, high in pairwise(sizes)):
            raise ValueError(f"copies must grow in bytes, found {short(sizes)}")
        return self

    @property
    def shares_content(self) -> bool:
        """Whether blocks are identified by content, as those of checkpoints are."""
        return any(b.content for model in self.models.values() for b in model.blocks)

    def latency_table(self, model: str) -> tuple[float, ...]:
        """Compute times in seconds of batches of 1, 2, … up to the largest measured.

        A size between measured ones takes the time of the next larger measured one: the
        batch is padded to it. Interpolation would promise times that were never
        measured. Empty if the profile holds no latency of the model.
        """
        table = self.models[model].latency_s
        return _padded({batch: _median_s(value) for batch, value in table.items()})

    @property
    def round_overhead_s(self) -> float:
        """Time of a round beyond its load and its batch, in s; 0 if unknown."""
        return 0.0 if self.round_s is None else self.round_s.median_s

    def round_table(self, model: str) -> tuple[float, ...]:
        """Compute times in seconds of rounds of 1, 2, … inputs, beyond their loads.

        This is :meth:`latency_table` with :attr:`round_overhead_s` added to each entry;
        empty if the profile holds no latency of the model.
        """
        overhead_s = self.round_overhead_s
        return tuple(value + overhead_s for value in self.latency_table(model))

    def latency_spread(self, model: str) -> float | None:
        """Sigma of the lognormal variation of batch latencies; None if unknown.

        The median over the measured batch sizes.
        """
        spreads = [
            value.spread
            for value in self.models[model].latency_s.values()
            if isinstance(value, Timing) and value.spread is not None
        ]
        return statistics.median(spreads) if spreads else None

    def activation_table(self, model: str) -> tuple[int, ...] | None:
        """Activation bytes of batches of 1, 2, …, padded; None if unknown."""
        table = self.models[model].activation_bytes
        return None if table is None else _padded(table)

    def document(self) -> dict[str, Any]:
        """Return the profile as stored in a file: plain values, no unset fields."""
        return {"schema": SCHEMA, **self.model_dump(mode="json", exclude_none=True)}


def _cost(block: BlockProfile) -> tuple[int, Mapping[Tier, Timing], int | None]:
    return block.bytes, block.load_s, block.copies


def _median_s(latency: float | Timing) -> float:
    return latency.median_s if isinstance(latency, Timing) else latency


def _padded(table: Mapping[str, Number]) -> tuple[Number, ...]:
    values: list[Number] = []
    for batch in sorted(table, key=int):
        values += [table[batch]] * (int(batch) - len(values))
    return tuple(values)
