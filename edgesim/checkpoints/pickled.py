"""Read PyTorch files (``.pt``, ``.pth``, ``.bin``, ``.ckpt``) without executing them.

Such a file is a pickle, a program that can do anything when it is loaded, and the
contents of its tensors. The pickle is interpreted here without being run
(:mod:`edgesim.checkpoints.inert_pickle`), so objects beside the weights do no harm and
need no code, and PyTorch is not needed either; the contents are read where they lie.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from edgesim.checkpoints.digest import CHUNK_BYTES, Chunks, RawTensor
from edgesim.checkpoints.file_slices import Slice
from edgesim.checkpoints.inert_pickle import Global, PickleError, interpret
from edgesim.checkpoints.state import (
    MissingKeyError,
    StateError,
    missing_key,
    weights_in,
)
from edgesim.checkpoints.stored_tensor import (
    SIZES,
    HarmfulCallError,
    OddTensor,
    Storage,
    StoredTensor,
    made_by,
    storage_of,
)
from edgesim.errors import InputError, short
from edgesim.text import plain, shortened

OLD_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How a file begins that ``torch.save`` wrote before PyTorch 1.6."""

MOST_PICKLE_BYTES = 1 << 26
"""Most bytes of a pickle that is read; a hundred thousand tensors are 30 MB."""

_MOST_READS = 16

_ZIP = b"PK\x03\x04"
_BIG = b"big"
_FLOATS = {"float64": "f8", "float32": "f4", "float16": "f2"}
_COMPLEX = {"complex128": "c16", "complex64": "c8"}
_AGAIN = "; it was cut short or changed: download or copy it again"


@dataclass(frozen=True)
class PickledFile:
    """The tensors of a PyTorch file, in file order, and how they were found."""

    tensors: list[RawTensor]
    notes: tuple[str, ...]


