"""Compute latency and activation memory of a network, batch size by batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from torch import nn

from edgesim.errors import InputError
from edgesim.plugins import told
from edgesim.profile.values import BatchMode, Timing
from edgesim.profiling.device import Device, NotCapturedError, Step, is_out_of_memory
from edgesim.profiling.inputs import Example, example_input, forward, weights_dtype
from edgesim.profiling.sampling import DECILES_FROM, Sampling, sample


@dataclass(frozen=True)
class BatchTable:
    """What batches of one network take.

    Parameters
    ----------
    latency_s
        By batch size; all maps hold the same ones.
    activation_bytes
        By batch size: the input, and what the forward pass holds beyond it at most.
    mode
        How the batches of ``latency_s`` were run.
    eager_s
        Where ``mode`` is ``graph``, the same batches launched operator by operator.
    no_graph
        Why a batch could not be captured as a graph, where the device has graphs.
    no_memory_from
        The smallest batch size that did not fit into memory; larger ones were not
        tried.
    """

    latency_s: Mapping[int, Timing]
    activation_bytes: Mapping[int, int]
    mode: BatchMode = "eager"
    eager_s: Mapping[int, Timing] | None = None
    no_graph: str | None = None
    no_memory_from: int | None = None


@dataclass(frozen=True)
class _Batch:
    """What batches of one size take.

    ``graph_s`` is None where none was captured, and ``no_graph`` says why if the device
    has graphs.
    """

    eager_s: Timing
    graph_s: Timing | None
    no_graph: str | None
    activation_bytes: int


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

    Between two passes the caches are given other work, for a replay and a server run
    other networks in between. Where the device can capture a batch as a graph and
    takes the batches of every size that way, these are the latencies; operator by
    operator small batches often wait for the host, which is measured too.

    Parameters
    ----------
    device
        Where the network is moved to.
    network
        In eval mode.
    name
        Of the model, for messages.
    text
        One input, as :func:`edgesim.profiling.inputs.check_input` accepts it.
    batches
        Batch sizes, growing.
    sampling
        How often, for each batch size and mode.
    done
        Called after each batch size.

    Raises
    ------
    InputError
        If the network refuses a batch that there is memory for.
    """
    found: dict[int, _Batch] = {}
    no_memory_from = None
    device.wake()
    for batch in batches:
        try:
            network = network.to(device.device)
            found[batch] = _with_room(
                device, partial(_batch, device, network, text, batch, sampling)
            )
        except Exception as error:
            if is_out_of_memory(error):
                no_memory_from = batch
                break
            # That a batch of 1 runs does not tell that others do.
            raise InputError(
                name, f"a forward pass of a batch of {batch} failed: {told(error)}"
            ) from error
        done()
    eager_s = {batch: one.eager_s for batch, one in found.items()}
    graph_s = {b: one.graph_s for b, one in found.items() if one.graph_s is not None}
    graphs = bool(graph_s) and len(graph_s) == len(found)
    return BatchTable(
        latency_s=graph_s if graphs else eager_s,
        activation_bytes={b: one.activation_bytes for b, one in found.items()},
        mode="graph" if graphs else "eager",
        eager_s=eager_s if graphs else None,
        no_graph=next(
            (
                f"a batch of {b}: {one.no_graph}"
                for b, one in found.items()
                if one.no_graph is not None
            ),
            None,
        ),
        no_memory_from=no_memory_from,
    )


def probe(
    device: Device, network: nn.Module, text: str, where: str, batch: int = 1
) -> float | None:
    """Run a network twice on a batch; return the seconds of the second pass.

    None when it does not fit into memory: the measurement will say so.

    Raises
    ------
    InputError
        If the network refuses the input, with its own words.
    """
    try:
        network = network.to(device.device)
        example = example_input(text, batch, weights_dtype(network), device.device)
        device.timed([lambda: forward(network, example)])
        return device.timed([lambda: forward(network, example)])[0]
    except Exception as error:
        if is_out_of_memory(error):
            return None
        # Whatever a forward pass raises is about the input's text.
        raise InputError(
            where, f"a forward pass over the input {text} failed: {told(error)}"
        ) from error


class BatchStep(NamedTuple):
    """A call that runs one batch, and how it does: a graph may not be had."""

    run: Step
    mode: BatchMode
    no_graph: str | None = None


def batch_step(
    device: Device, network: nn.Module, text: str, batch: int, mode: BatchMode
) -> BatchStep:
    """Make the call that runs one batch; its inputs lie on the device.

    Parameters
    ----------
    device
        Where the network is.
    network, text, batch
        What is run, on how many inputs.
    mode
        How. Where a graph cannot be captured the step runs eagerly, and says why.
    """
    step = _eager(
        network, example_input(text, batch, weights_dtype(network), device.device)
    )
    if mode == "graph":
        try:
            graph = device.captured(step)
        except NotCapturedError as error:
            return BatchStep(step, "eager", str(error))
        if graph is not None:
            return BatchStep(graph, "graph")
    return BatchStep(step, "eager")


def _with_room(device: Device, measured: Callable[[], _Batch]) -> _Batch:
    """Try again without what smaller batches left behind, if memory does not do."""
    try:
        return measured()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    device.release()
    return measured()


def _eager(network: nn.Module, example: Example) -> Step:
    def step() -> None:
        forward(network, example)

    return step


def _batch(
    device: Device, network: nn.Module, text: str, batch: int, sampling: Sampling
) -> _Batch:
    example = example_input(text, batch, weights_dtype(network), device.device)
    step = _eager(network, example)
    graph, no_graph = None, None
    try:
        graph = device.captured(step)
    except NotCapturedError as error:
        no_graph = str(error)
    graph_s = None
    if graph is not None:
        (graph_s,) = sample(device, [graph], sampling, device.disturb)
        # Only to tell whether the host bounds it: the deciles need no more.
        sampling = replace(sampling, repeats=min(sampling.repeats, DECILES_FROM))
    (eager_s,) = sample(device, [step], sampling, device.disturb)
    extra = device.extra_bytes(step)
    return _Batch(eager_s, graph_s, no_graph, extra + _bytes(example))


def _bytes(example: Example) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in example)
