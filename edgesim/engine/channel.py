"""Capacity of a user's channel over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Channel:
    """A user's spectral efficiency over time, constant within a coherence block.

    Parameters
    ----------
    efficiency
        Spectral efficiency in bit/s/Hz of block 0, 1, …; block n covers the time from
        ``n * coherence_s`` to ``(n + 1) * coherence_s``. At 0 nothing is transmitted.
    coherence_s
        Length of a block in s, > 0; infinite if the channel never changes.
    """

    efficiency: Callable[[int], float]
    coherence_s: float = math.inf

    @staticmethod
    def constant(efficiency: float) -> Channel:
        """Make a channel that never changes."""
        return Channel(lambda _: efficiency)

    def end_s(
        self, bits: float, hz: float, start_s: float, until_s: float
    ) -> float | None:
        """Time at which an upload at a constant band has delivered its bits.

        Computed block by block, exact up to rounding.

        Parameters
        ----------
        bits, hz, start_s
            The bits still to be sent, the band, and the start time.
        until_s
            Time at which the upload is abandoned, finite.

        Returns
        -------
        float or None
            None if the bits are not delivered by ``until_s``.
        """
        for efficiency, begin_s, stop_s in self._pieces(start_s, until_s):
            rate = hz * efficiency
            if rate * (stop_s - begin_s) >= bits:
                # 0 bits over a rate of 0: nothing is left to send.
                return min(begin_s + bits / rate, stop_s) if bits else begin_s
            bits -= rate * (stop_s - begin_s)
        return None

    def bits(self, hz: float, start_s: float, end_s: float) -> float:
        """Bits that a constant band carries between two times."""
        return math.fsum(
            hz * efficiency * (stop_s - begin_s)
            for efficiency, begin_s, stop_s in self._pieces(start_s, end_s)
        )

    def _pieces(
        self, start_s: float, until_s: float
    ) -> Iterator[tuple[float, float, float]]:
        """Split a time span at block boundaries: efficiency, begin, end."""
        block = 0 if math.isinf(self.coherence_s) else int(start_s // self.coherence_s)
        now_s = start_s
        while now_s < until_s:
            edge_s = min((block + 1) * self.coherence_s, until_s)
            if edge_s > now_s:  # rounding may put the start exactly on the edge
                yield self.efficiency(block), now_s, edge_s
                now_s = edge_s
            block += 1
