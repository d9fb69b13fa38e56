"""Deviations from a plan: fading channels, varying load and compute times.

A realisation depends on the problem and the generator, never on a schedule: all solvers
in a comparison face the same channels and the same round-by-round jitter.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgesim.engine.channel import Channel
from edgesim.errors import short
from solvers.problem import Problem

HORIZON_DEADLINES = 10
"""An upload is abandoned at this multiple of the problem's latest deadline."""

_CHUNK_BLOCKS = 64

Floats = NDArray[np.float64]


class FadingEfficiency(Protocol):
    """Interface of a radio model: a user's spectral efficiency in later blocks."""

    def __call__(self, user: int, blocks: int, rng: np.random.Generator, /) -> Floats:
        """Draw spectral efficiencies of consecutive coherence blocks.

        Parameters
        ----------
        user
            The user's number, in the order of the problem.
        blocks
            Number of blocks to draw; a later call with the same ``rng`` draws the
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
    """Outcome of everything in a run that is random.

    Parameters
    ----------
    load_factor, compute_factor
        Factors on the nominal times by round index, shape (K,): there are never more
        rounds than users.
    channels
        The channel of each user, in the order of the problem.
    horizon_s
        When unfinished uploads are abandoned.
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
    """When uploads are abandoned: 10 times the latest deadline, 0 without users."""
    latest_s = max((user.deadline_s for user in problem.users), default=0.0)
    return HORIZON_DEADLINES * latest_s


@dataclass(frozen=True)
class Noise:
    """Magnitude of the deviations from the plan.

    Parameters
    ----------
    load_sigma, compute_sigma
        Sigmas of lognormal factors with median 1 on the load and the compute time of
        each round.
    fading_efficiency
        Redraws each user's spectral efficiency for every coherence block after the
        first, as blocks are needed; None for constant channels.
    coherence_s
        Length of a coherence block.
    load_factor
        Factor on the load time of every round, beside the drawn one.
    """

    load_sigma: float = 0.0
    compute_sigma: float = 0.0
    fading_efficiency: FadingEfficiency | None = None
    coherence_s: float = math.inf
    load_factor: float = 1.0


def draw(noise: Noise, problem: Problem, rng: np.random.Generator) -> Realisation:
    """Draw one realisation, for use with every schedule of the problem.

    Parameters
    ----------
    noise
        The varying quantities, and their magnitude.
    problem
        The users; coherence block 0 of each has the efficiency that the problem
        states.
    rng
        Spawns one generator for loads, one for computing and one for each user, so that
        no draw depends on how many others were drawn.
    """
    users = problem.users
    load_rng, compute_rng, *user_rngs = rng.spawn(2 + len(users))
    channels: list[Channel]
    if noise.fading_efficiency is None:
        channels = [Channel.constant(user.spectral_efficiency) for user in users]
    else:
        channels = [
            Channel(
                _Blocks(
                    user.spectral_efficiency, number, noise.fading_efficiency, user_rng
                ),
                noise.coherence_s,
            )
            for number, (user, user_rng) in enumerate(
                zip(users, user_rngs, strict=True)
            )
        ]
    return Realisation(
        load_factor=noise.load_factor
        * np.exp(noise.load_sigma * load_rng.standard_normal(len(users))),
        compute_factor=np.exp(
            noise.compute_sigma * compute_rng.standard_normal(len(users))
        ),
        channels=channels,
        horizon_s=horizon_s(problem),
    )


def median_spread(sigmas: Collection[float]) -> float | None:
    """Return the median of the spreads in a profile; None if it states none."""
    return statistics.median(sigmas) if sigmas else None


class _Blocks:
    """Efficiency by block; drawn in order on first use, and then kept."""

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
            # Always a whole chunk: draws must not depend on the order of the calls.
            chunk = np.asarray(self._redraw(self._user, _CHUNK_BLOCKS, self._rng))
            if chunk.shape != (_CHUNK_BLOCKS,) or not (chunk >= 0).all():
                raise ValueError(
                    f"fading_efficiency must draw {_CHUNK_BLOCKS} numbers, all ≥ 0, "
                    f"found {short(chunk)}"
                )
            self._drawn.extend(chunk.tolist())
        return self._drawn[block]
