"""User code: names, consent, import, and errors reported in one line."""

from __future__ import annotations

import contextlib
import importlib
import os
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
"""Names accepted by :func:`split_name`, as a regular expression for JSON Schema."""

_OURS = tuple(Path(file).parent for file in (__file__, solvers.__file__))
_INSTALLED = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib"))


class Ending(SystemExit):
    """The process is to end, by a signal: no failure of the code that was running."""


FAILURES = BaseException
"""What user code may raise: a call of ``sys.exit`` must not end a run in silence.

Signals are among them, which :func:`pass_on_signal` raises again.
"""


def pass_on_signal(error: BaseException) -> None:
    """Raise an error again if it is no failure, but a signal that came meanwhile."""
    if isinstance(error, (KeyboardInterrupt, Ending)):
        raise error


class ConsentError(InputError):
    """A file names user code without consent to run it.

    The command line adds how to consent.
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
    """Whether a name is that of user code, with or without ``-noshare``.

    Nothing is imported.
    """
    return (
        isinstance(name, str) and split_name(name.removesuffix(NO_SHARING)) is not None
    )


def file_name(name: str) -> str:
    """Return a solver's or policy's name as part of a file name: ``mine-solve``."""
    return name.replace(":", "-")


@contextlib.contextmanager
def current_folder_importable() -> Iterator[None]:
    """Find modules in the current folder too, as ``python -m`` does."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the module may have removed it
            sys.path.remove("")


@contextlib.contextmanager
def keeping_folder() -> Iterator[None]:
    """Stay in the current folder, whatever user code does: paths are relative to it."""
    folder = os.getcwd()
    try:
        yield
    finally:
        os.chdir(folder)


def find_module(place: str) -> ModuleType | None:
    """Import a module by its dotted name; None if no module has that name.

    Raises
    ------
    Exception
        Any exception of the module on import, a missing dependency included.
    """
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if place == missing or place.startswith(f"{missing}."):
            return None
        raise


def import_own(name: str) -> tuple[ModuleType, Any]:
    """Import ``package.module:name`` from the current folder or installed packages.

    Parameters
    ----------
    name
        A name of that form.

    Returns
    -------
    module, found
        The module, and its attribute; None if it has no attribute of that name.

    Raises
    ------
    InputError
        If there is no such module, or it fails on import.
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
    with keeping_folder(), current_folder_importable():
        try:
            module = find_module(place)
        except FAILURES as error:
            pass_on_signal(error)
            # Any exception of the user's module on import.
            raise InputError(
                name, f"cannot be imported: {told_where(error)}"
            ) from error
    if module is None:
        raise InputError(
            name, f"there is no module {place!r} here or among the installed packages"
        )
    return module, getattr(module, attribute, None)


def told(error: BaseException) -> str:
    """Describe an error of foreign code by type and message, on one line."""
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except FAILURES as another:  # its __str__ is foreign code too
        pass_on_signal(another)
        return name
    return f"{name}: {short(text, 200)}" if text else f"{name}()"


def told_where(error: BaseException) -> str:
    """Tell an error as :func:`told` does, and where it was, if in the user's code."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        line: str | None = f"{Path(error.filename).name}:{error.lineno}"
        said = f"{type(error).__name__}: {error.msg}"
        return f"{said}, at {line}"
    line = own_line(error)
    return told(error) if line is None else f"{told(error)}, at {line}"


def own_line(error: BaseException) -> str | None:
    """Locate an error in the user's code: ``mine.py:12``.

    The file is the first in the traceback that is not edgesim's, preferring files that
    are not installed; the line is the last one in that file. None if the traceback has
    no such file.
    """
    frames = [
        frame
        # A generator's StopIteration is the cause of a RuntimeError without its line.
        for one in (error, error.__cause__)
        if one is not None
        for frame in traceback.extract_tb(one.__traceback__)
    ]
    foreign = [frame for frame in frames if not _lies_in(frame.filename, _OURS)]
    uninstalled = [
        frame for frame in foreign if not _lies_in(frame.filename, _INSTALLED)
    ]
    own = uninstalled or foreign
    lines = [frame.lineno for frame in own if frame.filename == own[0].filename]
    return f"{Path(own[0].filename).name}:{lines[-1]}" if own else None


def is_installed(file: str | Path) -> bool:
    """Whether a file is of edgesim, of Python or of an installed package."""
    return _lies_in(os.fspath(file), (*_OURS, *_INSTALLED))


def _lies_in(file: str, folders: Iterable[Path]) -> bool:
    """Whether a file is in one of some folders, or a frozen module of Python."""
    parents = Path(file).parents
    return file.startswith("<frozen ") or any(f in parents for f in folders)
