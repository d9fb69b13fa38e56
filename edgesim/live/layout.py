"""Where each tensor of a network lies in the library's blocks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn

from edgesim.errors import InputError
from edgesim.profile.model_match import NetworkSpec, block_names, match_model
from edgesim.profile.values import Measured, Profile
from edgesim.profiling.blocks import (
    BlockOf,
    TensorSize,
    by_depth,
    by_pattern,
    members,
    numbered_block,
    state_tensors,
)
from solvers.problem import Problem

_VERSION = re.compile(r"#[0-9]+$")


class TensorPlace(NamedTuple):
    """A tensor's name in the network, and its first byte in its block."""

    name: str
    offset: int


@dataclass(frozen=True)
class ModelLayout:
    """A model of the library as a network.

    Parameters
    ----------
    name, base
        The library's model, and the profile's that it is or was derived from.
    network
        The network that computes it.
    blocks
        Tensors of each of its blocks, by the library's name of the block.
    origin
        Name in the profile of each block, by its name in the library.
    """

    name: str
    base: str
    network: NetworkSpec
    blocks: Mapping[str, tuple[TensorPlace, ...]]
    origin: Mapping[str, str]


def layout(
    where: str, problem: Problem, model: str, profile: Profile, network: nn.Module
) -> ModelLayout:
    """Lay out a model of the library.

    Parameters
    ----------
    where
        For messages: the profile's file.
    problem, model
        The library, and the name of one of its models.
    profile
        The profile that names the network and its blocks.
    network
        The network, built as the profile says.

    Raises
    ------
    InputError
        If the model is no network of the profile's, or its blocks are not those that
        the network's tensors make.
    """
    found = match_model(problem, model, profile)
    if found.base is None or found.network is None:
        raise InputError(where, f"cannot run {model!r} live: {found.reason}")
    entry = profile.models[found.base]
    tensors = state_tensors(network, found.network.architecture)
    sizes = [TensorSize(name, value.nbytes) for name, value in tensors.items()]
    groups = _groups(where, profile, found.base, sizes)
    held = {_VERSION.sub("", name): name for name in problem.models[model].blocks}
    blocks: dict[str, tuple[TensorPlace, ...]] = {}
    origin: dict[str, str] = {}
    for block, names in block_names(profile, found.base, model):
        name = held[min(names & held.keys())]
        size = problem.blocks[name].bytes
        if size != block.bytes:
            raise InputError(
                where,
                f"cannot run {model!r} live: its block {name!r} holds {size:,} bytes, "
                f"the network's {block.bytes:,}",
            )
        blocks[name] = tuple(places(groups[block.name]))
        origin[name] = block.name
    other = [name for name in problem.models[model].blocks if name not in blocks]
    if other:
        raise InputError(
            where,
            f"cannot run {model!r} live: its block {other[0]!r} is no part of the "
            f"network of {found.base!r}",
        )
    assert len(blocks) == len(entry.blocks)
    return ModelLayout(model, found.base, found.network, blocks, origin)


def places(tensors: Sequence[TensorSize]) -> Iterator[TensorPlace]:
    """Place the tensors of a block one after another, without gaps.

    Those whose size is divisible by the larger power of two come first, so that each
    begins at a multiple of the power that divides its own size: no padding is needed,
    and weights of the usual sizes lie as allocators would place them.
    """
    at = 0
    for tensor in sorted(tensors, key=lambda t: -(t.bytes & -t.bytes)):
        yield TensorPlace(tensor.name, at)
        at += tensor.bytes


def views(
    block: torch.Tensor, there: Sequence[TensorPlace], like: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """View a block's bytes as its tensors.

    Parameters
    ----------
    block
        uint8, shape (bytes of the block,).
    there
        Tensors of the block.
    like
        A tensor of the dtype and the shape of each, by name.
    """
    found = {}
    for name, offset in there:
        model = like[name]
        part = block[offset : offset + model.nbytes]
        found[name] = part.view(model.dtype).view(model.shape)
    return found


def _groups(
    where: str, profile: Profile, base: str, sizes: Sequence[TensorSize]
) -> dict[str, list[TensorSize]]:
    """Assign tensors to the profile's blocks, by the rule that measured them.

    Raises
    ------
    InputError
        If no rule gives blocks of these names and sizes.
    """
    wanted = {block.name: block.bytes for block in profile.models[base].blocks}
    for rule in _rules(profile):
        try:
            found = members(sizes, rule, base)
        except InputError:  # this rule matches none of the names
            continue
        if {name: sum(t.bytes for t in of) for name, of in found.items()} == wanted:
            return found
    raise InputError(
        where,
        f"cannot run {base!r} live: its blocks are not those of its network's tensors "
        f"by the rule of the profile's command, or by numbered modules",
    )


def _rules(profile: Profile) -> Iterator[BlockOf]:
    """Yield the rule that the profile's command states, and then the usual one."""
    provenance = profile.provenance
    words = shlex.split(provenance.command) if isinstance(provenance, Measured) else []
    for option, value in pairwise(words):
        if option == "--blocks":
            yield by_pattern(value)
        elif option == "--depth" and value.isdigit():
            yield by_depth(int(value))
    yield numbered_block