def pickled_in(path: Path, key: str | None = None) -> PickledFile:
    """List the tensors of a PyTorch file, in file order.

    Parameters
    ----------
    path
        A zip archive, as ``torch.save`` writes since 1.6, or an older file.
    key
        Under which the weights lie; None for the rule of
        :mod:`edgesim.checkpoints.state`.

    Raises
    ------
    InputError
        If the file is broken, made to do harm, a TorchScript archive, has compressed
        records, holds no dict of tensors, or holds a tensor that is sparse, nested, on
        no device, or larger than the file; or if the key is not there.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        archive = file.read(len(_ZIP)) == _ZIP
    try:
        value, storages = _archive(path) if archive else _old_file(path)
        weights = weights_in(value, key)
    except HarmfulCallError as error:
        raise InputError(
            path,
            f"asks to run {shortened(str(error))}, which no checkpoint needs: it was "
            f"made to do harm; nothing was run",
        ) from None
    except PickleError as error:
        raise InputError(
            path, f"not a usable PyTorch file: {short(str(error), 120)}{_AGAIN}"
        ) from None
    except MissingKeyError as error:
        raise missing_key(str(path), error) from None
    except StateError as error:
        raise InputError(path, plain(str(error))) from None
    size = path.stat().st_size
    stored: dict[str, StoredTensor] = {}
    for name, tensor in weights.tensors.items():
        if isinstance(tensor, OddTensor):
            raise InputError(path, f"its tensor {short(name)} {plain(tensor.what)}")
        _check(path, name, tensor, size, storages)
        stored[name] = tensor
    raw = _raw(path, stored, storages)
    _check_views(path, raw, size)
    return PickledFile(raw, weights.notes)


def _archive(path: Path) -> tuple[Any, dict[str, Slice]]:
    """Interpret a zip archive; return its value and where its storages lie."""
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            entries = archive.infolist()
            found = [entry.filename for entry in entries]
            root = next((n[:-8] for n in found if n.endswith("data.pkl")), None)
            names = set(found)
            if len(names) < len(found):
                raise PickleError("its zip archive names a record twice")
            if root is None:
                raise InputError(path, "is a zip archive, but none of PyTorch's")
            if f"{root}constants.pkl" in names:
                raise InputError(path, _torchscript(path))
            slices: dict[str, Slice] = {}
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
                start = entry.header_offset + 30 + name + extra
                slices[entry.filename] = Slice(path, start, entry.file_size)
            _check_pickle_bytes(path, slices[f"{root}data.pkl"].size)
            order = slices.get(f"{root}byteorder")
            if order is not None and _is_big(order):
                raise InputError(path, "was written with the other byte order")
            data = archive.read(f"{root}data.pkl")
    except (zipfile.BadZipFile, struct.error, ValueError, RuntimeError, EOFError):
        raise PickleError("its zip archive is broken") from None
    except OSError as error:
        if error.errno != 22:  # EINVAL: a position before the file's start
            raise
        raise PickleError("its zip archive is broken") from None
    value, _ = interpret(data, made_by, storage_of)
    begin = f"{root}data/"
    return value, {
        name[len(begin) :]: found
        for name, found in slices.items()
        if name.startswith(begin)
    }


def _is_big(order: Slice) -> bool:
    return order.size == len(_BIG) and order.read() == _BIG


def _check_pickle_bytes(path: Path, size: int) -> None:
    """Reject a pickle that would be too many objects, up to 70 times its size."""
    if size > MOST_PICKLE_BYTES:
        raise InputError(
            path,
            f"what it holds beside the contents of its tensors is {size:,} bytes, more "
            f"than the {MOST_PICKLE_BYTES:,} that are read; save the weights alone: "
            f"torch.save(model.state_dict(), 'x.pt')",
        )


def _torchscript(path: Path) -> str:
    new = f"{path.stem}.safetensors"
    return (
        f"is a TorchScript archive, which holds code. If you trust it: python -c "
        f'"import torch; from safetensors.torch import save_file; save_file(dict('
        f"torch.jit.load('{short(path.name, 40)[1:-1]}').state_dict()), "
        f"'{short(new, 40)[1:-1]}')\""
    )


def _old_file(path: Path) -> tuple[Any, dict[str, Slice]]:
    """Interpret a file from before PyTorch 1.6: five pickles, then the storages."""
    with path.open("rb") as file:
        if file.read(len(OLD_MAGIC)) != OLD_MAGIC:
            raise PickleError("it is not what torch.save writes")
    found: dict[str, Storage] = {}

    def storage(identifier: Any) -> Any:
        made = storage_of(identifier)
        if isinstance(made, Storage):
            found[made.key] = made
        return made

    # Contents lie behind the pickles, whose end is not known before.
    data = np.memmap(path, np.uint8, "r").data
    place = len(OLD_MAGIC)
    values = []
    for _ in range(4):
        value, place = _interpreted(data, storage, place)
        values.append(value)
    _, about, value, keys = values
    if isinstance(about, Mapping) and about.get("little_endian") is False:
        raise InputError(path, "was written with the other byte order")
    if not isinstance(keys, list):
        raise PickleError("it does not say which contents it holds")
    slices: dict[str, Slice] = {}
    for key in keys:
        if not isinstance(key, str) or key not in found:
            raise PickleError("it holds contents of no tensor")
        stated = data[place : place + 8]
        count = int.from_bytes(stated, "little")
        if len(stated) < 8 or count != found[key].elements:
            raise PickleError("its tensors are not those of its records")
        place += 8
        if place + found[key].bytes > len(data):
            raise PickleError("its contents end early")
        slices[key] = Slice(path, place, found[key].bytes)
        place += found[key].bytes
    return value, slices


_WINDOW_BYTES = 1 << 20


def _interpreted(data: memoryview, storage: Any, start: int) -> tuple[Any, int]:
    """Interpret a pickle of unknown length in as few bytes as it takes."""
    size = _WINDOW_BYTES
    while True:
        window = bytes(data[start : start + size])
        try:
            value, end = interpret(window, made_by, storage)
            return value, start + end
        except HarmfulCallError:
            raise
        except PickleError:
            if start + size >= len(data) or size == MOST_PICKLE_BYTES:
                raise
            size = min(8 * size, MOST_PICKLE_BYTES)


def _check(
    path: Path,
    name: str,
    tensor: StoredTensor,
    file_bytes: int,
    storages: Mapping[str, Slice],
) -> None:
    """Reject a tensor that claims other bytes than those of its record."""
    where = f"its tensor {short(name)}"
    if tensor.bytes > file_bytes:
        raise InputError(
            path,
            f"{where} has {short(tensor.bytes)} bytes, more than the whole file "
            f"({file_bytes}): it repeats what is stored; save a copy of it "
            f"(tensor.contiguous())",
        )
    if not tensor.bytes:
        return
    record = storages.get(tensor.storage.key)
    last = tensor.offset + sum(
        (size - 1) * step
        for size, step in zip(tensor.shape, tensor.strides, strict=True)
    )
    if (
        record is None
        or record.size != tensor.storage.bytes
        or record.start + record.size > file_bytes
        or (last + 1) * SIZES[tensor.dtype] > record.size
    ):
        raise InputError(
            path, "not a usable PyTorch file: its tensors are not those of its records"
        )
    for inner in tensor.quantiser:
        if isinstance(inner, StoredTensor):
            _check(path, name, inner, file_bytes, storages)


def _check_views(path: Path, tensors: Sequence[RawTensor], file_bytes: int) -> None:
    """Reject views that overlap so much that reading them takes longer than the file.

    Views that are the same are read once, and do not count.
    """
    distinct = {id(tensor.chunks): tensor.bytes for tensor in tensors}
    total = sum(distinct.values())
    if total > _MOST_READS * file_bytes:
        raise InputError(
            path,
            f"its tensors are {total:,} bytes, and the file has {file_bytes:,}: they "
            f"overlap; save copies of them (tensor.clone())",
        )


def _raw(
    path: Path, named: Mapping[str, StoredTensor], storages: Mapping[str, Slice]
) -> list[RawTensor]:
    """Prepare tensors for hashing; a view with two names is read once."""
    views: dict[object, Chunks] = {}
    tensors = []
    for name, tensor in named.items():
        view = (
            *(tensor.storage.key, tensor.offset, tensor.dtype, tensor.shape),
            *(tensor.strides, tensor.conj, tensor.neg),
        )
        if view not in views:
            views[view] = _chunks(path, name, tensor, storages)
        shape = tensor.shape
        if tensor.dtype == "float4_e2m1fn_x2" and shape:
            # Two numbers a byte: safetensors files give the shape in numbers.
            shape = (*shape[:-1], 2 * shape[-1])
        quantisation, extra_bytes = "", 0
        if tensor.quantiser:
            quantisation, extra_bytes = _quantisation(path, name, tensor, storages)
        tensors.append(
            RawTensor(
                name=name,
                dtype=tensor.dtype,
                shape=shape,
                bytes=tensor.bytes + extra_bytes,
                chunks=views[view],
                quantisation=quantisation,
            )
        )
    return tensors


def _quantisation(
    path: Path, name: str, tensor: StoredTensor, storages: Mapping[str, Slice]
) -> tuple[str, int]:
    """Describe scales and zero points, bit by bit, and count their bytes."""
    scheme, first, second, axis = (*tensor.quantiser, *[None] * 4)[:4]
    if not isinstance(scheme, Global):
        raise _oddly_quantised(path, name)
    if (
        isinstance(first, StoredTensor)
        and isinstance(second, StoredTensor)
        and isinstance(axis, int)
    ):
        values = []
        for inner in (first, second):
            buffer = memoryview(bytearray(min(inner.bytes, CHUNK_BYTES)))
            content = hashlib.sha256()
            for chunk in _chunks(path, name, inner, storages)(buffer):
                content.update(chunk)
            values.append(f"torch.{inner.dtype} {inner.shape} {content.hexdigest()}")
        return f"{scheme} {axis} {' '.join(values)}", first.bytes + second.bytes
    if isinstance(first, float) and isinstance(second, int):
        return f"{scheme} {first.hex()} {second}", 16
    raise _oddly_quantised(path, name)


def _oddly_quantised(path: Path, name: str) -> InputError:
    return InputError(path, f"its tensor {short(name)} is quantised in an unknown way")


def _chunks(
    path: Path, name: str, tensor: StoredTensor, storages: Mapping[str, Slice]
) -> Chunks:
    if not tensor.bytes:
        return Slice(path, 0, 0)
    size = SIZES[tensor.dtype]
    record = storages[tensor.storage.key]
    steps = _contiguous(tensor.shape)
    plain = all(
        length == 1 or step == wanted
        for length, step, wanted in zip(
            tensor.shape, tensor.strides, steps, strict=True
        )
    )
    if plain and not tensor.conj and not tensor.neg:
        return Slice(path, record.start + tensor.offset * size, tensor.bytes)
    if (tensor.conj and tensor.dtype not in _COMPLEX) or (
        tensor.neg and tensor.dtype not in _FLOATS | _COMPLEX
    ):
        raise InputError(
            path,
            f"its tensor {short(name)} is a view that is still to be negated; save a "
            f"copy of it (tensor.clone())",
        )
    return lambda _buffer: _copied(record, tensor)


def _span(tensor: StoredTensor) -> int:
    """Return how far behind its first element a tensor's last one lies."""
    pairs = zip(tensor.shape, tensor.strides, strict=True)
    return sum((size - 1) * step for size, step in pairs)


def _contiguous(shape: tuple[int, ...]) -> list[int]:
    return [prod(shape[place + 1 :]) for place in range(len(shape))]


def _copied(record: Slice, tensor: StoredTensor) -> Iterator[memoryview]:
    """Yield the content of a view whose bytes lie apart, in the order of its shape.

    The file is mapped, for few numbers may lie far apart.
    """
    size = SIZES[tensor.dtype]
    kind = (_FLOATS | _COMPLEX).get(tensor.dtype, f"V{size}")
    count = _span(tensor) + 1
    mapped = np.memmap(
        *(record.path, np.uint8, "r", record.start + tensor.offset * size),
        shape=(count * size,),
    )
    view = np.lib.stride_tricks.as_strided(
        np.asarray(mapped).view(kind),
        tensor.shape,
        [step * size for step in tensor.strides],
    )
    numbers = CHUNK_BYTES // size
    for start in range(0, view.size, numbers):
        part = view.flat[start : start + numbers]
        if tensor.conj:
            part = np.conjugate(part)
        if tensor.neg:
            part = np.negative(part)
        yield memoryview(part.tobytes())
