"""Checkpoints that packages ship: real files, read as other code reads them."""

from __future__ import annotations

import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from edgesim.checkpoints.files import CheckpointFiles, read_checkpoint
from tests.command import edgesim

SHIPPED = {
    "lpips==0.1.4": (
        "lpips/weights/v0.1/alex.pth",
        "lpips/weights/v0.1/vgg.pth",
    ),
    "facenet-pytorch==2.6.0": (
        "facenet_pytorch/data/onet.pt",
        "facenet_pytorch/data/pnet.pt",
        "facenet_pytorch/data/rnet.pt",
    ),
    "silero-vad==6.2.3": ("silero_vad/data/silero_vad_16k.safetensors",),
    "Resemblyzer==0.1.4": ("resemblyzer/pretrained.pt",),
}
"""Packages and the checkpoints in them, of old and new formats."""


def unpacked(package: str, folder: Path) -> Path:
    """Download a wheel and unpack it; skip the test where there is no registry."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    try:
        subprocess.run(
            [*command, "--only-binary", ":all:", "--dest", str(folder), package],
            check=True,
            capture_output=True,
            timeout=300,
        )
    except (subprocess.SubprocessError, OSError):
        pytest.skip(f"{package} cannot be downloaded here")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def counted(path: Path) -> tuple[int, int]:
    """Count tensors and bytes with torch or safetensors."""
    if path.suffix == ".safetensors":
        state = load_file(path)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats before 1.6
            state = torch.load(path, "cpu", weights_only=True)
        state = state.get("model_state", state)
    found = [tensor for tensor in state.values() if tensor.numel()]
    return len(found), sum(t.numel() * t.element_size() for t in found)


@pytest.mark.long
@pytest.mark.parametrize("package", SHIPPED)
def test_shipped_checkpoints(package: str, tmp_path: Path) -> None:
    """Each is read, with as many tensors and bytes as other code counts."""
    folder = unpacked(package, tmp_path)
    for name in SHIPPED[package]:
        path = folder / name
        found = read_checkpoint(CheckpointFiles("model", (path,)))
        assert (len(found.tensors), found.bytes) == counted(path)
        finished = edgesim("profile", "sharing", path)
        assert finished.code == 0, finished.err


@pytest.mark.long
def test_shipped_files_that_are_refused(tmp_path: Path) -> None:
    """TorchScript and ONNX files of a package are refused with the way out."""
    folder = unpacked("silero-vad==6.2.3", tmp_path) / "silero_vad" / "data"
    for name, words in (("jit", "torch.jit.load"), ("onnx", "onnx.load")):
        finished = edgesim("profile", "sharing", folder / f"silero_vad.{name}")
        assert finished.code == 2
        assert words in finished.err
