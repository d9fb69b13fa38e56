"""``--set KEY=VALUE``: values of a scenario, replaced on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from edgesim.errors import InputError

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A value instead of the scenario's, as TOML: gpu.memory_bytes=2e9, "
        "library.clusters[0].variants=6. Once for each key.",
    ),
]


def read_settings(texts: Iterable[str], options: Mapping[str, str]) -> dict[str, Any]:
    """Read what ``--set`` was given.

    Parameters
    ----------
    texts
        Each ``KEY=VALUE``.
    options
        Other options that are given, by the key that each sets.

    Returns
    -------
    dict
        Values by key path.

    Raises
    ------
    InputError
        Naming the key, or the option that sets it too.
    """
    # Imported here, so that help need not wait for it.
    from edgesim.cli.units import without_units
    from edgesim.scenario.key_path import overlap, parts_of, read_value

    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals:
            raise InputError("--set", f"must be KEY=VALUE, found {text!r}")
        where = f"--set {key}"
        try:
            parts_of(key)
        except InputError as error:
            raise InputError("--set", f"{error.what}, found {key!r}") from None
        for other, option in options.items():
            if overlap(key, other):
                raise InputError(where, f"is what {option} sets; give one of them")
        for other in found:
            if parts_of(key) == parts_of(other):
                raise InputError(where, "is given twice; give one value")
            if overlap(key, other):
                raise InputError(where, f"is what --set {other} sets; give one of them")
        try:
            found[key] = read_value(without_units(key, value.strip()))
        except ValueError as error:
            raise InputError(where, str(error)) from None
    return found


_FILES = ("profile", "workload.trace")
"""Keys whose values are files, or the names of shipped ones."""


def typed_files(named: Mapping[str, Any]) -> dict[str, Path]:
    """Find the files among values that were typed, by the key that names them.

    What is typed is relative to the current folder, while the files that a scenario
    names are looked up beside it. A value that leads to no file from the current folder
    is not among them: it may be a shipped name, or lie beside the scenario.
    """
    from edgesim.storage.files import is_file

    return {
        key: Path(value)
        for key, value in named.items()
        if key in _FILES and isinstance(value, str) and is_file(Path(value))
    }


def whole_paths(named: Mapping[str, Any]) -> dict[str, Any]:
    """Replace files that were typed by their whole paths, which hold anywhere."""
    files = typed_files(named)
    return {
        key: str(files[key].absolute()) if key in files else value
        for key, value in named.items()
    }


@contextmanager
def naming_settings(scenario: Path, options: Mapping[str, str]) -> Iterator[None]:
    """Name the option in an error of the block that is about a value it gave.

    Parameters
    ----------
    scenario
        The file whose values are replaced.
    options
        What was typed for a value, by its key path: ``--set KEY``, ``--repeats``.
    """
    try:
        yield
    except InputError as error:
        told = _of_option(error, scenario, options)
        if told is error:
            raise
        raise told from error


def _of_option(
    error: InputError, scenario: Path, options: Mapping[str, str]
) -> InputError:
    """Name the key; the same error if it is not about these, or the file's own."""
    from edgesim.plugins import ConsentError
    from edgesim.scenario.key_path import parts_of

    if isinstance(error, ConsentError):  # what is typed is consented to
        return error
    file, _, place = error.where.partition(f"{scenario}: ")
    keys = [] if file or not place else [k for k in options if _about(place, k)]
    if place in _REFUSE and not file and not keys:
        words = {key: word for key, word in _REFUSED.items() if key in options}
        keys = [key for key, word in words.items() if word in error.what]
        place = next(iter(keys), place)
    if error.where == str(scenario):  # of two keys: the message begins with one
        keys = [key for key in options if error.what.startswith(f"{key} ")]
        place = next(iter(keys), "")
    if not (keys or (place and options and not file)):
        return error
    if _raises_alone(error, scenario):
        return error
    if not keys:
        too = f"; --set {place}=VALUE changes it" if _is_key(place) else ""
        return type(error)(*error.args, too) if too else error
    key, *_ = keys
    inner = len(parts_of(place)) > len(parts_of(key))
    where = f"{options[key]}: {place}" if inner else options[key]
    if error.where == str(scenario):
        return type(error)(where, error.what.removeprefix(f"{key} "))
    return type(error)(where, *error.args[1:])


def _is_key(place: str) -> bool:
    """Whether a place in a file is a key of a section."""
    return re.fullmatch(r"[a-z]+\.[a-z0-9_.\[\]]+", place) is not None


_REFUSE = ("run.solvers",)
"""Keys whose values refuse those of others."""

_REFUSED = {
    "gpu.residency": "residency",
    "gpu.overlap": "overlap",
    "run.uplink": "uplink",
    "workload.deadline_s": "deadline",
}
"""Keys that a solver refuses, and the word by which it names each."""


def _about(place: str, key: str) -> bool:
    from edgesim.scenario.key_path import overlap

    try:
        return overlap(place, key)
    except InputError:  # a place that is no key
        return False


def _raises_alone(error: InputError, scenario: Path) -> bool:
    """Whether reading the file as it is ends with the same error."""
    from edgesim.scenario import read_scenario

    try:
        read_scenario(scenario)
    except InputError as found:
        return str(found) == str(error)
    return False
