"""The form of ``summary.json`` and ``run.json``, checked when they are read back.

What reads them looks up keys and formats numbers; here it is held that these are there.
Keys beyond are kept as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)

from edgesim.errors import InputError, from_validation
from edgesim.measures.losses import CAUSES
from edgesim.results.online_summary import SUMMARY
from edgesim.results.plan_summary import PLAN_SUMMARY
from solvers.problem import Bytes, Count

Checked = TypeVar("Checked", bound=BaseModel)


def _cause(name: str) -> str:
    if name not in CAUSES:
        raise ValueError(f"must be one of {', '.join(CAUSES)}, found {name!r}")
    return name


# Far beyond every time and every sum of bytes; squares stay finite.
Number = Annotated[float, Field(ge=-1e30, le=1e30, allow_inf_nan=False)]
Some = Annotated[int, Field(ge=1, le=2**63 - 1)]
Lost = Mapping[str, Mapping[Annotated[str, AfterValidator(_cause)], Count]]


class _Part(BaseModel):
    """A part of a stored file, of which only what is looked up is checked."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Interval(_Part):
    mean: Number | None
    half_width_95: Number | None
    values: list[Number | None]


class _Known(_Interval):
    """An interval of a measure that every run has."""

    mean: Number


class _Batched(_Interval):
    lag1: Number | None


class _Library(_Part):
    models: Count
    blocks: Count
    clusters: Count
    laminar: bool
    bytes_total: Bytes
    bytes_distinct: Bytes


class _Solver(_Part):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, _Interval]

    status: list[str]
    served: _Known
    bound: _Known
    gap: _Known
    in_time: _Known
    goodput: Mapping[str, Count]
    dropped_by: Mapping[str, Count] = Field(default_factory=dict)


class _Measures(_Part):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, _Interval]

    on_time_ratio: _Batched
    in_time_per_s: _Interval
    late_ratio: _Interval
    dropped_ratio: _Interval
    latency_p50_s: _Interval
    latency_p95_s: _Interval
    mean_batch: _Interval
    load_share: _Interval
    compute_share: _Interval
    wait_share: _Interval
    idle_share: _Interval


class _Policy(_Part):
    in_time: Count
    late: Count
    dropped: Count
    dropped_by: Mapping[str, Count]
    measures: _Measures


class _Gains(_Part):
    on_time_ratio: _Interval


class _Summary(_Part):
    scenario: str
    uplink: str
    seed: Count
    repeats: Some
    library: _Library
    requests: Annotated[list[Count], Field(min_length=1)]
    lost_to: Lost = Field(default_factory=dict)


class _PlanSummary(_Summary):
    noise: bool
    solvers: Annotated[Mapping[str, _Solver], Field(min_length=1)]
    sharing_gain_in_time: Mapping[str, _Known]


class _OnlineSummary(_Summary):
    late: str
    residency: str
    overlap: bool
    batches: Some
    warmup_s: Number
    method: str
    policies: Annotated[Mapping[str, _Policy], Field(min_length=1)]
    sharing_gain: Mapping[str, _Gains]


class _Input(_Part):
    file: str
    sha256: str | None


class _Online(_Part):
    records: str = "all"


class _Scenario(_Part):
    online: _Online | None = None


class _Run(_Part):
    edgesim: str
    python: str
    packages: Mapping[str, str]
    inputs: Mapping[str, _Input]
    scenario: _Scenario
    assumed: list[str]
    runtime_s: Mapping[str, Annotated[list[Number], Field(min_length=1)]]
    failed: Mapping[str, str] = Field(default_factory=dict)


def check_stored(folder: Path, summary: Any, run: Any) -> None:
    """Check that the two files of a run's folder hold what their readers look up.

    Parameters
    ----------
    folder
        The folder, for messages.
    summary, run
        Contents of ``summary.json`` and ``run.json``.

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    files = folder / "summary.json", folder / "run.json"
    for file, content in zip(files, (summary, run), strict=True):
        if not isinstance(content, dict):
            raise InputError(file, "must hold one object; this is no folder of a run")
    schema = summary.get("schema")
    names: Collection[str]
    gains: Collection[str]
    if schema == SUMMARY:
        online = _checked(files[0], summary, _OnlineSummary)
        names, gains, key = online.policies, online.sharing_gain, "sharing_gain"
    elif schema == PLAN_SUMMARY:
        plan = _checked(files[0], summary, _PlanSummary)
        names, gains = plan.solvers, plan.sharing_gain_in_time
        key = "sharing_gain_in_time"
    else:
        raise InputError(
            f"{files[0]}: schema",
            f"must be {PLAN_SUMMARY!r} or {SUMMARY!r}; this is no folder of a run",
        )
    runtimes = _checked(files[1], run, _Run).runtime_s
    for name in gains:
        if name not in names:
            raise InputError(
                f"{files[0]}: {key}.{name}", f"must be one of {', '.join(names)}"
            )
    for name in names:
        if name not in runtimes:
            raise InputError(f"{files[1]}: runtime_s.{name}", "required key is missing")


def _checked(file: Path, content: Any, kind: type[Checked]) -> Checked:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise from_validation(file, error) from None
