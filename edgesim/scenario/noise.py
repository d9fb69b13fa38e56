"""The ``[noise]`` section of a scenario: deviations from the plan."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from edgesim.errors import InputError, short
from edgesim.trace.scale import Scale
from solvers.problem import Value

_SIGMA_MAX = 3.0


def _sigma(value: Any) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value == "profile" or (number and 0 <= value <= _SIGMA_MAX):
        return value
    raise ValueError(
        f'must be a number between 0 and {_SIGMA_MAX:g} or "profile", '
        f"found {short(value)}"
    )


Sigma = Annotated[
    Annotated[float, Field(ge=0, le=_SIGMA_MAX)] | Literal["profile"],
    BeforeValidator(_sigma),
]


class NoiseSpec(Value):
    """The ``[noise]`` section of a scenario: deviations from the plan.

    With ``fading`` each user's spectral efficiency is redrawn every ``coherence_s``.
    ``load_sigma`` and ``compute_sigma`` are sigmas of lognormal factors with median 1
    on the load and the compute time of every round; ``"profile"`` takes the spread
    that the device profile states. Every load takes ``load_factor`` times as long on
    top of that: an error of the profile that plans and policies do not know of.
    """

    fading: bool = False
    coherence_s: Annotated[float, Field(ge=1e-4, allow_inf_nan=False)] = 0.05
    load_sigma: Sigma = 0.0
    compute_sigma: Sigma = 0.0
    load_factor: Scale = 1.0

    def sigmas(
        self, measured_load: float | None, measured_compute: float | None
    ) -> tuple[float, float]:
        """Resolve the sigmas of load and compute times.

        Parameters
        ----------
        measured_load, measured_compute
            The spreads that the profile states, for ``"profile"``; None if it states
            none.

        Raises
        ------
        InputError
            If the profile states none and the scenario asks for it.
        """
        return (
            _resolved("load_sigma", self.load_sigma, measured_load, "load times"),
            _resolved(
                "compute_sigma",
                self.compute_sigma,
                measured_compute,
                "batch latencies",
            ),
        )


def _resolved(
    key: str, sigma: float | Literal["profile"], measured: float | None, of: str
) -> float:
    if sigma != "profile":
        return sigma
    if measured is None:
        raise InputError(
            f"noise.{key}",
            f'is "profile", but the profile states no spread of {of}; give a number',
        )
    return measured
