"""What goes wrong in an online run: the GPU stalls, loads are slow, links are down."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """From when to when, in seconds of the run; ``factor`` where it applies."""

    start_s: float
    end_s: float
    factor: float = 1.0


class Outage(NamedTuple):
    """A user whose link carries nothing for a while."""

    user: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Faults:
    """Faults of a run; nobody but the simulation knows them beforehand.

    Parameters
    ----------
    stalls
        The GPU does nothing: what runs goes on when the stall is over. In order,
        apart from one another.
    slow_loads
        Loads that start within the span take ``factor`` times their time. In order,
        apart from one another.
    outages
        Links that are down.
    """

    stalls: tuple[Span, ...] = ()
    slow_loads: tuple[Span, ...] = ()
    outages: tuple[Outage, ...] = ()

    def gpu_s(self, start_s: float, work_s: float) -> float:
        """How long work on the GPU takes that starts now, stalls included."""
        end_s = start_s + work_s
        for stall in self.stalls:
            if stall.end_s <= start_s:
                continue
            if stall.start_s >= end_s:
                break
            end_s += stall.end_s - max(stall.start_s, start_s)
        return end_s - start_s

    def load_factor(self, start_s: float) -> float:
        """Factor on a load that starts now."""
        at = bisect_right(self.slow_loads, start_s, key=lambda span: span.start_s) - 1
        if at >= 0 and start_s < self.slow_loads[at].end_s:
            return self.slow_loads[at].factor
        return 1.0
