"""Bands of uploads as areas over time, stacked on one another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Band(NamedTuple):
    """A band held by one request over a period."""

    request: int
    start_s: float
    end_s: float
    hz: float


def stacked(
    bands: Sequence[Band], ids: Sequence[str]
) -> list[tuple[int, float, float, float, float]]:
    """Stack the bands held at one time: request, start, end, bottom and height in Hz.

    The band held longest is lowest, so that a band need not move when others are
    released.
    """
    last_s: dict[int, float] = {}
    for band in bands:
        last_s[band.request] = max(last_s.get(band.request, 0.0), band.end_s)
    pending = sorted(bands, key=lambda b: (b.start_s, ids[b.request]), reverse=True)
    edges = sorted({t for band in bands for t in (band.start_s, band.end_s)})
    active: list[Band] = []
    drawn: list[tuple[int, float, float, float, float]] = []
    open_at: dict[tuple[int, float, float], int] = {}
    for begin_s, end_s in pairwise(edges):
        while pending and pending[-1].start_s <= begin_s:
            active.append(pending.pop())
        active = [band for band in active if band.end_s > begin_s]
        active.sort(key=lambda band: (-last_s[band.request], ids[band.request]))
        bottom_hz = 0.0
        still_open: dict[tuple[int, float, float], int] = {}
        for band in active:
            key = (band.request, bottom_hz, band.hz)
            index = open_at.get(key)
            if index is None:
                index = len(drawn)
                drawn.append((band.request, begin_s, end_s, bottom_hz, band.hz))
            else:
                request, start_s, _, bottom, hz = drawn[index]
                drawn[index] = (request, start_s, end_s, bottom, hz)
            still_open[key] = index
            bottom_hz += band.hz
        open_at = still_open
    return drawn
