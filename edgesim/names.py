"""Names of policies, uplink rules, solvers and formats, checked without imports."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from edgesim.errors import short
from edgesim.plugins import OWN_NAME, file_name, is_own
from solvers.registry import NO_SHARING, SOLVERS
from solvers.spelling import did_you_mean

UplinkRule: TypeAlias = Literal["fifo", "edf", "equal-share"]
UPLINK_RULES: tuple[UplinkRule, ...] = get_args(UplinkRule)

SHIPPED_POLICIES = ("fcfs", "edf", "clockwork", "greedy", "rolling")

POLICIES: tuple[str, ...] = tuple(
    name + twin for twin in ("", NO_SHARING) for name in SHIPPED_POLICIES
)
"""Names of the policies that edgesim ships; those with ``-noshare`` load whole models
at every change of model."""

ALLOWED_POLICIES = (
    f"{', '.join(SHIPPED_POLICIES)}, package.module:Class, or one of these + "
    f"{NO_SHARING}"
)

SOLVER_PATTERN = rf"^{OWN_NAME}({NO_SHARING})?$"
"""Form of the name of a user's own solver, for JSON Schema."""

POLICY_PATTERN = rf"^({'|'.join(SHIPPED_POLICIES)}|{OWN_NAME})({NO_SHARING})?$"
"""Names accepted by :func:`is_policy`, as a regular expression for JSON Schema."""

PICTURE_FORMATS = ("png", "pdf", "svg")
"""Formats of pictures, each the suffix of its files."""


def shares(name: str) -> bool:
    """Whether a policy of this name runs with parameter sharing."""
    return not name.endswith(NO_SHARING)


def plain(name: str) -> str:
    """Return the name without ``-noshare``."""
    return name.removesuffix(NO_SHARING)


def is_policy(name: str) -> bool:
    """Whether a name is that of a shipped policy, or has the form of a user's own."""
    return plain(name) in SHIPPED_POLICIES or is_own(name)


OWN = "own"
"""Key of the validation context for the names of objects passed by the user."""


def own_names(context: Mapping[str, Any] | None) -> Collection[str]:
    """Return the names of solvers and policies that were passed as objects."""
    found: Collection[str] = (context or {}).get(OWN, ())
    return found


_FITS_FILES = re.compile(r"[\w<>][\w<>.:+ -]{0,199}")


def _check_form(kind: str, names: Sequence[str]) -> None:
    """Refuse duplicate names, and names unsuitable for files.

    Raises
    ------
    ValueError
        Naming them, and what is allowed.
    """
    for name in names:
        if not _FITS_FILES.fullmatch(name):
            raise ValueError(
                f"must be names of 1 to 200 letters, digits and '_', '-', '.', ':', "
                f"as files are called by them, found {short(name)}"
            )
    if "instance" in map(file_name, names):
        raise ValueError("must not be 'instance': that is the file of the problem")
    if len(set(names)) < len(names):
        raise ValueError(f"must name each {kind} once, found {', '.join(names)}")
    if len(set(map(file_name, names))) < len(names):
        raise ValueError(
            f"must be names that differ by more than ':' and '-', as their files "
            f"would not, found {', '.join(names)}"
        )


def check_policies(
    names: tuple[str, ...], own: Collection[str] = ()
) -> tuple[str, ...]:
    """Refuse unknown and duplicate policies; return the names.

    Those in ``own`` are known.

    Raises
    ------
    ValueError
        Naming the available policies.
    """
    for name in names:
        if not is_policy(name) and name not in own:
            raise ValueError(
                f"must be of {ALLOWED_POLICIES}, found {short(name)}"
                f"{did_you_mean(name, (*POLICIES, *own))}{_of_module(name, 'CLASS')}"
            )
    _check_form("policy", names)
    return names


def _of_module(name: str, what: str) -> str:
    """Say how to name what is in a file, where the file is named instead."""
    file = name.partition(":")[0]
    if not file.endswith(".py"):
        return ""
    module = file.removesuffix(".py").strip("/").replace("/", ".")
    return f"; what is in {file} is named {module}:{what}"


def check_solvers(names: tuple[str, ...], own: Collection[str] = ()) -> tuple[str, ...]:
    """Refuse unknown and duplicate solvers; return the names.

    Those in ``own`` are known; names of other user's own solvers need only have the
    right form: nothing is imported.

    Raises
    ------
    ValueError
        Naming the available solvers.
    """
    for name in names:
        if not (name in SOLVERS or name in own or is_own(name)):
            raise ValueError(
                f"must be of {', '.join(SOLVERS)}, package.module:function, or that + "
                f"{NO_SHARING}, found {name!r}{did_you_mean(name, (*SOLVERS, *own))}"
                f"{_of_module(name, 'FUNCTION')}"
            )
    _check_form("solver", names)
    return names


def picture_format(path: Path) -> str | None:
    """Return the format that a file's suffix stands for, in either case, or None."""
    suffix = path.suffix.lower().removeprefix(".")
    return suffix if suffix in PICTURE_FORMATS else None


def check_formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse unknown formats of pictures, the same one twice and none; return them.

    Raises
    ------
    ValueError
        Naming the formats there are.
    """
    allowed = ", ".join(PICTURE_FORMATS)
    for name in formats:
        if name not in PICTURE_FORMATS:
            raise ValueError(f"must be of {allowed}, found {short(name)}")
    if not formats or len(set(formats)) < len(formats):
        raise ValueError(
            f"must name formats ({allowed}) once each, found "
            f"{', '.join(formats) or 'none'}"
        )
    return formats
