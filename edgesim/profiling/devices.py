"""Devices by torch's names."""

from __future__ import annotations

import re

import torch

from edgesim.errors import InputError, Parameter, short
from edgesim.profiling.cuda_device import CudaDevice
from edgesim.profiling.device import CpuDevice, Device


def open_device(device: str) -> Device:
    """Open a device by its torch name.

    Parameters
    ----------
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    InputError
        If the name is none of these, or there is no such GPU.
    """
    if device == "cpu":
        return CpuDevice(torch.device("cpu"))
    if re.fullmatch(r"cuda(:[0-9]{1,3})?", device) is None:
        raise InputError(
            Parameter("device"), f"must be cpu, cuda or cuda:N, found {short(device)}"
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(device.partition(":")[2] or 0)
    if index >= count:
        raise InputError(
            Parameter("device"),
            f"torch {torch.__version__} sees {count} CUDA GPUs here, found {device}; ",
            Parameter("device", "cpu"),
            " runs the same code with host copies",
        )
    return CudaDevice(torch.device("cuda", index))  # needs a GPU
