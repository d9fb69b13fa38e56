"""What a file is, by its content, and how to convert what is not read."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from stat import S_ISREG
from typing import Literal

from edgesim.checkpoints.pickled import OLD_MAGIC
from edgesim.errors import InputError, short

Kind = Literal[
    "safetensors",
    "torch",
    "lfs",
    "gone",
    "special",
    "empty",
    "gguf",
    "hdf5",
    "onnx",
    "keras",
    "numpy",
    "flax",
    "pickle",
    "html",
    "gzip",
    "tar",
    "zip",
    "text",
    "other",
]

READ: tuple[Kind, ...] = ("safetensors", "torch")
"""What is read."""

_HEAD_BYTES = 512
_MOST_HEADER_BYTES = 100_000_000  # as the safetensors package has it
_LFS = b"version https://git-lfs"


def kind_of(path: Path) -> Kind:
    """Say what a file is by its first bytes, and by the names in it if it is a zip.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    try:
        # A pipe would be waited for, a device read without an end.
        if not S_ISREG(path.stat().st_mode):
            return "special"
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        if path.is_symlink():
            return "gone"
        raise
    if not head:
        return "empty"
    if head.startswith(b"PK\x03\x04"):
        # torch.save writes its pickle first, so the list at the end is not needed.
        first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return "torch" if first.endswith(b"/data.pkl") else _zipped(path)
    begin = head.lstrip()[:15].lower()
    for found, kind in _BEGINNINGS:
        if head.startswith(found):
            return kind
    if begin.startswith((b"<!doctype html", b"<html")):
        return "html"
    length = int.from_bytes(head[:8], "little")
    if len(head) > 8 and head[8:9] == b"{" and length <= _MOST_HEADER_BYTES:
        return "safetensors"
    if head[257:262] == b"ustar":
        return "tar"
    if re.match(rb"\x80[\x02-\x05]", head):
        return "pickle"
    if path.suffix.lower() == ".msgpack":
        return "flax"
    # A protobuf that begins with the version of its format, then its producer.
    if path.suffix.lower() == ".onnx" or re.match(rb"\x08[\x03-\x14]\x12", head):
        return "onnx"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return "text"
    return "other"


_BEGINNINGS: tuple[tuple[bytes, Kind], ...] = (
    (OLD_MAGIC, "torch"),
    (_LFS, "lfs"),
    (b"GGUF", "gguf"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\x93NUMPY", "numpy"),
    (b"\x1f\x8b", "gzip"),
)


def _zipped(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, RuntimeError, EOFError):
        return "torch"  # whose reader says what is wrong with it
    if any(name.endswith("data.pkl") for name in names):
        return "torch"
    if "model.weights.h5" in names or "keras_metadata.pb" in names:
        return "keras"
    return "numpy" if names and all(n.endswith(".npy") for n in names) else "zip"


def refusal(path: Path, kind: Kind) -> InputError:
    """Say why a file of a kind is not read, and what to do."""
    return InputError(path, _way_out(path, kind))


def _way_out(path: Path, kind: Kind) -> str:
    name = short(path.name, 40)[1:-1]
    new = short(f"{path.stem}.safetensors", 50)[1:-1]
    if kind == "gone":
        target = short(str(path.readlink()), 80)
        return (
            f"is a link to {target}, and that blob is missing: download the model again"
        )
    said = _WAYS.get(
        kind, "is no checkpoint: must be a folder, a safetensors or a PyTorch file"
    )
    return said.replace("OLD", name).replace("NEW", new)


_WAYS: dict[Kind, str] = {
    "lfs": "is a Git LFS pointer, not the weights: run git lfs pull there",
    "special": "is neither a file nor a folder",
    "empty": "is empty: download or copy it again",
    "html": "is an HTML page, not the weights: download it again",
    "gguf": (
        'is a GGUF file, which is not read. To convert it: python -c "from '
        "transformers import AutoModel as A; A.from_pretrained('.', gguf_file='OLD')"
        ".save_pretrained('OUT')\" writes safetensors"
    ),
    "onnx": (
        'is an ONNX file, which is not read. To convert it: python -c "import onnx; '
        "from safetensors.numpy import save_file; save_file({t.name: "
        "onnx.numpy_helper.to_array(t) for t in onnx.load('OLD').graph.initializer}, "
        "'NEW')\""
    ),
    "hdf5": (
        'is an HDF5 file, which is not read. To convert it: python -c "import h5py; '
        "from safetensors.numpy import save_file; d = {}; h5py.File('OLD').visititems("
        "lambda n, x: d.update({n: x[()]}) if hasattr(x, 'dtype') else None); "
        "save_file(d, 'NEW')\""
    ),
    "keras": (
        "is a Keras archive, which is not read: save its weights by "
        "model.save_weights('x.weights.h5') and convert them with h5py and "
        "safetensors.numpy.save_file"
    ),
    "numpy": (
        "is a file of numpy arrays, which is not read. To convert it: python -c "
        '"import numpy; from safetensors.numpy import save_file; '
        "save_file(dict(numpy.load('OLD')), 'NEW')\""
    ),
    "flax": (
        "is a Flax file, which is not read. To convert it with transformers 4: "
        "AutoModel.from_pretrained(FOLDER, from_flax=True).save_pretrained(OUT) writes "
        "safetensors"
    ),
    "pickle": (
        "is a pickle that PyTorch did not write, so it was not opened; save its "
        "tensors by torch.save(state_dict, 'x.pt') or as safetensors"
    ),
    "gzip": "is compressed: run gunzip -k OLD or tar -xzf OLD first",
    "tar": "is a tar, which may hold code: run tar -xf OLD and give its files",
    "zip": "is a zip that PyTorch did not write: run unzip OLD first",
    "text": (
        "is text, not the weights: must be a folder, a safetensors or a PyTorch file"
    ),
}
