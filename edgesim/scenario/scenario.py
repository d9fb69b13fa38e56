"""A scenario: a TOML file's settings of library, cell, GPU, workload and run."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from edgesim.errors import InputError, Parameter, from_validation
from edgesim.names import OWN, SOLVER_PATTERN, check_solvers, own_names
from edgesim.plugins import is_own
from edgesim.radio import CellSpec
from edgesim.scenario.changes import change
from edgesim.scenario.key_path import overlap, parts_of
from edgesim.scenario.library import Count, LibrarySpec, LoadSource
from edgesim.scenario.noise import NoiseSpec
from edgesim.scenario.online import OnlineSpec
from edgesim.trace.scale import SCALE_INTERVAL_S, Scale, ScaleInterval, Scaling
from solvers import SOLVERS, Uplink
from solvers.problem import (
    Bytes,
    Eviction,
    Name,
    NonNegative,
    PositiveSeconds,
    Residency,
    Seconds,
    Value,
    whole,
)

SCENARIO = "edgesim.scenario/1"

# Mapping of a trace's models, by popularity, to the library's model of the same name,
# of the same rank, of the rank modulo the library, of the rank modulo the library with
# its families mixed, or of the same rank in a seeded permutation of the library.
ModelMap = Literal["name", "rank", "round-robin", "families", "random"]


# A file name in TOML: relative to the scenario, or a shipped name.
FileName = Annotated[
    str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")
]

# Also a folder's name, so a single plain path component.
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,79}$")]


class Gpu(LoadSource):
    """``[gpu]``: memory, residency, and the source of block loads.

    Online, each load and each batch takes ``dispatch_s`` beyond itself, which policies
    do not know of: the time from the server to the device and back.
    """

    memory_bytes: Bytes | None = None
    resident_model: Name | None = None
    residency: Residency = "previous"
    eviction: Eviction = "lru"
    overlap: bool = False
    dispatch_s: NonNegative | None = None


_COUNT_SCALES = ("rate_scale", "cv_scale")
"""Factors that draw other requests than the trace's."""


def _unscaled_in_schema(schema: dict[str, Any]) -> None:
    """Express the rule of ``Workload._check`` in JSON Schema."""
    given = {"requests": {"type": "integer"}}
    schema["if"] = {"required": ["requests"], "properties": given}
    schema["then"] = {"properties": {key: {"const": 1.0} for key in _COUNT_SCALES}}


class Workload(Value):
    """``[workload]``: the requests.

    ``time_scale`` stretches the trace's arrival times. Then the trace is cut into
    windows of ``window_s`` starting at ``start_s``; each repeat takes one. Then
    ``cv_scale`` and ``rate_scale`` change the burstiness and rate of arrivals, in
    intervals of ``scale_interval_s`` (:mod:`edgesim.trace.scale`).

    In a plan with ``releases = "zero"``, all requests collected in a window are present
    when it is planned, at time 0, and their deadlines count from then; with ``"trace"``
    they arrive at their own times within the window, known in advance. ``deadline_s``
    replaces every request's own deadline by a common one. Online, requests arrive at
    their own times, with their own deadlines, and are not known in advance.

    With ``zipf`` the models of the trace and ``models`` do not matter: each request is
    for a model of the library drawn by its rank r in a seeded order of them, with a
    probability proportional to ``r ** -zipf``.

    With ``requests`` each repeat plans that many: the first from the start of its
    window on, even beyond its end; without ``window_s``, those that follow the requests
    of the repeat before, and a repeat starts as the first of its requests arrives.
    """

    model_config = ConfigDict(json_schema_extra=_unscaled_in_schema)

    trace: FileName | None = None
    start_s: Seconds = 0.0
    window_s: PositiveSeconds | None = None
    requests: Count | None = None
    models: ModelMap = "name"
    zipf: NonNegative | None = None
    releases: Literal["zero", "trace"] = "zero"
    deadline_s: PositiveSeconds | None = None
    rate_scale: Scale = 1.0
    time_scale: Scale = 1.0
    cv_scale: Scale = 1.0
    scale_interval_s: ScaleInterval = SCALE_INTERVAL_S

    @model_validator(mode="after")
    def _check(self) -> Workload:
        if self.requests is None:
            return self
        for key in _COUNT_SCALES:
            if getattr(self, key) != 1:
                raise ValueError(
                    f"{key} must be 1 with requests, which says how many there are, "
                    f"found {getattr(self, key):g}"
                )
        return self

    def scaling(self, repeat: int) -> Scaling:
        """Return the part of a trace that a repeat takes, and its scaling."""
        window_s = self.window_s
        return Scaling(
            time=self.time_scale,
            start_s=self.start_s + repeat * (window_s or 0.0),
            window_s=math.inf if window_s is None else window_s,
            cv=self.cv_scale,
            rate=self.rate_scale,
            interval_s=self.scale_interval_s,
        )


