"""The scheduling problem: an immutable value, validated on construction.

A problem consists of a model library (parameter blocks and the models built from
them), one GPU, one band of spectrum and the users. Numbers are finite and in SI units;
every field name carries its unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)


def whole(value: Any) -> Any:
    """Convert an integral float such as 8e9 to int; leave the rest to the type."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


Bytes = Annotated[int, Field(gt=0, le=2**63 - 1), BeforeValidator(whole)]

# Ranges that cover every real problem and within which doubles resolve 1e-9 s.
MOST_SECONDS = 1e6
LEAST_SECONDS = 1e-12
Positive = Annotated[float, Field(ge=1e-12, le=1e18, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]
PositiveSeconds = Annotated[
    float, Field(ge=LEAST_SECONDS, le=MOST_SECONDS, allow_inf_nan=False)
]
Seconds = Annotated[float, Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1), BeforeValidator(whole)]
Name = Annotated[str, Field(min_length=1)]

Residency = Literal["previous", "cache"]
Eviction = Literal["lru", "furthest-next-use"]


class Value(BaseModel):
    """A frozen record that rejects unknown keys and values of the wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Block(Value):
    """A set of tensors loaded as one contiguous copy."""

    bytes: Bytes
    load_s: Seconds


class Model(Value):
    """A list of distinct blocks, input side (bottom) first, and a batch latency table.

    ``latency_s[b-1]`` is the compute time of a batch of exactly b inputs; the length of
    the table is the batch limit. ``activation_bytes``, if given, has the same length.
    """

    blocks: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]
    latency_s: Annotated[tuple[PositiveSeconds, ...], Field(min_length=1, strict=False)]
    activation_bytes: Annotated[tuple[Bytes, ...], Field(strict=False)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Model:
        duplicate = _first_duplicate(self.blocks)
        if duplicate is not None:
            raise ValueError(f"blocks must be distinct, found {duplicate!r} twice")
        if self.activation_bytes is not None and len(self.activation_bytes) != len(
            self.latency_s
        ):
            raise ValueError(
                f"activation_bytes must be as long as latency_s "
                f"({len(self.latency_s)}), found {len(self.activation_bytes)} values"
            )
        return self


class User(Value):
    """One request: run one model on one input by an absolute deadline.

    ``spectral_efficiency`` is in bit/s/Hz; 0 means no link, so the user is never
    scheduled.
    """

    id: Name
    model: Name
    input_bits: Positive
    spectral_efficiency: NonNegative
    release_s: Seconds = 0.0
    deadline_s: PositiveSeconds

    @model_validator(mode="after")
    def _check(self) -> User:
        if self.deadline_s <= self.release_s:
            raise ValueError(
                f"deadline_s must be later than release_s ({self.release_s:g}), "
                f"found {self.deadline_s:g}"
            )
        return self

    @property
    def demand_hz_s(self) -> float:
        """Spectrum-time that the upload needs, in Hz·s; infinite without a link."""
        if self.spectral_efficiency == 0:
            return float("inf")
        return self.input_bits / self.spectral_efficiency


class Problem(Value):
    """One GPU, one band, a model library and its users.

    ``residency`` selects which blocks stay in GPU memory between rounds: those of the
    previous round's model, or a cache as large as memory allows, from which
    ``eviction`` selects the victims. With ``overlap``, a load may run while the
    previous round computes. ``solvers.core.residency`` gives the rules.

    Raises
    ------
    pydantic.ValidationError
        (a ``ValueError``) if a value is missing, has the wrong type, is out of range or
        names a block or model that does not exist. A problem without users is valid.
    """

    name: Name
    bandwidth_hz: Positive
    gpu_memory_bytes: Bytes | None = None
    resident_model: Name | None = None
    residency: Residency = "previous"
    eviction: Eviction = "lru"
    overlap: bool = False
    blocks: Mapping[Name, Block]
    models: Mapping[Name, Model]
    users: Annotated[tuple[User, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _check(self) -> Problem:
        total_bytes = 0
        for name, model in self.models.items():
            for position, block in enumerate(model.blocks):
                if block not in self.blocks:
                    raise ValueError(
                        f"models.{name}.blocks[{position}] must name a block of "
                        f"'blocks', found {block!r}"
                    )
                total_bytes += self.blocks[block].bytes
        if total_bytes >= 2**63:
            raise ValueError(
                f"models must add up to less than 2^63 bytes, each with all of its "
                f"blocks, found {total_bytes:.3g}"
            )
        for position, user in enumerate(self.users):
            if user.model not in self.models:
                raise ValueError(
                    f"users[{position}].model must name a model of 'models', "
                    f"found {user.model!r}"
                )
        if self.resident_model is not None and self.resident_model not in self.models:
            raise ValueError(
                f"resident_model must name a model of 'models' or be null, "
                f"found {self.resident_model!r}"
            )
        duplicate = _first_duplicate(tuple(user.id for user in self.users))
        if duplicate is not None:
            raise ValueError(f"user ids must be unique, found {duplicate!r} twice")
        return self

    def weight_bytes(self, model: str) -> int:
        """Memory that a model's parameter blocks occupy."""
        return sum(self.blocks[block].bytes for block in self.models[model].blocks)

    def fits(self, model: str, batch: int) -> bool:
        """Whether a batch of exactly this size is measured and fits in GPU memory."""
        fitting = self.fitting(model)
        return 1 <= batch <= len(fitting) and fitting[batch - 1]

    def fitting(self, model: str) -> list[bool]:
        """Whether batches of each size, from 1, fit in GPU memory."""
        entry = self.models[model]
        if self.gpu_memory_bytes is None:
            return [True] * len(entry.latency_s)
        weights = self.weight_bytes(model)
        activations = entry.activation_bytes or (0,) * len(entry.latency_s)
        return [weights + each <= self.gpu_memory_bytes for each in activations]


def _first_duplicate(names: tuple[str, ...]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
