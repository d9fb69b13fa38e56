"""Measurement plans: one value per network, made before anything is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from torch import nn

from edgesim.errors import InputError, Parameter
from edgesim.profile.values import BatchMode, Latency, LoraSizes
from edgesim.profiling.architecture import NetworkSpec, dtype_of
from edgesim.profiling.blocks import (
    BlockOf,
    BlockPlan,
    TensorSize,
    group,
    numbered_block,
    state_tensors,
)
from edgesim.profiling.device import Device
from edgesim.profiling.latency import probe
from edgesim.profiling.lora import lora_sizes
from edgesim.profiling.model_loads import room_bytes
from edgesim.profiling.networks import Networks


@dataclass(frozen=True)
class CopiedLatency:
    """Latencies taken from another profile: their source, and its tables."""

    source: str
    latency_s: Mapping[str, Latency]
    activation_bytes: Mapping[str, int] | None
    latency_mode: BatchMode | None = None


@dataclass(frozen=True)
class Effort:
    """Durations of a trial of one network, in seconds.

    Parameters
    ----------
    build_s
        Time to build it.
    pass_s
        One forward pass of one input; None if it did not fit in memory.
    largest, largest_s
        The largest batch and one forward pass of it; None if it could not be run.
    """

    build_s: float
    pass_s: float | None
    largest: int = 1
    largest_s: float | None = None

    def batch_s(self, batch: int) -> float:
        """Predict a batch's duration by the line through one input and the largest."""
        if self.pass_s is None:
            return 0.0
        if self.largest_s is None or self.largest == 1:
            return batch * self.pass_s
        share = (batch - 1) / (self.largest - 1)
        return self.pass_s + share * (self.largest_s - self.pass_s)


@dataclass(frozen=True)
class NetworkPlan:
    """One model to measure.

    Parameters
    ----------
    name
        Name of the model in the profile.
    blocks
        Blocks in loading order.
    dtype
        Dtype of the weights, ``mixed`` if there are several.
    architecture, input
        The SPEC that builds the network, and one input of it; without them no latency
        is measured.
    lora
        Sizes of its adapters.
    copied
        Latencies to take over instead of measuring.
    effort
        Durations of the network's trial.
    """

    name: str
    blocks: tuple[BlockPlan, ...]
    dtype: str
    architecture: str | None = None
    input: str | None = None
    lora: LoraSizes | None = None
    copied: CopiedLatency | None = None
    effort: Effort | None = None

    @property
    def bytes(self) -> int:
        """Size of all blocks."""
        return sum(block.bytes for block in self.blocks)

    @property
    def room_bytes(self) -> int:
        """Size of the buffers needed to measure its loads."""
        return room_bytes(self.blocks)


@dataclass(frozen=True)
class PlanOptions:
    """How networks are built and split, and what they are run on.

    Parameters
    ----------
    block_of
        The rule that groups tensors; by numbered layers if not given.
    dtype
        The dtype to which networks are converted.
    input
        One input, instead of each network's usual one.
    lora
        Linear modules for which adapters are sized.
    largest_batch
        Tried besides a batch of one, to predict the duration of the measurement.
    """

    block_of: BlockOf | None = None
    dtype: str | None = None
    input: str | None = None
    lora: tuple[str, ...] = field(default=())
    largest_batch: int = 1


def plan_networks(
    device: Device,
    specs: Sequence[NetworkSpec],
    options: PlanOptions,
    done: Callable[[int, int], None] = lambda _done, _total: None,
    networks: Networks | None = None,
) -> list[NetworkPlan]:
    """Build each network, group its tensors, and try a forward pass.

    Parameters
    ----------
    device
        The device that runs the forward pass.
    specs, options
        The networks to build, and how.
    done
        Called with the number of networks tried and the total.
    networks
        Builds and caches the networks.

    Raises
    ------
    InputError
        If a network cannot be built, grouped or run, or none has the modules of an
        adapter.
    """
    plans: list[NetworkPlan] = []
    networks = Networks(device) if networks is None else networks
    for spec in specs:
        done(len(plans), len(specs))
        plans.append(_plan(device, spec, options, networks))
        device.release()
    for target in options.lora:
        holders = [p.lora.bytes_per_rank for p in plans if p.lora is not None]
        if not any(target in sizes for sizes in holders):
            raise InputError(
                Parameter("lora"),
                f"no network has linear modules called {target!r}",
            )
    return plans


def tried(
    device: Device,
    network: nn.Module,
    text: str | None,
    build_s: float,
    where: str,
    largest: int = 1,
) -> Effort:
    """Time a network on one input and on the largest batch.

    Raises
    ------
    InputError
        If no input is known, or the network rejects it.
    """
    if text is None:
        raise InputError(
            where,
            "what its input is cannot be told; give ",
            Parameter("input"),
            ", such as 3x224x224 or "
            "tokens:128:30522, or set the network's attribute edgesim_input",
        )
    pass_s = probe(device, network, text, where)
    largest_s = None
    if largest > 1 and pass_s is not None:
        # Errors of a larger batch are left to the measurement, which tries all sizes.
        with suppress(InputError):
            largest_s = probe(device, network, text, where, largest)
    return Effort(build_s, pass_s, largest, largest_s)


def _plan(
    device: Device, spec: NetworkSpec, options: PlanOptions, networks: Networks
) -> NetworkPlan:
    where = spec.architecture
    start_s = time.perf_counter()
    built = networks.built(spec.architecture, options.dtype)
    build_s = time.perf_counter() - start_s
    tensors = state_tensors(built.network, where)
    block_of = options.block_of or numbered_block
    blocks = group(
        (TensorSize(name, value.nbytes) for name, value in tensors.items()),
        block_of,
        spec.name,
    )
    names = [block.name for block in blocks]
    lora = lora_sizes(built.network, options.lora, names, block_of, spec.name)
    text = options.input or built.input
    dtype = dtype_of(tensors)
    effort = tried(device, built.network, text, build_s, where, options.largest_batch)
    return NetworkPlan(
        name=spec.name,
        blocks=blocks,
        dtype=dtype,
        architecture=spec.architecture,
        input=text,
        lora=lora,
        effort=effort,
    )
