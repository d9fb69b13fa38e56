"""A solver's result: rounds, bandwidth allocation and the proven quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from solvers.problem import Count, Name, NonNegative, Value
from solvers.registry import NO_SHARING
from solvers.uplink import Uplink

Status = Literal["optimal", "feasible"]

# Tiny uploads or latencies in a valid problem give even smaller times and bands.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Round(Value):
    """One load (possibly empty) and one batch, on the GPU's clock.

    ``loaded_blocks`` are copied from ``load_start_s`` for ``load_s``; the batch
    computes from ``compute_start_s`` for ``compute_s`` and ends at ``end_s``.
    """

    model: Name
    users: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]
    loaded_blocks: Annotated[tuple[Name, ...], Field(strict=False)]
    loaded_bytes: Count
    load_start_s: NonNegative
    load_s: NonNegative
    compute_start_s: NonNegative
    compute_s: Positive
    end_s: Positive


class Segment(Value):
    """A constant bandwidth held over an interval."""

    start_s: NonNegative
    end_s: Positive
    hz: Positive


class Allocation(Value):
    """The spectrum allocated to one user's upload."""

    user: Name
    segments: Annotated[tuple[Segment, ...], Field(min_length=1, strict=False)]


class Schedule(Value):
    """Rounds in order, the bandwidth of every served user, and a proven bound.

    ``bound`` is a proven upper bound on users served under the same rules; ``gap`` is
    (bound − served) / bound, and 0 when the bound is 0. ``slack_s`` (static only) is
    how far the rounds could be moved ahead of their latest possible starts.
    ``sharing`` is false where every change of model loads the whole model; if it is not
    given, the ending of the solver's name decides.
    """

    instance: Name
    solver: Name
    sharing: bool = True
    uplink: Uplink
    status: Status
    served: Count
    bound: Count
    gap: Annotated[float, Field(ge=0, le=1)]
    slack_s: NonNegative | None = None
    rounds: Annotated[tuple[Round, ...], Field(strict=False)]
    bandwidth: Annotated[tuple[Allocation, ...], Field(strict=False)]

    @model_validator(mode="before")
    @classmethod
    def _sharing_by_name(cls, given: Any) -> Any:
        """Read schedules of before there was ``sharing`` by their solver's name."""
        if not isinstance(given, dict) or "sharing" in given:
            return given
        return {**given, "sharing": not str(given.get("solver")).endswith(NO_SHARING)}


@dataclass(frozen=True)
class Result:
    """A schedule and the time it took to find.

    Parameters
    ----------
    schedule
        The schedule, which has passed ``verify``.
    runtime_s
        Wall-clock time of the solver, including timing and verification.
    note
        What the solver says of how it found the schedule; None for nothing.
    """

    schedule: Schedule
    runtime_s: float
    note: str | None = None

    @property
    def served(self) -> int:
        """Users whose round ends by their deadline."""
        return self.schedule.served

    @property
    def bound(self) -> int:
        """A proven upper bound on ``served``."""
        return self.schedule.bound

    @property
    def gap(self) -> float:
        """(bound − served) / bound, 0 when the bound is 0."""
        return self.schedule.gap

    @property
    def status(self) -> Status:
        """``"optimal"`` if the bound is met or optimality was proven."""
        return self.schedule.status

    def __str__(self) -> str:
        schedule = self.schedule
        return (
            f"{schedule.solver} on {schedule.instance} ({schedule.uplink}): "
            f"{schedule.served} served, bound {schedule.bound}, "
            f"gap {schedule.gap:.1%}, {schedule.status}, {self.runtime_s:.3g} s"
        )

    def __repr__(self) -> str:
        return f"<Result: {self}>"
