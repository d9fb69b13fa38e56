"""Locate a run's files, scenario, trace and profile, and build its library."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from edgesim import shipped
from edgesim.errors import InputError, Parameter, from_validation, in_file
from edgesim.experiment import defaults
from edgesim.experiment.consent import check_consent
from edgesim.library.build import Library, build_library
from edgesim.profile.values import Profile
from edgesim.scenario import Scenario, read_scenario
from edgesim.storage.files import sha256
from edgesim.trace.requests import Trace
from solvers.spelling import did_you_mean

IN_MEMORY = Path("(in memory)")
"""Path of a value that was passed as an object, not read."""


@dataclass(frozen=True)
class Source:
    """A file that was read; no hash for a pipe, which can be read only once."""

    path: Path
    sha256: str | None


@dataclass(frozen=True)
class Located:
    """A scenario, and the files that it refers to.

    Parameters
    ----------
    scenario
        The scenario as in its file, with the overrides applied.
    overrides
        Values that replaced those of the file, by key path.
    scenario_file, trace_file, profile_file
        Their paths, or ``IN_MEMORY``; readers refuse a path that is not a file.
    sources
        The three files, by role.
    """

    scenario: Scenario
    overrides: Mapping[str, Any]
    scenario_file: Path
    trace_file: Path
    profile_file: Path
    sources: Mapping[str, Source]


def locate(
    scenario: Path | Scenario,
    trace: str | Path | Trace | None = None,
    profile: str | Path | Profile | None = None,
    overrides: Mapping[str, Any] | None = None,
    own: Collection[str] = (),
    *,
    own_code: bool = False,
) -> Located:
    """Read a scenario and find its trace and its profile.

    Parameters
    ----------
    scenario
        A scenario: its file (TOML), or the value.
    trace
        A trace that replaces the scenario's: a path, the name of a shipped one, or
        the value.
    profile
        A profile that replaces the scenario's: a path, the name of a shipped one, or
        the value.
    overrides
        Values that replace the scenario's, by key path.
    own
        Names of solvers and policies that were passed as objects.
    own_code
        Whether solvers and policies of the user's own may run that the file names;
        those named in ``overrides``, or put into a scenario in Python, may.

    Raises
    ------
    ConsentError
        If the file names user code, and that is not allowed.
    InputError
        If the scenario is invalid or a file cannot be found.
    """
    replaced = dict(overrides or {})
    profile_file = None
    if isinstance(profile, Profile):
        profile_file = IN_MEMORY
    elif profile is not None:
        profile_file = shipped.locate("profile", profile, where=Parameter("profile"))
        replaced["profile"] = Path(profile).name
    if isinstance(scenario, Scenario):
        scenario_file = scenario.file or IN_MEMORY
        effective = scenario.replace(own=own, **replaced) if replaced else scenario
        source_file = IN_MEMORY
    else:
        scenario_file = source_file = scenario
        effective = read_scenario(scenario_file, replaced, own)
    check_consent(scenario_file, effective, own_code=own_code)
    if isinstance(trace, Trace):
        trace_file = IN_MEMORY
    else:
        trace_file = _trace_file(scenario_file, effective, trace)
    if profile_file is None:
        profile_file = profile_file_of(scenario_file, effective)
    files = {"scenario": source_file, "trace": trace_file, "profile": profile_file}
    sources = {role: _source(path) for role, path in files.items()}
    return Located(
        effective, replaced, scenario_file, trace_file, profile_file, sources
    )


def profile_file_of(scenario_file: Path, scenario: Scenario) -> Path:
    """Find a scenario's profile: beside its file, or a shipped one by name.

    Raises
    ------
    InputError
        When there is neither.
    """
    return shipped.locate(
        "profile",
        scenario.profile,
        beside=scenario_file,
        where=f"{scenario_file}: profile",
    )


def spawned(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """Make what draws the library, and what maps a trace's models to it."""
    library_rng, map_rng = np.random.default_rng(seed).spawn(2)
    return library_rng, map_rng


def library_of(
    scenario_file: Path, scenario: Scenario, profile: Profile, rng: np.random.Generator
) -> Library:
    """Build a scenario's model library from its profile.

    Parameters
    ----------
    scenario_file
        For messages.
    scenario, profile
        The sources of the library.
    rng
        Draws the random parts of the library.

    Raises
    ------
    InputError
        If profile and scenario are incompatible.
    """
    try:
        with in_file(scenario_file):
            library = build_library(scenario.library, profile, scenario.gpu, rng)
    except ValidationError as error:
        raise from_validation(f"{scenario_file}: library", error) from None
    resident = scenario.gpu.resident_model
    if resident is not None and resident not in library.models:
        raise InputError(
            f"{scenario_file}: gpu.resident_model",
            f"must name a model of the library ({next(iter(library.models))}, …), "
            f"found {resident!r}{did_you_mean(resident, library.models)}",
        )
    return library


def _source(path: Path) -> Source:
    """Record a file and the hash of its content; errors are left to its reader."""
    try:
        return Source(path, sha256(path) if path.is_file() else None)
    except (OSError, ValueError):
        return Source(path, None)


def _trace_file(
    scenario_file: Path, scenario: Scenario, given: str | Path | None
) -> Path:
    """Find the trace: the given one, or the scenario's."""
    if given is not None:
        return shipped.locate("trace", given, where=Parameter("trace"))
    if scenario.workload.trace is None:
        if defaults.is_own_models(scenario_file):
            raise InputError(
                Parameter("trace"),
                "is needed: a trace says who asks for which model when; "
                "edgesim trace generate draws one, and campus.csv is shipped",
            )
        raise InputError(
            f"{scenario_file}: workload.trace",
            "required key is missing (or give ",
            Parameter("trace"),
            ")",
        )
    return shipped.locate(
        "trace",
        scenario.workload.trace,
        beside=scenario_file,
        where=f"{scenario_file}: workload.trace",
    )
