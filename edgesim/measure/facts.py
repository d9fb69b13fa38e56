"""What a device says of itself: names, versions, clocks, links."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    """What moves the numbers, as a profile states it.

    Parameters
    ----------
    device, driver
        Names, as the device and its driver give them.
    versions
        Of Python, torch and what torch was built for.
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
    """Tell what torch and, where it is installed, the driver's own command know.

    Parameters
    ----------
    properties
        From ``torch.cuda.get_device_properties``.
    """
    # Of all GPUs: it is the same for them, and a slice of one has no own answer.
    answer = nvidia_smi(("driver_version",))
    answer |= nvidia_smi(tuple(_SMI_FIELDS), str(getattr(properties, "uuid", "")))
    machine = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "GPU memory (bytes)": str(properties.total_memory),
    }
    machine |= {
        title: answer[name] for name, title in _SMI_FIELDS.items() if name in answer
    }
    return Facts(
        device=properties.name,
        driver=answer.get("driver_version", "not known: nvidia-smi gave no answer"),
        versions=_versions() | {"cuda": str(torch.version.cuda)},
        machine=machine,
    )


def nvidia_smi(names: Sequence[str], uuid: str = "") -> dict[str, str]:
    """Ask the driver's command; nothing where it is missing or does not answer.

    Without an identifier (torch tells none before 2.4) all GPUs are asked, and what
    they do not agree on is left out.
    """
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader"]
    if uuid:
        # Numbers of nvidia-smi ignore CUDA_VISIBLE_DEVICES; identifiers do not move.
        command.append(f"--id={uuid if uuid.startswith('GPU-') else f'GPU-{uuid}'}")
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_SMI_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = [line.split(",") for line in answer.stdout.splitlines() if line.strip()]
    columns = zip(*lines, strict=False)
    return {
        name: values[0].strip()
        for name, values in zip(names, columns, strict=False)
        if len(set(values)) == 1
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine() or "unknown processor"


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": str(torch.__version__)}
