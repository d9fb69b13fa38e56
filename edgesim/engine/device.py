"""The GPU that a server drives: a component that signals completion by events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from simpy import Environment, Event

from edgesim.engine.faults import Faults

Factor: TypeAlias = Callable[[int], float]
"""The factor on a nominal time, by round number."""


class Device(Protocol):
    """Loads models and computes batches, one of each at a time.

    Work has ended when its event occurs; the event's value is its duration in seconds.
    A device that does not know the duration in advance measures it.
    """

    def load(self, number: int, model: int, nominal_s: float) -> Event | None:
        """Start loading the blocks that a round is missing.

        Parameters
        ----------
        number
            The round's number, counted from 0.
        model
            The model's number.
        nominal_s
            Duration according to the profile.

        Returns
        -------
        Event or None
            Occurs when the model is loaded; None if loading takes no time at all.
        """
        ...

    def compute(self, number: int, model: int, batch: int, nominal_s: float) -> Event:
        """Start computing a round's batch of at least one request.

        Parameters
        ----------
        number, model, nominal_s
            As for :meth:`load`.
        batch
            Requests in the batch.

        Returns
        -------
        Event
            Occurs when the batch is done.
        """
        ...


class SimulatedDevice:
    """A GPU in simulated time: nominal times, noise, and faults.

    Parameters
    ----------
    env
        The simulation.
    load_factor, compute_factor
        Factors on the nominal times, evaluated once per round; None for nominal times.
    faults
        Stalls and slow loads; None if there are none.
    dispatch_s
        Time that each load and each batch takes beyond itself, from the engine to the
        device and back.
    """

    def __init__(
        self,
        env: Environment,
        load_factor: Factor | None = None,
        compute_factor: Factor | None = None,
        faults: Faults | None = None,
        dispatch_s: float = 0.0,
    ) -> None:
        self._env = env
        self._load_factor = load_factor
        self._compute_factor = compute_factor
        self._faults = faults
        self._dispatch_s = dispatch_s

    def load(self, number: int, model: int, nominal_s: float) -> Event | None:
        """Start loading the blocks that a round is missing."""
        del model
        load_s = nominal_s
        if self._load_factor is not None:
            load_s *= self._load_factor(number)
        if not load_s:
            return None
        if self._faults is not None:
            now_s = self._env.now
            load_s *= self._faults.load_factor(now_s)
            load_s = self._faults.gpu_s(now_s, load_s)
        return self._env.timeout(self._dispatch_s + load_s, load_s)

    def compute(self, number: int, model: int, batch: int, nominal_s: float) -> Event:
        """Start computing a round's batch."""
        del model, batch
        compute_s = nominal_s
        if self._compute_factor is not None:
            compute_s *= self._compute_factor(number)
        if self._faults is not None:
            compute_s = self._faults.gpu_s(self._env.now, compute_s)
        return self._env.timeout(self._dispatch_s + compute_s, compute_s)


def in_turn(factors: Iterator[float]) -> Factor:
    """Assign factors to rounds in the order of calls, regardless of round numbers."""
    return lambda _: next(factors)
