"""What is kept under another name: what somebody changed, and what is half-done."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from edgesim.errors import KeptWarning
from edgesim.storage.files import permissions, resolved
from edgesim.text import plain


def free_name(place: Path, word: str) -> Path:
    """Find a name that is not taken: ``summary.json.kept``, then ``.kept-2``."""
    number, free = 1, place.with_name(f"{place.name}.{word}")
    while os.path.lexists(free):
        number += 1
        free = place.with_name(f"{place.name}.{word}-{number}")
    return free


def keep_partial(
    temporary: Path, path: Path, saved: Callable[[Path], str] | None
) -> None:
    """Give what is done a name of its own, if there is anything."""
    if saved is None:
        return
    try:
        left = saved(temporary)
        if not left:
            return
        place = free_name(resolved(path), "partial")
        temporary.chmod(0o777 & ~permissions())
        try:
            temporary.rename(place)
        except OSError:  # the folder is on a disk of its own
            place = free_name(temporary.parent / place.name, "partial")
            temporary.rename(place)
    except OSError as error:
        warn(f"what is done is not kept: {error.strerror or error}")
    else:
        warn(f"what is done is kept in {shown(place, path)}: {left}")


def warn_of_kept(folder: Path, kept: Sequence[tuple[str, str]]) -> None:
    """Say what was renamed in a folder, by its name before and after."""
    if not kept:
        return
    said = ", ".join(f"{name} is now {free}" for name, free in kept)
    warn(
        f"kept in {folder} what somebody changed there, or what was in the way: {said}"
    )


def shown(place: Path, path: Path) -> str:
    """Name a place beside a path as the path was given."""
    beside = path.parent / place.name
    return str(beside if resolved(beside) == place else place)


def warn(message: str) -> None:
    """Warn with a :class:`edgesim.errors.KeptWarning`."""
    warnings.warn(plain(message), KeptWarning, stacklevel=4)
