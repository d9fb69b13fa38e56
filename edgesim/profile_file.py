"""Profile files: find, read and write them.

``edgesim.profile/1``, the subset of version 2 without measured detail, is read as well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesim import files
from edgesim.errors import InputError, short
from edgesim.profile import SCHEMA, Profile

SCHEMA_1 = "edgesim.profile/1"

_LINE = 400  # holds one block with three tiers and a content

# What version 2 added to each kind of object; a file of version 1 holds none of it.
_NEW_IN_2 = {
    "profile": ("copies",),
    "provenance": ("machine",),
    "model": ("architecture", "input", "dtype", "by_block_load_s", "latency_from"),
    "block": ("content", "tensors"),
}


def shipped_profiles() -> tuple[str, ...]:
    """Names that :func:`read_profile` knows without a path, sorted."""
    readme = files.data_file("profiles", "README.md")
    if readme is None:
        return ()
    return tuple(sorted(path.stem for path in readme.parent.glob("*.json")))


def read_profile(path_or_name: str | Path) -> Profile:
    """Read a device profile.

    Parameters
    ----------
    path_or_name
        A path (anything with a folder or ending in ``.json``), or the bare name of a
        profile that edgesim ships, such as ``"clockwork-v100"``.

    Raises
    ------
    InputError
        When there is no such profile, naming those shipped; when the schema version
        is another one; when the file holds anything the format does not allow.
    """
    path = locate_profile(path_or_name)
    content = files.read_json(path)
    if isinstance(content, dict) and content.get("schema") == SCHEMA_1:
        _check_version_1(path, content)
        content = content | {"schema": SCHEMA}
    return files.check_file(path, content, Profile, SCHEMA)


def _check_version_1(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse in a file of version 1 what only version 2 gives a meaning."""

    def refuse(kind: str, value: Any, key: str) -> None:
        for name in _NEW_IN_2[kind]:
            if isinstance(value, Mapping) and name in value:
                raise InputError(
                    f"{path}: {key}{name}",
                    f"is not part of {SCHEMA_1!r}; a file that holds it must have the "
                    f"schema {SCHEMA!r}",
                )

    refuse("profile", content, "")
    refuse("provenance", content.get("provenance"), "provenance.")
    models = content.get("models")
    for name, model in models.items() if isinstance(models, Mapping) else ():
        key = f"models.{name}"
        refuse("model", model, f"{key}.")
        if not isinstance(model, Mapping):
            continue
        latency = model.get("latency_s")
        if not latency:
            raise InputError(f"{path}: {key}.latency_s", "must hold batch size 1")
        if isinstance(latency, Mapping):
            for batch, value in latency.items():
                if isinstance(value, Mapping):
                    raise InputError(
                        f"{path}: {key}.latency_s.{batch}",
                        f"must be a number in {SCHEMA_1!r}, found {short(value)}",
                    )
        blocks = model.get("blocks")
        for position, block in enumerate(blocks if isinstance(blocks, list) else ()):
            refuse("block", block, f"{key}.blocks[{position}].")


def locate_profile(path_or_name: str | Path) -> Path:
    """Find the file that :func:`read_profile` reads.

    Raises
    ------
    InputError
        When there is none, naming the shipped profiles.
    """
    text = os.fspath(path_or_name)
    path = Path(text)
    if isinstance(path_or_name, Path) or path.name != text or path.suffix == ".json":
        if path.is_file():
            return path
        what = "no such file"
    else:
        shipped = files.data_file("profiles", f"{text}.json")
        if shipped is not None:
            return shipped
        what = "no such profile"
    raise InputError(
        text,
        f"{what}; give the path of one, or the name of a shipped one: "
        f"{', '.join(shipped_profiles()) or 'none'}",
    )


def write_profile(path: Path, profile: Profile) -> None:
    """Write a profile file, whole or not at all, a line for each block."""
    with files.write_whole(path) as file:
        file.write(_laid_out(profile.document(), 0) + "\n")


def _laid_out(value: Any, depth: int) -> str:
    """Write JSON with objects and lists on one line where that line stays short."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, (dict, list)) or len(line) <= _LINE or not value:
        return line
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}: {_laid_out(item, depth + 1)}"
            for key, item in value.items()
        ]
    else:
        parts = [_laid_out(item, depth + 1) for item in value]
    inside, outside = "\n" + " " * (depth + 1), "\n" + " " * depth
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{opening}{inside}{f',{inside}'.join(parts)}{outside}{closing}"
