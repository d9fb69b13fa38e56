"""The networks of a replay: real forward passes on a batch of synthetic inputs."""

from __future__ import annotations

from collections.abc import Sequence

from edgesim.errors import InputError
from edgesim.plugins import told
from edgesim.profiling.builder import Build
from edgesim.profiling.device import Device, Step, is_out_of_memory
from edgesim.profiling.latency import batch_step
from edgesim.replay.plan import Batch

WARM_UP = 3
"""Warm-up forward passes of every batch before anything is timed."""


def batch_steps(
    batches: Sequence[Batch], device: Device, build: Build
) -> dict[Batch, Step]:
    """Build each network once on the device and warm up every batch.

    Parameters
    ----------
    batches
        Distinct batches.
    device
        The device that runs them.
    build
        Builds a network.

    Returns
    -------
    dict
        Batch to a call that computes it once; inputs are on the device.

    Raises
    ------
    InputError
        If a network cannot be built, or does not take its input.
    """
    networks = {
        spec: build(spec).eval().to(device.device)
        for spec in dict.fromkeys(batch.network for batch in batches)
    }
    steps: dict[Batch, Step] = {}
    for batch in batches:
        try:
            spec = batch.network
            made = batch_step(device, networks[spec], spec.input, batch.size, spec.mode)
            if made.no_graph is not None:
                raise InputError(
                    spec.architecture,
                    f"the profile's batches were captured graphs, and one of "
                    f"{batch.size} inputs cannot be captured here: {made.no_graph}",
                )
            step = made.run
            for _ in range(WARM_UP):
                step()
            device.synchronise()
        except InputError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            # Any exception of a network is an error in the input that the profile
            # states.
            raise InputError(
                batch.network.architecture,
                f"cannot compute {batch.size} inputs {batch.network.input!r} "
                f"on {device.device}: {told(error)}",
            ) from error
        steps[batch] = step
    return steps
