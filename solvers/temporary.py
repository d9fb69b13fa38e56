"""Temporary files and folders, which are removed even after a process was killed.

Each is locked by the process that made it for as long as that lives. What a killed
process left is not locked: whoever next makes one of that name in that place removes
it. A process that ends without unwinding, or whose unwinding missed one, removes what
it holds by :func:`remove_held`.
"""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows, where nothing is locked, nor removed later
    fcntl = None  # type: ignore[assignment]

MARK = ".edgesim-"
"""What the name of everything temporary begins with."""

_DRAWN_BYTES = 6
"""Random bytes at the end of a temporary name: no two are alike."""

_NAME_LENGTH = 50
"""How much of a name is told by a temporary one: file systems limit names."""

_HELD: dict[Path, int] = {}
"""All that is there now, with the process that made it: a fork inherits the list."""


@contextmanager
def temporary_folder(name: str, place: Path | None = None) -> Iterator[Path]:
    """Make a folder, and remove it with all it holds at the end.

    Parameters
    ----------
    name
        What it is for: the final name of what it becomes, or of who needs it.
    place
        The folder to make it in; by default the system's for temporary files.

    Yields
    ------
    Path
        The folder. It may be renamed; then nothing is removed.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    with _locked(name, place, _make_folder) as made:
        yield made


@contextmanager
def temporary_file(name: str, place: Path | None = None) -> Iterator[Path]:
    """Make an empty file, and remove it at the end, as :func:`temporary_folder`."""
    with _locked(name, place, _make_file) as made:
        yield made


def _make_folder(path: Path) -> None:
    path.mkdir(mode=0o700)


def _make_file(path: Path) -> None:
    path.touch(mode=0o600, exist_ok=False)


@contextmanager
def _locked(
    name: str, place: Path | None, make: Callable[[Path], None]
) -> Iterator[Path]:
    folder = Path(tempfile.gettempdir()) if place is None else place
    prefix = f"{MARK}{name[:_NAME_LENGTH]}."
    _remove_left(folder, prefix)
    lock = None
    while lock is None:
        # Named first: a signal may end this before it is known to be made.
        made = folder / f"{prefix}{secrets.token_hex(_DRAWN_BYTES)}"
        if os.path.lexists(made):
            continue
        held = made.absolute()
        try:
            _HELD[held] = os.getpid()
            make(made)
            # None if another process, which holds it for left, was faster.
            lock = _lock(made)
            if lock is not None:
                yield made
        finally:
            try:
                _remove(made)
            finally:  # a signal may have ended the first
                _remove(made)
                _HELD.pop(held, None)
                if lock is not None and lock >= 0:
                    os.close(lock)


@atexit.register
def remove_held() -> None:
    """Remove all that this process has made and not yet removed.

    Called when it ends. A signal may be handled just before a block is entered, and the
    block is never left then; code that no signal interrupts leaves none of its blocks.
    """
    for path, process in tuple(_HELD.items()):
        if process == os.getpid():
            _remove(path)


def _remove_left(folder: Path, prefix: str) -> None:
    """Remove what killed processes have left under names with this beginning."""
    drawn = re.compile(rf"{re.escape(prefix)}[0-9a-f]{{{2 * _DRAWN_BYTES}}}")
    names: list[str] = []
    with suppress(PermissionError):  # a folder to write to, not to look into
        names = os.listdir(folder)
    for name in names:
        if drawn.fullmatch(name) is None or (folder / name).is_symlink():
            continue
        lock = _lock(folder / name)
        if lock is not None and lock >= 0:
            _remove(folder / name)
            os.close(lock)


def is_temporary(path: Path) -> bool:
    """Whether a path is, or leads into, something temporary that was made here."""
    return any(part.startswith(MARK) for part in path.parts)


_UNLOCKABLE = -1
"""In place of a descriptor: the file system, or the system, knows no locks."""


def _lock(path: Path) -> int | None:
    """Lock a file or folder, until the descriptor is closed or the process ends.

    Returns
    -------
    int or None
        The descriptor; None if another process has locked it, or it is gone;
        ``_UNLOCKABLE``.
    """
    if fcntl is None:
        return _UNLOCKABLE
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError:
        return _UNLOCKABLE
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        return None if isinstance(error, BlockingIOError) else _UNLOCKABLE
    with suppress(OSError):
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            return descriptor
    os.close(descriptor)
    return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
