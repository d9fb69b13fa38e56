"""When a solver is to end."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass


class PassedError(Exception):
    """A search that has nothing to show for itself was ended by its limit."""


@dataclass(frozen=True)
class Limit:
    """A moment on the system's monotonic clock after which a solver ends.

    Parameters
    ----------
    stop_s
        The moment, as ``time.monotonic`` tells it; infinite for no limit.
    """

    stop_s: float = math.inf

    @classmethod
    def after(cls, seconds: float | None) -> Limit:
        """Return the limit so many seconds from now; None for no limit."""
        return cls() if seconds is None else cls(time.monotonic() + seconds)

    def passed(self) -> bool:
        """Whether the moment has come."""
        return self.stop_s < math.inf and time.monotonic() >= self.stop_s

    def check(self) -> None:
        """Raise :class:`PassedError` if the moment has come."""
        if self.passed():
            raise PassedError

    def left_s(self, share: float = 1.0) -> float | None:
        """Return this share of the time that is left, at least 0; None if unlimited."""
        if self.stop_s == math.inf:
            return None
        return max(0.0, share * (self.stop_s - time.monotonic()))


UNLIMITED = Limit()
