"""A run, with the intermediate quantities that its measures share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgesim.engine.records import Floats, Ints, RequestLog, Run
from edgesim.measures.gpu_time import Cover, GpuTime, cover, gpu_time
from edgesim.measures.whole_models import whole_bytes
from solvers.core.tables import Tables
from solvers.schedule import Schedule


@dataclass(frozen=True, eq=False)
class Account:
    """A run, with quantities that several measures share; computed on first use.

    Parameters
    ----------
    run
        The run.
    tables
        The library and GPU of the simulation, with or without sharing.
    schedule
        The plan that it followed, if any.
    """

    run: Run
    tables: Tables
    schedule: Schedule | None = None

    @cached_property
    def gpu(self) -> GpuTime:
        """Activity of the GPU over time."""
        return gpu_time(self.run.rounds, self.run.stalls_s)

    @cached_property
    def band(self) -> Cover:
        """Cumulative use of the band, in seconds of the whole band."""
        bands = self.run.bands
        if not len(bands.hz):
            return cover(self.run.busy_s[:, 0], self.run.busy_s[:, 1])
        share = bands.hz / self.tables.problem.bandwidth_hz
        return cover(bands.start_s, bands.end_s, share)

    @property
    def waiting_s(self) -> tuple[Floats, Floats]:
        """Start and end of waiting of requests with an input, shape (n,) each."""
        requests = self.run.requests
        uploaded = ~np.isnan(requests.upload_end_s)
        return requests.upload_end_s[uploaded], self.leave_s(requests)[uploaded]

    def leave_s(self, requests: RequestLog) -> Floats:
        """When the batch of each of some requests started or it was dropped."""
        leave_s = requests.end_s.copy()
        round_ = requests.round
        computed = round_ >= 0
        leave_s[computed] = self.run.rounds.compute_start_s[round_[computed]]
        return leave_s

    @cached_property
    def waiting(self) -> Cover:
        """Cumulative request-seconds of waiting."""
        return cover(*self.waiting_s)

    @cached_property
    def saved_bytes(self) -> Ints:
        """Bytes that sharing saved, by round, shape (R,)."""
        rounds = self.run.rounds
        if not self.tables.sharing:
            return np.zeros_like(rounds.loaded_bytes)
        batch = np.maximum(rounds.chosen, rounds.batch)
        if self.schedule is not None:
            # The plan reserved memory for the planned batch.
            batch = np.array([len(r.users) for r in self.schedule.rounds], np.int64)
        return whole_bytes(self.tables, rounds.model, batch) - rounds.loaded_bytes

    @property
    def last_s(self) -> float:
        """Time of the last outcome or round end of the run; 0 without any."""
        requests, rounds = self.run.requests, self.run.rounds
        ends_s = [requests.end_s.max(initial=0.0), rounds.end_s.max(initial=0.0)]
        return float(max(ends_s))
