"""Compile loops where numba is there; their results are the same without it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., object])

try:
    from numba import config, njit
except ImportError:
    COMPILED = False
else:
    COMPILED = not getattr(config, "DISABLE_JIT", False)

# What compiled functions are made of. numba looks only at the file of the function
# itself to tell whether what it kept is still good.
_PACKAGE = Path(__file__).parents[1]
_SOURCES = (
    *(Path(__file__), _PACKAGE / "tolerance.py", _PACKAGE / "core" / "arrays.py"),
    *sorted(_PACKAGE.rglob("*_kernels.py")),
)


def compiled(function: Function) -> Function:
    """Compile a function if numba is there, and keep that if it can be kept.

    Division by 0 gives what numpy gives. What was kept before any of the loops changed
    is compiled anew.
    """
    if not COMPILED:
        return function
    try:
        made = njit(cache=True, error_model="numpy")(function)
        index = _index(made)
        if index is not None and index.is_file() and not kept(made):
            index.unlink()
    except (RuntimeError, OSError):
        # No folder of the package or of the user can be written to.
        made = njit(error_model="numpy")(function)
    return cast("Function", made)


def kept(function: Callable[..., object]) -> bool:
    """Whether a compiled function was compiled before, and no loops changed since.

    numba keeps what it compiles beside the source or in a folder of the user.
    """
    index = _index(function)
    if index is None or not index.is_file():
        return False
    changed = max(source.stat().st_mtime for source in _SOURCES)
    return index.stat().st_mtime >= changed


def _index(function: Any) -> Path | None:
    """File in which numba lists what it compiled of a function; None if nowhere."""
    python = getattr(function, "py_func", None)
    folder = getattr(getattr(function, "stats", None), "cache_path", None)
    if python is None or folder is None:
        return None
    module = python.__module__.rpartition(".")[2]
    line = python.__code__.co_firstlineno
    version = f"py{sys.version_info.major}{sys.version_info.minor}{sys.abiflags}"
    return Path(folder) / f"{module}.{python.__qualname__}-{line}.{version}.nbi"
