"""Requests as people write them down, and what becomes of them in a simulation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

from edgesim.engine.request import Arrival
from edgesim.errors import InputError, short


@dataclass(frozen=True)
class Request:
    """One request of a stream.

    Parameters
    ----------
    arrival_s
        When it arrives, in seconds of the run.
    user, model
        Whose it is, and the model that it wants, by name.
    input_bits
        Size of its input.
    spectral_efficiency
        Of its uplink, in bit/s/Hz; 0 where there is no link.
    slo_s
        Time it may take from its arrival.

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
        for name, may_be_0 in (
            ("arrival_s", True),
            ("input_bits", False),
            ("spectral_efficiency", True),
            ("slo_s", False),
        ):
            value = getattr(self, name)
            # Numbers of numpy and pandas too, but neither texts nor truth values.
            if not isinstance(value, Real) or isinstance(value, bool):
                raise InputError(name, f"must be a number, found {short(value)}")
            number = float(value)
            if not math.isfinite(number):
                raise InputError(name, f"must be a finite number, found {number!r}")
            if number < 0 or not (number or may_be_0):
                allowed = "0 or more" if may_be_0 else "above 0"
                raise InputError(name, f"must be {allowed}, found {number!r}")
            object.__setattr__(self, name, number)


def arrivals_of(
    requests: Sequence[Request], model_number: Mapping[str, int], bandwidth_hz: float
) -> tuple[list[Arrival], tuple[str, ...]]:
    """Turn requests into arrivals, in order of arrival.

    Parameters
    ----------
    requests
        In any order; those that arrive at once stay in theirs.
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
