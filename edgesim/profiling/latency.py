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
    """Latency and memory of the batches of one network.

    Parameters
    ----------
    latency_s
        By batch size; all maps have the same keys.
    activation_bytes
        By batch size: the input plus the peak of the forward pass beyond it.
    mode
        How the batches of ``latency_s`` were run.
    eager_s
        If ``mode`` is ``graph``, the same batches launched operator by operator.
    no_graph
        Why a batch could not be captured as a graph, if the device has graphs.
    no_memory_from
        The smallest batch size that did not fit in memory; larger ones were not tried.
    """

    latency_s: Mapping[int, Timing]
    activation_bytes: Mapping[int, int]
    mode: BatchMode = "eager"
    eager_s: Mapping[int, Timing] | None = None
    no_graph: str | None = None
    no_memory_from: int | None = None


@dataclass(frozen=True)
class _Batch:
    """Latency and memory of the batches of one size.

    ``graph_s`` is None if no graph was captured; ``no_graph`` is the reason if the
    device has graphs.
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
    """Measure forward passes of batches of increasing size until memory runs out.

    Caches are flushed between two passes, because a replay or a server runs other
    networks in between. If the device can capture batches of every size as graphs,
    these give the latencies; launched operator by operator, small batches are often
    host-bound, which is measured too.

    Parameters
    ----------
    device
        The device to which the network is moved.
    network
        The network in eval mode.
    name
        Name of the model, for messages.
    text
        One input, as accepted by :func:`edgesim.profiling.inputs.check_input`.
    batches
        Batch sizes, ascending.
    sampling
        The sampling for each batch size and mode.
    done
        Called after each batch size.

    Raises
    ------
    InputError
        If the network rejects a batch that fits in memory.
    """
    found: dict[int, _Batch] = {}
    no_memory_from = None
    device.wake()
    for batch in batches:
        try:
            network = network.to(device.device)
            found[batch] = _retry_out_of_memory(
                device, partial(_batch, device, network, text, batch, sampling)
            )
        except Exception as error:
            if is_out_of_memory(error):
                no_memory_from = batch
                break
            # A batch of 1 that runs does not imply that others do.
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

    None if it does not fit in memory, which the measurement will report.

    Raises
    ------
    InputError
        If the network rejects the input, quoting its error.
    """
    try:
        network = network.to(device.device)
        example = example_input(text, batch, weights_dtype(network), device.device)
        device.timed([lambda: forward(network, example)])
        return device.timed([lambda: forward(network, example)])[0]
    except Exception as error:
        if is_out_of_memory(error):
            return None
        # Any exception of a forward pass is an error in the input's text.
        raise InputError(
            where, f"a forward pass over the input {text} failed: {told(error)}"
        ) from error


class BatchStep(NamedTuple):
    """A call that runs one batch, and its mode, since a graph may be unavailable."""

    run: Step
    mode: BatchMode
    no_graph: str | None = None


def batch_step(
    device: Device, network: nn.Module, text: str, batch: int, mode: BatchMode
) -> BatchStep:
    """Make the call that runs one batch; its inputs are on the device.

    Parameters
    ----------
    device
        The device that holds the network.
    network, text, batch
        The network, one input as a text, and the batch size.
    mode
        How to run it. If a graph cannot be captured, the step runs eagerly and records
        the reason.
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


def _retry_out_of_memory(device: Device, measured: Callable[[], _Batch]) -> _Batch:
    """Retry after releasing what smaller batches left behind if memory runs out."""
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
        graph = device.captured(step) if device.uses_graphs else None
    except NotCapturedError as error:
        no_graph = str(error)
    graph_s = None
    if graph is not None:
        (graph_s,) = sample(device, [graph], sampling, device.disturb)
        # Only to tell whether it is host-bound, for which this many samples suffice.
        sampling = replace(sampling, repeats=min(sampling.repeats, DECILES_FROM))
    (eager_s,) = sample(device, [step], sampling, device.disturb)
    extra = device.extra_bytes(step)
    return _Batch(eager_s, graph_s, no_graph, extra + _bytes(example))


def _bytes(example: Example) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in example)
