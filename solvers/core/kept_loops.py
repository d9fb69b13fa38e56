"""Modules of compiled loops, imported only where they are of use: numba takes 0.3 s."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any


def kept_loops(module: str) -> Any:
    """Import a module of loops; None without numba, or if they were never compiled.

    Parameters
    ----------
    module
        Its name. It has a function ``kept`` that tells whether they were.
    """
    if importlib.util.find_spec("numba") is None:
        return None
    loops = importlib.import_module(module)
    return loops if loops.kept() else None
