"""Facts that a device reports: names, versions, clocks, links."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import torch

_SMI_FIELDS = {
    "pcie.link.gen.current": "PCIe generation",
    "pcie.link.gen.max": "PCIe generation, at most",
    "pcie.link.width.current": "PCIe lanes",
    "clocks.sm": "SM clock (MHz)",
    "clocks.max.sm": "SM clock, at most (MHz)",
    "clocks.mem": "memory clock (MHz)",
}
_SMI_TIMEOUT_S = 20


@dataclass(frozen=True)
class Facts:
    """The facts that affect the numbers, as stated in a profile.

    Parameters
    ----------
    device, driver
        Names, as reported by the device and its driver.
    versions
        Versions of Python, torch and the platform torch was built for.
    machine
        Processor, threads, clocks, PCIe link.
    """

    device: str
    driver: str
    versions: Mapping[str, str]
    machine: Mapping[str, str] = field(default_factory=dict)


def cpu_facts() -> Facts:
    """Name the processor, the kernel and the threads that torch uses."""
    return Facts(
        device=f"{_processor()} (CPU, no GPU)",
        driver=f"none; {platform.system()} {platform.release()}",
        versions=_versions(),
        machine={
            "cores": str(os.cpu_count()),
            "torch threads": str(torch.get_num_threads()),
        },
    )


def cuda_facts(properties: Any) -> Facts:
    """Return what torch and, if installed, the driver's command report.

    Parameters
    ----------
    properties
        From ``torch.cuda.get_device_properties``.
    """
    found = nvidia_smi(
        ("driver_version", *_SMI_FIELDS), str(getattr(properties, "uuid", ""))
    )
    machine = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "torch threads": str(torch.get_num_threads()),
        "GPU memory (bytes)": str(properties.total_memory),
        **_arithmetic(),
    }
    machine |= {
        title: found[name] for name, title in _SMI_FIELDS.items() if name in found
    }
    return Facts(
        device=properties.name,
        driver=found.get("driver_version", "not known: nvidia-smi gave no answer"),
        versions=_versions() | _cuda_versions(),
        machine=machine,
    )


def nvidia_smi(names: Sequence[str], uuid: str = "") -> dict[str, str]:
    """Query the driver's command; empty if it is missing or does not respond.

    All fields are queried at once; if the command rejects that (it does not know a
    field or the identifier), each is queried separately, first of the GPU and then of
    all GPUs. Without an identifier (torch reports none before 2.4) all GPUs are
    queried, and fields on which they disagree are left out, as are unavailable ones.
    """
    # Indices of nvidia-smi ignore CUDA_VISIBLE_DEVICES; identifiers are stable.
    this = f"--id={uuid if uuid.startswith('GPU-') else f'GPU-{uuid}'}" if uuid else ""
    try:
        answer = _query(names, this)
        if answer is None:
            answer = {}
            for name in names:
                # A slice of a GPU reports nothing itself except the driver.
                alone = _query((name,), this)
                if alone is None and name == "driver_version":
                    alone = _query((name,), "")
                answer |= alone or {}
    except subprocess.TimeoutExpired:
        return {}
    return answer


def _query(names: Sequence[str], which: str) -> dict[str, str] | None:
    """Query once, without units; None if the command fails."""
    command = [
        "nvidia-smi",
        f"--query-gpu={','.join(names)}",
        "--format=csv,noheader,nounits",
        *([which] if which else []),
    ]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_SMI_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    lines = [line.split(",") for line in answer.stdout.splitlines() if line.strip()]
    columns = [
        [value.strip() for value in column] for column in zip(*lines, strict=False)
    ]
    return {
        name: values[0]
        for name, values in zip(names, columns, strict=False)
        if len(set(values)) == 1 and not values[0].startswith("[")
    }


def _arithmetic() -> dict[str, str]:
    """Report whether float32 products may use TF32, which triples their rate."""
    with catch_warnings():
        simplefilter("ignore")  # newer versions of torch have another name for it
        convolutions = torch.backends.cudnn.allow_tf32
        products = torch.backends.cuda.matmul.allow_tf32
    return {
        "TF32": f"{_on(convolutions)} for convolutions, {_on(products)} for matrix "
        f"products"
    }


def _on(value: bool) -> str:
    return "on" if value else "off"


def _cuda_versions() -> dict[str, str]:
    versions = {"cuda": str(torch.version.cuda)}
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return versions | ({} if cudnn is None else {"cudnn": str(cudnn)})


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine() or "unknown processor"


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": str(torch.__version__)}
