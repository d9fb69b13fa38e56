"""Compile loops where numba is there; their results are the same without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., object])

try:
    from numba import njit
except ImportError:
    COMPILED = False
else:
    COMPILED = True


def compiled(function: Function) -> Function:
    """Compile a function if numba is there, and keep that if it can be kept.

    A division by 0 is infinite, as in numpy.
    """
    if not COMPILED:
        return function
    try:
        made = njit(cache=True, error_model="numpy")(function)
    except RuntimeError:
        # No folder of the package or of the user can be written to.
        made = njit(error_model="numpy")(function)
    return cast("Function", made)


def kept(function: Callable[..., object]) -> bool:
    """Whether a compiled function need not be compiled again, as far as can be told.

    numba keeps what it compiles beside the source or in a folder of the user.
    """
    python = getattr(function, "py_func", None)
    stats = getattr(function, "stats", None)
    folder = getattr(stats, "cache_path", None)
    if python is None or folder is None:
        return False
    name = f"{python.__module__.rpartition('.')[2]}.{python.__qualname__}"
    return any(Path(folder).glob(f"{name}-*.nbi"))
