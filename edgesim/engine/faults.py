"""Faults of an online run: GPU stalls, slow loads and link outages."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """Start and end in seconds of the run; ``factor`` where it applies."""

    start_s: float
    end_s: float
    factor: float = 1.0


class Outage(NamedTuple):
    """A period during which a user's link carries nothing."""

    user: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Faults:
    """Faults of a run; only the simulation knows them in advance.

    Parameters
    ----------
    stalls
        Periods in which the GPU is stalled: work in progress resumes when the stall is
        over. In order, disjoint.
    slow_loads
        Loads that start within the span take ``factor`` times as long. In order,
        disjoint.
    outages
        Periods in which links are down.
    """

    stalls: tuple[Span, ...] = ()
    slow_loads: tuple[Span, ...] = ()
    outages: tuple[Outage, ...] = ()

    def gpu_s(self, start_s: float, work_s: float) -> float:
        """Duration of GPU work that starts now, stalls included."""
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
