"""Code of the user's own: named, consented to, imported, its errors told in a line."""

from __future__ import annotations

import contextlib
import importlib
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import solvers
from edgesim.errors import InputError, short
from solvers.registry import NO_SHARING

_WORD = r"[^\W\d]\w*"
OWN_NAME = rf"{_WORD}(\.{_WORD})*:{_WORD}"
"""What :func:`split_name` takes, as a regular expression for JSON Schema."""

_OURS = tuple(Path(file).parent for file in (__file__, solvers.__file__))
_INSTALLED = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib"))


class ConsentError(InputError):
    """A file names code of the user's own, and nobody has said that it may run.

    The command line adds how to say so.
    """


def split_name(name: str) -> tuple[str, str] | None:
    """Split ``package.module:name``; None if it is not of that form."""
    place, colon, attribute = name.partition(":")
    if not colon or not attribute.isidentifier():
        return None
    if not all(part.isidentifier() for part in place.split(".")):
        return None
    return place, attribute


def is_own(name: object) -> bool:
    """Whether a name is that of own code, with or without ``-noshare``.

    Nothing is imported.
    """
    return (
        isinstance(name, str) and split_name(name.removesuffix(NO_SHARING)) is not None
    )


def file_name(name: str) -> str:
    """Return a solver's or policy's name as part of a file's: ``mine-solve``."""
    return name.replace(":", "-")


@contextlib.contextmanager
def current_folder_importable() -> Iterator[None]:
    """Find modules in the current folder too, as ``python -m`` does."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")


def find_module(place: str) -> ModuleType | None:
    """Import a module by its dotted name; None if there is none of that name.

    Raises
    ------
    Exception
        Whatever the module raises as it is read, a missing module of others included.
    """
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if place == missing or place.startswith(f"{missing}."):
            return None
        raise


def import_own(name: str) -> tuple[ModuleType, Any]:
    """Import ``package.module:name`` from here or the installed packages.

    Parameters
    ----------
    name
        Of that form.

    Returns
    -------
    module, found
        The module, and what it calls so; None if there is nothing of that name.

    Raises
    ------
    InputError
        When there is no such module, or it fails as it is read.
    """
    spec = split_name(name)
    assert spec is not None, name
    place, attribute = spec
    if place.partition(".")[0] in ("edgesim", "solvers"):
        raise InputError(
            name,
            f"must not be in {place!r}, which is a package of edgesim's: give your "
            f"module another name",
        )
    with current_folder_importable():
        try:
            module = find_module(place)
        except Exception as error:
            # Whatever a user's module raises as it is read.
            raise InputError(
                name, f"cannot be imported: {told_where(error)}"
            ) from error
    if module is None:
        raise InputError(
            name, f"there is no module {place!r} here or among the installed packages"
        )
    return module, getattr(module, attribute, None)


def told(error: Exception) -> str:
    """Tell an error of other people's code by type and message, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {short(text, 200)}" if text else repr(error)


def told_where(error: Exception) -> str:
    """Tell an error as :func:`told` does, and where it was, if in the user's code."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        line: str | None = f"{Path(error.filename).name}:{error.lineno}"
        said = f"{type(error).__name__}: {error.msg}"
        return f"{said}, at {line}"
    line = own_line(error)
    return told(error) if line is None else f"{told(error)}, at {line}"


def own_line(error: Exception) -> str | None:
    """Find where in the user's code an error was: ``mine.py:12``.

    The file is the first that the error went through and that is not edgesim's, nor
    installed if one is not; the line is the last one in it. None if it went through no
    such file.
    """
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not _lies_in(frame.filename, _OURS)]
    here = [frame for frame in theirs if not _lies_in(frame.filename, _INSTALLED)]
    own = here or theirs
    lines = [frame.lineno for frame in own if frame.filename == own[0].filename]
    return f"{Path(own[0].filename).name}:{lines[-1]}" if own else None


def _lies_in(file: str, folders: Iterable[Path]) -> bool:
    """Whether a file is in one of some folders, or is none but part of Python."""
    parents = Path(file).parents
    return file.startswith("<frozen ") or any(f in parents for f in folders)
