"""A point of a sweep: one value, one repeat, one solver or policy."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from edgesim.errors import InputError
from edgesim.experiment.identity import Identity, code_sha256, identity, versions
from edgesim.experiment.inputs import Inputs, load_inputs
from edgesim.experiment.run import run_repeat
from edgesim.experiment.store import Outcome
from edgesim.experiment.trial import Trial
from edgesim.measures.measure import measure_span
from edgesim.measures.point import columns_of
from edgesim.own_sources import forget_own_code
from edgesim.plugins import keeping_folder

Place = Mapping[str, str | int | float]


@dataclass(frozen=True)
class Point:
    """One solver or policy at one value of the parameter in one repeat.

    It is computed wherever the same files are seen under the same names.

    Parameters
    ----------
    scenario_file, overrides
        The scenario, and the values that replace those of its file, by key path.
    place
        The leading columns of its row: the panel or the second parameter, if there are
        any, and the value.
    repeat, name
        The repeat, from 0, and the solver or policy.
    online
        Whether requests are served as they arrive.
    uplink
        The discipline or rule of the uplink.
    where
        All that for messages.
    own_code
        Whether the user consents to code that the files name.
    folder
        The folder to which paths are relative, and in which such code is looked up.
    identity
        What it depends on.
    time_limit_s
        The time limit that ends its solver, so that another machine may find another
        plan; None if its result is the same everywhere.
    """

    scenario_file: Path
    overrides: Mapping[str, Any]
    place: Place
    repeat: int
    name: str
    online: bool
    uplink: str
    where: str
    own_code: bool
    folder: Path
    identity: Identity
    time_limit_s: float | None

    @property
    def key(self) -> str:
        """The key of its outcome in a store."""
        return self.identity.key


def compute(point: Point) -> Outcome:
    """Compute one point.

    Raises
    ------
    InputError
        If its solver or policy fails, naming it, the value and the repeat; and if files
        or code differ from those that the point was made with.
    """
    _check_installed(point)
    # Threads of one process share the current folder and the modules.
    with _COMPUTING, _in_folder(point):
        try:
            return _computed(point)
        except InputError as error:
            raise InputError(error.where, f"{point.where}: {error.what}") from error


_COMPUTING = Lock()


def _check_installed(point: Point) -> None:
    """Refuse, before anything is read, to compute with another edgesim."""
    asked = point.identity
    if versions() != asked.versions:
        raise InputError(
            "edgesim",
            f"the figure was asked for with {asked.versions}, and a worker has "
            f"{versions()}",
        )
    if code_sha256() != asked.code:
        raise InputError(
            "edgesim",
            "its source changed while the figure was computed, or a worker has "
            "another version of it",
        )


@contextmanager
def _in_folder(point: Point) -> Iterator[None]:
    """Be in the folder to which paths are relative, where own code is looked up too."""
    if Path.cwd() == point.folder:
        yield
        return
    with keeping_folder():
        try:
            os.chdir(point.folder)
        except OSError as error:
            raise InputError(
                point.folder,
                f"a worker does not see this folder, in which the figure was asked "
                f"for: {error.strerror}",
            ) from None
        yield


def _computed(point: Point) -> Outcome:
    inputs = _inputs_of(point)
    (trial,) = run_repeat(inputs, point.repeat, (point.name,))
    row = _online_columns(inputs, trial) if point.online else _plan_columns(trial)
    return Outcome(row, trial.runtime_s)


class _Cached:
    """The inputs of the last value: points of one value follow each other."""

    which: tuple[Path, str, bool] | None = None
    inputs: Inputs | None = None


def _inputs_of(point: Point) -> Inputs:
    """Read the inputs of a point, or take those of the point before.

    Raises
    ------
    InputError
        If they are not those that the point was made with.
    """
    overrides = json.dumps(point.overrides, sort_keys=True, default=str)
    which = point.scenario_file, overrides, point.own_code
    if _Cached.which == which and _Cached.inputs is not None:
        if identity(_Cached.inputs, point.name, point.repeat) == point.identity:
            return _Cached.inputs
        forget_own_code()
    _Cached.which = _Cached.inputs = None
    inputs = load_inputs(
        point.scenario_file, overrides=point.overrides, own_code=point.own_code
    )
    found = identity(inputs, point.name, point.repeat)
    if found.own_code != point.identity.own_code:
        forget_own_code()
        inputs = load_inputs(
            point.scenario_file, overrides=point.overrides, own_code=point.own_code
        )
        found = identity(inputs, point.name, point.repeat)
    if found != point.identity:
        raise InputError(point.scenario_file, _difference(point.identity, found))
    _Cached.which, _Cached.inputs = which, inputs
    return inputs


def _difference(asked: Identity, found: Identity) -> str:
    """Say what is not as it was when the point was made."""
    what = {
        "own_code": "your own code",
        "scenario": "the scenario",
        "trace": "the trace",
        "profile": "the profile",
    }
    listed = ", ".join(what.get(name, name) for name in asked.differences(found))
    return (
        f"{listed} changed while the figure was computed, or a worker sees another "
        f"version"
    )


def _plan_columns(trial: Trial) -> dict[str, Any]:
    result = trial.result
    assert result is not None
    return {
        "served": result.served,
        "bound": result.bound,
        "gap": result.gap,
        "status": result.status,
        **columns_of(trial.measures),
    }


def _online_columns(inputs: Inputs, trial: Trial) -> dict[str, Any]:
    """Measure one policy in one repeat after the warm-up."""
    return columns_of(
        measure_span(trial.account, inputs.online.warmup_s, trial.duration_s)
    )
