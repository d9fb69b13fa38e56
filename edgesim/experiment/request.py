"""Requests as users write them, and their conversion to arrivals of a simulation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

from edgesim.engine.request import Arrival
from edgesim.errors import InputError, short
from edgesim.trace.rows import MAX_BYTES, RANGES

_RANGES = {
    "arrival_s": RANGES["arrival_s"],
    "input_bits": (1e-12, 8.0 * MAX_BYTES),
    "spectral_efficiency": RANGES["spectral_efficiency"],
    "slo_s": RANGES["slo_s"],
}
"""Least and largest numbers: those of traces."""


@dataclass(frozen=True)
class Request:
    """One request of a stream.

    Parameters
    ----------
    arrival_s
        Arrival time, in seconds of the run.
    user, model
        Its user, and the model that it asks for, by name.
    input_bits
        Size of its input.
    spectral_efficiency
        Spectral efficiency of its uplink, in bit/s/Hz; 0 if there is no link.
    slo_s
        Time allowed from its arrival.

    Raises
    ------
    InputError
        Naming the parameter that is out of range.
    """

    arrival_s: float
    user: str
    model: str
    input_bits: float
    spectral_efficiency: float
    slo_s: float

    def __post_init__(self) -> None:
        for name in ("user", "model"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise InputError(name, f"must be a name, found {short(value)}")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            # Numbers of numpy and pandas too, but neither texts nor truth values.
            if not isinstance(value, Real) or isinstance(value, bool):
                raise InputError(name, f"must be a number, found {short(value)}")
            if not low <= value <= high:  # type: ignore[operator]
                raise InputError(
                    name, f"must be from {low:g} to {high:g}, found {short(value)}"
                )
            object.__setattr__(self, name, float(value))


def arrivals_of(
    requests: Sequence[Request], model_number: Mapping[str, int], bandwidth_hz: float
) -> tuple[list[Arrival], tuple[str, ...]]:
    """Convert requests to arrivals, in order of arrival.

    Parameters
    ----------
    requests
        In any order; simultaneous ones keep theirs.
    model_number
        The library's models by name.
    bandwidth_hz
        The whole band.

    Returns
    -------
    list of Arrival, and tuple of str
        Arrivals, and the users by number.

    Raises
    ------
    InputError
        For a model that the library does not hold.
    """
    users: dict[str, int] = {}
    arrivals = []
    for place, request in enumerate(requests):
        if not isinstance(request, Request):
            raise InputError(
                f"requests[{place}]",
                f"must be an edgesim.Request, found {short(request)}",
            )
        if request.model not in model_number:
            raise InputError(
                f"requests[{place}].model",
                f"must be a model of the library ({short(list(model_number))}), "
                f"found {request.model!r}",
            )
        rate = request.spectral_efficiency * bandwidth_hz
        arrivals.append(
            Arrival(
                request.arrival_s,
                users.setdefault(request.user, len(users)),
                model_number[request.model],
                request.input_bits / rate if rate else math.inf,
                request.slo_s,
            )
        )
    arrivals.sort(key=lambda arrival: arrival.arrival_s)
    return arrivals, tuple(users)
