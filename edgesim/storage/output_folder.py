"""Output folders: what in them is edgesim's, and how a new result takes their place.

A folder is edgesim's by its manifest, :data:`MANIFEST`, which names every file that was
written and its SHA-256. A new result replaces these files and no others. What somebody
changed, or put where a file must go, is renamed, and a
:class:`edgesim.errors.KeptWarning` says so.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edgesim.errors import InputError, KeptWarning, short
from edgesim.storage.files import (
    WriteError,
    check_file,
    dump_json,
    permissions,
    read_json,
    resolved,
    sha256,
    write_out,
    write_whole,
    writing,
)
from edgesim.storage.rescue import rescued
from edgesim.text import plain
from solvers.temporary import temporary_file, temporary_folder

MANIFEST = ".edgesim.json"
MANIFEST_SCHEMA = "edgesim.manifest/1"
SEALED = "sealed"
"""Stands for the hash of a file that holds its own, as :func:`write_sealed` writes."""

_SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n\}\n\Z')
_WRITERS = 8
"""How many files are written to the disk at a time."""

_SEAL_BYTES = 100
"""No fewer than the bytes of a hash at the end of a file."""

Earlier = Callable[[Path], Iterable[str]]
"""Finds the names of a result's files in a folder without a manifest."""


def _name_inside(name: str) -> str:
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"must be names of files in this folder, found {name!r}")
    return name


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


class _Manifest(BaseModel):
    """Content of a manifest: the hash of each file, by its name in the folder."""

    model_config = ConfigDict(strict=True, extra="forbid")

    command: str
    files: dict[
        Annotated[str, AfterValidator(_name_inside)],
        Annotated[str, Field(pattern=rf"^([0-9a-f]{{64}}|{SEALED})$")],
    ]


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
    if first is not None and not _known_files(path, kind):
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
        _known_files(path, kind)


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
            _recover(temporary, path)
            try:
                with rescued(lambda: _keep_partial(temporary, path, saved)):
                    yield temporary
                _write_manifest(temporary, kind, _hashes(temporary))
                _write_out_all(temporary)
                kept = _appear(temporary, final, kind)
            except BaseException as error:
                if not _is_of_input(error):
                    _keep_partial(temporary, path, saved)
                if isinstance(error, WriteError):  # the temporary name tells nothing
                    where = error.where.replace(str(temporary), str(path), 1)
                    raise WriteError(where, *error.args[1:]) from error
                raise
    _warn_of_kept(path, kept)


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
    known = _known_files(folder, kind)
    place = folder / name
    with writing(place), temporary_file(name, folder) as written:
        with write_whole(written) as file:
            yield file
        write_out(written)
        kept = []
        if os.path.lexists(place) and not _is_unchanged(place, known.get(name, "")):
            kept = [(name, place.rename(_free_name(place, "kept")).name)]
        listed = {
            other: _digest(folder / other) if digest is None else digest
            for other, digest in known.items()
            if _is_plain(folder, other)
        }
        listed[name] = _digest(written)
        written.replace(place)
        _write_manifest(folder, kind, listed)
    _warn_of_kept(folder, kept)


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


def _digest(file: Path) -> str:
    """Hash a file as manifests do."""
    if file.suffix == ".json" and _is_sealed(file):
        return SEALED
    return sha256(file)


def _is_unchanged(file: Path, digest: str | None) -> bool:
    """Whether a file is one with this hash; of an earlier version, no hash is known."""
    if file.is_symlink() or not file.is_file():
        return False
    return digest is None or _digest(file) == digest


