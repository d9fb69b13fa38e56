"""The device under measurement: its buffers and its clock."""

from __future__ import annotations

import gc
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple

import torch

from edgesim.errors import InputError
from edgesim.profile.values import Tier
from edgesim.profiling.activations import LiveBytes
from edgesim.profiling.hardware import Facts, cpu_facts
from edgesim.profiling.memory import free_host_bytes

Step = Callable[[], object]

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "_ALLOC_FAILED")
"""Phrases in torch's errors: of the allocators, and of cuBLAS and cuDNN."""

CACHE_BYTES = 64 * 2**20
"""Minimum number of bytes written to flush a processor's or a GPU's caches."""

_STRANGER_WIDTH = 256


class NotCapturedError(Exception):
    """A step cannot be captured as a graph, e.g. since it reads results on the host."""


class Beside(NamedTuple):
    """Durations, in seconds, of two concurrent steps."""

    copy_s: float
    compute_s: float


class Device(ABC):
    """A device on which models are loaded and run: memory to copy into, and a clock.

    Parameters
    ----------
    device
        The torch device.
    """

    tiers: tuple[Tier, ...]
    """Tiers that models can be loaded from, fastest first."""

    note: str
    """A caveat for readers of numbers measured on the device."""

    has_graphs = False
    """Whether batches can be captured as graphs."""

    uses_graphs: bool = True
    """Whether batches are measured as graphs where they can be captured."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @abstractmethod
    def host_buffer(self, size: int, tier: Tier) -> torch.Tensor:
        """Make a host buffer as the source of copies of a tier.

        Returns
        -------
        Tensor
            uint8, shape (size,), every page touched. For ``disk`` it is the staging
            buffer that a file is read into.
        """

    def device_buffer(self, size: int) -> torch.Tensor:
        """Make a buffer on the device: uint8, shape (size,), every page touched."""
        return torch.zeros(size, dtype=torch.uint8, device=self.device)

    @abstractmethod
    def wake(self) -> None:
        """Keep the device busy for a moment if its clocks drop when idle."""

    @abstractmethod
    def disturb(self) -> None:
        """Flush the caches, as other work between two passes of one network would.

        Without this, a small network that runs repeatedly finds its weights in the
        caches, which never happens in a server that runs many networks.
        """

    def captured(self, step: Step) -> Step | None:
        """Record a step's kernels as a graph that one launch replays.

        Returns
        -------
        callable or None
            None if the device has no graphs.

        Raises
        ------
        NotCapturedError
            If the step cannot be captured, with the reason.
        """
        del step
        return None

    def queues(self) -> tuple[Device, Device] | None:
        """Return this device as two: one to copy, one to compute at the same time.

        Each is timed and waited for by itself, from any thread. None if the device has
        one queue.
        """
        return None

    def beside(self, copy: Step, compute: Step) -> Beside | None:
        """Run a copy and a computation concurrently; None if the device has one queue.

        Parameters
        ----------
        copy
            A copy from pinned memory.
        compute
            A computation that does not wait for the device.
        """
        del copy, compute
        return None

    @abstractmethod
    def synchronise(self) -> None:
        """Wait until the device has finished all work."""

    @abstractmethod
    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Run steps in sequence; return how long each took, in seconds."""

    @abstractmethod
    def extra_bytes(self, step: Step) -> int:
        """Return the peak bytes that a step holds beyond those held before it."""

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Return the free memory of the device; None if it cannot be queried."""

    @abstractmethod
    def release(self) -> None:
        """Return memory cached by torch to the system."""

    @abstractmethod
    def facts(self) -> Facts:
        """Describe the device; call it while warm, since clocks drop when idle."""


class CpuDevice(Device):
    """Host memory standing in for a GPU: the same code, with host copies."""

    tiers: tuple[Tier, ...] = ("pageable", "disk")
    note = (
        "CPU: host copies stand in for GPU loads; there is no pinned tier. "
        "Activation bytes: input and storages made in the forward pass, at most at once"
    )

    def host_buffer(self, size: int, tier: Tier) -> torch.Tensor:
        """Make a buffer in ordinary memory, the only kind on this device."""
        if tier == "pinned":
            raise ValueError(
                "the CPU has no pinned tier: that is memory for GPU copies"
            )
        return torch.zeros(size, dtype=torch.uint8)

    def wake(self) -> None:
        """Do nothing: a processor's clock rises within the warm-up."""

    def disturb(self) -> None:
        """Write a large buffer and multiply matrices of no measured network."""
        self._other_bytes.add_(1)
        torch.mm(self._other_weights, self._other_weights)

    @cached_property
    def _other_bytes(self) -> torch.Tensor:
        return torch.zeros(CACHE_BYTES, dtype=torch.uint8)

    @cached_property
    def _other_weights(self) -> torch.Tensor:
        return torch.ones(_STRANGER_WIDTH, _STRANGER_WIDTH)

    def synchronise(self) -> None:
        """Do nothing: copies on the CPU are complete when they return."""

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Time steps by the process's monotonic clock (resolution below 1 µs)."""
        seconds = []
        for step in steps:
            start_ns = time.perf_counter_ns()
            step()
            seconds.append((time.perf_counter_ns() - start_ns) / 1e9)
        return seconds

    def extra_bytes(self, step: Step) -> int:
        """Count the storages that operators create while the step runs."""
        live = LiveBytes()
        with live:
            step()
        return live.peak

    def free_bytes(self) -> int | None:
        """Query the memory still available to the process, file caches included."""
        return free_host_bytes()

    def release(self) -> None:
        """Collect garbage; torch caches no CPU memory."""
        gc.collect()

    def facts(self) -> Facts:
        """Name the processor, the kernel and the threads that torch uses."""
        return cpu_facts()


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch raised this because host or device memory was exhausted."""
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or (
        isinstance(error, RuntimeError)
        and any(words in str(error) for words in _OUT_OF_MEMORY)
    )


@contextmanager
def out_of_memory_refused(where: str, what: str) -> Iterator[None]:
    """Convert torch's out-of-memory errors to input errors.

    Parameters
    ----------
    where, what
        The input, and what memory was to hold of it.

    Raises
    ------
    InputError
        With torch's first sentence.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        first = str(error).strip().split("\n")[0]
        raise InputError(where, f"memory cannot hold {what}: {first}") from None
