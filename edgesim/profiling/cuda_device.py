"""A CUDA GPU: its buffers, its events, and batches as captured graphs."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import pairwise

import torch

from edgesim.plugins import told
from edgesim.profile.values import Tier
from edgesim.profiling.device import (
    CACHE_BYTES,
    Beside,
    Device,
    NotCapturedError,
    Step,
    is_out_of_memory,
)
from edgesim.profiling.hardware import Facts, cuda_facts

_WAKE_S = 0.2
_WAKE_BYTES = 4 * 2**20
_WAKE_WIDTH = 2048
_CAPTURE_WARM_UP = 3


class CudaDevice(Device):  # needs a GPU
    """A CUDA GPU, timed by CUDA events on the current stream."""

    tiers: tuple[Tier, ...] = ("pinned", "pageable", "disk")
    has_graphs = True
    note = (
        "Activation bytes: input and the most that torch's allocator held in the "
        "forward pass beyond the weights"
    )

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        torch.cuda.set_device(device)
        self._events: list[torch.cuda.Event] = []

    def host_buffer(self, size: int, tier: Tier) -> torch.Tensor:
        """Make a page-locked buffer, or an ordinary one for ``pageable``."""
        if tier == "pageable":
            return torch.zeros(size, dtype=torch.uint8)
        # Locking a page touches it; zeroing would write every byte once more.
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def wake(self) -> None:
        """Copy and multiply for a while: link and clocks take long to ramp up."""
        host = self.host_buffer(_WAKE_BYTES, "pinned")
        target = self.device_buffer(_WAKE_BYTES)
        matrix = torch.zeros(_WAKE_WIDTH, _WAKE_WIDTH, device=self.device)
        end_s = time.monotonic() + _WAKE_S
        while time.monotonic() < end_s:
            target.copy_(host, non_blocking=True)
            torch.mm(matrix, matrix)
            self.synchronise()

    def disturb(self) -> None:
        """Write a buffer of at least twice the second-level cache."""
        self._other_bytes.zero_()

    @cached_property
    def _other_bytes(self) -> torch.Tensor:
        properties = torch.cuda.get_device_properties(self.device)
        cache = int(getattr(properties, "L2_cache_size", 0))
        return self.device_buffer(max(CACHE_BYTES, 2 * cache))

    def captured(self, step: Step) -> Step | None:
        """Capture a step as a CUDA graph in a memory pool shared by all graphs.

        Graphs are replayed one at a time and their results are dropped, so none needs
        private memory between replays.
        """
        pool = self._first_graph.pool()
        self.synchronise()
        graph = torch.cuda.CUDAGraph()
        failed: Exception | None = None
        # Not torch.cuda.graph, which releases all cached memory each time.
        with torch.cuda.stream(self._capture_stream), _no_collection():
            for _ in range(_CAPTURE_WARM_UP):
                step()
            self.synchronise()
            graph.capture_begin(pool, capture_error_mode="relaxed")
            try:
                step()
            except Exception as error:
                failed = error
            try:
                graph.capture_end()
            except Exception as error:
                failed = failed or error
        if failed is not None:
            # The pool of an aborted capture is not reused. An aborted capture also
            # leaves torch's random generator in capture mode until one succeeds: the
            # next.
            del self._first_graph
            self.synchronise()
            self._first_graph  # noqa: B018
            if is_out_of_memory(failed):
                raise failed
            raise NotCapturedError(told(failed))
        return partial(_replayed, graph, step)

    @cached_property
    def _first_graph(self) -> torch.cuda.CUDAGraph:
        """A graph that keeps the pool alive: torch frees a pool without graphs."""
        graph = torch.cuda.CUDAGraph()
        anything = self._other_bytes[:1]
        self.synchronise()
        with torch.cuda.stream(self._capture_stream):
            graph.capture_begin()
            anything.zero_()
            graph.capture_end()
        self.synchronise()
        return graph

    @cached_property
    def _capture_stream(self) -> torch.cuda.Stream:
        return _stream(self.device)

    @cached_property
    def _copy_stream(self) -> torch.cuda.Stream:
        return _stream(self.device)

    def queues(self) -> tuple[Device, Device]:
        """Return two streams of the GPU."""
        copying = CudaStream(self.device, self._copy_stream)
        return copying, CudaStream(self.device, _stream(self.device))

    def beside(self, copy: Step, compute: Step) -> Beside | None:
        """Run the copy on a separate stream, and time each stream by its events."""
        copying = self._copy_stream
        started, copied, begun, computed = self._recorded(4)
        self.synchronise()
        with torch.cuda.stream(copying):
            started.record()
            copy()
            copied.record()
        begun.record()
        compute()
        computed.record()
        self.synchronise()
        return Beside(
            started.elapsed_time(copied) / 1e3, begun.elapsed_time(computed) / 1e3
        )

    def synchronise(self) -> None:
        """Wait for all streams of the device."""
        torch.cuda.synchronize(self.device)

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Run steps with an event before and after each (resolution about 0.5 µs)."""
        events = self._recorded(len(steps) + 1)
        self.synchronise()
        events[0].record()
        for step, event in zip(steps, events[1:], strict=True):
            step()
            event.record()
        self.synchronise()
        return [before.elapsed_time(after) / 1e3 for before, after in pairwise(events)]

    def _recorded(self, count: int) -> list[torch.cuda.Event]:
        """Return events that already exist: torch creates each at its first record."""
        while len(self._events) < count:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._events.append(event)
        return self._events[:count]

    def extra_bytes(self, step: Step) -> int:
        """Query the peak of torch's allocator."""
        self.synchronise()
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        step()
        self.synchronise()
        return int(torch.cuda.max_memory_allocated(self.device) - before)

    def free_bytes(self) -> int | None:
        """Query the driver after torch has released its unused memory."""
        self.release()
        return int(torch.cuda.mem_get_info(self.device)[0])

    def release(self) -> None:
        """Empty torch's caches of device memory and of page-locked host memory."""
        self.__dict__.pop("_first_graph", None)
        empty_caches()

    def facts(self) -> Facts:
        """Query torch and, if installed, the driver's command."""
        return cuda_facts(torch.cuda.get_device_properties(self.device))


class CudaStream(CudaDevice):  # needs a GPU
    """One stream of a GPU: its work is timed, and waited for, by itself.

    Parameters
    ----------
    device, stream
        The torch device, and the stream, which waits for no other.
    """

    def __init__(self, device: torch.device, stream: torch.cuda.Stream) -> None:
        super().__init__(device)
        self._stream = stream

    def synchronise(self) -> None:
        """Wait for the stream."""
        self._stream.synchronize()

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Run steps on the stream, with an event before and after each."""
        with torch.cuda.stream(self._stream):
            return super().timed(steps)


def empty_caches() -> None:  # needs a GPU
    """Release device and page-locked memory cached by torch."""
    gc.collect()
    torch.cuda.empty_cache()
    # Not public in many versions; the cache pins up to twice the size of a model.
    empty_host_cache = getattr(torch._C, "_host_emptyCache", None)
    if empty_host_cache is not None:
        empty_host_cache()


@contextmanager
def _no_collection() -> Iterator[None]:  # needs a GPU
    """Suspend garbage collection while capturing, since it could destroy events."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _replayed(graph: torch.cuda.CUDAGraph, step: Step) -> None:  # needs a GPU
    """Replay a graph; its step keeps alive the inputs that the graph reads."""
    del step
    graph.replay()


def _stream(device: torch.device) -> torch.cuda.Stream:  # needs a GPU
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
