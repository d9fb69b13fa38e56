"""A scenario: what a TOML file says of library, cell, GPU, workload and run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from edgesim.errors import InputError
from edgesim.files import check_file, data_file, is_file, read_toml
from edgesim.library_spec import LibrarySpec, LoadSource
from edgesim.noise import NoiseSpec
from edgesim.radio import CellSpec
from solvers import SOLVERS, Uplink
from solvers.problem import (
    Bytes,
    Eviction,
    Name,
    PositiveSeconds,
    Residency,
    Seconds,
    Value,
    whole,
)

SCENARIO = "edgesim.scenario/1"

# What a trace's models become, by popularity: the library's model of the same name,
# of the same rank, of the rank modulo the library, or of the same rank in a seeded
# permutation of the library.
ModelMap = Literal["name", "rank", "round-robin", "random"]


# A file name as TOML may hold it: relative to the scenario, or a shipped name.
FileName = Annotated[
    str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")
]

# Also the name of a folder, so one plain component of a path.
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,79}$")]


class Gpu(LoadSource):
    """``[gpu]``: memory, what stays in it, and where blocks are loaded from."""

    memory_bytes: Bytes | None = None
    resident_model: Name | None = None
    residency: Residency = "previous"
    eviction: Eviction = "lru"
    overlap: bool = False


class Workload(Value):
    """``[workload]``: which requests are planned together.

    The trace is cut into windows of ``window_s`` from ``start_s`` on; each repeat
    plans one. With ``releases = "zero"`` the requests gathered in a window are all
    there when it is planned, at time 0, and their deadlines count from then; with
    ``"trace"`` they come at their own times within the window, known beforehand.
    ``deadline_s`` replaces every request's own deadline by one for all.
    """

    trace: FileName | None = None
    start_s: Seconds = 0.0
    window_s: PositiveSeconds | None = None
    models: ModelMap = "name"
    releases: Literal["zero", "trace"] = "zero"
    deadline_s: PositiveSeconds | None = None


def check_solvers(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse unknown solvers and the same one twice; return the names.

    Raises
    ------
    ValueError
        Naming the solvers there are.
    """
    for name in names:
        if name not in SOLVERS:
            raise ValueError(f"must be of {', '.join(SOLVERS)}, found {name!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"must name each solver once, found {', '.join(names)}")
    return names


class RunSpec(Value):
    """``[run]``: solvers and their limits, uplink discipline, repeats and seed."""

    solvers: Annotated[
        tuple[Annotated[str, Field(json_schema_extra={"enum": list(SOLVERS)})], ...],
        Field(min_length=1, strict=False),
        AfterValidator(check_solvers),
    ]
    uplink: Uplink = "dynamic"
    repeats: Annotated[int, Field(ge=1), BeforeValidator(whole)] = 1
    seed: Annotated[int, Field(ge=0), BeforeValidator(whole)] = 0
    time_limit_s: PositiveSeconds | None = None
    iterations: Annotated[int, Field(ge=1), BeforeValidator(whole)] | None = None


class Scenario(Value):
    """Everything a run depends on, but the trace and the profile themselves."""

    name: RunName
    about: str = ""
    profile: FileName
    library: LibrarySpec
    cell: CellSpec
    gpu: Gpu = Gpu()
    workload: Workload = Workload()
    run: RunSpec
    noise: NoiseSpec | None = None

    @model_validator(mode="after")
    def _check(self) -> Scenario:
        if self.workload.window_s is None and self.run.repeats > 1:
            raise ValueError(
                f"workload.window_s is needed when run.repeats is above 1 "
                f"(found {self.run.repeats}): each repeat plans one window"
            )
        return self


def locate_scenario(path_or_name: str) -> Path:
    """Find a scenario: a file, or the name of one that edgesim ships.

    Raises
    ------
    InputError
        When there is neither.
    """
    path = Path(path_or_name)
    if is_file(path):
        return path
    shipped = data_file("traces", f"{path_or_name}.toml")
    if shipped is None:
        raise InputError(path_or_name, "is no file, nor the name of a shipped scenario")
    return shipped


def locate_trace(path: Path) -> Path:
    """Find a trace: a file, or one that edgesim ships by its file name.

    Returns
    -------
    Path
        The path as it was given where there is neither, for its reader to refuse.
    """
    shipped = None if is_file(path) else data_file("traces", str(path))
    return path if shipped is None else shipped


def read_scenario(path: Path, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Read and check a scenario file.

    Parameters
    ----------
    path
        A TOML file.
    overrides
        Values that replace the file's, by key path (``"cell.bandwidth_hz"``,
        ``"library.clusters.0.variants"``).

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    content = read_toml(path)
    for key, value in (overrides or {}).items():
        _override(path, content, key, value)
    return check_file(path, content, Scenario, SCENARIO)


def _override(path: Path, content: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    place: Any = content
    for part in parents:
        if isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        elif isinstance(place, dict):
            place = place.setdefault(part, {})
        else:
            break
    if not isinstance(place, dict):
        raise InputError(f"{path}: {key}", "no such key to replace")
    place[last] = value


def beside(file: Path, name: str, folder: str) -> Path:
    """Find a file that another file names: beside it, or among those shipped.

    Parameters
    ----------
    file
        The file that names it.
    name
        A path relative to that file's folder, or a file name in ``folder``.
    folder
        ``"traces"`` or ``"profiles"``.
    """
    path = file.parent / name
    if not is_file(path):
        shipped = data_file(folder, name)
        if shipped is not None:
            return shipped
    return path
