"""Files shipped with edgesim: scenarios, traces, profiles, figures and campaigns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from edgesim.errors import InputError, Parameter, short
from edgesim.storage.files import is_file
from solvers.spelling import did_you_mean


class Kind(NamedTuple):
    """The folder that holds files of one kind, and how their names end."""

    folder: str
    suffix: str


KINDS: Mapping[str, Kind] = {
    "scenario": Kind("traces", ".toml"),
    "trace": Kind("traces", ".csv"),
    "profile": Kind("profiles", ".json"),
    "figure": Kind("figures", ".toml"),
    "campaign": Kind("profiles", ".toml"),
}


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


def shipped_names(kind: str) -> tuple[str, ...]:
    """List what is shipped of one of ``KINDS``, sorted, without suffix."""
    folder, suffix = KINDS[kind]
    readme = data_file(folder, "README.md")
    if readme is None:
        return ()
    return tuple(sorted(path.stem for path in readme.parent.glob(f"*{suffix}")))


def shipped_file(kind: str, name: str) -> Path | None:
    """Find what is shipped of one of ``KINDS`` under a name, with or without suffix."""
    folder, suffix = KINDS[kind]
    if Path(name).name != name:
        return None
    return data_file(folder, name if name.endswith(suffix) else f"{name}{suffix}")


def locate(
    kind: str,
    path_or_name: str | Path,
    *,
    beside: Path | None = None,
    where: str | Parameter | None = None,
) -> Path:
    """Find a file: by its path, or by the name of one that edgesim ships.

    Parameters
    ----------
    kind
        One of ``KINDS``.
    path_or_name
        What was given. A file at that path comes before what is shipped, whose names
        hold with and without suffix.
    beside
        The file that names it, if one does: paths are relative to its folder.
    where
        What it was given for, for the message; None to name what was given.

    Raises
    ------
    InputError
        If there is neither.
    """
    text = os.fspath(path_or_name)
    path = Path(text) if beside is None else beside.parent / text
    if is_file(path):
        return path
    shipped = shipped_file(kind, text)
    if shipped is not None:
        return shipped
    names = shipped_names(kind)
    listed = ", ".join(names) or "none"
    if path.is_dir():
        raise InputError(
            text if where is None else where,
            f"must be a file or one of {listed}, found the folder {short(text)}",
        )
    meant = did_you_mean(text.removesuffix(KINDS[kind].suffix), names)
    if where is None:
        named = path.name == text and path.suffix != KINDS[kind].suffix
        what = f"no such {kind}" if named else "no such file"
        raise InputError(
            text,
            f"{what}; give the path of one, or the name of a shipped one: "
            f"{listed}{meant}",
        )
    raise InputError(
        where, f"must be a file or one of {listed}, found {short(text)}{meant}"
    )
