"""Compile loops where numba is there; their results are the same without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., object])

try:
    from numba import njit
except ImportError:
    COMPILED = False
else:
    COMPILED = True


def compiled(function: Function) -> Function:
    """Compile a function if numba is there, and keep that if it can be kept."""
    if not COMPILED:
        return function
    try:
        made = njit(cache=True)(function)
    except RuntimeError:
        # No folder of the package or of the user can be written to.
        made = njit(function)
    return cast("Function", made)
