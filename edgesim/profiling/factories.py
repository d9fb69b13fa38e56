"""Which architecture each checkpoint of a command has."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from edgesim.checkpoints.files import CheckpointFiles
from edgesim.errors import InputError, Parameter, short
from edgesim.profiling.architecture import named_spec, parse_spec, shown_architecture

OWN_CONFIGURATION = "hf:"
"""The architecture that the config.json beside each checkpoint describes."""

CONFIGURATION = "config.json"


def assign_factories(
    texts: Sequence[str], checkpoints: Sequence[CheckpointFiles]
) -> dict[str, str]:
    """Assign checkpoints their architectures.

    Parameters
    ----------
    texts
        Each ``SPEC``, for all that no other is for, or ``NAME=SPEC``, for the
        checkpoint of that name, or with ``*`` and ``?`` for those whose names match;
        the first that matches counts. The SPEC ``hf:`` is the configuration beside each
        file.
    checkpoints
        The checkpoints.

    Returns
    -------
    dict
        SPECs by the checkpoint's name; those that none is for are not in it.

    Raises
    ------
    InputError
        If a text is no SPEC, is for no checkpoint, or two are for all others; or if a
        checkpoint has no configuration beside it.
    """
    named: list[tuple[str, str]] = []
    default: str | None = None
    for text in texts:
        name, architecture = named_spec(text)
        if architecture != OWN_CONFIGURATION:
            parse_spec(text)
        if name is not None:
            named.append((name, architecture))
        elif default is not None:
            raise InputError(
                Parameter("factory"),
                f"one may be without a name, for all that no other is for; found "
                f"{short(default)} and {short(architecture)}; give NAME=SPEC",
            )
        else:
            default = architecture
    found: dict[str, str] = {}
    for files in checkpoints:
        fitting = [spec for name, spec in named if fnmatchcase(files.name, name)]
        chosen = fitting[0] if fitting else default
        if chosen is not None:
            found[files.name] = (
                _beside(files) if chosen == OWN_CONFIGURATION else chosen
            )
    names = [files.name for files in checkpoints]
    for name, _ in named:
        if not any(fnmatchcase(one, name) for one in names):
            listed = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
            raise InputError(
                Parameter("factory"),
                f"must be for one of the checkpoints ({listed}), found {short(name)}",
            )
    return found


def shown_factory(text: str) -> str:
    """Format ``[NAME=]SPEC`` without absolute paths of this machine."""
    name, architecture = named_spec(text)
    shown = shown_architecture(architecture)
    return shown if name is None else f"{name}={shown}"


def _beside(files: CheckpointFiles) -> str:
    """Name the folder that holds a checkpoint's configuration, as a SPEC."""
    for path in files.paths:
        folder = path if path.is_dir() else path.parent
        if (folder / CONFIGURATION).is_file():
            return f"{OWN_CONFIGURATION}{folder}"
    raise InputError(
        " + ".join(map(str, files.paths)),
        f"has no {CONFIGURATION} beside it, from which ",
        Parameter("factory", OWN_CONFIGURATION),
        " would take its architecture; give ",
        Parameter("factory", f"{files.name}=SPEC"),
    )
