"""What a point of a sweep depends on, hashed: equal hashes, equal results."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import solvers
from edgesim.errors import InputError
from edgesim.experiment.inputs import Inputs
from edgesim.names import plain
from edgesim.own_sources import own_sources
from edgesim.plugins import is_own
from solvers.registry import NO_SHARING

_LIBRARIES = ("numpy", "simpy", "networkx", "pulp", "highspy")


@dataclass(frozen=True)
class Identity:
    """What a point depends on.

    Parameters
    ----------
    code
        Hash of the source of ``edgesim`` and ``solvers`` as installed.
    versions
        Python's, and those of the libraries that results may depend on.
    scenario, trace, profile
        Hashes of the resolved scenario, without what does not concern the point, and of
        the contents of both files.
    own_code
        Hash of the user's own code; empty if there is none.
    name, repeat
        The solver or policy, and the repeat.
    """

    code: str
    versions: str
    scenario: str
    trace: str
    profile: str
    own_code: str
    name: str
    repeat: int

    @property
    def key(self) -> str:
        """Hash of all of it."""
        return _hash_json(asdict(self))

    def differences(self, other: Identity) -> list[str]:
        """List what differs from another identity."""
        names = [one.name for one in fields(self)]
        return [n for n in names if getattr(self, n) != getattr(other, n)]


def identity(inputs: Inputs, name: str, repeat: int) -> Identity:
    """Identify the run of one solver or policy in one repeat.

    Raises
    ------
    InputError
        If the trace or the profile is a pipe, whose content nobody can compare.
    """
    content, own = _content(inputs, name)
    hashes = {role: _hash_of(inputs, role) for role in ("trace", "profile")}
    return Identity(
        code=code_sha256(),
        versions=versions(),
        scenario=_hash_json(content),
        own_code=_own_sha256(own),
        name=name,
        repeat=repeat,
        **hashes,
    )


def _hash_of(inputs: Inputs, role: str) -> str:
    source = inputs.sources[role]
    if source.sha256 is None:
        raise InputError(source.path, f"is no file; a figure needs its {role} in one")
    return source.sha256


def _content(inputs: Inputs, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a scenario's values without what other points depend on, and own code."""
    scenario = inputs.scenario
    content = scenario.model_dump(mode="json")
    own = {name} if is_own(name) else set()
    for key in ("about", "profile"):
        del content[key]
    del content["workload"]["trace"]
    for key in ("repeats", "solvers"):
        del content["run"][key]
    if scenario.online is not None:
        options = dict(scenario.online.options(name))
        for key in scenario.online.model_extra or {}:
            del content["online"][key]
        del content["online"]["policies"]
        content["online"]["options"] = options
        solver = options.get("solver")
        if plain(name) == "rolling" and is_own(solver):
            own.add(str(solver))
    if not own:  # of all code, only that of the user's own is told the name
        del content["name"]
    return content, tuple(sorted(one.removesuffix(NO_SHARING) for one in own))


def _hash_json(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code_sha256() -> str:
    """Hash the source of ``edgesim`` and ``solvers`` as installed."""
    found = hashlib.sha256()
    for package in (Path(__file__).parents[1], Path(solvers.__file__).parent):
        for file in sorted(package.rglob("*.py")):
            name = file.relative_to(package.parent).as_posix()
            found.update(f"{name}\n{hash_bytes(file.read_bytes())}\n".encode())
    return found.hexdigest()


@cache
def versions() -> str:
    """List the versions of Python and of the libraries that results may depend on."""
    python = ".".join(platform.python_version_tuple()[:2])
    listed = [f"{name} {version(name)}" for name in _LIBRARIES]
    return ", ".join([f"python {python}", *listed])


class Installed(NamedTuple):
    """The source and the versions that a process computes with."""

    code: str
    versions: str


def installed() -> Installed:
    """Say what this process computes with."""
    return Installed(code_sha256(), versions())


def hash_bytes(content: bytes) -> str:
    """Hash bytes."""
    return hashlib.sha256(content).hexdigest()


def _own_sha256(names: tuple[str, ...]) -> str:
    """Hash the source of the user's own code; empty without any."""
    sources = {file: text for name in names for file, text in own_sources(name).items()}
    if not names:
        return ""
    listed = {name: hash_bytes(text) for name, text in sources.items()}
    return _hash_json(listed)
