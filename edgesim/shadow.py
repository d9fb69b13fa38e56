"""A module of the user's own that stands before edgesim's package ``solvers``."""

from __future__ import annotations

from importlib.machinery import PathFinder
from pathlib import Path


def shadowing_file() -> Path | None:
    """Find the file that is imported as ``solvers`` in place of edgesim's package.

    ``python -m edgesim`` and scripts look into their own folder first.

    Returns
    -------
    Path or None
        The user's ``solvers.py``, or the folder of that name; None if there is none.
    """
    spec = PathFinder.find_spec("solvers")
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    if any(Path(folder, "core", "residency.py").is_file() for folder in folders):
        return None
    return Path(spec.origin or folders[0]).resolve()


def shadow_text(file: Path) -> str:
    """Say what is wrong, and what to do."""
    return (
        f"{file}: hides the package 'solvers' that edgesim needs, as Python looks into "
        f"this folder first; give it another name, or run the command edgesim from "
        f"another folder"
    )
