"""Group a network's tensors into parameter blocks by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from edgesim.errors import InputError, Parameter, short

BlockOf = Callable[[str], str | None]
"""Maps a tensor's name to its block; None to join the preceding block."""

_NUMBERED = re.compile(r"(.*_)?[0-9]+")


class TensorSize(NamedTuple):
    """One tensor of a state dict and its size."""

    name: str
    bytes: int


@dataclass(frozen=True)
class BlockPlan:
    """One parameter block before it is measured.

    Parameters
    ----------
    name
        Unique within the model.
    tensor_bytes
        Size of each of its tensors, in order.
    content
        Hash of the weights if they are known; blocks with equal hashes are one block.
    """

    name: str
    tensor_bytes: tuple[int, ...]
    content: str | None = None

    @property
    def bytes(self) -> int:
        """Size of the block: the sum of its tensors, without padding."""
        return sum(self.tensor_bytes)


def numbered_block(name: str) -> str:
    """Truncate a tensor's name after its first numbered component.

    A component is numbered if it is a number or ends in one after an underscore:
    ``layer1.0.conv1.weight`` is in ``layer1.0``, ``h.11.attn.bias`` in ``h.11``,
    ``encoder.layers.encoder_layer_3.ln_1.weight`` in
    ``encoder.layers.encoder_layer_3``. Without a numbered component, the block is the
    top-level module: ``encoder.ln.weight`` is in ``encoder``.
    """
    path = _module_path(name)
    for length, component in enumerate(path, start=1):
        if _NUMBERED.fullmatch(component):
            return ".".join(path[:length])
    return path[0]


def by_depth(depth: int) -> BlockOf:
    """Make the rule that truncates a module's path after ``depth`` components."""
    return lambda name: ".".join(_module_path(name)[:depth])


def by_pattern(pattern: str) -> BlockOf:
    """Make the rule of a regular expression, searched for in the tensor's name.

    The block is the first group if the expression has one, otherwise the whole match.
    If that is empty, the tensor joins the preceding block.

    Raises
    ------
    InputError
        If the text is not a regular expression.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(
            Parameter("pattern"),
            f"must be a regular expression, found {short(pattern)}: {error}",
        ) from None

    def block_of(name: str) -> str | None:
        found = expression.search(name)
        if found is None:
            return None
        return (found[1] if expression.groups else found[0]) or None

    return block_of


def state_tensors(network: nn.Module, where: str) -> dict[str, torch.Tensor]:
    """List parameters and persistent buffers in the order of the state dict.

    A tensor with two names (tied weights) counts once, under the first; tensors without
    elements are left out.

    Raises
    ------
    InputError
        If the state dict contains anything but dense tensors with data.
    """
    tensors: dict[str, torch.Tensor] = {}
    seen: set[tuple[object, ...]] = set()
    for name, value in network.state_dict(keep_vars=True).items():
        if (
            not isinstance(value, torch.Tensor)
            or value.layout != torch.strided
            or value.is_meta
        ):
            raise InputError(
                where,
                f"its state dict must hold dense tensors with data; {name!r} is "
                f"{_kind(value)}",
            )
        identity = (value.data_ptr(), value.shape, value.stride(), value.dtype)
        if value.numel() and identity not in seen:
            seen.add(identity)
            tensors[name] = value
    if not tensors:
        raise InputError(where, "has no parameters: there is nothing to load")
    return tensors


def group(
    tensors: Iterable[TensorSize], block_of: BlockOf, where: str
) -> tuple[BlockPlan, ...]:
    """Group tensors into blocks, in order of each block's first tensor.

    Tensors for which the rule finds no block join the preceding block, or the first
    block if none precedes.

    Raises
    ------
    InputError
        If the rule finds a block for none of the tensors.
    """
    return tuple(
        BlockPlan(name, tuple(tensor.bytes for tensor in found))
        for name, found in members(tensors, block_of, where).items()
    )


def members(
    tensors: Iterable[TensorSize], block_of: BlockOf, where: str
) -> dict[str, list[TensorSize]]:
    """List the tensors of each block, as :func:`group` assigns them.

    Raises
    ------
    InputError
        If the rule finds a block for none of the tensors.
    """
    found: dict[str, list[TensorSize]] = {}
    early: list[TensorSize] = []
    last: list[TensorSize] | None = None
    for tensor in tensors:
        block = block_of(tensor.name)
        if block is not None:
            last = found.setdefault(block, [])
        (early if last is None else last).append(tensor)
    if last is None:
        raise InputError(
            Parameter("block_of"),
            f"matches no tensor of {where}, whose names are such as "
            f"{', '.join(_some([tensor.name for tensor in early]))}",
        )
    next(iter(found.values()))[:0] = early
    return found


def _module_path(name: str) -> list[str]:
    """Components of the module's path; a tensor outside any module is its own path."""
    path = name.split(".")
    return path[:-1] or path


def _kind(value: object) -> str:
    if not isinstance(value, torch.Tensor):
        return f"of type {type(value).__name__}"
    return "without data (meta)" if value.is_meta else f"of layout {value.layout}"


def _some(names: Sequence[str], limit: int = 3) -> list[str]:
    return list(names[:: max(1, len(names) // limit)][:limit])
