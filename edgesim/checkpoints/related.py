"""Why models that look related share little: found by looking at their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgesim.checkpoints.content import ContentLibrary
from edgesim.checkpoints.file_slices import Slice
from edgesim.checkpoints.files import Checkpoint, TensorRecord

Kind = Literal["dtype", "transposed", "fused", "low-rank", "trained", "apart"]

_LOOKS = 24
_TENSORS = 3
_LOOKED_BYTES = 1 << 18
_WHOLE_BYTES = 1 << 25
_LEAST = 256
_RANK_SIDE = 96
_CLOSE = 0.9
_PREFIXES = re.compile(r"^(?:module\.|_orig_mod\.|base_model\.model\.|model\.)+")
_FLOATS = {"float64": "f8", "float32": "f4", "float16": "f2"}

Values = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.float16]


@dataclass(frozen=True)
class Reason:
    """Why two models share less than they could.

    Parameters
    ----------
    one, other
        The models.
    kind
        What was found: the same values in another type, transposed or fused; a
        difference of low rank, as a merged adapter leaves; every layer trained; or
        nothing but the shapes in common.
    text
        The finding in words, and what helps.
    """

    one: str
    other: str
    kind: Kind
    text: str


def reasons(library: ContentLibrary) -> tuple[Reason, ...]:
    """Look for reasons in pairs of models that share little.

    A few tensors of some pairs are looked at, the largest first, so it takes little
    time however large the models are. At most one reason a model is given, that
    towards the first model for which there is one.
    """
    found: list[Reason] = []
    looks = 0
    held = {c.name: {t.digest for t in c.tensors} for c in library.checkpoints}
    checkpoints = library.checkpoints
    for place, other in enumerate(checkpoints):
        for one in checkpoints[:place]:
            if looks == _LOOKS:
                return tuple(found)
            if held[one.name] == held[other.name]:
                break
            pair = _differing(one, other, held[one.name] & held[other.name])
            if pair is None:
                continue
            looks += 1
            reason = _look(one, other, *pair, shared=_shares(library, one, other))
            if reason is not None:
                found.append(reason)
                break
    return tuple(found)


def _shares(library: ContentLibrary, one: Checkpoint, other: Checkpoint) -> bool:
    return any(other.name in block.models for block in library.models[one.name])


def _differing(
    one: Checkpoint, other: Checkpoint, both: set[str]
) -> tuple[list[TensorRecord], list[TensorRecord]] | None:
    """Return what only one of two models holds, largest first; None if it is little."""
    parts = []
    for checkpoint in (one, other):
        alone = [
            tensor
            for tensor in checkpoint.tensors
            if tensor.digest not in both
            and prod(tensor.shape) >= _LEAST
            and tensor.chunks is not None
        ]
        if not alone:
            return None
        parts.append(sorted(alone, key=lambda t: t.bytes, reverse=True))
    return parts[0], parts[1]


def _look(
    one: Checkpoint,
    other: Checkpoint,
    first: list[TensorRecord],
    second: list[TensorRecord],
    *,
    shared: bool,
) -> Reason | None:
    named = {_bare(tensor.name): tensor for tensor in first}
    pairs = [(named[_bare(t.name)], t) for t in second if _bare(t.name) in named]
    same = [pair for pair in pairs if pair[0].shape == pair[1].shape]
    for kind, text in (
        *_retyped(one, other, same),
        *_turned(one, other, pairs),
        *_fused(one, other, first, second),
        *_fused(other, one, second, first),
        *_trained(one, other, same, shared=shared),
    ):
        return Reason(one.name, other.name, kind, text)
    return None


def _bare(name: str) -> str:
    return _PREFIXES.sub("", name)


Pairs = Sequence[tuple[TensorRecord, TensorRecord]]
Findings = Iterator[tuple[Kind, str]]


def _retyped(one: Checkpoint, other: Checkpoint, pairs: Pairs) -> Findings:
    """Find the same values in another type."""
    typed = [(a, b) for a, b in pairs if a.dtype != b.dtype][:_TENSORS]
    equal = []
    for a, b in typed:
        wide, narrow = (a, b) if a.bytes >= b.bytes else (b, a)
        values, wanted = _begin(wide), _begin(narrow)
        if values is None or wanted is None:
            continue
        count = min(len(values), len(wanted))
        if _constant(wanted[:count]):
            continue
        if np.array_equal(_as_type(values[:count], narrow.dtype), wanted[:count]):
            equal.append((a, b))
    if equal:
        a, b = equal[0]
        yield (
            "dtype",
            f"{other.name} holds the same values as {one.name}, in {b.dtype} instead "
            f"of {a.dtype} ({len(equal)} of {len(typed)} tensors looked at, as "
            f"{b.name}): save both in one type as safetensors to share them",
        )


def _turned(one: Checkpoint, other: Checkpoint, pairs: Pairs) -> Findings:
    """Find matrices stored the other way round."""
    looked = [
        (a, b)
        for a, b in pairs
        if len(a.shape) == 2 and a.shape == b.shape[::-1] and a.bytes <= _WHOLE_BYTES
    ][:_TENSORS]
    for a, b in looked:
        values, others = _matrix(a), _matrix(b)
        if values is None or others is None or _constant(values):
            continue
        if np.array_equal(values.T, others):
            yield (
                "transposed",
                f"{b.name} of {other.name} is {a.name} of {one.name} transposed: store "
                f"both the same way round to share them",
            )
            return


def _fused(
    one: Checkpoint,
    other: Checkpoint,
    first: Sequence[TensorRecord],
    second: Sequence[TensorRecord],
) -> Findings:
    """Find a matrix of one model that is several of the other put together."""
    for whole in second[:_TENSORS]:
        if len(whole.shape) != 2 or whole.bytes > _WHOLE_BYTES:
            continue
        for turned in (False, True):
            columns = whole.shape[0 if turned else 1]
            rows = whole.shape[1 if turned else 0]
            parts = [
                part
                for part in first
                if len(part.shape) == 2
                and columns in part.shape
                and part.bytes < whole.bytes
                and part.dtype == whole.dtype
            ][:12]
            if sum(part.bytes for part in parts) < whole.bytes:
                continue
            values = _matrix(whole)
            if values is None:
                continue
            names = _pieces(values.T if turned else values, parts, rows, columns)
            if len(names) > 1:
                yield (
                    "fused",
                    f"{whole.name} of {other.name} is {', '.join(names)} of "
                    f"{one.name} fused (as qkv is): split it to share them",
                )
                return


def _pieces(
    values: Values, parts: Sequence[TensorRecord], rows: int, columns: int
) -> list[str]:
    """Return the names of the matrices that make up another, row by row."""
    names: list[str] = []
    start = 0
    while start < rows:
        for part in parts:
            piece = _matrix(part)
            if piece is None or part.name in names:
                continue
            ways = [piece] if piece.shape[1] == columns else []
            ways += [piece.T] if piece.shape[0] == columns else []
            way = next(
                (w for w in ways if np.array_equal(values[start : start + len(w)], w)),
                None,
            )
            if way is not None:
                names.append(part.name)
                start += len(way)
                break
        else:
            return []
    return names


def _trained(
    one: Checkpoint, other: Checkpoint, pairs: Pairs, *, shared: bool
) -> Findings:
    """Compare tensors of one name: low-rank, close, or unrelated differences."""
    looked = [(a, b) for a, b in pairs if a.dtype == b.dtype and len(a.shape) >= 2]
    distances: list[float] = []
    ranks: list[int | None] = []
    for a, b in looked[:_TENSORS]:
        values, others = _begin(a), _begin(b)
        if values is None or others is None or _constant(values):
            continue
        left, right = values.astype(np.float64), others.astype(np.float64)
        size = float(np.linalg.norm(left))
        if not np.isfinite(size) or not size:
            continue
        distances.append(float(np.linalg.norm(right - left)) / size)
        if distances[-1] < _CLOSE:
            ranks.append(_rank(right - left, a.shape))
    if not distances:
        return
    distance = sum(distances) / len(distances)
    found = [rank for rank in ranks if rank is not None]
    if found and len(found) == len(distances):
        yield (
            "low-rank",
            f"{other.name} differs from {one.name} by low-rank matrices (rank "
            f"{max(found)} in {len(found)} tensors looked at), as merged adapters do: "
            f"keep the adapters apart to share the base",
        )
    elif shared or len(pairs) < 2:
        return
    elif distance < _CLOSE:
        yield (
            "trained",
            f"{other.name} has the names and shapes of {one.name}, but every layer was "
            f"trained: {len(distances)} tensors looked at differ by "
            f"{100 * distance:.2g} %; freezing layers would share them",
        )
    else:
        yield (
            "apart",
            f"{other.name} has the names and shapes of {one.name}, but no weights in "
            f"common: they were trained from different starts",
        )


def _rank(delta: NDArray[np.float64], shape: tuple[int, ...]) -> int | None:
    """Return the rank of a difference of matrices if it is low."""
    columns = prod(shape[1:])
    rows = len(delta) // columns
    if len(shape) != 2 or min(rows, columns) < 8:
        return None
    matrix = delta[: rows * columns].reshape(rows, columns)[:_RANK_SIDE, :_RANK_SIDE]
    values = np.linalg.svd(matrix, compute_uv=False) ** 2
    if not values[0]:
        return None
    # Rounding of the sum leaves noise of full rank and little size.
    rank = int(np.searchsorted(np.cumsum(values), 0.999 * values.sum())) + 1
    return rank if rank <= min(matrix.shape) // 3 else None


def _constant(values: Values) -> bool:
    return bool(values.size) and bool((values == values.flat[0]).all())


def _matrix(tensor: TensorRecord) -> Values | None:
    values = _begin(tensor, tensor.bytes)
    return None if values is None else values.reshape(tensor.shape)


def _begin(tensor: TensorRecord, most: int = _LOOKED_BYTES) -> Values | None:
    """Read the first numbers of a tensor; None if they are no floats."""
    chunks = tensor.chunks
    if chunks is None or tensor.dtype not in (*_FLOATS, "bfloat16"):
        return None
    size = min(tensor.bytes, most)
    if isinstance(chunks, Slice):
        content = Slice(chunks.path, chunks.start, size).read()
    elif tensor.bytes <= _WHOLE_BYTES:
        buffer = memoryview(bytearray(tensor.bytes))
        content = b"".join(map(bytes, chunks(buffer)))[:size]
    else:
        return None
    if tensor.dtype == "bfloat16":
        return _as_bfloat16(np.frombuffer(content, "u2"))
    return np.frombuffer(content, _FLOATS[tensor.dtype])


def _as_type(values: Values, dtype: str) -> Values:
    """Round values to another type, as torch does: to the nearest, ties to even."""
    with np.errstate(over="ignore"):
        if dtype != "bfloat16":
            return values.astype(_FLOATS[dtype])
        bits = values.astype(np.float32).view("u4")
        return _as_bfloat16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)


def _as_bfloat16(halves: NDArray[np.unsignedinteger]) -> NDArray[np.float32]:
    """Make float32 numbers of their upper halves."""
    return (halves.astype("u4") << 16).view(np.float32)
