"""Manifests: which files in an output folder are edgesim's.

A manifest, :data:`MANIFEST`, names every file that was written and its SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edgesim.errors import InputError, short
from edgesim.storage.files import (
    check_file,
    dump_json,
    read_json,
    sha256,
    write_whole,
)

MANIFEST = ".edgesim.json"

MANIFEST_SCHEMA = "edgesim.manifest/1"

SEALED = "sealed"
"""Stands for the hash of a file that holds its own, as :func:`write_sealed` writes."""

_SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n\}\n\Z')

_SEAL_BYTES = 100
"""No fewer than the bytes of a hash at the end of a file."""

Earlier = Callable[[Path], Iterable[str]]
"""Finds the names of a result's files in a folder without a manifest."""


def no_earlier(folder: Path) -> Iterable[str]:
    """Find nothing: without a manifest, every file in a folder is somebody's."""
    del folder
    return ()


@dataclass(frozen=True)
class Kind:
    """A kind of output folder; one kind does not replace another.

    Parameters
    ----------
    command
        The command that writes it: ``"profile variants"``.
    earlier
        Finds the files of a result that was written before there were manifests.
    replaces
        Whether files of an earlier result go that the new one does not have.
    """

    command: str
    earlier: Earlier = no_earlier
    replaces: bool = True


def _name_inside(name: str) -> str:
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"must be names of files in this folder, found {name!r}")
    return name


class _Manifest(BaseModel):
    """Content of a manifest: the hash of each file, by its name in the folder."""

    model_config = ConfigDict(strict=True, extra="forbid")

    command: str
    files: dict[
        Annotated[str, AfterValidator(_name_inside)],
        Annotated[str, Field(pattern=rf"^([0-9a-f]{{64}}|{SEALED})$")],
    ]


def known_files(folder: Path, kind: Kind) -> dict[str, str | None]:
    """List a result's files in a folder with their hashes, None where none is known.

    Raises
    ------
    InputError
        If the manifest is damaged, or that of another kind.
    """
    manifest = folder / MANIFEST
    if not os.path.lexists(manifest):
        return dict.fromkeys(kind.earlier(folder))
    found = check_file(manifest, read_json(manifest), _Manifest, MANIFEST_SCHEMA)
    if found.command != kind.command:
        raise InputError(
            folder,
            f"holds what edgesim {short(found.command)[1:-1]} wrote; choose another "
            f"folder",
        )
    return dict(found.files)


def write_manifest(folder: Path, kind: Kind, files: Mapping[str, str]) -> None:
    """Write the manifest of files with these hashes into a folder."""
    content = {
        "schema": MANIFEST_SCHEMA,
        "command": kind.command,
        "files": dict(sorted(files.items())),
    }
    with write_whole(folder / MANIFEST) as file:
        dump_json(content, file)


def hashes(folder: Path) -> dict[str, str]:
    """Hash every file in a folder, by its name there."""
    return {
        file.relative_to(folder).as_posix(): digest_of(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def digest_of(file: Path) -> str:
    """Hash a file as manifests do."""
    if file.suffix == ".json" and _is_sealed(file):
        return SEALED
    return sha256(file)


def is_unchanged(file: Path, digest: str | None) -> bool:
    """Whether a file is one with this hash; of an earlier version, no hash is known."""
    if file.is_symlink() or not file.is_file():
        return False
    return digest is None or digest_of(file) == digest


def is_plain(folder: Path, name: str) -> bool:
    """Whether there is a file of this name, and no link on the way to it."""
    place = folder
    for part in PurePosixPath(name).parts:
        place /= part
        if place.is_symlink():
            return False
    return place.is_file()


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object that ends with its own SHA-256, as key ``sha256``.

    For a file that is another one each time, so that a manifest can be the same: the
    hash is that of all bytes before the comma that precedes the key.
    """
    buffer = io.StringIO()
    dump_json(value, buffer)
    text = buffer.getvalue().removesuffix("\n}\n")
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    with write_whole(path) as file:
        file.write(f'{text},\n "sha256": "{digest}"\n}}\n')


def _is_sealed(file: Path) -> bool:
    """Whether a file fits the hash at its end, if there is one."""
    with file.open("rb") as content:
        content.seek(max(0, file.stat().st_size - _SEAL_BYTES))
        if _SEAL.search(content.read()) is None:
            return False
    whole = file.read_bytes()
    found = _SEAL.search(whole)
    if found is None:
        return False
    return hashlib.sha256(whole[: found.start()]).hexdigest() == found[1].decode()


def json_schema_name(file: Path) -> str:
    """Return the schema that a JSON file names; empty if it names none."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    schema = content.get("schema") if isinstance(content, dict) else None
    return schema if isinstance(schema, str) else ""