def workload_of(options: Mapping[str, Any]) -> Workload:
    """Make a workload from the values of some of its keys.

    Raises
    ------
    InputError
        Naming the key, what was found and what is allowed.
    """
    try:
        return Workload.model_validate(dict(options))
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        what = from_validation(key, error, Workload).what
        raise InputError(Parameter(key), what) from None


def _solvers(names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    return check_solvers(names, own_names(info.context))


_SOLVER_SCHEMA: dict[str, Any] = {
    "anyOf": [{"enum": list(SOLVERS)}, {"pattern": SOLVER_PATTERN}]
}


def _unlimited(value: Any) -> Any:
    """Take infinity, which TOML has a word for, as no limit."""
    return None if value == math.inf else value


class RunSpec(Value):
    """``[run]``: solvers and their limits, uplink discipline, repeats and seed.

    All apply to plans; online only ``repeats`` and ``seed`` apply. A ``time_limit_s``
    of ``inf`` is none, in place of one that a scenario has.
    """

    solvers: Annotated[
        tuple[Annotated[str, Field(json_schema_extra=_SOLVER_SCHEMA)], ...],
        Field(min_length=1, strict=False),
        AfterValidator(_solvers),
    ] = ()
    uplink: Uplink = "dynamic"
    repeats: Annotated[int, Field(ge=1), BeforeValidator(whole)] = 1
    seed: Annotated[int, Field(ge=0), BeforeValidator(whole)] = 0
    time_limit_s: Annotated[PositiveSeconds | None, BeforeValidator(_unlimited)] = None
    iterations: Annotated[int, Field(ge=1), BeforeValidator(whole)] | None = None


_PLAN_ONLY = {
    "run": ("uplink", "time_limit_s", "iterations"),
    "workload": ("releases", "deadline_s", "requests"),
}

_INSTEAD = {
    "uplink": "online.uplink names the rule",
    "time_limit_s": "a policy has options of its own, such as online.rolling",
    "iterations": "a policy has options of its own, such as online.rolling",
    "releases": "requests come when the trace says",
    "deadline_s": "each request has the slo_s of the trace",
    "requests": "workload.window_s says how much of the trace is served",
}
"""What holds online instead of a setting of plans."""


def _and_in_schema() -> dict[str, Any]:
    """Express the rules of ``Scenario._check`` in JSON Schema, as far as possible."""
    kinds: dict[str, type[Value]] = {"run": RunSpec, "workload": Workload}
    plan_only: dict[str, dict[str, Any]] = {
        section: {
            key: {"const": kinds[section].model_fields[key].default} for key in keys
        }
        for section, keys in _PLAN_ONLY.items()
    }
    plan_only["run"]["solvers"] = False
    plan_only["gpu"] = {"eviction": {"const": "lru"}}
    plan_only["noise"] = {"fading": {"const": False}}
    several = {"repeats": {"exclusiveMinimum": 1}}
    cut = {
        "anyOf": [
            {"required": [key], "properties": {key: {"type": "number"}}}
            for key in ("window_s", "requests")
        ]
    }
    return {
        "allOf": [
            {
                "if": _with("online", {"type": "object"}),
                "then": {
                    "properties": {
                        section: {"properties": keys}
                        for section, keys in plan_only.items()
                    }
                },
                "else": _with("run", {"required": ["solvers"]}),
            },
            {
                "if": _with("run", {"required": ["repeats"], "properties": several}),
                "then": _with("workload", cut),
            },
        ]
    }


def _with(key: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": [key], "properties": {key: schema}}


class Scenario(Value):
    """Everything a run depends on, except the trace and the profile themselves.

    With an ``[online]`` section requests are served as they arrive, by its policies;
    otherwise they are planned by the solvers of ``[run]``. A scenario is one or the
    other.
    """

    model_config = ConfigDict(json_schema_extra=_and_in_schema())

    name: RunName
    about: str = ""
    profile: FileName
    library: LibrarySpec
    cell: CellSpec
    gpu: Gpu = Gpu()
    workload: Workload = Workload()
    run: RunSpec = RunSpec()
    noise: NoiseSpec | None = None
    online: OnlineSpec | None = None
    _file: Path | None = PrivateAttr(default=None)
    _code: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def file(self) -> Path | None:
        """The file it was read from; files that it names are looked up beside it."""
        return self._file

    def code_named(self) -> dict[str, str]:
        """List the solvers and policies of the user's own: names, with their keys."""
        found = {name: "run.solvers" for name in self.run.solvers if is_own(name)}
        if self.online is not None:
            for name in filter(is_own, self.online.policies):
                found[name] = "online.policies"
            solver = self.online.options("rolling").get("solver")
            if isinstance(solver, str) and is_own(solver):
                found[solver] = "online.rolling.solver"
        return found

    @property
    def code_of_file(self) -> frozenset[str]:
        """Names of such code that stand in its file alone: the user gave no consent."""
        return self._code

    def replace(self, *, own: Collection[str] = (), **changes: Any) -> Scenario:
        """Return a scenario with some values replaced.

        Parameters
        ----------
        own
            Names of solvers and policies that are passed as objects.
        changes
            Values by key path: ``scenario.replace(**{"cell.bandwidth_hz": 40e6})``.

        Raises
        ------
        InputError
            Naming the key, what was found and what is allowed.
        """
        content = self.model_dump(exclude_unset=True)
        change(content, changes)
        found = scenario_of("scenario", content, self._file, own)
        found._code = self._code - _by_hand(found, changes)
        return found

    @model_validator(mode="after")
    def _check(self) -> Scenario:
        workload, repeats = self.workload, self.run.repeats
        if repeats > 1 and workload.window_s is None and workload.requests is None:
            raise ValueError(
                f"workload.window_s is needed when run.repeats is above 1 "
                f"(found {repeats}): each repeat takes one window (or, of a plan, the "
                f"next workload.requests)"
            )
        if self.online is not None:
            self._check_online(self.online)
        elif not self.run.solvers:
            raise ValueError(
                "run.solvers is needed to plan, or a section [online] to serve "
                "requests as they come; found neither"
            )
        elif self.gpu.dispatch_s is not None:
            raise ValueError(
                f"gpu.dispatch_s is for scenarios with a section [online], found "
                f"{self.gpu.dispatch_s!r}"
            )
        return self

    def _check_online(self, online: OnlineSpec) -> None:
        """Refuse settings that do not apply online, rather than ignore them."""
        if self.run.solvers:
            raise ValueError(
                "run.solvers plans, [online] serves requests as they come; found both, "
                "remove one"
            )
        for section, keys in _PLAN_ONLY.items():
            settings = getattr(self, section)
            for key in keys:
                if getattr(settings, key) != type(settings).model_fields[key].default:
                    raise ValueError(
                        f"{section}.{key} is for plans, not for a section [online], "
                        f"found {getattr(settings, key)!r}; {_INSTEAD[key]}"
                    )
        if self.gpu.eviction != "lru":
            raise ValueError(
                f"gpu.eviction must be 'lru' online, where the next use is unknown, "
                f"found {self.gpu.eviction!r}"
            )
        if self.noise is not None and self.noise.fading:
            raise ValueError(
                "noise.fading does not apply online, where each request has one draw "
                "of cell.fading; remove it or set it to false"
            )
        window_s = self.workload.window_s
        if window_s is not None and online.warmup_s >= window_s:
            raise ValueError(
                f"online.warmup_s must be less than workload.window_s ({window_s:g}), "
                f"found {online.warmup_s:g}"
            )


def scenario_of(
    where: str, content: Any, file: Path | None, own: Collection[str] = ()
) -> Scenario:
    """Check the content of a scenario, and record its file.

    Parameters
    ----------
    where
        For messages.
    content
        The keys and values, without ``schema``.
    file
        The file, if it was read from one.
    own
        Names of solvers and policies that are passed as objects.

    Raises
    ------
    InputError
        Naming the key, what was found and what is allowed.
    """
    try:
        scenario = Scenario.model_validate(content, context={OWN: frozenset(own)})
    except ValidationError as error:
        raise from_validation(where, error, Scenario) from None
    scenario._file = file
    return scenario


def of_file(scenario: Scenario, given: Mapping[str, Any]) -> Scenario:
    """Note which code of the user's own a scenario names by its file.

    Parameters
    ----------
    scenario
        As it was read.
    given
        Values that the user gave by hand, by key path: naming code is consent to it.
    """
    named = frozenset(scenario.code_named())
    scenario._code = named - _by_hand(scenario, given)
    return scenario


def _by_hand(scenario: Scenario, given: Mapping[str, Any]) -> frozenset[str]:
    """Names of code in the values given for key paths, tables and items included."""
    return frozenset(
        name
        for name, key in scenario.code_named().items()
        for one, value in given.items()
        if overlap(one, key)
        and (value == name or len(parts_of(one)) <= len(parts_of(key)))
    )
