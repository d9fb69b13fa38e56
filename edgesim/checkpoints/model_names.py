"""Names of models: those of their files, and of folders where files have one name."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgesim.checkpoints.files import (
    SUFFIXES,
    CheckpointFiles,
    check_names,
    parse_checkpoint,
)

STANDARD_NAMES = ("adapter_model", "consolidated", "model", "pytorch_model")
"""File names that libraries give to every model, so that its folder names it."""

_HUB = re.compile(r"models--(.+)")


def parse_checkpoints(texts: Sequence[str]) -> list[CheckpointFiles]:
    """Parse ``[NAME=]PATH[+PATH…]`` of several models, and name them apart.

    A model is named after its file or folder. Those that would have the same name take
    the folder above it into their names, then the next one, until they differ:
    ``runA/checkpoint-500`` and ``runB/checkpoint-500``. The folder replaces a name of
    ``STANDARD_NAMES``. Snapshots in a cache of the Hugging Face hub have the name of
    the model on the hub. A NAME that is given is kept.

    Raises
    ------
    InputError
        If a name or a path is empty, or two models have the same name all the same:
        one is given twice, or two have the same NAME.
    """
    parsed = [parse_checkpoint(text) for text in texts]
    given = [
        text.startswith(f"{one.name}=") for text, one in zip(texts, parsed, strict=True)
    ]
    bare = Counter(_bare(path) for path in {p for one in parsed for p in one.paths})
    depths = [0] * len(parsed)
    names = [
        one.name if fixed else _name(one, 0, frozenset(), bare)
        for one, fixed in zip(parsed, given, strict=True)
    ]
    while True:
        alike: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            alike.setdefault(name, []).append(place)
        growing = [
            place
            for places in alike.values()
            for place in places
            if len(places) > 1
            and not given[place]
            and depths[place] < _most(parsed[place])
        ]
        if not growing:
            break
        before = list(names)
        for place in growing:
            depths[place] += 1
            twins = [parsed[other].paths for other in alike[before[place]]]
            common = frozenset(twins[0]).intersection(*twins[1:])
            names[place] = _name(parsed[place], depths[place], common, bare)
    found = [
        replace(one, name=_text(name)) for one, name in zip(parsed, names, strict=True)
    ]
    check_names(found)
    return found


def _text(name: str) -> str:
    """Write the bytes of a file's name that are no text as replacement characters."""
    return os.fsencode(name).decode(errors="replace")


def _name(
    files: CheckpointFiles,
    depth: int,
    common: frozenset[Path],
    bare: Counter[tuple[str, ...]],
) -> str:
    """Name a model by its files and folders above them, up to a number of them."""
    alone = all(bare[_bare(path)] == 1 and not _in_hub(path) for path in files.paths)
    if depth == 0 and alone:
        return files.name
    return "+".join(
        _label(path, 0 if path in common else depth, bare[_bare(path)] > 1)
        for path in files.paths
    )


def _label(path: Path, depth: int, with_suffix: bool) -> str:
    *folders, last = _bare(path)
    if last in STANDARD_NAMES and folders and (depth > 0 or _in_hub(path)):
        last = folders.pop()
        depth -= 0 if _in_hub(path) else 1
    elif with_suffix:
        last += path.suffix
    return "/".join([*folders[len(folders) - min(depth, len(folders)) :], last])


def _most(files: CheckpointFiles) -> int:
    return max(len(_bare(path)) for path in files.paths)


def _in_hub(path: Path) -> bool:
    return any(_HUB.fullmatch(part) for part in Path(os.path.abspath(path)).parts)


def _bare(path: Path) -> tuple[str, ...]:
    """Split a path into folders and a name, without a suffix; hub caches as models.

    Links are not followed: their own names are what people chose.
    """
    place = Path(os.path.abspath(path))
    if place.suffix.lower() in SUFFIXES:
        place = place.with_suffix("")
    parts = list(place.parts[1:]) or ["root"]
    for number, part in enumerate(parts):
        cached = _HUB.fullmatch(part)
        if cached:
            below = parts[number + 1 :]
            if below[:1] == ["snapshots"]:
                below = below[2:]
            return (*parts[:number], *cached[1].split("--"), *below)
    return tuple(parts)
