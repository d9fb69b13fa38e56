"""Locate, read and write profile files.

Earlier versions of the format can be read as well, each a subset of the next: version 1
has no measured detail; version 2 has no merged runs and nothing on empty rounds, chains
of copies, blocks of several copies, CUDA graphs or overlap.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgesim import shipped
from edgesim.errors import InputError, short
from edgesim.profile.values import SCHEMA, Profile
from edgesim.storage import files
from edgesim.storage.file_kinds import PROFILE

_LINE = 400  # holds one block with three tiers and a content

_EARLIER = {version: f"edgesim.profile/{version}" for version in (1, 2)}

# Keys that a version added to each kind of object, invalid in files of earlier ones.
_NEW_IN: Mapping[int, Mapping[str, tuple[str, ...]]] = {
    2: {
        "profile": ("copies",),
        "provenance": ("machine",),
        "model": ("architecture", "input", "dtype", "by_block_load_s", "latency_from"),
        "block": ("content", "tensors"),
    },
    3: {
        "profile": ("round_s",),
        "copy": ("chained_s",),
        "model": ("latency_mode", "eager_latency_s", "overlap"),
        "block": ("copies",),
        "lora": ("copies", "adapter_load_s"),
        "timing": ("runs_s",),
    },
}
_LOADS = ("whole_load_s", "by_block_load_s", "by_tensor_load_s")


def shipped_profiles() -> tuple[str, ...]:
    """Names that :func:`read_profile` accepts without a path, sorted."""
    return shipped.shipped_names("profile")


def read_profile(path_or_name: str | Path) -> Profile:
    """Read a device profile.

    Parameters
    ----------
    path_or_name
        A path, or the name of a profile that edgesim ships, such as
        ``"clockwork-v100"``.

    Raises
    ------
    InputError
        If there is no such profile; if the schema version is
        unknown; if the file contains anything that the format does not allow.
    """
    path = locate_profile(path_or_name)
    content = files.read_json(path)
    for version, schema in _EARLIER.items():
        if isinstance(content, dict) and content.get("schema") == schema:
            _check_version(path, content, version)
            content = content | {"schema": SCHEMA}
    return files.check_file(path, content, Profile, SCHEMA)


def _check_version(path: Path, content: Mapping[str, Any], version: int) -> None:
    """Reject keys in a file of an earlier version that only later ones define."""
    for kind, key, value in _objects(content):
        for later, added in _NEW_IN.items():
            for name in added.get(kind, ()) if later > version else ():
                if name in value:
                    raise InputError(
                        f"{path}: {key}{name}",
                        f"is not part of {_EARLIER[version]!r}; a file that holds it "
                        f"must have the schema {_EARLIER.get(later, SCHEMA)!r}",
                    )
        if version == 1 and kind == "model":
            _check_latency_1(f"{path}: {key}latency_s", value.get("latency_s"))


def _check_latency_1(where: str, latency: Any) -> None:
    """Reject latencies that version 1 cannot express."""
    if not latency:
        raise InputError(where, "must hold batch size 1")
    for batch, value in latency.items() if isinstance(latency, Mapping) else ():
        if isinstance(value, Mapping):
            raise InputError(
                f"{where}.{batch}",
                f"must be a number in {_EARLIER[1]!r}, found {short(value)}",
            )


def _objects(
    content: Mapping[str, Any],
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """List the objects of a profile file: kind, key path up to a dot, and the object.

    Values of the wrong type are skipped; validation rejects them.
    """
    yield "profile", "", content
    if isinstance(content.get("provenance"), Mapping):
        yield "provenance", "provenance.", content["provenance"]
    for key, copy in _items(content, "copies"):
        yield "copy", f"{key}.", copy
        yield from _timings(copy, f"{key}.", "load_s")
    for key, model in _items(content, "models"):
        yield "model", f"{key}.", model
        yield from _timings(model, f"{key}.", "latency_s", *_LOADS)
        if isinstance(model.get("lora"), Mapping):
            yield "lora", f"{key}.lora.", model["lora"]
        for inner, block in _items(model, "blocks", f"{key}."):
            yield "block", f"{inner}.", block
            yield from _timings(block, f"{inner}.", "load_s")


def _timings(
    parent: Mapping[str, Any], before: str, *names: str
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for name in names:
        for key, timing in _items(parent, name, before):
            yield "timing", f"{key}.", timing


def _items(
    parent: Mapping[str, Any], name: str, before: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """List the objects in a list or object under a key, each with its key path."""
    value = parent.get(name)
    found: Iterable[tuple[str, Any]] = ()
    if isinstance(value, Mapping):
        found = ((f".{inner}", item) for inner, item in value.items())
    elif isinstance(value, list):
        found = ((f"[{place}]", item) for place, item in enumerate(value))
    for place, item in found:
        if isinstance(item, Mapping):
            yield f"{before}{name}{place}", item


def locate_profile(path_or_name: str | Path) -> Path:
    """Find the file that :func:`read_profile` reads.

    Raises
    ------
    InputError
        If there is none.
    """
    return shipped.locate("profile", path_or_name)


def write_profile(path: Path, profile: Profile) -> None:
    """Write a profile file atomically, with one line per block."""
    with files.write_whole(path, replaces=PROFILE) as file:
        file.write(_formatted(profile.document(), 0) + "\n")


def _formatted(value: Any, depth: int) -> str:
    """Format JSON with objects and lists on one line where that line stays short."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, (dict, list)) or len(line) <= _LINE or not value:
        return line
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}: {_formatted(item, depth + 1)}"
            for key, item in value.items()
        ]
    else:
        parts = [_formatted(item, depth + 1) for item in value]
    inside, outside = "\n" + " " * (depth + 1), "\n" + " " * depth
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{opening}{inside}{f',{inside}'.join(parts)}{outside}{closing}"
