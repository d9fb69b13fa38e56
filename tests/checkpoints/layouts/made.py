"""A layout: files, the words of the command, and the outcome stated beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

State = dict[str, torch.Tensor]

SIDE = 64
WEIGHT = 4 * SIDE * SIDE
BIAS = 4 * SIDE
LAYER = WEIGHT + BIAS
"""Bytes of a float32 layer of :func:`net`."""

LAYERS = 4
NET = LAYERS * LAYER


@dataclass(frozen=True)
class Source:
    """Tensors of a file, as other code reads them.

    Parameters
    ----------
    path
        A file that torch or safetensors loads.
    key
        Keys that lead to the weights within it.
    prefix
        Only tensors whose names begin with this.
    """

    path: Path
    key: tuple[str, ...] = ()
    prefix: str = ""


@dataclass(frozen=True)
class Made:
    """What a builder made.

    Parameters
    ----------
    words
        Arguments of ``edgesim profile sharing``.
    sources
        Where the tensors of each model lie, for a count by other code.
    """

    words: Sequence[object]
    sources: Mapping[str, Sequence[Source]] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """A layout that is read.

    Parameters
    ----------
    models
        Bytes of each model, tied weights once.
    once
        Bytes of all models, each block kept once.
    says
        What the output must contain, beside the numbers.
    silent
        What it must not contain.
    laminar
        Whether sharing is laminar; None where there is none.
    """

    models: Mapping[str, int]
    once: int
    says: Sequence[str] = ()
    silent: Sequence[str] = ()
    laminar: bool | None = None

    def __str__(self) -> str:
        total = sum(self.models.values())
        many = f"{len(self.models)} models" if len(self.models) > 1 else "1 model"
        once = f", {self.once:,} once" if len(self.models) > 1 else ""
        return f"read: {many}, {total:,} bytes{once}{_said(self.says)}"


@dataclass(frozen=True)
class Refused:
    """A layout that is refused in one line, which says what to do.

    Parameters
    ----------
    says
        Words of that line.
    """

    says: Sequence[str]

    def __str__(self) -> str:
        return f"refused{_said(self.says)}"


def _said(words: Sequence[str]) -> str:
    quoted = ", ".join(f"`{word}`" for word in words)
    return f"; says {quoted}" if words else ""


@dataclass(frozen=True)
class Layout:
    """A kind of checkpoint, one of the table.

    Parameters
    ----------
    name
        Of its builder.
    what
        One line.
    build
        Makes its files in a folder.
    outcome
        What is right.
    kind
        The file of the table in which it stands.
    """

    name: str
    what: str
    build: Callable[[Path], Made]
    outcome: Read | Refused
    kind: str


LAYOUTS: dict[str, Layout] = {}


def layout(
    outcome: Read | Refused,
) -> Callable[[Callable[[Path], Made]], Callable[[Path], Made]]:
    """Add a builder to the table, with its outcome."""

    def add(build: Callable[[Path], Made]) -> Callable[[Path], Made]:
        assert build.__doc__ is not None
        assert build.__name__ not in LAYOUTS
        LAYOUTS[build.__name__] = Layout(
            name=build.__name__,
            what=build.__doc__.splitlines()[0].rstrip("."),
            build=build,
            outcome=outcome,
            kind=build.__module__.rpartition(".")[2],
        )
        return build

    return add


def net(seed: int, base: int = 0, frozen: int = 0, prefix: str = "layers") -> State:
    """Make a network of four layers, the first of which are those of a base.

    Parameters
    ----------
    seed
        Of the layers of its own.
    base
        Seed of the base.
    frozen
        Number of layers it has in common with the base.
    prefix
        Of the names.
    """
    state: State = {}
    for number in range(LAYERS):
        drawn = torch.Generator().manual_seed(
            1000 * (base if number < frozen else seed) + number
        )
        state[f"{prefix}.{number}.weight"] = torch.randn(SIDE, SIDE, generator=drawn)
        state[f"{prefix}.{number}.bias"] = torch.randn(SIDE, generator=drawn)
    return state


def numbers(seed: int, *shape: int) -> torch.Tensor:
    """Draw one float32 tensor."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7919 + seed))


def put(path: Path, state: Mapping[str, torch.Tensor]) -> Path:
    """Write a safetensors file, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path


def put_torch(path: Path, value: Any, **options: Any) -> Path:
    """Write a PyTorch file, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(value, path, **options)
    return path


def put_json(path: Path, value: Any) -> Path:
    """Write a JSON file, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def index(path: Path, shards: Mapping[Path, Mapping[str, torch.Tensor]]) -> Path:
    """Write shards and their index."""
    table = {}
    for shard, state in shards.items():
        if shard.suffix == ".safetensors":
            put(shard, state)
        else:
            put_torch(shard, dict(state))
        table |= dict.fromkeys(state, shard.name)
    return put_json(path, {"metadata": {}, "weight_map": table})


def halves(state: State) -> tuple[State, State]:
    """Split a network for two shards."""
    items = list(state.items())
    middle = len(items) // 2
    return dict(items[:middle]), dict(items[middle:])
