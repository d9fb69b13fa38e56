"""The networks of a replay: real forward passes on a batch of made-up inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from edgesim.errors import InputError
from edgesim.measure.device import Device, Step, is_out_of_memory
from edgesim.measure.inputs import example_input, forward, weights_dtype
from edgesim.measure.specs import build_network
from edgesim.own_code import told
from edgesim.replay.match import NetworkSpec
from edgesim.replay.plan import Batch

Build = Callable[[NetworkSpec], torch.nn.Module]

WARM_UP = 3
"""Forward passes of every batch before anything is timed."""


def build(spec: NetworkSpec) -> torch.nn.Module:
    """Build a network on the CPU, with random weights of its own.

    Raises
    ------
    InputError
        When it cannot be built here.
    """
    return build_network(spec.architecture, spec.dtype)


def batch_steps(
    batches: Sequence[Batch], device: Device, build: Build
) -> dict[Batch, Step]:
    """Build each network once, put it on the device and warm every batch up.

    Parameters
    ----------
    batches
        Distinct ones.
    device
        Where they run.
    build
        Makes a network on the CPU.

    Returns
    -------
    dict
        Batch to a call that computes it once; inputs lie on the device.

    Raises
    ------
    InputError
        When a network cannot be built, or does not take its input.
    """
    networks = {
        spec: build(spec).eval().to(device.device)
        for spec in dict.fromkeys(batch.network for batch in batches)
    }
    steps: dict[Batch, Step] = {}
    for batch in batches:
        try:
            step = _step(networks[batch.network], batch, device.device)
            for _ in range(WARM_UP):
                step()
            device.synchronise()
        except InputError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            # Whatever a network raises is about the input that the profile states.
            raise InputError(
                batch.network.architecture,
                f"cannot compute {batch.size} inputs {batch.network.input!r} "
                f"on {device.device}: {told(error)}",
            ) from error
        steps[batch] = step
    return steps


def _step(network: torch.nn.Module, batch: Batch, device: torch.device) -> Step:
    dtype = weights_dtype(network)
    example = example_input(batch.network.input, batch.size, dtype, device)

    def step() -> None:
        forward(network, example)

    return step
