"""Reading ``.safetensors`` files: the header checked by its own package, then bytes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from edgesim.checkpoints.digest import RawTensor
from edgesim.checkpoints.file_slices import Slice
from edgesim.errors import InputError, short

_LENGTH_BYTES = 8

_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "F4": "float4_e2m1fn_x2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
"""The file's names of types, and torch's, so that a tensor is the same in both."""


def safetensors_in(path: Path) -> list[RawTensor]:
    """List the tensors of a file, in the order in which they lie in it.

    The ``safetensors`` package rejects violations of the format: a header that is not
    JSON, too long or truncated, offsets that overlap, leave gaps or exceed the file,
    sizes that do not match the shapes. Only the header is read.

    Raises
    ------
    InputError
        If the package rejects the file, or a name occurs twice in its header.
    OSError
        If it cannot be read.
    """
    try:
        # The package maps the file and copies the header alone.
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        if "incomplete metadata" in reason or "MetadataIncompleteBuffer" in reason:
            reason += "; it was cut short or changed: download or copy it again"
        raise InputError(
            path, f"not a usable safetensors file: {_printable(reason)}"
        ) from None
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = _header(path, file.read(length))
    start = _LENGTH_BYTES + length
    entries = [(name, e) for name, e in header.items() if name != "__metadata__"]
    entries.sort(key=lambda pair: pair[1]["data_offsets"])
    tensors = []
    for name, entry in entries:
        begin, end = entry["data_offsets"]
        tensors.append(
            RawTensor(
                name=name,
                dtype=_DTYPES.get(entry["dtype"], entry["dtype"]),
                shape=tuple(entry["shape"]),
                bytes=end - begin,
                chunks=Slice(path, start + begin, end - begin),
            )
        )
    return tensors


def _header(path: Path, text: bytes) -> dict[str, Any]:
    def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            twin = next(name for name, count in counts.items() if count > 1)
            raise InputError(path, f"its header names {short(twin)} twice")
        return found

    # The package has checked types and ranges, but it silently drops duplicate names.
    header: dict[str, Any] = json.loads(text, object_pairs_hook=unique_keys)
    return header


def _printable(text: str) -> str:
    kept = "".join(c if c.isprintable() else " " for c in text)
    return kept if len(kept) <= 200 else f"{kept[:199]}…"