def _hashes(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): _digest(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def _write_manifest(folder: Path, kind: Kind, files: Mapping[str, str]) -> None:
    content = {
        "schema": MANIFEST_SCHEMA,
        "command": kind.command,
        "files": dict(sorted(files.items())),
    }
    with write_whole(folder / MANIFEST) as file:
        dump_json(content, file)


def _known_files(folder: Path, kind: Kind) -> dict[str, str | None]:
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


def _appear(temporary: Path, final: Path, kind: Kind) -> Sequence[tuple[str, str]]:
    """Move a finished folder to its final name, or its files into the folder there."""
    temporary.chmod(0o777 & ~permissions())
    if not final.exists():
        # Somebody may make it at this moment: then its files are moved.
        with contextlib.suppress(OSError):
            temporary.rename(final)
            return ()
    try:
        known = _known_files(final, kind)
    except InputError:  # damaged since the work began: nothing is known to be ours
        known = {}
    new = {n: digest for n, digest in _hashes(temporary).items() if n != MANIFEST}
    if not kind.replaces:
        stays = {n: d for n, d in known.items() if n not in new and d is not None}
        _write_manifest(temporary, kind, {**stays, **new})
        known = {name: d for name, d in known.items() if name in new}
    replaced = temporary.with_name(f"{temporary.name}{_REPLACED}")
    moves = _Moves()
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


_REPLACED = ".old"
"""Added to the name of a temporary folder: where an earlier result waits."""


def _recover(temporary: Path, path: Path) -> None:
    """Give back what waits since a process was killed while it replaced a result.

    Somebody may have changed it: it is renamed, not removed.
    """
    ours = temporary.name.rpartition(".")[0]
    for left in sorted(temporary.parent.glob(f"{glob.escape(ours)}.*{_REPLACED}")):
        if os.path.lexists(left.with_suffix("")):
            continue  # of a process that is at it now
        place = _free_name(resolved(path), "recovered")
        left.rename(place)
        _warn(
            f"a run was killed while it replaced {path}: files of the earlier result "
            f"are in {_shown(place, path)}"
        )


def _write_out_all(folder: Path) -> None:
    """Have the system write a folder to the disk, before it replaces another."""
    with ThreadPoolExecutor(_WRITERS) as pool:  # the system writes many in one go
        for _ in pool.map(write_out, [*folder.rglob("*"), folder]):
            pass


class _Moves:
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
    moves: _Moves, final: Path, replaced: Path, known: Mapping[str, str | None]
) -> list[tuple[str, str]]:
    """Move the files of an earlier result away; rename those that somebody changed."""
    kept = []
    for name, digest in known.items():
        if name == MANIFEST or not _is_plain(final, name):
            continue
        place, away = final / name, replaced / name
        moves.move(place, away)
        # Only now, when no one can write to it by its name any more.
        if not _is_unchanged(away, digest):
            free = _free_name(place, "kept")
            moves.move(away, free)
            kept.append((name, free.name))
    return kept


def _make_way(moves: _Moves, final: Path, name: str) -> list[tuple[str, str]]:
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
    free = _free_name(place, "kept")
    moves.move(place, free)
    return [(place.relative_to(final).as_posix(), free.name)]


def _is_plain(folder: Path, name: str) -> bool:
    """Whether there is a file of this name, and no link on the way to it."""
    place = folder
    for part in PurePosixPath(name).parts:
        place /= part
        if place.is_symlink():
            return False
    return place.is_file()


def _remove_emptied(final: Path, names: Iterable[str]) -> None:
    """Remove the folders of an earlier result that hold nothing any more."""
    folders = {parent for name in names for parent in PurePosixPath(name).parents}
    deepest = sorted(folders - {PurePosixPath()}, key=lambda one: -len(one.parts))
    for folder in deepest:
        if not (final / folder).is_symlink():
            with contextlib.suppress(OSError):  # it holds something, or is gone
                (final / folder).rmdir()


def _free_name(place: Path, word: str) -> Path:
    """Find a name that is not taken: ``summary.json.kept``, then ``.kept-2``."""
    number, free = 1, place.with_name(f"{place.name}.{word}")
    while os.path.lexists(free):
        number += 1
        free = place.with_name(f"{place.name}.{word}-{number}")
    return free


def _warn_of_kept(folder: Path, kept: Sequence[tuple[str, str]]) -> None:
    if not kept:
        return
    said = ", ".join(f"{name} is now {free}" for name, free in kept)
    _warn(
        f"kept in {folder} what somebody changed there, or what was in the way: {said}"
    )


def _keep_partial(
    temporary: Path, path: Path, saved: Callable[[Path], str] | None
) -> None:
    """Give what is done a name of its own, if there is anything."""
    if saved is None:
        return
    try:
        left = saved(temporary)
        if not left:
            return
        place = _free_name(resolved(path), "partial")
        temporary.chmod(0o777 & ~permissions())
        try:
            temporary.rename(place)
        except OSError:  # the folder is on a disk of its own
            place = _free_name(temporary.parent / place.name, "partial")
            temporary.rename(place)
    except OSError as error:
        _warn(f"what is done is not kept: {error.strerror or error}")
    else:
        _warn(f"what is done is kept in {_shown(place, path)}: {left}")


def _shown(place: Path, path: Path) -> str:
    """Name a place beside a path as the path was given."""
    beside = path.parent / place.name
    return str(beside if resolved(beside) == place else place)


def _warn(message: str) -> None:
    warnings.warn(plain(message), KeptWarning, stacklevel=4)


def json_schema_name(file: Path) -> str:
    """Return the schema that a JSON file names; empty if it names none."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    schema = content.get("schema") if isinstance(content, dict) else None
    return schema if isinstance(schema, str) else ""
