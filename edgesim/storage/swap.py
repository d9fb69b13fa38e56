"""How the files of a new result take the place of an earlier one's, or none does."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from edgesim.errors import InputError
from edgesim.storage.files import permissions, resolved, write_out
from edgesim.storage.kept import free_name, shown, warn
from edgesim.storage.manifest import (
    MANIFEST,
    Kind,
    hashes,
    is_plain,
    is_unchanged,
    known_files,
    write_manifest,
)

REPLACED = ".old"
"""Added to the name of a temporary folder: where an earlier result waits."""


def appear(temporary: Path, final: Path, kind: Kind) -> Sequence[tuple[str, str]]:
    """Move a finished folder to its final name, or its files into the folder there."""
    temporary.chmod(0o777 & ~permissions())
    if not final.exists():
        # Somebody may make it at this moment: then its files are moved.
        with contextlib.suppress(OSError):
            temporary.rename(final)
            return ()
    try:
        known = known_files(final, kind)
    except InputError:  # damaged since the work began: nothing is known to be ours
        known = {}
    new = {n: digest for n, digest in hashes(temporary).items() if n != MANIFEST}
    if not kind.replaces:
        stays = {n: d for n, d in known.items() if n not in new and d is not None}
        write_manifest(temporary, kind, {**stays, **new})
        known = {name: d for name, d in known.items() if name in new}
    replaced = temporary.with_name(f"{temporary.name}{REPLACED}")
    moves = Moves()
    try:
        kept = _clear(moves, final, replaced, known)
        for name in new:
            kept += _make_way(moves, final, name)
            moves.move(temporary / name, final / name)
        # In one step: without a manifest the folder would be no result's.
        if os.path.lexists(final / MANIFEST):
            moves.copy(final / MANIFEST, replaced / MANIFEST)
        moves.move(temporary / MANIFEST, final / MANIFEST)
    except BaseException:
        moves.undo()
        raise
    write_out(final)
    write_out(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)
    _remove_emptied(final, known)
    return kept


def recover(temporary: Path, path: Path) -> None:
    """Give back what waits since a process was killed while it replaced a result.

    Somebody may have changed it: it is renamed, not removed.
    """
    ours = temporary.name.rpartition(".")[0]
    for left in sorted(temporary.parent.glob(f"{glob.escape(ours)}.*{REPLACED}")):
        if os.path.lexists(left.with_suffix("")):
            continue  # of a process that is at it now
        place = free_name(resolved(path), "recovered")
        left.rename(place)
        warn(
            f"a run was killed while it replaced {path}: files of the earlier result "
            f"are in {shown(place, path)}"
        )


class Moves:
    """Renamed files, so that all can be named as before."""

    def __init__(self) -> None:
        self._done: list[tuple[Path, Path]] = []
        self._copies: list[Path] = []
        self._made: list[Path] = []

    def move(self, source: Path, target: Path) -> None:
        """Rename a file, into folders that are made where they are missing."""
        self._make_parents(target)
        self._done.append((source, target))  # first: this may be interrupted in between
        source.replace(target)

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file that is about to be replaced."""
        self._make_parents(target)
        self._copies.append(target)
        self._done.append((source, target))
        shutil.copy2(source, target, follow_symlinks=False)

    def _make_parents(self, target: Path) -> None:
        parents = (target.parent, *target.parent.parents)
        missing = [folder for folder in parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir()
            self._made.append(folder)

    def undo(self) -> None:
        """Rename all back, the last one first."""
        for source, target in reversed(self._done):
            if os.path.lexists(target) and not os.path.lexists(source):
                source.parent.mkdir(parents=True, exist_ok=True)
                target.rename(source)
        for copy in self._copies:
            copy.unlink(missing_ok=True)
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):  # it holds something by now
                folder.rmdir()


def _clear(
    moves: Moves, final: Path, replaced: Path, known: Mapping[str, str | None]
) -> list[tuple[str, str]]:
    """Move the files of an earlier result away; rename those that somebody changed."""
    kept = []
    for name, digest in known.items():
        if name == MANIFEST or not is_plain(final, name):
            continue
        place, away = final / name, replaced / name
        moves.move(place, away)
        # Only now, when no one can write to it by its name any more.
        if not is_unchanged(away, digest):
            free = free_name(place, "kept")
            moves.move(away, free)
            kept.append((name, free.name))
    return kept


def _make_way(moves: Moves, final: Path, name: str) -> list[tuple[str, str]]:
    """Rename what is in the way of a file: it is not of the earlier result."""
    *folders, _ = PurePosixPath(name).parts
    place = final
    for part in folders:
        place /= part
        if os.path.lexists(place) and (place.is_symlink() or not place.is_dir()):
            break
    else:
        place = final / name
    if not os.path.lexists(place):
        return []
    free = free_name(place, "kept")
    moves.move(place, free)
    return [(place.relative_to(final).as_posix(), free.name)]


def _remove_emptied(final: Path, names: Iterable[str]) -> None:
    """Remove the folders of an earlier result that hold nothing any more."""
    folders = {parent for name in names for parent in PurePosixPath(name).parents}
    deepest = sorted(folders - {PurePosixPath()}, key=lambda one: -len(one.parts))
    for folder in deepest:
        if not (final / folder).is_symlink():
            with contextlib.suppress(OSError):  # it holds something, or is gone
                (final / folder).rmdir()
