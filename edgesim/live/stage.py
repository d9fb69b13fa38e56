"""The host's blocks, the networks, and what each should answer."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from edgesim.errors import InputError
from edgesim.live.layout import ModelLayout, layout, views
from edgesim.profile.model_match import NetworkSpec, match_model
from edgesim.profile.values import Profile, Tier
from edgesim.profiling.blocks import state_tensors
from edgesim.profiling.builder import Build
from edgesim.profiling.copies import HostBlock
from edgesim.profiling.device import Device
from edgesim.profiling.inputs import Example, example_input, outputs, weights_dtype
from edgesim.profiling.memory import aligned
from solvers.problem import Problem

_CHANGE = 0.05
"""Relative change of the weights of a block that a variant does not share."""


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A model of the library whose parameters are views, of nothing at first.

    Parameters
    ----------
    layout
        Where its tensors lie.
    network
        The network; it holds no weights of its own.
    like
        A tensor without data of the dtype and the shape of each of its tensors.
    tensors
        The network's tensors by name; tied ones are several.
    expected
        Outputs on the fixed input of the model built by itself, on the host.
    by_graph
        Whether its batches are captured graphs.
    bound
        Where each of its blocks was when its tensors were last bound to it.
    """

    layout: ModelLayout
    network: nn.Module
    like: Mapping[str, torch.Tensor]
    tensors: Mapping[str, Sequence[torch.Tensor]]
    expected: Sequence[torch.Tensor]
    by_graph: bool = False
    bound: dict[str, int] = field(default_factory=dict)

    def bind(self, block: str, content: torch.Tensor, offset: int) -> None:
        """Let a block's tensors be views into its bytes, which lie at an offset."""
        found = views(content, self.layout.blocks[block], self.like)
        for name, view in found.items():
            for tensor in self.tensors[name]:
                tensor.data = view
        self.bound[block] = offset


class _Shell(NamedTuple):
    """A network without weights, a tensor like each of its own, and all their names."""

    network: nn.Module
    like: Mapping[str, torch.Tensor]
    names: Mapping[str, Sequence[str]]


@dataclass(frozen=True, eq=False)
class Stage:
    """All that a device needs beside its pool.

    Parameters
    ----------
    hosts
        The host's copy of each block of the library, by name.
    models
        The library's models, by name.
    sizes
        Measured batch sizes of each model: a batch is padded to the next.
    graphs
        What devices have captured, by the blocks of their atoms; they fill it.
    """

    hosts: Mapping[str, HostBlock]
    models: Mapping[str, LiveModel]
    sizes: Mapping[str, Sequence[int]]
    graphs: dict[Any, dict[Any, Any]] = field(default_factory=dict)

    @property
    def has_graphs(self) -> bool:
        """Whether batches of any model are captured graphs."""
        return any(model.by_graph for model in self.models.values())


def make_stage(
    where: str,
    problem: Problem,
    profile: Profile,
    device: Device,
    tier: Tier,
    build: Build,
) -> Stage:
    """Build every model by itself, note its answer, and take its weights apart.

    Weights are those of the network as it is built; a block that is a variant's own
    differs from its base's by a few percent, drawn from its name.

    Parameters
    ----------
    where
        For messages: the profile's file.
    problem, profile
        The library, and the profile that names its networks.
    device, tier
        The device, and the tier that blocks are loaded from.
    build
        Builds a network on the device.

    Raises
    ------
    InputError
        If a model cannot be run, or two models do not agree on a block's tensors.
    """
    hosts = _host_blocks(problem, device, tier)
    by_network: dict[NetworkSpec, list[str]] = {}
    for name in problem.models:
        match = match_model(problem, name, profile)
        if match.network is None:
            raise InputError(where, f"cannot run {name!r} live: {match.reason}")
        by_network.setdefault(match.network, []).append(name)
    made: dict[str, LiveModel] = {}
    filled: set[str] = set()
    for spec, names in by_network.items():
        network = build(spec).eval().to(device.device)
        by_graph = device.has_graphs and device.uses_graphs and spec.mode == "graph"
        laid = [layout(where, problem, name, profile, network) for name in names]
        tensors = state_tensors(network, spec.architecture)
        for found in laid:
            for block in found.blocks:
                if block not in filled:
                    _fill(hosts[block].host, block, found, tensors)
                    filled.add(block)
        shell = _shell(network, tensors)
        for found in laid:
            expected = _answer(network, found, hosts, tensors, device)
            own = copy.deepcopy(shell.network)
            state = own.state_dict(keep_vars=True)
            bare = {key: [state[one] for one in of] for key, of in shell.names.items()}
            made[found.name] = LiveModel(
                found, own, shell.like, bare, expected, by_graph
            )
    models = {name: made[name] for name in problem.models}
    sizes = {
        name: sorted(map(int, profile.models[model.layout.base].latency_s))
        for name, model in models.items()
    }
    return Stage(hosts, models, sizes)


