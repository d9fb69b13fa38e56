"""Whether the tensors of a checkpoint are those of a network, and what differs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from edgesim.checkpoints.files import Checkpoint
from edgesim.errors import InputError, Parameter

SHOWN_DIFFERENCES = 3

Shape: TypeAlias = tuple[int, ...]

_WRAPPERS = frozenset({"module", "_orig_mod"})
"""Components that DataParallel and torch.compile put into names."""

_MOST_PREFIXES = 2
"""So many first components that all names have in common may be left out."""


@dataclass(frozen=True)
class Fit:
    """What differs between a checkpoint and a network, by names of the network.

    Parameters
    ----------
    missing
        Tensors that the checkpoint lacks.
    unknown
        Tensors that the network lacks.
    reshaped
        Tensors with their shapes in the checkpoint and in the network.
    """

    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    reshaped: Mapping[str, tuple[Shape, Shape]]

    @property
    def differences(self) -> list[str]:
        """Each difference in words."""
        return [
            *(f"{name} is missing in the checkpoint" for name in self.missing),
            *(f"{name} is not in the network" for name in self.unknown),
            *(
                f"{name} has shape {list(found)} in the checkpoint and {list(wanted)} "
                f"in the network"
                for name, (found, wanted) in self.reshaped.items()
            ),
        ]

    @property
    def classes(self) -> int | None:
        """Outputs of the checkpoint's head, if nothing but their number differs.

        None if tensors are missing or unknown, or differ in another way than in their
        first dimension, all by the same factor: that of the largest head may be a
        multiple of the smallest, as where boxes are predicted for every class.
        """
        if self.missing or self.unknown or not self.reshaped:
            return None
        shapes = list(self.reshaped.values())
        if any(
            not found or found[1:] != wanted[1:] or len(found) != len(wanted)
            for found, wanted in shapes
        ):
            return None
        (first, second), *_ = ((found[0], wanted[0]) for found, wanted in shapes)
        if any(found[0] * second != wanted[0] * first for found, wanted in shapes):
            return None
        return min(found[0] for found, _ in shapes)


def fit(network: nn.Module, checkpoint: Checkpoint) -> Fit:
    """Compare names and shapes of a checkpoint's tensors with those of a network.

    Names are compared as they are, without what DataParallel (``module.``) and
    torch.compile (``_orig_mod.``) put into them, and without first components that all
    of them have in common; of these readings the one by which most names are the same
    counts. For tensors that the network ties, one of their names suffices. Tensors that
    the network does not save, such as positions, do not count.
    """
    wanted, tied = _wanted(network)
    shapes = {tensor.name: tensor.shape for tensor in checkpoint.tensors}
    fits = [_compared(names, wanted, tied) for names in _renamed(shapes)]
    best = min(fits, key=lambda one: len(one.missing) + len(one.unknown))
    ignored = _not_saved(network)
    return Fit(
        best.missing,
        tuple(name for name in best.unknown if not ignored(name)),
        best.reshaped,
    )


def check_fits(network: nn.Module, checkpoint: Checkpoint, architecture: str) -> None:
    """Check that a checkpoint's tensors are those of a network, by :func:`fit`.

    Raises
    ------
    InputError
        Naming the first few that differ.
    """
    differences = fit(network, checkpoint).differences
    if differences:
        more = len(differences) - SHOWN_DIFFERENCES
        raise InputError(
            checkpoint.name,
            "does not fit ",
            Parameter("factory", architecture),
            ": "
            + "; ".join(differences[:SHOWN_DIFFERENCES])
            + (f"; and {more} more" if more > 0 else ""),
        )


def _wanted(network: nn.Module) -> tuple[dict[str, Shape], list[list[str]]]:
    """Return the shapes of a network's tensors, and names of the same tensor."""
    wanted: dict[str, Shape] = {}
    names_of: dict[tuple[object, ...], list[str]] = {}
    for name, value in network.state_dict().items():
        if isinstance(value, torch.Tensor) and value.numel():
            wanted[name] = tuple(value.shape)
            identity = (value.data_ptr(), value.shape, value.stride(), value.dtype)
            names_of.setdefault(identity, []).append(name)
    return wanted, list(names_of.values())


def _compared(
    found: Mapping[str, Shape],
    wanted: Mapping[str, Shape],
    tied: Iterable[list[str]],
) -> Fit:
    present = {
        name for names in tied if not found.keys().isdisjoint(names) for name in names
    }
    return Fit(
        missing=tuple(name for name in wanted if name not in present),
        unknown=tuple(name for name in found if name not in wanted),
        reshaped={
            name: (shape, wanted[name])
            for name, shape in found.items()
            if wanted.get(name, shape) != shape
        },
    )


def _renamed(shapes: Mapping[str, Shape]) -> list[Mapping[str, Shape]]:
    """List the readings of a checkpoint's names, as they are first.

    A reading by which two names become one is none.
    """
    readings = []
    for rename in (str, _unwrapped):
        names = {name: rename(name) for name in shapes}
        for _ in range(_MOST_PREFIXES + 1):
            readings.append(names)
            firsts = {name.partition(".")[0] for name in names.values()}
            if len(firsts) > 1 or not all("." in name for name in names.values()):
                break
            names = {old: new.partition(".")[2] for old, new in names.items()}
    return [
        {new: shapes[old] for old, new in names.items()}
        for names in readings
        if len(set(names.values())) == len(shapes)
    ]


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _not_saved(network: nn.Module) -> Callable[[str], bool]:
    """Tell names of tensors that a network has, or its library knows, but never saves.

    Files of older versions hold them.
    """
    saved = network.state_dict().keys()
    buffers = {name for name, _ in network.named_buffers()} - saved
    patterns = getattr(network, "_keys_to_ignore_on_load_unexpected", None) or ()
    compiled = [re.compile(pattern) for pattern in patterns]
    return lambda name: name in buffers or any(one.search(name) for one in compiled)
