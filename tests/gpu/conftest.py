"""A real GPU for the tests of this folder, which ``make test-gpu`` runs."""

from __future__ import annotations

import pytest
import torch

from edgesim.profiling.cuda_device import CudaDevice
from edgesim.profiling.devices import open_device


@pytest.fixture
def gpu() -> CudaDevice:
    """Open the first GPU, awake; without one the test fails: it was asked for."""
    if not torch.cuda.is_available():
        pytest.fail("tests marked gpu take a CUDA GPU, and torch sees none")
    device = open_device("cuda:0")
    assert isinstance(device, CudaDevice)
    device.wake()
    return device
