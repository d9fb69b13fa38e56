"""Convert a library of checkpoints to a profile with load times by a stated formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from edgesim.checkpoints.content import ContentBlock, ContentLibrary
from edgesim.errors import InputError, Parameter, short
from edgesim.profile.file import read_profile, shipped_profiles
from edgesim.profile.fit import fit_copies
from edgesim.profile.values import (
    BlockProfile,
    Measured,
    ModelProfile,
    Profile,
    Published,
    Synthetic,
    Tier,
    Timing,
)
from edgesim.storage.files import is_file
from solvers.spelling import did_you_mean

STATED_TIER: Tier = "pinned"
"""The tier of loads at a stated rate: the default tier of scenarios."""


ASSUMED_LOADS = "clockwork-v100"
"""Profile whose copies are assumed where no loads are stated."""


@dataclass(frozen=True)
class ModelOf:
    """A profile, and optionally one of its models."""

    profile: Profile
    model: str | None

    @property
    def named(self) -> str:
        """The profile's and the model's name, as ``PROFILE:MODEL``."""
        return f"{self.profile.name}:{self.model}"


@dataclass(frozen=True)
class CopyRule:
    """A copy of n bytes takes ``overhead_s + n / bytes_per_s``; not measured."""

    overhead_s: float
    bytes_per_s: float

    def load_s(self, size: int) -> float:
        """Return the time of a copy of a given size, in seconds."""
        return self.overhead_s + size / self.bytes_per_s

    def __str__(self) -> str:
        rate = f"bytes / ({self.bytes_per_s:.6g} bytes/s)"
        return f"{self.overhead_s:.6g} s + {rate}" if self.overhead_s else rate


@dataclass(frozen=True)
class LoadRules:
    """The assumed load times of checkpoints.

    Parameters
    ----------
    tiers
        A rule for each tier, fastest first; at least one.
    device
        The device that would load them.
    source
        A short description of where the rules come from.
    profile
        The profile whose copies they are fitted to, if any.
    """

    tiers: Mapping[Tier, CopyRule]
    device: str
    source: str
    profile: Profile | None = None

    @property
    def tier(self) -> Tier:
        """The first tier, for which seconds are shown."""
        return next(iter(self.tiers))


def read_reference(where: str, text: str) -> ModelOf:
    """Parse ``PROFILE[:MODEL]``, where a profile is a file or a shipped profile's name.

    Parameters
    ----------
    where
        What the text was given for, for messages.
    text
        What was given.

    Parameters
    ----------
    where
        What the text was given for, for messages.
    text
        What was given.

    Raises
    ------
    InputError
        If there is no such profile, or no such model in it.
    """
    head, colon, tail = text.rpartition(":")
    if not colon or text in shipped_profiles() or is_file(Path(text)):
        return ModelOf(read_profile(text), None)
    profile = read_profile(head)
    if tail not in profile.models:
        known = list(profile.models)
        raise InputError(
            where,
            f"must name a model of profile {profile.name!r} "
            f"({', '.join(known[:8])}{', …' if len(known) > 8 else ''}), "
            f"found {short(tail)}{did_you_mean(tail, known)}",
        )
    return ModelOf(profile, tail)


def given_files(*texts: str | None) -> list[Path]:
    """List the user's files among profile references, leaving out shipped profiles."""
    given = [text for text in texts if text]
    parts = given + [text.rpartition(":")[0] for text in given]
    return [Path(part) for part in parts if part and is_file(Path(part))]


def loads_like(profile: Profile) -> LoadRules:
    """Derive load times from the line fitted to a profile's copies or blocks.

    Raises
    ------
    InputError
        If the profile holds no load time above 0 for any tier.
    """
    tiers: dict[Tier, CopyRule] = {}
    points: list[str] = []
    for tier in get_args(Tier):
        fit = fit_copies(profile, tier)
        if fit is not None:
            tiers[tier] = CopyRule(fit.overhead_s, fit.bytes_per_s)
            points.append(f"{tier}: {fit.points} {fit.source}")
    if not tiers:
        raise InputError(
            Parameter("profile"),
            f"profile {profile.name!r} holds no load time above 0 s",
        )
    return LoadRules(
        tiers,
        device=profile.provenance.device,
        source=(
            f"a line fitted to profile {profile.name!r} "
            f"({', '.join(points)}; {profile.provenance.kind})"
        ),
        profile=profile,
    )


