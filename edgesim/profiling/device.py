"""The device that is measured: its buffers and its clock."""

from __future__ import annotations

import gc
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import pairwise
from typing import NamedTuple

import torch

from edgesim.errors import InputError, short
from edgesim.plugins import told
from edgesim.profile.values import Tier
from edgesim.profiling.activations import LiveBytes
from edgesim.profiling.hardware import Facts, cpu_facts, cuda_facts
from edgesim.profiling.memory import free_host_bytes

Step = Callable[[], object]

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "_ALLOC_FAILED")
"""What torch's errors say: of the allocators, and of cuBLAS and cuDNN."""

_WAKE_S = 0.2
_WAKE_BYTES = 4 * 2**20
_WAKE_WIDTH = 2048

_CACHE_BYTES = 64 * 2**20
"""What is written to drive a processor's or a GPU's caches out, at least."""

_STRANGER_WIDTH = 256
_CAPTURE_WARM_UP = 3


class NotCapturedError(Exception):
    """A step cannot be captured as a graph: it reads results on the host, say."""


class Beside(NamedTuple):
    """Seconds that two things took that ran at the same time."""

    copy_s: float
    compute_s: float


class Device(ABC):
    """Where models are loaded and run: memory to copy into, and a clock.

    Parameters
    ----------
    device
        The device as torch knows it.
    """

    tiers: tuple[Tier, ...]
    """Where models can be loaded from, the fastest first."""

    note: str
    """What a reader of numbers taken on it must know."""

    has_graphs = False
    """Whether batches can be captured as graphs."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @abstractmethod
    def host_buffer(self, size: int, tier: Tier) -> torch.Tensor:
        """Make a host buffer that copies of a tier start from.

        Returns
        -------
        Tensor
            uint8, shape (size,), every page of it touched. For ``disk`` it is what a
            file is read into on its way.
        """

    def device_buffer(self, size: int) -> torch.Tensor:
        """Make a buffer on the device: uint8, shape (size,), every page touched."""
        return torch.zeros(size, dtype=torch.uint8, device=self.device)

    @abstractmethod
    def wake(self) -> None:
        """Keep the device busy for a moment where its clocks drop at rest."""

    @abstractmethod
    def disturb(self) -> None:
        """Take over the caches, as the work between two passes of one network does.

        Without it a small network repeated on its own finds its weights in the caches,
        which it never does in a server that runs many.
        """

    def captured(self, step: Step) -> Step | None:
        """Record a step's kernels as a graph that one launch replays.

        Returns
        -------
        callable or None
            None where the device has no graphs.

        Raises
        ------
        NotCapturedError
            When the step cannot be captured, saying why.
        """
        del step
        return None

    def beside(self, copy: Step, compute: Step) -> Beside | None:
        """Run a copy while something computes; None where the device has one queue.

        Parameters
        ----------
        copy
            A copy from pinned memory.
        compute
            What does not wait for the device.
        """
        del copy, compute
        return None

    @abstractmethod
    def synchronise(self) -> None:
        """Wait until everything asked of the device is done."""

    @abstractmethod
    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Run steps one after the other; return how long each took, in seconds."""

    @abstractmethod
    def extra_bytes(self, step: Step) -> int:
        """Tell the most bytes a step holds at once beyond what was there before it."""

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Tell how much memory of the device is free; None where it cannot be asked."""

    @abstractmethod
    def release(self) -> None:
        """Give memory that torch keeps for later back to the system."""

    @abstractmethod
    def facts(self) -> Facts:
        """Say what the device is; asked while it is warm, for clocks drop at rest."""


class CpuDevice(Device):
    """Host memory standing in for a GPU: the same code, with host copies."""

    tiers: tuple[Tier, ...] = ("pageable", "disk")
    note = (
        "CPU: host copies stand in for GPU loads; there is no pinned tier. "
        "Activation bytes: input and storages made in the forward pass, at most at once"
    )

    def host_buffer(self, size: int, tier: Tier) -> torch.Tensor:
        """Make a buffer in ordinary memory; there is no other on this device."""
        if tier == "pinned":
            raise ValueError(
                "the CPU has no pinned tier: that is memory for GPU copies"
            )
        return torch.zeros(size, dtype=torch.uint8)

    def wake(self) -> None:
        """Do nothing: a processor's clock rises within the warm-up."""

    def disturb(self) -> None:
        """Write a large buffer and multiply matrices that no measured network has."""
        self._other_bytes.add_(1)
        torch.mm(self._other_weights, self._other_weights)

    @cached_property
    def _other_bytes(self) -> torch.Tensor:
        return torch.zeros(_CACHE_BYTES, dtype=torch.uint8)

    @cached_property
    def _other_weights(self) -> torch.Tensor:
        return torch.ones(_STRANGER_WIDTH, _STRANGER_WIDTH)

    def synchronise(self) -> None:
        """Do nothing: copies on the CPU have ended when they return."""

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Run steps by the process's steady clock (resolution below 1 µs)."""
        seconds = []
        for step in steps:
            start_ns = time.perf_counter_ns()
            step()
            seconds.append((time.perf_counter_ns() - start_ns) / 1e9)
        return seconds

    def extra_bytes(self, step: Step) -> int:
        """Count storages that operators make while the step runs."""
        live = LiveBytes()
        with live:
            step()
        return live.peak

    def free_bytes(self) -> int | None:
        """Ask the system what it can still give, caches of files included."""
        return free_host_bytes()

    def release(self) -> None:
        """Collect what is no longer used; torch keeps no CPU memory back."""
        gc.collect()

    def facts(self) -> Facts:
        """Name the processor, the kernel and the threads that torch uses."""
        return cpu_facts()


