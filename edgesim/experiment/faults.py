"""Convert the faults of a scenario to those of a run."""

from __future__ import annotations

from collections.abc import Sequence

from edgesim.engine.faults import Faults, Outage, Span
from edgesim.errors import InputError, short
from edgesim.scenario.online import (
    FaultSpec,
    GpuStall,
    LinkDown,
    OnlineSpec,
    SlowLoad,
)


def online_faults(where: str, spec: OnlineSpec, users: Sequence[str]) -> Faults:
    """Convert the faults of a scenario to those of a run; bursts belong to the stream.

    Parameters
    ----------
    where
        The scenario, for messages.
    spec
        Its ``[online]`` section.
    users
        The trace's users, by number.

    Raises
    ------
    InputError
        If a fault names a user that the trace does not have.
    """
    numbers = {name: number for number, name in enumerate(users)}
    outages = []
    for i, fault in enumerate(spec.faults):
        if not isinstance(fault, LinkDown):
            continue
        if fault.user is not None and fault.user not in numbers:
            raise InputError(
                f"{where}: online.faults[{i}].user",
                f"must be a user of the trace ({short(list(users))}), "
                f"found {fault.user!r}",
            )
        down = numbers.values() if fault.user is None else [numbers[fault.user]]
        outages += [Outage(user, fault.at_s, fault.end_s) for user in down]
    return Faults(
        stalls=_spans(spec.faults, GpuStall),
        slow_loads=_spans(spec.faults, SlowLoad),
        outages=tuple(outages),
    )


def _spans(
    faults: Sequence[FaultSpec], kind: type[GpuStall | SlowLoad]
) -> tuple[Span, ...]:
    return tuple(
        sorted(
            Span(fault.at_s, fault.end_s, getattr(fault, "factor", 1.0))
            for fault in faults
            if isinstance(fault, kind)
        )
    )
