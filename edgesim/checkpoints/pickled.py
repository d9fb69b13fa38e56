"""Read PyTorch files (``.pt``, ``.pth``, ``.bin``) without executing their content.

Such a file is a pickle, a program that can do anything when it is loaded. Here it is
loaded with ``weights_only=True``, which allows only tensors and plain containers, and
the result is checked against the file.
"""

from __future__ import annotations

import errno
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from edgesim.checkpoints.digest import CHUNK_BYTES, Chunks, RawTensor
from edgesim.errors import InputError, short

WRAPPERS = ("state_dict", "model", "model_state_dict")
"""Keys under which training code stores the weights, beside an optimiser's state."""

_ZIP = b"PK\x03\x04"
_PAGE_BYTES = 4096
_MOST_LEVELS = 100
_NAMED = 5


def pickled_in(path: Path) -> list[RawTensor]:
    """List the tensors of a PyTorch file, in file order.

    The file holds a dict of tensors, or of such dicts (their names are joined by dots),
    or a dict with either of these under exactly one of ``WRAPPERS``; other entries
    beside a wrapper are ignored. Tensors are memory-mapped if the file is a zip
    archive, as written by ``torch.save`` since 1.6; those of older files are read into
    memory.

    Raises
    ------
    InputError
        If the file is broken, holds objects other than tensors and plain
        containers, is a TorchScript archive or a tar, has compressed records, holds no
        dict of tensors, or holds a tensor that is sparse, nested, on no device, or
        larger than the file.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        archive = file.read(len(_ZIP)) == _ZIP  # how torch distinguishes the formats
    records = _records(path) if archive else {}
    value = _load(path, mmap=archive)
    named: dict[str, torch.Tensor] = {}
    _flatten(path, _state_dict(path, value), "", named, set())
    for name, tensor in named.items():
        _check(path, name, tensor)
    if archive:
        _check_storages(path, list(named.values()), records)
    return _raw(named)


def _records(path: Path) -> dict[int, int]:
    """Return the start and size, in bytes, of each record of an archive."""
    broken = "not a usable PyTorch file: its zip archive is broken"
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            entries = archive.infolist()
            if any(entry.filename.endswith("/constants.pkl") for entry in entries):
                raise InputError(
                    path,
                    "is a TorchScript archive, which holds code; save the module's "
                    "state_dict() instead",
                )
            found: dict[int, int] = {}
            for entry in entries:
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise InputError(
                        path,
                        f"its record {short(entry.filename)} is compressed, which "
                        f"torch.save never does",
                    )
                # The local header may have other lengths than the central directory's.
                file.seek(entry.header_offset)
                name, extra = struct.unpack("<26xHH", file.read(30))
                found[entry.header_offset + 30 + name + extra] = entry.file_size
            return found
    except (zipfile.BadZipFile, struct.error, ValueError, RuntimeError, EOFError):
        raise InputError(path, broken) from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: a position before the file's start
            raise
        raise InputError(path, broken) from None


def _load(path: Path, *, mmap: bool) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats and of torch's own code
            return torch.load(str(path), "cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise InputError(path, _unpicklable(str(error))) from None
    except OSError:
        raise
    except Exception as error:
        # Broken files make torch raise errors of a dozen kinds.
        text = str(error)
        if "TorchScript" in text or ".tar" in text:
            what = "is a TorchScript archive or a tar, which can hold code"
        else:
            reason = re.split(r"[.\n]", text.strip())[0]
            if not isinstance(error, RuntimeError):
                reason = f"{type(error).__name__} {reason}".strip()
            what = f"not a usable PyTorch file: {short(reason, 160)}"
        raise InputError(path, what) from None


def _unpicklable(message: str) -> str:
    found = re.search(r"GLOBAL\s+([\w.]+)", message)
    if found:
        return (
            f"holds objects other than tensors ({found[1]}), and loading them would "
            f"run code; nothing was run; save a state_dict() instead"
        )
    return (
        "is not a PyTorch file of tensors: its pickle is broken or holds other "
        "objects; nothing was run"
    )


def _state_dict(path: Path, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise InputError(
            path, f"must hold a dict of tensors, found one {type(value).__name__}"
        )
    wrapped = [key for key in WRAPPERS if isinstance(value.get(key), Mapping)]
    if len(wrapped) > 1:
        raise InputError(
            path,
            f"holds weights under {' and '.join(map(repr, wrapped))}; which are meant "
            f"is not clear, so save one of them by itself",
        )
    inner: Mapping[Any, Any] = value[wrapped[0]] if wrapped else value
    return inner


def _flatten(
    path: Path,
    state: Mapping[Any, Any],
    prefix: str,
    named: dict[str, torch.Tensor],
    entered: set[int],
) -> None:
    """Collect tensors by name; names in nested dicts are joined by dots."""
    # A dict that contains itself, or one dict a hundred times, would never end.
    if id(state) in entered or prefix.count(".") > _MOST_LEVELS:
        raise InputError(path, "its dicts hold one another too often to be weights")
    entered.add(id(state))
    for key, value in state.items():
        name = f"{prefix}{key}"
        if isinstance(key, str) and isinstance(value, torch.Tensor):
            if name in named:
                raise InputError(path, f"two of its tensors are called {short(name)}")
            named[name] = value
        elif isinstance(key, str) and isinstance(value, Mapping):
            _flatten(path, value, f"{name}.", named, entered)
        else:
            raise _no_tensors(path, state)


def _no_tensors(path: Path, state: Mapping[Any, Any]) -> InputError:
    keys = [
        f"{short(key, 30)} ({type(value).__name__})" for key, value in state.items()
    ]
    others = [
        text
        for text, value in zip(keys, state.values(), strict=True)
        if not isinstance(value, torch.Tensor)
    ]
    shown = (others + [text for text in keys if text not in others])[:_NAMED]
    more = f" and {len(keys) - len(shown)} more" if len(keys) > len(shown) else ""
    return InputError(
        path,
        f"must hold a dict of names to tensors, or one under exactly one of "
        f"{', '.join(map(repr, WRAPPERS))}; found {', '.join(shown)}{more}",
    )


def _check(path: Path, name: str, tensor: torch.Tensor) -> None:
    """Reject a tensor whose content is not plain numbers stored in the file."""
    where = f"its tensor {short(name)}"
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise InputError(path, f"{where} is a {type(tensor).__name__}, not a plain one")
    if tensor.is_nested or tensor.layout != torch.strided:
        raise InputError(
            path, f"{where} is sparse or nested; save it dense (tensor.to_dense())"
        )
    if tensor.device.type != "cpu":
        raise InputError(
            path, f"{where} is on the device {tensor.device.type!r}: it has no content"
        )
    size = path.stat().st_size
    if tensor.numel() * tensor.element_size() > size:
        raise InputError(
            path,
            f"{where} has {tensor.numel() * tensor.element_size()} bytes, more than "
            f"the whole file ({size}): it repeats what is stored; save a copy of it "
            f"(tensor.contiguous())",
        )


def _check_storages(
    path: Path, tensors: list[torch.Tensor], records: Mapping[int, int]
) -> None:
    """Reject a file whose tensors claim bytes other than those of one record each.

    Mapped tensors are slices of the file that start at the offsets of their records and
    are as long as the pickle claims; torch does not compare that with the record. The
    address of the mapping is unknown, but all storages must agree on it.
    """
    storages = {
        (storage.data_ptr(), storage.nbytes())
        for storage in (tensor.untyped_storage() for tensor in tensors)
        if storage.nbytes()
    }
    offsets: dict[int, list[int]] = {}
    for offset, size in records.items():
        offsets.setdefault(size, []).append(offset)
    if not storages:
        return
    # The storage with the fewest records of its size leaves the fewest bases to try.
    rarest = min(storages, key=lambda s: (len(offsets.get(s[1], ())), s))
    for offset in offsets.get(rarest[1], ()):
        base = rarest[0] - offset
        if base % _PAGE_BYTES == 0 and all(
            records.get(pointer - base) == size for pointer, size in storages
        ):
            return
    raise InputError(
        path, "not a usable PyTorch file: its tensors are not those of its records"
    )


def _raw(named: Mapping[str, torch.Tensor]) -> list[RawTensor]:
    """Prepare tensors for hashing; a view with two names is read once."""
    views: dict[object, RawTensor] = {}
    tensors = []
    for name, tensor in named.items():
        view = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        flags = (tensor.is_conj(), tensor.is_neg())
        # Quantised ones with one storage may still differ in their scales.
        key: object = name if tensor.is_quantized else (view, flags)
        if key not in views:
            views[key] = _as_raw(name, tensor)
        tensors.append(replace(views[key], name=name))
    return tensors


def _as_raw(name: str, tensor: torch.Tensor) -> RawTensor:
    tensor = tensor.detach()
    dtype = str(tensor.dtype).removeprefix("torch.")
    shape = tuple(tensor.shape)
    if tensor.dtype == getattr(torch, "float4_e2m1fn_x2", None):
        # Two numbers a byte: safetensors files give the shape in numbers.
        shape = (*shape[:-1], 2 * shape[-1])
    quantisation, extra_bytes = "", 0
    if tensor.is_quantized:
        quantisation, extra_bytes = _quantisation(tensor)
        tensor = tensor.int_repr()
    return RawTensor(
        name=name,
        dtype=dtype,
        shape=shape,
        bytes=tensor.numel() * tensor.element_size() + extra_bytes,
        chunks=_chunks(tensor),
        quantisation=quantisation,
    )


def _quantisation(tensor: torch.Tensor) -> tuple[str, int]:
    """Describe scales and zero points, bit by bit, and count their bytes."""
    scheme = tensor.qscheme()
    if scheme in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        scale, zero_point = tensor.q_scale(), tensor.q_zero_point()
        return f"{scheme} {float(scale).hex()} {zero_point}", 16
    scales = tensor.q_per_channel_scales().contiguous()
    zero_points = tensor.q_per_channel_zero_points().contiguous()
    values = [f"{v.dtype} {v.numpy().tobytes().hex()}" for v in (scales, zero_points)]
    return (
        f"{scheme} {tensor.q_per_channel_axis()} {' '.join(values)}",
        sum(v.numel() * v.element_size() for v in (scales, zero_points)),
    )


def _chunks(tensor: torch.Tensor) -> Chunks:
    def chunks(buffer: memoryview) -> Iterator[memoryview]:
        del buffer  # the bytes are in memory already
        # Conjugation and negation may be pending; a view's bytes may lie anywhere.
        whole = tensor.resolve_conj().resolve_neg().contiguous()
        content = whole.reshape(-1).view(torch.uint8).numpy().data
        for start in range(0, len(content), CHUNK_BYTES):
            yield content[start : start + CHUNK_BYTES]

    return chunks
