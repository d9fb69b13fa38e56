"""Where the error of a share in time comes from: simulations with what was measured.

They are made after the live run and hold its means: they explain, and predict nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from edgesim.engine.mean_device import DeviceMaker, MeanDevice
from edgesim.engine.records import Floats

Again: TypeAlias = Callable[[DeviceMaker, bool], float | None]
"""Simulates the requests again on another device; returns the share in time.

The second argument says whether decisions take the scenario's time.
"""

_DIGITS = 9
"""Nominal times are equal if they are so to the nanosecond."""


@dataclass(frozen=True)
class ErrorSplit:
    """The error of the share in time, live − simulated, as the sum of four parts.

    Each is the change from the simulation before it: with the live means of loads;
    those of batches as well; and also what each load and batch took beyond itself,
    deciding and dispatch. ``rest`` is what is left to the live run.
    """

    loads: float
    batches: float
    deciding: float
    rest: float

    @property
    def error(self) -> float:
        """The whole error."""
        return self.loads + self.batches + self.deciding + self.rest


class Means:
    """The live mean of the works of each nominal time; their common ratio elsewhere.

    Parameters
    ----------
    pairs
        Nominal and live times in seconds, shape (n, at least 2).
    """

    def __init__(self, pairs: Floats) -> None:
        nominal_s, live_s = pairs[:, 0], pairs[:, 1]
        total_s = float(nominal_s.sum())
        self._ratio = float(live_s.sum()) / total_s if total_s else 1.0
        keys = np.round(nominal_s, _DIGITS)
        self._mean_s = {
            float(key): float(live_s[keys == key].mean()) for key in np.unique(keys)
        }

    def __call__(self, nominal_s: float) -> float:
        """Return the mean live time of works of a nominal time."""
        found = self._mean_s.get(round(nominal_s, _DIGITS))
        return nominal_s * self._ratio if found is None else found


def split_error(
    live: float | None,
    closed: float | None,
    loads: Floats,
    batches: Floats,
    beyond_s: float,
    overhead_s: float,
    dispatch_s: float,
    again: Again,
) -> ErrorSplit | None:
    """Split the error of a simulation's share in time.

    Parameters
    ----------
    live, closed
        Share in time of the live run and of the simulation made before it.
    loads, batches
        Nominal and live times, shape (n, at least 2); batches without overhead.
    beyond_s
        What each load and each batch took live beyond itself, on average.
    overhead_s, dispatch_s
        What the profile adds to each batch for that, and the scenario to each load and
        batch; ``beyond_s`` replaces both.
    again
        Simulates again on another device.

    Returns
    -------
    ErrorSplit or None
        None without requests.
    """
    load_s, batch_s = Means(loads), Means(batches)

    def batch(nominal_s: float) -> float:
        return batch_s(nominal_s - overhead_s)

    def whole(nominal_s: float) -> float:
        return batch(nominal_s) + overhead_s

    shares = [
        closed,
        again(lambda env: MeanDevice(env, load_s, lambda s: s, dispatch_s), True),
        again(lambda env: MeanDevice(env, load_s, whole, dispatch_s), True),
        again(lambda env: MeanDevice(env, load_s, batch, beyond_s), False),
        live,
    ]
    return _differences(shares)


def _differences(shares: Sequence[float | None]) -> ErrorSplit | None:
    known = [share for share in shares if share is not None]
    if len(known) < len(shares):
        return None
    return ErrorSplit(*np.diff(known).tolist())
