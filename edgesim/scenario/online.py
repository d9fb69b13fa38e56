"""The ``[online]`` section of a scenario: policies, rules, measures and faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from edgesim.errors import UNKNOWN_KEY, short
from edgesim.names import (
    POLICY_PATTERN,
    UplinkRule,
    check_policies,
    own_names,
    plain,
)
from edgesim.profile.values import by_kind
from edgesim.trace import scale
from solvers.problem import Name, PositiveSeconds, Seconds, Value, whole
from solvers.spelling import did_you_mean

Whole = Annotated[int, Field(ge=1, le=2**63 - 1), BeforeValidator(whole)]


class _Fault(Value):
    """Start, in seconds of the run, and duration."""

    at_s: Seconds
    for_s: PositiveSeconds

    @property
    def end_s(self) -> float:
        """End of the fault."""
        return self.at_s + self.for_s


class GpuStall(_Fault):
    """``kind = "gpu-stall"``: the GPU stalls, and then resumes where it stopped."""

    kind: Literal["gpu-stall"]


class SlowLoad(_Fault):
    """``kind = "slow-load"``: loads started meanwhile take ``factor`` times as long.

    That is, ``factor`` times the nominal time, or the drawn one with noise.
    """

    kind: Literal["slow-load"]
    factor: scale.Scale


class LinkDown(_Fault):
    """``kind = "link-down"``: the link of ``user``, or every link, carries nothing."""

    kind: Literal["link-down"]
    user: Name | None = None


class Burst(_Fault):
    """``kind = "burst"``: requests arrive at ``factor`` times their rate.

    Within the span, like ``workload.rate_scale`` (:mod:`edgesim.trace.scale`).
    """

    kind: Literal["burst"]
    factor: scale.Scale


FaultSpec: TypeAlias = Annotated[
    GpuStall | SlowLoad | LinkDown | Burst,
    Field(discriminator="kind"),
    by_kind(GpuStall, SlowLoad, LinkDown, Burst),
]


def _table(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise PydanticCustomError(UNKNOWN_KEY, "unknown key")


def _two(span: Any) -> Any:
    if isinstance(span, Sequence) and not isinstance(span, str) and len(span) == 2:
        return span
    raise ValueError(f"must be a pair [start, end], found {short(span)}")


def _pair(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] < span[1]:
        return span
    raise ValueError(
        f"must be a pair [start, end], the start before the end, "
        f"found {span[0]:g} and {span[1]:g}"
    )


# The rule of OnlineSpec._check in JSON Schema.
_WINDOW_NEEDED: dict[str, Any] = {
    "if": {"required": ["records"], "properties": {"records": {"const": "window"}}},
    "then": {"required": ["window_s"], "properties": {"window_s": {"type": "array"}}},
}


def _policies(names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    return check_policies(names, own_names(info.context))


PolicyName = Annotated[Name, Field(json_schema_extra={"pattern": POLICY_PATTERN})]


class OnlineSpec(Value):
    """``[online]``: requests arrive over time, and policies serve them.

    Times count from the start of the run, which is the start of its window of the
    trace. ``[online.NAME]`` holds options of the policy NAME, with and without sharing.

    ``uplink`` is the rule for sharing the band; ``late`` determines whether requests
    that cannot be in time are dropped; at most ``queue_limit`` are uploading or
    waiting. Each choice of a round takes ``decision_s``, which policies do not know,
    before its load begins. Requests that arrive before ``warmup_s`` are served but not
    measured. With one repeat, intervals come from ``batches`` equal spans of the
    measured time.
    ``sample_s`` is the step of the time series. ``records`` selects the requests and
    rounds that are written individually, and ``window_s`` is the span of the trace for
    a timeline viewer.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=_WINDOW_NEEDED)
    __pydantic_extra__: dict[str, Annotated[dict[str, Any], BeforeValidator(_table)]]

    policies: Annotated[
        tuple[
            Annotated[Name, Field(json_schema_extra={"pattern": POLICY_PATTERN})], ...
        ],
        Field(min_length=1, strict=False, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_policies),
    ]
    uplink: UplinkRule = "fifo"
    late: Literal["drop", "serve"] = "drop"
    queue_limit: Whole | None = None
    decision_s: Seconds | None = None
    warmup_s: Seconds = 0.0
    batches: Annotated[int, Field(ge=2, le=10_000), BeforeValidator(whole)] = 20
    sample_s: PositiveSeconds = 1.0
    records: Literal["all", "window", "none"] = "all"
    window_s: (
        Annotated[
            tuple[Seconds, Seconds],
            Field(strict=False),
            BeforeValidator(_two),
            AfterValidator(_pair),
        ]
        | None
    ) = None
    faults: Annotated[tuple[FaultSpec, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _check(self) -> OnlineSpec:
        named = list(dict.fromkeys(plain(name) for name in self.policies))
        for name in self.__pydantic_extra__:
            if name not in named:
                raise ValueError(
                    f"options must be of a policy that is run ({', '.join(named)}), "
                    f"found {short(name)}{did_you_mean(name, named)}"
                )
        for policy, options in self.__pydantic_extra__.items():
            for key, value in options.items():
                if callable(value):
                    raise ValueError(
                        f"{policy}.{key} must be a value that a file can hold; name a "
                        f"function package.module:function, found {short(value)}"
                    )
        if self.records == "window" and self.window_s is None:
            raise ValueError("window_s is needed for records = 'window'")
        for (i, one), (j, other) in combinations(enumerate(self.faults), 2):
            if _collide(one, other):
                raise ValueError(
                    f"faults of one kind must not overlap, found faults[{i}] and "
                    f"faults[{j}] ({one.kind}, from {one.at_s:g} s for {one.for_s:g} s "
                    f"and from {other.at_s:g} s for {other.for_s:g} s)"
                )
        return self

    def options(self, policy: str) -> Mapping[str, Any]:
        """Return the options of a policy, named with or without ``-noshare``."""
        extra: Mapping[str, Mapping[str, Any]] = self.__pydantic_extra__
        return extra.get(plain(policy), {})

    @property
    def bursts(self) -> tuple[scale.Burst, ...]:
        """Spans with a higher or lower arrival rate, in order of time."""
        bursts = [fault for fault in self.faults if isinstance(fault, Burst)]
        return tuple(
            scale.Burst(fault.at_s, fault.end_s, fault.factor)
            for fault in sorted(bursts, key=lambda fault: fault.at_s)
        )


def _collide(one: FaultSpec, other: FaultSpec) -> bool:
    """Whether two faults of one kind (for links, on one link) overlap in time."""
    if isinstance(one, LinkDown) and isinstance(other, LinkDown):
        apart = None not in (one.user, other.user) and one.user != other.user
    else:
        apart = one.kind != other.kind
    return not apart and one.at_s < other.end_s and other.at_s < one.end_s
