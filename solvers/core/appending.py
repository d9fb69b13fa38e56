"""A plan that grows at its end: whether one more round is in time, and for whom.

Loads depend on the previous round alone. What is decided here from running totals,
:func:`solvers.core.timing.time_rounds` decides from all rounds anew.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from solvers.core.tables import Floats, Tables
from solvers.tolerance import SPECTRUM_TOLERANCE, TIME_TOLERANCE_S
from solvers.uplink import Uplink


class Offer(NamedTuple):
    """A round to append: its model and users, and their totals in s."""

    model: int
    users: tuple[int, ...]
    demand_s: float
    deadline_s: float
    compute_s: float


class Growing:
    """Rounds so far under one discipline, and their running totals."""

    def __init__(self, tables: Tables, uplink: Uplink) -> None:
        self._tables = tables
        self._uplink = uplink
        self._model: int | None = None
        # End of the GPU's work: under upfront since the end of all uploads.
        self._end_s = 0.0
        self._demand_s = 0.0
        # upfront: how late the uploads of the rounds so far may end.
        self._latest_uploads_s = math.inf
        # dynamic: ends of the uploads released from each time on, if releases differ.
        self._grid_s, self._release = np.unique(tables.release_s, return_inverse=True)
        self._sent_s = np.full(len(self._grid_s), -np.inf)
        # static: the rounds so far, and the band that they need.
        self._band = 0.0
        self._rounds: list[tuple[float, float, float, float]] = []

    def fits(self, offer: Offer) -> bool:
        """Whether all rounds are in time, and the spectrum suffices, with one more."""
        load_s = self._tables.load_s(self._model, offer.model)
        latest_s = offer.deadline_s + TIME_TOLERANCE_S
        if self._uplink == "upfront":
            uploaded_s = self._demand_s + offer.demand_s
            end_s = uploaded_s + self._end_s + load_s + offer.compute_s
            return end_s <= latest_s and uploaded_s <= self._latest_uploads_s
        if self._end_s + load_s + offer.compute_s > latest_s:
            return False
        if self._uplink == "static":
            return self._band_suffices(offer, load_s)
        return self._ready_s(offer) + offer.compute_s <= latest_s

    def append(self, offer: Offer) -> None:
        """Append a round that fits."""
        load_s = self._tables.load_s(self._model, offer.model)
        if self._uplink == "dynamic":
            start_s = max(self._end_s + load_s, self._ready_s(offer))
            self._end_s = start_s + offer.compute_s
            if len(self._grid_s) > 1:
                self._sent_s = self._sent_with(offer)
        else:
            self._end_s += load_s + offer.compute_s
        self._demand_s += offer.demand_s
        if self._uplink == "upfront":
            slack_s = offer.deadline_s - self._end_s + TIME_TOLERANCE_S
            self._latest_uploads_s = min(self._latest_uploads_s, slack_s)
        if self._uplink == "static":
            self._rounds.append(_row(offer, load_s))
            self._band = _static_band(self._rounds)
        self._model = offer.model

    def _ready_s(self, offer: Offer) -> float:
        """When the last input of a round arrives."""
        if len(self._grid_s) > 1:
            return float(self._sent_with(offer).max())
        return float(self._grid_s[0]) + self._demand_s + offer.demand_s

    def _sent_with(self, offer: Offer) -> Floats:
        sent_s = self._sent_s.copy()
        for k in offer.users:
            since = slice(0, int(self._release[k]) + 1)
            fresh = np.isneginf(sent_s[since])
            sent_s[since][fresh] = self._grid_s[since][fresh]
            sent_s[since] += self._tables.demand_s[k]
        return sent_s

    def _band_suffices(self, offer: Offer, load_s: float) -> bool:
        most = 1 + SPECTRUM_TOLERANCE
        start_s = offer.deadline_s - offer.compute_s
        # One more round lets no other start later, so its own band comes on top.
        least = self._band + offer.demand_s / start_s if start_s > 0 else math.inf
        if least > most + SPECTRUM_TOLERANCE:
            return False
        return _static_band([*self._rounds, _row(offer, load_s)]) <= most


def _row(offer: Offer, load_s: float) -> tuple[float, float, float, float]:
    return load_s, offer.compute_s, offer.deadline_s, offer.demand_s


def _static_band(rounds: list[tuple[float, float, float, float]]) -> float:
    """Sum the bands of rounds that each start as late as they can."""
    load, compute, deadline, demand = np.array(rounds).T
    work = (load + compute).cumsum()
    latest = work + np.minimum.accumulate((deadline - work)[::-1])[::-1]
    start = np.maximum(latest, work) - compute
    return float((demand / start).sum()) if start.min() > 0 else math.inf