class CudaDevice(Device):
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
        # Locking a page touches it: zeros would write every byte once more.
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def wake(self) -> None:
        """Copy and multiply for a while: link and clocks take long to rise."""
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
        return self.device_buffer(max(_CACHE_BYTES, 2 * cache))

    def captured(self, step: Step) -> Step | None:
        """Capture a step as a CUDA graph, on memory that all graphs share.

        Graphs are replayed one at a time and what they compute is dropped, so none
        needs memory of its own between replays.
        """
        pool = self._first_graph.pool()
        self.synchronise()
        graph = torch.cuda.CUDAGraph()
        failed: Exception | None = None
        # Not torch.cuda.graph, which gives all cached memory back each time.
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
            # The pool of a capture that broke off is not used again. It also leaves
            # torch's random generator expecting graphs, until one ends well: the next.
            del self._first_graph
            self.synchronise()
            self._first_graph  # noqa: B018
            if is_out_of_memory(failed):
                raise failed
            raise NotCapturedError(told(failed))
        return partial(_replayed, graph, step)

    @cached_property
    def _first_graph(self) -> torch.cuda.CUDAGraph:
        """A graph that lives as long as the pool is to: without one torch ends it."""
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

    def beside(self, copy: Step, compute: Step) -> Beside | None:
        """Run the copy on a stream of its own, and time each stream by its events."""
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
        """Give out events that exist: torch makes each at its first record."""
        while len(self._events) < count:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._events.append(event)
        return self._events[:count]

    def extra_bytes(self, step: Step) -> int:
        """Ask torch's allocator for its peak."""
        self.synchronise()
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        step()
        self.synchronise()
        return int(torch.cuda.max_memory_allocated(self.device) - before)

    def free_bytes(self) -> int | None:
        """Ask the driver, after torch has given back what it does not use."""
        self.release()
        return int(torch.cuda.mem_get_info(self.device)[0])

    def release(self) -> None:
        """Empty torch's caches of device memory and of page-locked host memory."""
        self.__dict__.pop("_first_graph", None)
        empty_caches()

    def facts(self) -> Facts:
        """Ask torch and, where it is installed, the driver's own command."""
        return cuda_facts(torch.cuda.get_device_properties(self.device))


def empty_caches() -> None:
    """Give back device and page-locked memory that torch keeps for later."""
    gc.collect()
    torch.cuda.empty_cache()
    # Without a public name in many versions; it keeps up to twice a model pinned.
    empty_host_cache = getattr(torch._C, "_host_emptyCache", None)
    if empty_host_cache is not None:
        empty_host_cache()


def open_device(name: str) -> Device:
    """Open a device by torch's name for it.

    Parameters
    ----------
    name
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    InputError
        When the name is none of these, or there is no such GPU.
    """
    if name == "cpu":
        return CpuDevice(torch.device("cpu"))
    if re.fullmatch(r"cuda(:[0-9]{1,3})?", name) is None:
        raise InputError(
            "--device", f"must be cpu, cuda or cuda:N, found {short(name)}"
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        raise InputError(
            "--device",
            f"torch {torch.__version__} sees {count} CUDA GPUs here, found {name}; "
            f"--device cpu runs the same code with host copies",
        )
    return CudaDevice(torch.device("cuda", index))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep objects that a collection would end, such as events, while capturing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _replayed(graph: torch.cuda.CUDAGraph, step: Step) -> None:
    """Replay a graph; its step keeps the inputs alive that the graph reads."""
    del step
    graph.replay()


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch raised this because memory, host's or device's, did not suffice."""
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or (
        isinstance(error, RuntimeError)
        and any(words in str(error) for words in _OUT_OF_MEMORY)
    )
