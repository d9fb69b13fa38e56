"""Compile loops where numba is there; their results are the same without it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from solvers.core.interrupts import deferred

Function = TypeVar("Function", bound=Callable[..., object])
Result = TypeVar("Result")

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
    is compiled anew. Only other loops call a function whose name begins with ``_``: how
    Python would call it need not be compiled.
    """
    if not COMPILED:
        return function
    how: dict[str, Any] = {"error_model": "numpy"}
    if function.__name__.startswith("_"):
        how |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    try:
        made = njit(cache=True, **how)(function)
        index = _index(made)
        if index is not None and index.is_file() and not _is_current(index):
            index.unlink()
    except (RuntimeError, OSError):
        # No folder of the package or of the user can be written to.
        made = njit(**how)(function)
    return cast("Function", made)


def call(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function that is compiled if it can be, and let interrupts wait for it.

    What raises while numba converts arguments or results, named tuples for example, or
    while LLVM frees what it compiled, ends the process
    (:mod:`solvers.core.interrupts`).
    """
    if not COMPILED:
        return function(*arguments)
    with deferred():
        return function(*arguments)


def kept(*functions: Callable[..., object]) -> bool:
    """Whether functions were compiled before, and no loops changed since.

    numba keeps what it compiles beside the source or in a folder of the user.
    """
    for function in functions:
        index = _index(function)
        if index is None or not index.is_file():
            return False
        if not (_is_current(index) and _usable(function)):
            return False
    return True


def keeps(function: Callable[..., object]) -> bool:
    """Whether there is a folder in which what is compiled of a function can be kept."""
    return _index(function) is not None


def _is_current(index: Path) -> bool:
    """Whether no loops changed since a list was written."""
    changed = max(source.stat().st_mtime for source in _SOURCES)
    return index.stat().st_mtime >= changed


def _usable(function: Any) -> bool:
    """Whether this numba, on this processor, can load what is kept of a function.

    Only numba can tell, and has no public way to ask; if it tells in another way, what
    is kept counts as usable.
    """
    try:
        listed = function._cache._cache_file._load_index()
        here = function.targetctx.codegen().magic_tuple()
        return any(processor == here for _, processor, _ in listed)
    except (AttributeError, TypeError, ValueError):
        return True


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
