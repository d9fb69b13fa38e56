"""Content shared by checkpoints, as the fewest blocks that are shared as a whole."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from edgesim.checkpoints.files import Checkpoint, TensorRecord
from edgesim.library.sharing import ModelBlocks, View, is_laminar

Names = Literal["ignore", "match"]
Sharing = Literal["one model", "nothing", "laminar", "crossing"]

OWN = "own"
SHARED_BY_ALL = "shared-all"

_EXAMPLES = 3

_SMALL_BYTES = 4096
_SMALL_SHARE = 16
_BUFFERS = re.compile(
    r"num_batches_tracked$|position_ids$|token_type_ids$|inv_freq|masked_bias$|"
    r"relative_position_index$|(attn|causal)_mask$|\.mask$|g_idx$|quant_map$|"
    r"quant_state|_extra_state$"
)
_WHOLE_NUMBERS = ("int64", "int32", "int16", "int8", "uint8", "bool")


@dataclass(frozen=True)
class ContentBlock:
    """Tensors held by the same models.

    Parameters
    ----------
    name
        ``own`` for tensors of one model alone, ``shared-all`` for those of all models,
        ``shared-by-3`` for those of three, ``shared-by-3-2`` for the second of several
        such blocks. Unique within a model.
    content
        SHA-256 of the sorted digests of the tensors, in hex; blocks with the same hash
        are identical.
    bytes
        Total size of its tensors.
    tensors
        The tensors as in the first of the models, in its order.
    models
        The holders of the block, in the order of the checkpoints.
    """

    name: str
    content: str
    bytes: int
    tensors: tuple[TensorRecord, ...]
    models: tuple[str, ...]

    @property
    def examples(self) -> str:
        """Describe its tensors by the name of the first and their number."""
        names = ", ".join(repr(t.name) for t in islice(self.tensors, _EXAMPLES))
        more = len(self.tensors) - _EXAMPLES
        return f"{names} and {more} more" if more > 0 else names


@dataclass(frozen=True)
class Renamed:
    """Tensors that several models hold, but under no name common to all of them.

    Parameters
    ----------
    tensors, bytes
        Their number and size, each content counted once.
    example
        The largest: two models, and its name in each; None if there is none.
    """

    tensors: int
    bytes: int
    example: tuple[tuple[str, str], tuple[str, str]] | None


@dataclass(frozen=True)
class Kept:
    """Equal tensors that stay with each model, since they are no shared weights.

    Parameters
    ----------
    tensors
        Their number, each content counted once.
    bytes
        What it costs to keep them more than once.
    example
        The name of the largest.
    """

    tensors: int
    bytes: int
    example: str = ""


@dataclass(frozen=True)
class ContentLibrary:
    """Models and the blocks they consist of.

    Parameters
    ----------
    models
        Blocks of each model, most widely held first, so that with laminar sharing the
        blocks of each model are a path from the root of the forest.
    checkpoints
        The checkpoints that contain the blocks.
    names
        Whether names had to match.
    min_bytes
        Tensors smaller than this are never shared; None for the rule of
        :func:`share_by_content`.
    renamed
        Tensors that several models hold under different names.
    kept
        Equal tensors that the rule leaves to each model.
    """

    models: Mapping[str, tuple[ContentBlock, ...]]
    checkpoints: tuple[Checkpoint, ...]
    names: Names
    min_bytes: int | None
    renamed: Renamed
    kept: Kept = Kept(0, 0)

    @property
    def blocks(self) -> tuple[ContentBlock, ...]:
        """All blocks, each once, most widely held first."""
        found = {block.content: block for of in self.models.values() for block in of}
        return tuple(sorted(found.values(), key=lambda b: len(b.models), reverse=True))

    @property
    def repeated_bytes(self) -> int:
        """Bytes of repeated tensors within a model, beyond the first occurrence."""
        stored = sum(checkpoint.bytes for checkpoint in self.checkpoints)
        return stored - sum(b.bytes for of in self.models.values() for b in of)

    @property
    def identical(self) -> tuple[tuple[str, ...], ...]:
        """Groups of models that consist of the same blocks, in order."""
        groups: dict[frozenset[str], list[str]] = {}
        for name, blocks in self.models.items():
            groups.setdefault(frozenset(b.content for b in blocks), []).append(name)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)

    @property
    def sharing(self) -> Sharing:
        """What can be said of sharing; of one model, nothing."""
        if len(self.models) == 1:
            return "one model"
        if all(len(block.models) == 1 for block in self.blocks):
            return "nothing"
        return "laminar" if is_laminar(self.view()) else "crossing"

    def view(self) -> View[ContentBlock]:
        """View the library in the form that sharing graphs and loading orders take."""
        return View(
            blocks={block.content: block for block in self.blocks},
            models={
                name: ModelBlocks(tuple(block.content for block in blocks))
                for name, blocks in self.models.items()
            },
        )


def share_by_content(
    checkpoints: Sequence[Checkpoint],
    *,
    names: Names = "ignore",
    min_bytes: int | None = 0,
) -> ContentLibrary:
    """Group the tensors of checkpoints by their set of holders.

    There is one block per distinct set of holders, the minimum if every model must hold
    each block wholly or not at all: two tensors with different holders cannot be in one
    block. A tensor that occurs twice in a model, because weights are tied or happen to
    be equal, is one tensor.

    Parameters
    ----------
    checkpoints
        At least one, with distinct names.
    names
        ``"ignore"``: tensors are the same if dtype, shape and bytes are. ``"match"``:
        if their names are too; a tensor under two names in a model, tied weights
        included, then counts twice there.
    min_bytes
        Smaller tensors are never shared and remain private to each model. None: a rule
        instead. Counters, position numbers, masks and tensors of a few bytes (at most
        4096, and a sixteenth of the largest) coincide in unrelated models and would
        fragment blocks. They never make a block: they are shared where weights have the
        same holders, and stay with each model elsewhere; identical models share all.

    Returns
    -------
    ContentLibrary
        Deterministic for given files; the order of checkpoints breaks ties.

    Notes
    -----
    O(T log T + H·M) for T tensors in total, H distinct sets of holders and M models.
    """
    tensors: dict[tuple[str, ...], TensorRecord] = {}
    held: dict[tuple[str, ...], list[str]] = {}
    least = min_bytes or 0
    for checkpoint in checkpoints:
        for tensor in checkpoint.tensors:
            key = _identity(checkpoint, tensor, names, least)
            tensors.setdefault(key, tensor)
            so_far = held.setdefault(key, [])
            if not so_far or so_far[-1] != checkpoint.name:
                so_far.append(checkpoint.name)
    kept = Kept(0, 0)
    if min_bytes is None:
        kept = _keep(tensors, held, _twins(checkpoints))
    groups: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for key, all_owners in held.items():
        groups.setdefault(tuple(all_owners), []).append(key)
    # Groups are in the order in which their first holder has their first tensor, and a
    # stable sort keeps that order among groups with equally many holders.
    order = sorted(groups, key=len, reverse=True)
    models: dict[str, list[ContentBlock]] = {c.name: [] for c in checkpoints}
    for owners, name in zip(order, _names(order, len(checkpoints)), strict=True):
        keys = groups[owners]
        parts = tuple(tensors[key] for key in keys)
        block = ContentBlock(
            name=name,
            content=_content(keys),
            bytes=sum(tensor.bytes for tensor in parts),
            tensors=parts,
            models=owners,
        )
        for owner in owners:
            models[owner].append(block)
    return ContentLibrary(
        models={name: tuple(blocks) for name, blocks in models.items()},
        checkpoints=tuple(checkpoints),
        names=names,
        min_bytes=min_bytes,
        renamed=_renamed(checkpoints, least),
        kept=kept,
    )


def _twins(checkpoints: Sequence[Checkpoint]) -> dict[str, str]:
    """Map each model to the first that holds the same contents."""
    first: dict[frozenset[str], str] = {}
    return {
        checkpoint.name: first.setdefault(
            frozenset(tensor.digest for tensor in checkpoint.tensors), checkpoint.name
        )
        for checkpoint in checkpoints
    }


def _keep(
    tensors: dict[tuple[str, ...], TensorRecord],
    held: dict[tuple[str, ...], list[str]],
    twins: Mapping[str, str],
) -> Kept:
    """Leave to each model the small tensors that no weights are shared with."""
    limit = min(_SMALL_BYTES, max(t.bytes for t in tensors.values()) // _SMALL_SHARE)
    small = [key for key, tensor in tensors.items() if _is_small(tensor, limit)]
    few = set(small)
    with_weights = {tuple(of) for key, of in held.items() if key not in few}
    apart = [
        key
        for key in small
        if len({twins[owner] for owner in held[key]}) > 1
        and tuple(held[key]) not in with_weights
    ]
    largest = max((tensors[key] for key in apart), key=lambda t: t.bytes, default=None)
    cost = 0
    for key in apart:
        tensor = tensors.pop(key)
        owners = held.pop(key)
        cost += (len({twins[owner] for owner in owners}) - 1) * tensor.bytes
        for owner in owners:
            # As in an identity, the model's name is part of it; that of the first of
            # identical models, so that they stay identical.
            of_model = (*key, "", twins[owner])
            tensors[of_model] = tensor
            held.setdefault(of_model, []).append(owner)
    return Kept(len(apart), cost, "" if largest is None else largest.name)


def _is_small(tensor: TensorRecord, limit: int) -> bool:
    """Whether a tensor is no weight, or too small to be told from one by content."""
    if tensor.bytes <= limit or tensor.dtype == "bool":
        return True
    mask = len(tensor.shape) == 4 and tensor.shape[:2] == (1, 1)
    whole = tensor.dtype in _WHOLE_NUMBERS
    named = _BUFFERS.search(tensor.name) is not None
    counter = whole and tensor.shape in ((), (1,))
    return named or counter or (mask and whole)


def _identity(
    checkpoint: Checkpoint, tensor: TensorRecord, names: Names, min_bytes: int
) -> tuple[str, ...]:
    """Return the key by which a tensor is identified."""
    name = (tensor.name,) if names == "match" else ()
    # The model's name is part of the key of a tensor that is never shared.
    owner = ("", checkpoint.name) if tensor.bytes < min_bytes else ()
    return (tensor.digest, *name, *owner)


def _content(keys: Iterable[tuple[str, ...]]) -> str:
    lines = "\n".join(repr(key) for key in sorted(keys))
    return hashlib.sha256(lines.encode()).hexdigest()


def _names(order: Sequence[tuple[str, ...]], models: int) -> list[str]:
    counts = Counter(map(len, order))
    given: Counter[int] = Counter()
    names = []
    for owners in order:
        size = len(owners)
        given[size] += 1
        if size == 1:
            names.append(OWN)
        elif size == models:
            names.append(SHARED_BY_ALL)
        elif counts[size] == 1:
            names.append(f"shared-by-{size}")
        else:
            width = len(str(counts[size]))
            names.append(f"shared-by-{size}-{given[size]:0{width}}")
    return names


def _renamed(checkpoints: Sequence[Checkpoint], min_bytes: int) -> Renamed:
    sizes: dict[str, int] = {}
    named: dict[str, dict[str, set[str]]] = {}
    for checkpoint in checkpoints:
        for tensor in checkpoint.tensors:
            if tensor.bytes >= min_bytes:
                sizes[tensor.digest] = tensor.bytes
                by_model = named.setdefault(tensor.digest, {})
                by_model.setdefault(checkpoint.name, set()).add(tensor.name)
    found = [
        digest
        for digest, by_model in named.items()
        if not set.intersection(*by_model.values())
    ]
    if not found:
        return Renamed(0, 0, None)
    by_model = named[max(found, key=sizes.__getitem__)]  # ties: the first
    first, *others = ((model, names) for model, names in by_model.items())
    # No name is common to all, so some other model lacks the first one's first name.
    name = min(first[1])
    other = next(pair for pair in others if name not in pair[1])
    return Renamed(
        tensors=len(found),
        bytes=sum(sizes[digest] for digest in found),
        example=((first[0], name), (other[0], min(other[1]))),
    )
