"""The disk on which the tier ``disk`` is measured."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from edgesim.errors import InputError, Parameter
from edgesim.profiling.copies import can_be_cold

IN_MEMORY = ("tmpfs", "ramfs")
SPARE_BYTES = 64 * 2**20
"""Bytes that must remain free besides the files."""


def check_disk(folder: Path, needed_bytes: int) -> None:
    """Reject a folder that cannot be written to or has too little space for the files.

    Raises
    ------
    InputError
        Naming the folder.
    """
    check_folder(folder)
    free = shutil.disk_usage(folder).free
    if needed_bytes + SPARE_BYTES > free:
        raise InputError(
            folder,
            f"measuring loads from disk needs {needed_bytes + SPARE_BYTES:,} bytes "
            f"there, found {free:,} free; give ",
            Parameter("disk_folder"),
            ", or leave disk out of ",
            Parameter("tiers"),
        )


def check_folder(folder: Path) -> None:
    """Reject a folder that does not exist or cannot be written to; leaves no trace.

    Raises
    ------
    InputError
        Naming the folder.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or "cannot be used").lower()
        raise InputError(folder, f"cannot be written to: {reason}") from None


def file_system(folder: Path) -> str | None:
    """Return the type of a folder's file system, if Linux reports it."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    place = folder.resolve()
    best: tuple[int, str] | None = None
    for line in mounts:
        _, mount, kind, *_ = line.split()
        root = Path(mount.encode().decode("unicode_escape"))
        if place.is_relative_to(root):
            best = max(best or (0, ""), (len(root.parts), kind), key=lambda x: x[0])
    return None if best is None else best[1]


def disk_notes(folder: Path) -> list[str]:
    """List reasons why loads from this disk differ from those from a cold disk."""
    notes = []
    kind = file_system(folder)
    if kind in IN_MEMORY:
        notes.append(
            f"disk: the file system is {kind}, which is memory, so no disk was measured"
        )
    if not can_be_cold():
        notes.append(
            "disk: this system cannot be asked to forget files, so they were read from "
            "its cache"
        )
    return notes
