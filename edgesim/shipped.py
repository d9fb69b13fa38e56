"""Files shipped with edgesim: scenarios, traces, profiles, figures and campaigns."""

from __future__ import annotations

from pathlib import Path

from edgesim.errors import InputError
from edgesim.files import is_file


def data_file(folder: str, name: str) -> Path | None:
    """Find a file that edgesim ships: in a clone beside the package, else inside it.

    Parameters
    ----------
    folder
        ``"traces"``, ``"profiles"`` or ``"figures"``.
    name
        A file's name in that folder.
    """
    package = Path(__file__).parent
    for root in (package / "_data", package.parent):
        if is_file(root / folder / name):
            return root / folder / name
    return None


def locate(kind: str, folder: str, path_or_name: str) -> Path:
    """Find a TOML file: by its path, or by the name of a shipped one.

    Parameters
    ----------
    kind
        Kind of file, for the message: ``"scenario"``.
    folder
        As for :func:`data_file`.
    path_or_name
        Path or name given by the user.

    Raises
    ------
    InputError
        If there is neither.
    """
    path = Path(path_or_name)
    if is_file(path):
        return path
    shipped = data_file(folder, f"{path_or_name}.toml")
    if shipped is None:
        raise InputError(path_or_name, f"is no file, nor the name of a shipped {kind}")
    return shipped