def fixed_input(model: LiveModel, device: Device, batch: int = 1) -> Example:
    """Draw the input of a model, the same each time."""
    dtype = _dtype(model)
    return example_input(model.layout.network.input, batch, dtype, device.device)


def difference(
    model: LiveModel, device: Device, found: Sequence[torch.Tensor] | None = None
) -> float:
    """Return how far a model's outputs on the fixed input are from expected.

    The largest difference, relative to the largest number expected; infinite if an
    output is of another shape or holds what is no number.

    Parameters
    ----------
    model, device
        The model, loaded, and its device.
    found
        The outputs; by default the model is run.
    """
    if found is None:
        found = outputs(model.network, fixed_input(model, device))
    device.synchronise()
    if len(found) != len(model.expected):
        return float("inf")
    worst = 0.0
    for one, other in zip(found, model.expected, strict=True):
        ours = one.detach().to("cpu", torch.float64)
        if ours.shape != other.shape:
            return float("inf")
        size = float(other.abs().max()) if other.numel() else 0.0
        gap = float((ours - other).abs().max()) if other.numel() else 0.0
        if gap != gap:
            return float("inf")
        worst = max(worst, gap / size if size else gap)
    return worst


def _host_blocks(problem: Problem, device: Device, tier: Tier) -> dict[str, HostBlock]:
    """Make room for every block, as slices of one buffer."""
    total = sum(aligned(block.bytes) for block in problem.blocks.values())
    buffer = device.host_buffer(total, tier)
    found, at = {}, 0
    for name, block in problem.blocks.items():
        found[name] = HostBlock(buffer[at : at + block.bytes])
        at += aligned(block.bytes)
    return found


def _fill(
    host: torch.Tensor,
    block: str,
    found: ModelLayout,
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Write a block's weights to the host; drawn on the device if they are its own."""
    own = block != f"{found.base}/{found.origin[block]}"
    seed = int.from_bytes(hashlib.sha256(block.encode()).digest()[:7], "big")
    there = next(iter(tensors.values())).device
    generator = torch.Generator(device=there).manual_seed(seed)
    for name, view in views(host, found.blocks[block], tensors).items():
        value = tensors[name].detach()
        if own and value.is_floating_point():
            factor = torch.randn(value.shape, generator=generator, device=there)
            value = (value * (1 + _CHANGE * factor)).to(value.dtype)
        view.copy_(value)


def _answer(
    network: nn.Module,
    found: ModelLayout,
    hosts: Mapping[str, HostBlock],
    tensors: Mapping[str, torch.Tensor],
    device: Device,
) -> list[torch.Tensor]:
    """Run the model by itself: its network, in memory of its own, with its weights."""
    with torch.no_grad():
        for block, there in found.blocks.items():
            for name, view in views(hosts[block].host, there, tensors).items():
                tensors[name].copy_(view)
    text = found.network.input
    example = example_input(text, 1, weights_dtype(network), device.device)
    given = outputs(network, example)
    answer = [one.detach().to("cpu", torch.float64) for one in given]
    device.synchronise()
    if not answer or not all(bool(torch.isfinite(one).all()) for one in answer):
        raise InputError(
            found.network.architecture,
            f"as {found.name!r} must give numbers on its input {text!r}, by which live "
            f"runs are checked",
        )
    return answer


def _shell(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> _Shell:
    """Copy a network without its weights."""
    state = network.state_dict(keep_vars=True)
    place = {value.data_ptr(): name for name, value in tensors.items()}
    names: dict[str, list[str]] = {name: [] for name in tensors}
    for name, value in state.items():
        if value.numel():
            names[place[value.data_ptr()]].append(name)
    like = {
        name: torch.empty(value.shape, dtype=value.dtype, device="meta")
        for name, value in tensors.items()
    }
    kept = {id(value): (value, value.data) for value in state.values()}
    for value, _ in kept.values():
        value.data = torch.empty(0, dtype=value.dtype, device=value.device)
    empty = copy.deepcopy(network)
    for value, data in kept.values():
        value.data = data
    return _Shell(empty, like, names)


def _dtype(model: LiveModel) -> torch.dtype:
    """Return the dtype of a model's inputs: that of its first floating weights."""
    floating = (one.dtype for one in model.like.values() if one.is_floating_point())
    return next(floating, torch.get_default_dtype())
