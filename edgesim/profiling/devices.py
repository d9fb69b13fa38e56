"""Devices by torch's names."""

from __future__ import annotations

import re

import torch

from edgesim.errors import InputError, short
from edgesim.profiling.cuda_device import CudaDevice
from edgesim.profiling.device import CpuDevice, Device


def open_device(name: str) -> Device:
    """Open a device by its torch name.

    Parameters
    ----------
    name
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    InputError
        If the name is none of these, or there is no such GPU.
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
