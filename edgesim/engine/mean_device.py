"""A GPU in simulated time whose work takes other than nominal times."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from simpy import Environment, Event

from edgesim.engine.device import Device

DeviceMaker: TypeAlias = Callable[[Environment], Device]


class MeanDevice:
    """A GPU in simulated time whose loads and batches take other than nominal times.

    Parameters
    ----------
    env
        The simulation.
    load_s, compute_s
        Duration by nominal duration.
    beyond_s
        What each load and each batch takes beyond that.
    """

    def __init__(
        self,
        env: Environment,
        load_s: Callable[[float], float],
        compute_s: Callable[[float], float],
        beyond_s: float = 0.0,
    ) -> None:
        self._env = env
        self._load_s = load_s
        self._compute_s = compute_s
        self._beyond_s = beyond_s

    def load(self, number: int, model: int, nominal_s: float) -> Event | None:
        """Start to load, unless that takes no time."""
        del number, model
        if not nominal_s:
            return None
        load_s = self._load_s(nominal_s)
        return self._env.timeout(self._beyond_s + load_s, load_s)

    def compute(self, number: int, model: int, batch: int, nominal_s: float) -> Event:
        """Start to compute."""
        del number, model, batch
        compute_s = self._compute_s(nominal_s)
        return self._env.timeout(self._beyond_s + compute_s, compute_s)
