"""What a plan did not know: fading channels, load and compute times that vary.

A realisation depends on the problem and the generator, never on a schedule: solvers
that are compared meet the same channels and the same round-by-round jitter.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from edgesim.engine.channel import Channel
from edgesim.errors import short
from solvers.problem import Problem, Value

HORIZON_DEADLINES = 10
"""An upload is given up at this many times the latest deadline of the problem."""

_CHUNK_BLOCKS = 64
_SIGMA_MAX = 3.0

Floats = NDArray[np.float64]


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
    """The ``[noise]`` section of a scenario: what differs from the plan.

    With ``fading`` each user's spectral efficiency is redrawn every ``coherence_s``.
    ``load_sigma`` and ``compute_sigma`` are sigmas of lognormal factors with median 1
    on the load and the compute time of every round; ``"profile"`` takes the spread
    that the device profile states.
    """

    fading: bool = False
    coherence_s: Annotated[float, Field(ge=1e-4, allow_inf_nan=False)] = 0.05
    load_sigma: Sigma = 0.0
    compute_sigma: Sigma = 0.0


class FadingEfficiency(Protocol):
    """What a radio model gives: a user's spectral efficiency in later blocks."""

    def __call__(self, user: int, blocks: int, rng: np.random.Generator, /) -> Floats:
        """Draw spectral efficiencies of consecutive coherence blocks.

        Parameters
        ----------
        user
            The user's number, in the order of the problem.
        blocks
            How many blocks to draw; a later call with the same ``rng`` draws the
            blocks that follow.
        rng
            The user's own generator.

        Returns
        -------
        ndarray of float64, shape (blocks,)
            bit/s/Hz, finite, ≥ 0.
        """
        ...


@dataclass(frozen=True, eq=False)
class Realisation:
    """What really happens, as far as chance decides it.

    Parameters
    ----------
    load_factor, compute_factor
        Factors on the nominal times by round index, shape (K,): there are never more
        rounds than users.
    channels
        The channel of each user, in the order of the problem.
    horizon_s
        When uploads that have not ended are given up.
    """

    load_factor: Floats
    compute_factor: Floats
    channels: Sequence[Channel]
    horizon_s: float


def nominal(problem: Problem) -> Realisation:
    """Return the realisation in which everything is as the plan assumes."""
    users = problem.users
    return Realisation(
        load_factor=np.ones(len(users)),
        compute_factor=np.ones(len(users)),
        channels=[Channel.constant(user.spectral_efficiency) for user in users],
        horizon_s=horizon_s(problem),
    )


def horizon_s(problem: Problem) -> float:
    """When uploads are given up: 10 times the latest deadline, 0 without users."""
    latest_s = max((user.deadline_s for user in problem.users), default=0.0)
    return HORIZON_DEADLINES * latest_s


def draw(
    spec: NoiseSpec,
    problem: Problem,
    rng: np.random.Generator,
    *,
    fading_efficiency: FadingEfficiency | None = None,
    measured_load_sigma: float | None = None,
    measured_compute_sigma: float | None = None,
) -> Realisation:
    """Draw one realisation, to be used for every schedule of the problem.

    Parameters
    ----------
    spec
        What varies, and how much.
    problem
        The users; coherence block 0 of each has the efficiency that the problem
        states.
    rng
        Spawns one generator for loads, one for computing and one for each user, so
        that no draw depends on another's number.
    fading_efficiency
        Draws the later blocks; needed with ``spec.fading``. It is called as blocks are
        needed.
    measured_load_sigma, measured_compute_sigma
        The spreads that the profile states, for ``"profile"``; None if it states none.

    Raises
    ------
    ValueError
        Beginning with the key, when ``spec`` asks for what was not handed over.
    """
    users = problem.users
    load_rng, compute_rng, *user_rngs = rng.spawn(2 + len(users))
    load_sigma = stated_sigma("load_sigma", spec.load_sigma, measured_load_sigma)
    compute_sigma = stated_sigma(
        "compute_sigma", spec.compute_sigma, measured_compute_sigma
    )
    channels: list[Channel]
    if not spec.fading:
        channels = [Channel.constant(user.spectral_efficiency) for user in users]
    elif fading_efficiency is None:
        raise ValueError(
            "noise.fading: needs a radio model to draw from, and this problem comes "
            "without one; set it to false"
        )
    else:
        channels = [
            Channel(
                _Blocks(user.spectral_efficiency, number, fading_efficiency, user_rng),
                spec.coherence_s,
            )
            for number, (user, user_rng) in enumerate(
                zip(users, user_rngs, strict=True)
            )
        ]
    return Realisation(
        load_factor=np.exp(load_sigma * load_rng.standard_normal(len(users))),
        compute_factor=np.exp(compute_sigma * compute_rng.standard_normal(len(users))),
        channels=channels,
        horizon_s=horizon_s(problem),
    )


def stated_sigma(
    key: str, sigma: float | Literal["profile"], measured: float | None
) -> float:
    """Resolve a sigma of the ``[noise]`` section.

    Parameters
    ----------
    key
        The section's key, for messages.
    sigma
        What stands there.
    measured
        The spread that the profile states, for ``"profile"``; None if it states none.

    Raises
    ------
    ValueError
        Beginning with the key, when the profile states none and is asked for it.
    """
    if sigma != "profile":
        return sigma
    if measured is None:
        of = "load times" if key == "load_sigma" else "batch latencies"
        raise ValueError(
            f'noise.{key}: is "profile", but the profile states no spread of {of}; '
            f"give a number"
        )
    return measured


def median_spread(sigmas: Collection[float]) -> float | None:
    """Condense the spreads that a profile states to one; None if it states none."""
    return statistics.median(sigmas) if sigmas else None


class _Blocks:
    """Efficiency by block; drawn in order when first asked for, and then kept."""

    def __init__(
        self,
        known: float,
        user: int,
        redraw: FadingEfficiency,
        rng: np.random.Generator,
    ) -> None:
        self._drawn = [known]
        self._user = user
        self._redraw = redraw
        self._rng = rng

    def __call__(self, block: int) -> float:
        while len(self._drawn) <= block:
            # Always a whole chunk: the draws must not depend on who asks when.
            chunk = np.asarray(self._redraw(self._user, _CHUNK_BLOCKS, self._rng))
            if chunk.shape != (_CHUNK_BLOCKS,) or not (chunk >= 0).all():
                raise ValueError(
                    f"fading_efficiency must draw {_CHUNK_BLOCKS} numbers, all ≥ 0, "
                    f"found {short(chunk)}"
                )
            self._drawn.extend(chunk.tolist())
        return self._drawn[block]
