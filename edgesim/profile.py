"""Device profiles: block load times and batch latencies of one device, as JSON.

A profile says where its numbers come from: measured by a stated command, published
and cited, or synthetic by a stated formula. The format is ``edgesim.profile/1``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from edgesim import files
from edgesim.errors import InputError, short
from solvers.problem import Bytes, Name, NonNegative, Positive, Value

SCHEMA = "edgesim.profile/1"

Number = TypeVar("Number", int, float)

Tier = Literal["pinned", "pageable", "disk"]
Batch = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}$")]

_DECILE_SPAN = 2 * 1.2815515655446004  # p10 to p90 of the standard normal


def by_kind(*kinds: type[Value]) -> WrapValidator:
    """Choose among records by their ``kind``, keeping the key path of what is wrong.

    pydantic's own tagged unions put the tag into the location of an error
    (``provenance.published.citation``), a path that the reader's file does not have.

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
            what = "it is missing" if found is None else f"found {short(found)}"
            raise ValueError(f"kind must be one of {allowed}; {what}")
        return table[found].model_validate(value)

    return WrapValidator(choose)


class LoadTime(Value):
    """How long one copy into GPU memory takes: median, and deciles where measured."""

    median_s: NonNegative
    p10_s: NonNegative | None = None
    p90_s: NonNegative | None = None

    @model_validator(mode="after")
    def _check(self) -> LoadTime:
        low = self.median_s if self.p10_s is None else self.p10_s
        high = self.median_s if self.p90_s is None else self.p90_s
        if not low <= self.median_s <= high:
            raise ValueError(
                f"p10_s <= median_s <= p90_s must hold, "
                f"found {low:g}, {self.median_s:g}, {high:g}"
            )
        return self

    @property
    def spread(self) -> float | None:
        """Sigma of the lognormal with these deciles; None where they are not known."""
        if not self.p10_s or not self.p90_s:
            return None
        return math.log(self.p90_s / self.p10_s) / _DECILE_SPAN


Loads = Annotated[Mapping[Tier, LoadTime], Field(min_length=1)]


class BlockProfile(Value):
    """One parameter block: its size and its load time from each tier."""

    name: Name
    bytes: Bytes
    load_s: Loads


class LoraSizes(Value):
    """Sizes of low-rank adapters of a model, per layer and unit of rank.

    A rank-r adapter of a weight with d_in inputs and d_out outputs has r(d_in + d_out)
    parameters (Hu et al., "LoRA", ICLR 2022), so its bytes are linear in the rank.

    ``layer_prefix`` begins the names of the blocks that carry an adapter;
    ``bytes_per_rank`` maps the adapted weights, as in ``"q,v"``, to bytes per layer.
    """

    layer_prefix: Name
    bytes_per_rank: Annotated[Mapping[Name, Bytes], Field(min_length=1)]


class ModelProfile(Value):
    """One model on the device: blocks, input side first, and its batch table.

    Keys of ``latency_s`` are batch sizes. ``activation_bytes``, where given, has the
    same keys. ``whole_load_s`` (the model as one copy) and ``by_tensor_load_s`` (tensor
    by tensor) let a reader see the error of adding up block loads.
    """

    blocks: Annotated[tuple[BlockProfile, ...], Field(min_length=1, strict=False)]
    latency_s: Mapping[Batch, Positive]
    activation_bytes: Mapping[Batch, Bytes] | None = None
    whole_load_s: Loads | None = None
    by_tensor_load_s: Loads | None = None
    lora: LoraSizes | None = None

    @model_validator(mode="after")
    def _check(self) -> ModelProfile:
        first = self.blocks[0]
        seen: set[str] = set()
        for position, block in enumerate(self.blocks):
            if block.name in seen:
                raise ValueError(
                    f"block names must be unique, found {block.name!r} twice"
                )
            seen.add(block.name)
            if block.load_s.keys() != first.load_s.keys():
                raise ValueError(
                    f"blocks[{position}].load_s must hold the tiers of blocks[0] "
                    f"({', '.join(first.load_s)}), found {', '.join(block.load_s)}"
                )
        if "1" not in self.latency_s:
            raise ValueError("latency_s must hold batch size 1")
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
        return self

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The tiers that every block of the model has a load time for."""
        return tuple(self.blocks[0].load_s)


class Measured(Value):
    """Numbers taken on the device by a command that anybody can run again.

    ``copy_bytes_per_s`` is the rate of a plain large copy from each tier.
    """

    kind: Literal["measured"]
    device: Name
    driver: Name
    versions: Annotated[Mapping[Name, Name], Field(min_length=1)]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}")]
    command: Name
    copy_bytes_per_s: Mapping[Tier, Positive] | None = None
    note: Name | None = None


class Published(Value):
    """Numbers that others published; nobody measured them here."""

    kind: Literal["published"]
    device: Name
    citation: Name
    note: Name | None = None


class Synthetic(Value):
    """Numbers that a stated formula made; nobody measured them anywhere."""

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
    """What one device needs to load and to run some models.

    Times are in seconds, sizes in bytes. Models unknown to the profile are a
    ``KeyError`` in every method.
    """

    name: Name
    provenance: Provenance
    models: Annotated[Mapping[Name, ModelProfile], Field(min_length=1)]

    def latency_table(self, model: str) -> tuple[float, ...]:
        """Compute times in seconds of batches of 1, 2, … up to the largest measured.

        A size between measured ones takes the time of the next measured one: the
        batch is padded to it. Interpolating would promise what nobody measured.
        """
        return _padded(self.models[model].latency_s)

    def activation_table(self, model: str) -> tuple[int, ...] | None:
        """Activation bytes of batches of 1, 2, …, padded; None where not known."""
        table = self.models[model].activation_bytes
        return None if table is None else _padded(table)

    def document(self) -> dict[str, Any]:
        """Return the profile as it stands in its file: plain values, nothing unset."""
        return {"schema": SCHEMA, **self.model_dump(mode="json", exclude_none=True)}


def _padded(table: Mapping[str, Number]) -> tuple[Number, ...]:
    values: list[Number] = []
    for batch in sorted(table, key=int):
        values += [table[batch]] * (int(batch) - len(values))
    return tuple(values)


def shipped_profiles() -> tuple[str, ...]:
    """Names that :func:`read_profile` knows without a path, sorted."""
    readme = files.data_file("profiles", "README.md")
    if readme is None:
        return ()
    return tuple(sorted(path.stem for path in readme.parent.glob("*.json")))


def read_profile(path_or_name: str | Path) -> Profile:
    """Read a device profile.

    Parameters
    ----------
    path_or_name
        A path (anything with a folder or ending in ``.json``), or the bare name of a
        profile that edgesim ships, such as ``"clockwork-v100"``.

    Raises
    ------
    InputError
        When there is no such profile, naming those shipped; when the schema version
        is another one; when the file holds anything the format does not allow.
    """
    path = _locate(path_or_name)
    return files.check_file(path, files.read_json(path), Profile, SCHEMA)


def _locate(path_or_name: str | Path) -> Path:
    text = os.fspath(path_or_name)
    path = Path(text)
    if isinstance(path_or_name, Path) or path.name != text or path.suffix == ".json":
        if path.is_file():
            return path
        what = "no such file"
    else:
        shipped = files.data_file("profiles", f"{text}.json")
        if shipped is not None:
            return shipped
        what = "no such profile"
    raise InputError(
        text,
        f"{what}; give the path of one, or the name of a shipped one: "
        f"{', '.join(shipped_profiles()) or 'none'}",
    )
