"""The device that is measured: its buffers and its clock."""

from __future__ import annotations

import gc
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import torch

from edgesim.profile.values import Tier
from edgesim.profiling.activations import LiveBytes
from edgesim.profiling.hardware import Facts, cpu_facts
from edgesim.profiling.memory import free_host_bytes

Step = Callable[[], object]

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "_ALLOC_FAILED")
"""What torch's errors say: of the allocators, and of cuBLAS and cuDNN."""

CACHE_BYTES = 64 * 2**20
"""What is written to drive a processor's or a GPU's caches out, at least."""

_STRANGER_WIDTH = 256


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
            If the step cannot be captured, saying why.
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
        return torch.zeros(CACHE_BYTES, dtype=torch.uint8)

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


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch raised this because memory, host's or device's, did not suffice."""
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or (
        isinstance(error, RuntimeError)
        and any(words in str(error) for words in _OUT_OF_MEMORY)
    )
