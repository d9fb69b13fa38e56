"""How a run goes, whatever the policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from edgesim.engine.faults import Faults
from edgesim.names import UplinkRule


@dataclass(frozen=True)
class Settings:
    """How a run goes, whatever the policy.

    Parameters
    ----------
    uplink
        The rule for sharing the band.
    late
        ``"drop"``: a request is dropped once it cannot end by its deadline, even
        computed alone and at once; ``"serve"``: no request is dropped for being late.
    queue_limit
        How many requests may be uploading or waiting; more are turned away.
    faults
        What goes wrong, and when.
    load_factor, compute_factor
        Factors on the nominal times, drawn once a round; None for nominal times.
    known_ahead
        Whether the server knows every request from the start, before it arrives. Then
        the uplink, a part of its own, begins each upload when its request arrives.
    """

    uplink: UplinkRule = "fifo"
    late: Literal["drop", "serve"] = "drop"
    queue_limit: int | None = None
    faults: Faults = field(default_factory=Faults)
    load_factor: Iterator[float] | None = None
    compute_factor: Iterator[float] | None = None
    known_ahead: bool = False
