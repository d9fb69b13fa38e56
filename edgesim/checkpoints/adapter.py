"""PEFT adapters: the base that an adapter's config names, and where it lies."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesim.checkpoints.digest import RawTensor
from edgesim.checkpoints.folder import ADAPTER_CONFIG, adapter_file, read_index
from edgesim.errors import InputError, Parameter, short

_OF_ADAPTER = re.compile(
    r"\.lora_[AB]\b|\.lora_embedding_[AB]\b|\.lora_magnitude_vector|\.ia3_l|"
    r"\.(hada|lokr)_w|lora_(unet|te\d?)_|\.lora_(up|down)\.|prompt_embeddings|\.oft_"
)
_BEFORE_NAMES = ("base_model.model.", "base_model.")


@dataclass(frozen=True)
class Adapter:
    """An adapter and its base.

    Parameters
    ----------
    file
        Its weights.
    kind
        As its config calls it: ``LORA``.
    base
        The base's file or folder.
    """

    file: Path
    kind: str
    base: Path


def adapter_at(path: Path, base: Path | None) -> Adapter | None:
    """Return the adapter at a path and its base; None if there is no adapter.

    Parameters
    ----------
    path
        A folder with ``adapter_config.json``, or the file of weights in it.
    base
        The base if its user named it. Otherwise it is looked for where the config says,
        beside the adapter, in the adapter's own folder, and in the hub's cache.

    Raises
    ------
    InputError
        If the base is not found, or the config is broken.
    """
    folder = path if path.is_dir() else path.parent
    file = adapter_file(folder)
    if file is None or (path.is_file() and path.name != file.name):
        return None
    config = read_index(folder / ADAPTER_CONFIG)
    if not isinstance(config, Mapping):
        raise InputError(folder / ADAPTER_CONFIG, "must hold one object")
    found = base or _base(folder, config)
    if found is None:
        name = config.get("base_model_name_or_path")
        of = f"of {short(str(name))}" if name else "whose config names no base"
        raise InputError(
            path,
            f"is an adapter {of}, and that base was not found beside it; give it by ",
            Parameter("base"),
            " PATH, or as BASE+ADAPTER",
        )
    return Adapter(file, str(config.get("peft_type", "PEFT")), found)


def _base(folder: Path, config: Mapping[str, Any]) -> Path | None:
    name = config.get("base_model_name_or_path")
    if isinstance(name, str) and name and "\0" not in name:
        for place in _places(folder.absolute(), name):
            if place.exists() and place.resolve() != folder.resolve():
                return place
    own = ("model", "pytorch_model")
    for pattern in (f"{stem}*.{end}" for stem in own for end in ("safetensors", "bin")):
        beside = sorted(folder.glob(pattern))
        if beside:
            return beside[0] if len(beside) == 1 else None
    return None


def _places(folder: Path, name: str) -> Iterator[Path]:
    """List where a base of a name could lie, the surest first."""
    yield folder / name
    yield folder.parent / name
    yield Path(name)
    cached = "--".join(["models", *name.strip("/").split("/")])
    last = Path(name).name
    for above in [folder, *folder.parents][:5]:
        yield above / cached
    yield folder.parent / last
    caches = [os.environ.get("HF_HUB_CACHE"), os.environ.get("HUGGINGFACE_HUB_CACHE")]
    home = os.environ.get("HF_HOME")
    caches.append(f"{home}/hub" if home else "~/.cache/huggingface/hub")
    for cache in filter(None, caches):
        yield Path(cache).expanduser() / cached


def is_adapter(tensors: Sequence[RawTensor]) -> bool:
    """Whether most of a file's tensors are of an adapter, by their names."""
    found = sum(_OF_ADAPTER.search(tensor.name) is not None for tensor in tensors)
    return 2 * found > len(tensors)


def without_base(path: Path) -> InputError:
    """Say that an adapter, which would be counted as a model, needs its base."""
    return InputError(
        path,
        "is an adapter without its base; give it by ",
        Parameter("base"),
        " PATH, or as BASE+ADAPTER",
    )


@dataclass(frozen=True)
class Carried:
    """Tensors of an adapter that stand in for tensors of its base.

    Parameters
    ----------
    copies, copied_bytes
        Those of the base's content.
    other, other_bytes
        Those of another content.
    """

    copies: int
    copied_bytes: int
    other: int
    other_bytes: int


def carried(
    adapter: Iterable[tuple[str, str, int]], base: Iterable[tuple[str, str, int]]
) -> Carried:
    """Count an adapter's copies of its base's tensors.

    Parameters
    ----------
    adapter, base
        Name, digest and bytes of each tensor.
    """
    by_name = {name: digest for name, digest, _ in base}
    held = set(by_name.values())
    copies: list[int] = []
    other: list[int] = []
    for name, digest, size in adapter:
        if digest in held:
            copies.append(size)
        elif any(
            name.removeprefix(before) in by_name for before in (*_BEFORE_NAMES, "")
        ):
            other.append(size)
    return Carried(len(copies), sum(copies), len(other), sum(other))
