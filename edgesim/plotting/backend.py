"""Import matplotlib, whatever backend the environment names.

edgesim draws without one, while matplotlib cannot be imported where ``MPLBACKEND``
names a backend that is not installed, as in a command run from a notebook.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

_VARIABLE = "MPLBACKEND"


def _import_matplotlib() -> None:
    """Import matplotlib with the variable hidden, then obey it where that works."""
    backend = os.environ.pop(_VARIABLE, None)
    try:
        import matplotlib as mpl
    finally:
        if backend is not None:
            os.environ[_VARIABLE] = backend
    if backend:
        with suppress(ValueError):
            mpl.rcParams["backend"] = backend


if "matplotlib" not in sys.modules:
    _import_matplotlib()
