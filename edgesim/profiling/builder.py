"""Build the networks that a profile names, to run them as it measured them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch

from edgesim.profile.model_match import NetworkSpec
from edgesim.profiling.architecture import build_network
from edgesim.profiling.device import Device

Build: TypeAlias = Callable[[NetworkSpec], torch.nn.Module]


def builder(device: Device) -> Build:
    """Make a builder of networks on a device, each with its own random weights.

    It raises ``InputError`` if a network cannot be built here.
    """
    return lambda spec: build_network(spec.architecture, spec.dtype, device.device)
