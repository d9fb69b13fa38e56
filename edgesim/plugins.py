"""Code of the user's own: found beside the packages, and its errors told in a line."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

from edgesim.errors import short


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


def told(error: Exception) -> str:
    """Tell an error of other people's code by type and message, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {short(text, 200)}" if text else repr(error)