def loads_at(bytes_per_s: float) -> LoadRules:
    """Derive load times of :data:`STATED_TIER` from a stated rate."""
    return LoadRules(
        {STATED_TIER: CopyRule(0.0, bytes_per_s)},
        device="none: a stated load rate",
        source="a stated rate, an assumption",
    )


def loads_assumed() -> LoadRules:
    """Derive load times from ``ASSUMED_LOADS``, for when nothing is stated."""
    return loads_like(read_profile(ASSUMED_LOADS))


def _origin(profile: Profile) -> str:
    match profile.provenance:
        case Measured() as origin:
            told = f"was measured on {origin.device}, {origin.date}"
        case Published() as origin:
            told = f"is published: {origin.citation}"
        case Synthetic() as origin:
            told = f"is synthetic itself: {origin.method}"
    return f"Profile {profile.name!r} {told.rstrip('.')}."


def check_latency(where: str, source: ModelOf) -> None:
    """Reject a latency source that has no latencies.

    Parameters
    ----------
    where
        What the source was given for, for messages.
    source
        As :func:`read_reference` reads it.

    Parameters
    ----------
    where
        What the source was given for, for messages.
    source
        As :func:`read_reference` reads it.

    Raises
    ------
    InputError
        If no model is named, or the model's latency was not measured.
    """
    if source.model is None:
        raise InputError(
            where, f"must be PROFILE:MODEL, found no model of {source.profile.name!r}"
        )
    if not source.profile.models[source.model].latency_s:
        raise InputError(
            where,
            f"must name a model whose latency is known, and profile "
            f"{source.profile.name!r} holds none of {source.model!r}",
        )


def library_profile(
    name: str,
    library: ContentLibrary,
    loads: LoadRules,
    latency: ModelOf | None,
) -> Profile:
    """Make a profile of checkpoints whose blocks are identified by content.

    Parameters
    ----------
    name
        The profile's name.
    library
        The content that the checkpoints share.
    loads
        The load times of blocks.
    latency
        The model whose batch latencies, activation bytes, architecture and input are
        assigned to every checkpoint, together with the time of an empty round on its
        device; without it the profile holds no latency.

    Returns
    -------
    Profile
        With provenance ``synthetic`` and a method that states the formula.
    """
    given: dict[str, Any] = {}
    if latency is not None and latency.model is not None:
        source = latency.profile.models[latency.model]
        given = {
            "latency_s": source.latency_s,
            "latency_from": latency.named,
            "latency_mode": source.latency_mode,
            "activation_bytes": source.activation_bytes,
            "architecture": source.architecture,
            "input": source.input,
        }
    dtypes = {checkpoint.name: checkpoint.dtype for checkpoint in library.checkpoints}
    return Profile(
        name=name,
        provenance=Synthetic(
            kind="synthetic",
            device=loads.device,
            method=_method(library, loads, latency),
        ),
        models={
            model: ModelProfile(
                blocks=tuple(_block(block, loads) for block in blocks),
                dtype=dtypes[model],
                **given,
            )
            for model, blocks in library.models.items()
        },
        round_s=None if latency is None else latency.profile.round_s,
    )


def _block(block: ContentBlock, loads: LoadRules) -> BlockProfile:
    return BlockProfile(
        name=block.name,
        bytes=block.bytes,
        load_s={
            tier: Timing(median_s=rule.load_s(block.bytes))
            for tier, rule in loads.tiers.items()
        },
        content=block.content,
        tensors=len(block.tensors),
    )


def _method(library: ContentLibrary, loads: LoadRules, latency: ModelOf | None) -> str:
    rules = "; ".join(f"{tier}: {rule}" for tier, rule in loads.tiers.items())
    names = "ignored" if library.names == "ignore" else "part of the identity"
    least = library.min_bytes
    kept = f", tensors below {least} bytes never shared" if least else ""
    if least is None and library.kept.tensors:
        kept = ", counters and tensors of a few bytes left to each model"
    if latency is None:
        computed = "No latency was measured or assumed."
    else:
        computed = f"latency_s of every model is that of {latency.named!r}"
        also = ", round_s that of its profile" if latency.profile.round_s else ""
        computed = f"{computed}{also}."
    used = (loads.profile, latency.profile if latency else None)
    origins = dict.fromkeys(_origin(profile) for profile in used if profile)
    return (
        f"Blocks are those of checkpoint files: tensors hashed by content (SHA-256 of "
        f"type, shape and bytes; names {names}{kept}), one block a set of models that "
        f"hold the same tensors. load_s of a block: {rules}; from {loads.source}. "
        f"{computed} {''.join(f'{origin} ' for origin in origins)}"
        f"Nobody measured these loads."
    )
