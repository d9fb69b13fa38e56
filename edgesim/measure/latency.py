"""Compute latency and activation memory of a network, batch size by batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from edgesim.errors import InputError
from edgesim.measure.device import Device, is_out_of_memory
from edgesim.measure.inputs import Example, example_input, forward, weights_dtype
from edgesim.measure.sampling import Sampling, sample
from edgesim.own_code import told
from edgesim.profile import Timing


@dataclass(frozen=True)
class BatchTable:
    """What batches of one network take.

    Parameters
    ----------
    latency_s
        By batch size; both maps hold the same ones.
    activation_bytes
        By batch size: the input, and what the forward pass holds beyond it at most.
    no_memory_from
        The smallest batch size that did not fit into memory; larger ones were not
        tried.
    """

    latency_s: Mapping[int, Timing]
    activation_bytes: Mapping[int, int]
    no_memory_from: int | None = None


def measure_batches(
    device: Device,
    network: nn.Module,
    name: str,
    text: str,
    batches: Sequence[int],
    sampling: Sampling,
    done: Callable[[], None] = lambda: None,
) -> BatchTable:
    """Measure forward passes of growing batches, until memory does not suffice.

    Parameters
    ----------
    device
        Where the network is moved to.
    network
        In eval mode.
    name
        Of the model, for messages.
    text
        One input, as :func:`edgesim.measure.inputs.check_input` accepts it.
    batches
        Batch sizes, growing.
    sampling
        How often, for each batch size.
    done
        Called after each batch size.

    Raises
    ------
    InputError
        When the network refuses a batch that there is memory for.
    """
    latency_s: dict[int, Timing] = {}
    activation_bytes: dict[int, int] = {}
    device.wake()
    for batch in batches:
        try:
            network = network.to(device.device)
            latency_s[batch], activation_bytes[batch] = _batch(
                device, network, text, batch, sampling
            )
        except Exception as error:
            if is_out_of_memory(error):
                return BatchTable(latency_s, activation_bytes, no_memory_from=batch)
            # That a batch of 1 runs does not tell that others do.
            raise InputError(
                name, f"a forward pass of a batch of {batch} failed: {told(error)}"
            ) from error
        done()
    return BatchTable(latency_s, activation_bytes)


def probe(device: Device, network: nn.Module, text: str, where: str) -> float | None:
    """Run a network twice on one input; return the seconds of the second pass.

    None when it does not fit into memory: the measurement will say so.

    Raises
    ------
    InputError
        When the network refuses the input, with its own words.
    """
    try:
        network = network.to(device.device)
        example = example_input(text, 1, weights_dtype(network), device.device)
        device.timed([lambda: forward(network, example)])
        return device.timed([lambda: forward(network, example)])[0]
    except Exception as error:
        if is_out_of_memory(error):
            return None
        # Whatever a forward pass raises is about the input's text.
        raise InputError(
            where, f"a forward pass over the input {text} failed: {told(error)}"
        ) from error


def _batch(
    device: Device, network: nn.Module, text: str, batch: int, sampling: Sampling
) -> tuple[Timing, int]:
    example = example_input(text, batch, weights_dtype(network), device.device)
    (latency,) = sample(device, [lambda: forward(network, example)], sampling)
    extra = device.extra_bytes(lambda: forward(network, example))
    return latency, extra + _bytes(example)


def _bytes(example: Example) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in example)
