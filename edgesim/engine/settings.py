"""Settings of a run, independent of the policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from edgesim.engine.faults import Faults
from edgesim.names import UplinkRule


@dataclass(frozen=True)
class Settings:
    """Settings of a run, independent of the policy.

    Parameters
    ----------
    uplink
        The rule for sharing the band.
    late
        ``"drop"``: a request is dropped once it cannot end by its deadline even if
        computed alone and at once; ``"serve"``: no request is dropped for being late.
    queue_limit
        Maximum number of requests uploading or waiting; further ones are rejected.
    faults
        Faults, and when they occur.
    load_factor, compute_factor
        Factors on the nominal times, drawn once per round; None for nominal times.
    dispatch_s
        Time that each load and each batch takes beyond itself; policies do not know.
    decision_s
        Time that each choice of a round takes, before its load; policies do not know.
    known_ahead
        Whether the server knows every request from the start, before it arrives. If so,
        the uplink, a non-default part, begins each upload when its request arrives.
    """

    uplink: UplinkRule = "fifo"
    late: Literal["drop", "serve"] = "drop"
    queue_limit: int | None = None
    faults: Faults = field(default_factory=Faults)
    load_factor: Iterator[float] | None = None
    compute_factor: Iterator[float] | None = None
    dispatch_s: float = 0.0
    decision_s: float = 0.0
    known_ahead: bool = False
