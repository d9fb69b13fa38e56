"""Output folders: what in them is edgesim's, and how a new result takes their place.

A folder is edgesim's by its manifest (:mod:`edgesim.storage.manifest`). A new result
replaces the files that it names and no others. What somebody changed, or put where a
file must go, is renamed, and a :class:`edgesim.errors.KeptWarning` says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from edgesim.errors import InputError
from edgesim.storage.files import (
    WriteError,
    resolved,
    write_out,
    write_whole,
    writing,
)
from edgesim.storage.kept import free_name, keep_partial, warn_of_kept
from edgesim.storage.manifest import (
    Kind,
    digest_of,
    hashes,
    is_plain,
    is_unchanged,
    known_files,
    write_manifest,
)
from edgesim.storage.rescue import rescued
from edgesim.storage.swap import appear, recover
from solvers.temporary import temporary_file, temporary_folder

_WRITERS = 8
"""How many files are written to the disk at a time."""


def check_output_folder(path: Path, kind: Kind) -> None:
    """Check that a folder is absent, empty, or holds an earlier result.

    Parameters
    ----------
    path
        The folder.
    kind
        What is to be written.

    Raises
    ------
    InputError
        If the name is taken by a file, by a folder that holds no earlier result of this
        kind, or by one whose manifest is damaged.
    WriteError
        If nothing can be written there.
    """
    with writing(path):
        _check_no_file(path)
        if resolved(path) in (Path.cwd(), *Path.cwd().parents):
            raise InputError(path, "is the folder you are in, or above it")
        first = min(path.iterdir(), default=None) if path.exists() else None
        _try_to_write(path)
    if first is not None and not known_files(path, kind):
        raise InputError(
            path,
            f"holds {first.name!r}, but no earlier result; choose another folder",
        )


def check_addable(path: Path, kind: Kind) -> None:
    """Check that files can be added to a folder, or that it can be made.

    Raises
    ------
    InputError
        If the name is a file's, or the folder's manifest is damaged or that of another
        kind of result.
    WriteError
        If it cannot be written to, or made.
    """
    with writing(path):
        _check_no_file(path)
        _try_to_write(path)
        known_files(path, kind)


@contextlib.contextmanager
def write_output_folder(
    path: Path,
    kind: Kind,
    saved: Callable[[Path], str] | None = None,
) -> Iterator[Path]:
    """Fill a folder whose files appear under their names only when all are complete.

    The folder gets a manifest. Files of an earlier result there are replaced, at the
    end; everything else stays.

    Parameters
    ----------
    path
        The final name.
    kind
        What is written.
    saved
        Called with the temporary folder when the work ends early for another reason
        than invalid input: it removes what is half-written, and returns what is left in
        words, none if nothing is. That is kept beside the final folder, as
        ``NAME.partial``.

    Yields
    ------
    Path
        A temporary folder.

    Raises
    ------
    InputError
        As :func:`check_output_folder` does.
    WriteError
        If it cannot be written.
    """
    check_output_folder(path, kind)
    with writing(path):
        final = resolved(path)
        final.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(final.name, _workplace(final)) as temporary:
            recover(temporary, path)
            try:
                with rescued(lambda: keep_partial(temporary, path, saved)):
                    yield temporary
                write_manifest(temporary, kind, hashes(temporary))
                _write_out_all(temporary)
                kept = appear(temporary, final, kind)
            except BaseException as error:
                if not _is_of_input(error):
                    keep_partial(temporary, path, saved)
                if isinstance(error, WriteError):  # the temporary name tells nothing
                    where = error.where.replace(str(temporary), str(path), 1)
                    raise WriteError(where, *error.args[1:]) from error
                raise
    warn_of_kept(path, kept)


@contextlib.contextmanager
def add_output(folder: Path, name: str, kind: Kind) -> Iterator[IO[str]]:
    """Write one more file of text into an output folder, and into its manifest.

    Parameters
    ----------
    folder
        The folder, which exists. What is in it stays.
    name
        The file. One of that name is replaced if edgesim wrote it, and renamed if not.
    kind
        What the folder holds.

    Raises
    ------
    InputError
        If the folder's manifest is damaged, or it holds another kind of result.
    WriteError
        If the file cannot be written.
    """
    known = known_files(folder, kind)
    place = folder / name
    with writing(place), temporary_file(name, folder) as written:
        with write_whole(written) as file:
            yield file
        write_out(written)
        kept = []
        if os.path.lexists(place) and not is_unchanged(place, known.get(name, "")):
            kept = [(name, place.rename(free_name(place, "kept")).name)]
        listed = {
            other: digest_of(folder / other) if digest is None else digest
            for other, digest in known.items()
            if is_plain(folder, other)
        }
        listed[name] = digest_of(written)
        written.replace(place)
        write_manifest(folder, kind, listed)
    warn_of_kept(folder, kept)


def _check_no_file(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise InputError(path, "is a file; the name of a folder is needed")


def _try_to_write(path: Path) -> None:
    """Make a folder and a file where those of a result would be made, and remove them.

    Raises
    ------
    OSError
        If that cannot be done.
    """
    place = _workplace(resolved(path))
    while not os.path.lexists(place):
        place = place.parent
    with temporary_folder(path.name, place) as folder:
        (folder / "file").write_bytes(b"1")


def _is_of_input(error: BaseException) -> bool:
    return isinstance(error, InputError) and not isinstance(error, WriteError)


def _workplace(final: Path) -> Path:
    """Choose where to make the temporary folder: beside, or inside a mounted one."""
    parent = final.parent
    if not final.is_dir():
        return parent
    beside = parent.stat().st_dev == final.stat().st_dev and os.access(parent, os.W_OK)
    return parent if beside else final


def _write_out_all(folder: Path) -> None:
    """Have the system write a folder to the disk, before it replaces another."""
    with ThreadPoolExecutor(_WRITERS) as pool:  # the system writes many in one go
        for _ in pool.map(write_out, [*folder.rglob("*"), folder]):
            pass
