"""Measurement plans of checkpoint files: blocks by content, latency from elsewhere."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from edgesim.checkpoints.content import ContentBlock, ContentLibrary
from edgesim.checkpoints.files import Checkpoint, TensorRecord
from edgesim.errors import InputError, Parameter, short
from edgesim.profile.file import read_profile, shipped_profiles
from edgesim.profile.values import Profile
from edgesim.profiling.architecture import with_classes
from edgesim.profiling.blocks import BlockOf, BlockPlan
from edgesim.profiling.checkpoint_fit import SHOWN_DIFFERENCES, check_fits, fit
from edgesim.profiling.device import Device
from edgesim.profiling.networks import Networks
from edgesim.profiling.plan import CopiedLatency, NetworkPlan, tried
from edgesim.storage.files import is_file


def plan_checkpoints(
    checkpoints: Sequence[Checkpoint],
    library: ContentLibrary,
    block_of: BlockOf | None = None,
) -> list[NetworkPlan]:
    """Convert checkpoints to plans whose blocks are identified by content.

    Parameters
    ----------
    checkpoints
        All checkpoints of the command.
    library
        Their blocks.
    block_of
        A rule by which to split blocks further, the same way in every model.

    Raises
    ------
    InputError
        If the rule finds a block for none of the tensors.
    """
    if block_of is not None and not any(
        block_of(tensor.name) is not None
        for block in library.blocks
        for tensor in block.tensors
    ):
        names = [tensor.name for tensor in checkpoints[0].tensors[:SHOWN_DIFFERENCES]]
        raise InputError(
            Parameter("block_of"),
            f"matches no tensor of the checkpoints, whose names are such as "
            f"{', '.join(names)}",
        )
    parts = {block.content: _split(block, block_of) for block in library.blocks}
    return [
        NetworkPlan(
            name=checkpoint.name,
            blocks=tuple(
                part
                for block in library.models[checkpoint.name]
                for part in parts[block.content]
            ),
            dtype=checkpoint.dtype,
        )
        for checkpoint in checkpoints
    ]


def with_architectures(
    device: Device,
    plans: Sequence[NetworkPlan],
    checkpoints: Sequence[Checkpoint],
    architectures: Mapping[str, str],
    text: str | None,
    largest_batch: int = 1,
    networks: Networks | None = None,
) -> list[NetworkPlan]:
    """Assign plans the networks whose latencies represent theirs, after checking them.

    A network takes the dtype of the checkpoint's weights if that is one of
    :data:`edgesim.profiling.architecture.DTYPES`, and the number of classes of its head
    if nothing else differs. Plans without an architecture stay as they are.

    Parameters
    ----------
    device
        Where networks are built and tried.
    plans, checkpoints
        The plans, and what they are of.
    architectures
        SPECs by the plan's name.
    text
        One input, instead of each network's usual one.
    largest_batch
        Tried besides a batch of one.
    networks
        Builds and caches the networks.

    Raises
    ------
    InputError
        If the tensors of a checkpoint and those of its network differ.
    """
    networks = Networks(device) if networks is None else networks
    groups: dict[tuple[str, str], list[_Member]] = {}
    for member in zip(plans, checkpoints, strict=True):
        plan, _ = member
        if plan.name in architectures:
            key = architectures[plan.name], plan.dtype
            groups.setdefault(key, []).append(member)
    completed = {plan.name: plan for plan in plans}
    for (architecture, dtype), members in groups.items():
        for plan in _with_network(
            device, members, architecture, dtype, text, largest_batch, networks
        ):
            completed[plan.name] = plan
    return list(completed.values())


_Member: TypeAlias = tuple[NetworkPlan, Checkpoint]


def _with_network(
    device: Device,
    members: Sequence[_Member],
    architecture: str,
    dtype: str,
    text: str | None,
    largest_batch: int,
    networks: Networks,
) -> Iterator[NetworkPlan]:
    """Build a network once for plans of one dtype, and again for every other head."""
    start_s = time.perf_counter()
    built = networks.built(architecture, dtype)
    build_s = time.perf_counter() - start_s
    fitting: list[NetworkPlan] = []
    others: dict[str, list[_Member]] = {}
    for plan, checkpoint in members:
        classes = fit(built.network, checkpoint).classes
        sized = None if classes is None else with_classes(architecture, classes)
        if sized is not None:
            others.setdefault(sized, []).append((plan, checkpoint))
        else:
            check_fits(built.network, checkpoint, architecture)
            fitting.append(plan)
    given = text or built.input
    if fitting:
        effort = tried(
            device, built.network, given, build_s, architecture, largest_batch
        )
        for plan in fitting:
            yield replace(plan, architecture=architecture, input=given, effort=effort)
    del built  # or two would take memory at once
    for sized, of in others.items():
        yield from _with_network(
            device, of, sized, dtype, text, largest_batch, networks
        )


def latency_place(text: str) -> tuple[str, str | None]:
    """Split ``PROFILE[:MODEL]`` into the profile's path or name and the model's."""
    place, colon, model = text.rpartition(":")
    if not colon or is_file(Path(text)) or text in shipped_profiles():
        return text, None
    return place, model


def read_latency_source(latency_from: str) -> tuple[Profile, str | None]:
    """Read ``PROFILE[:MODEL]``: a profile's path or shipped name, and a model of it.

    Raises
    ------
    InputError
        If there is no such profile or model.
    """
    place, model = latency_place(latency_from)
    profile = read_profile(place)
    if model is not None and model not in profile.models:
        raise InputError(
            Parameter("latency_from"),
            f"{profile.name} holds no model {short(model)}, only "
            f"{', '.join(profile.models)}",
        )
    return profile, model


def with_latency_from(
    plans: Sequence[NetworkPlan], profile: Profile, model: str | None
) -> list[NetworkPlan]:
    """Assign plans the latencies of another profile.

    Parameters
    ----------
    plans
        The plans without latencies.
    profile, model
        The source. Without a model, each plan takes the model of its own name, or the
        only model.

    Raises
    ------
    InputError
        If a plan has no source model, or that model has no latencies.
    """
    completed = []
    for plan in plans:
        name = model or (plan.name if plan.name in profile.models else None)
        if name is None and len(profile.models) == 1:
            name = next(iter(profile.models))
        if name is None:
            raise InputError(
                Parameter("latency_from"),
                f"{profile.name} holds no model {plan.name!r}, only "
                f"{', '.join(profile.models)}; give PROFILE:MODEL",
            )
        source = profile.models[name]
        if not source.latency_s:
            raise InputError(
                Parameter("latency_from"),
                f"{profile.name} holds no latency of {name!r}",
            )
        said = f"{name} of profile {profile.name} ({profile.provenance.device})"
        completed.append(
            replace(
                plan,
                copied=CopiedLatency(
                    said,
                    source.latency_s,
                    source.activation_bytes,
                    source.latency_mode,
                ),
            )
        )
    return completed


def _split(block: ContentBlock, block_of: BlockOf | None) -> tuple[BlockPlan, ...]:
    """Split a block of shared content; a block that stays whole is unchanged."""
    groups: dict[str, list[TensorRecord]] = {}
    last: str | None = None
    for tensor in block.tensors:
        found = None if block_of is None else block_of(tensor.name)
        last = found or last or ""
        groups.setdefault(last, []).append(tensor)
    if len(groups) > 1 and "" in groups:
        # Tensors before the first match join its block.
        early = groups.pop("")
        groups[next(iter(groups))][:0] = early
    if len(groups) == 1:
        sizes = tuple(tensor.bytes for tensor in block.tensors)
        return (BlockPlan(block.name, sizes, block.content),)
    return tuple(
        BlockPlan(
            f"{block.name}/{name}",
            tuple(tensor.bytes for tensor in tensors),
            _digest(block.content, tensors),
        )
        for name, tensors in groups.items()
    )


def _digest(content: str, tensors: Sequence[TensorRecord]) -> str:
    state = hashlib.sha256(content.encode())
    for tensor in tensors:
        state.update(tensor.digest.encode())
    return state.hexdigest()
