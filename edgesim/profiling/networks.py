"""Networks on a device, each built once while there is memory to keep it."""

from __future__ import annotations

import torch

from edgesim.profiling.architecture import build, dtype_of
from edgesim.profiling.blocks import state_tensors
from edgesim.profiling.device import Device, is_out_of_memory
from edgesim.profiling.zoo import Built

KEPT_SHARE = 4
"""Networks are kept in at most this fraction (1/n) of the device's free memory."""


class Networks:
    """Builds networks on a device and caches them there.

    Parameters
    ----------
    device
        The device. Cached networks take at most 1/:data:`KEPT_SHARE` of the memory that
        is currently free.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        free = device.free_bytes()
        self._room_bytes = None if free is None else free // KEPT_SHARE
        self._kept: dict[tuple[str, str | None], Built] = {}

    def built(self, architecture: str, dtype: str | None = None) -> Built:
        """Return a network in eval mode, from the cache if possible.

        A network for which the device lacks memory is built on the CPU: its blocks can
        still be determined, and the forward pass reports what is missing.

        Raises
        ------
        InputError
            If it cannot be built, with the reason.
        """
        kept = self._kept.get((architecture, dtype))
        if kept is not None:
            return kept
        try:
            made = build(architecture, dtype, self._device.device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._device.release()
            return build(architecture, dtype)
        tensors = state_tensors(made.network, architecture)
        size = sum(tensor.nbytes for tensor in tensors.values())
        if self._room_bytes is None or size <= self._room_bytes:
            if self._room_bytes is not None:
                self._room_bytes -= size
            # Requests for the resulting dtype hit the cache too.
            for name in {dtype, dtype_of(tensors)}:
                self._kept[architecture, name] = made
        return made


def computes_in(network: torch.nn.Module, where: str) -> str:
    """Name the dtype of a network's weights, ``mixed`` if there are several."""
    return dtype_of(state_tensors(network, where))
