"""What holds of every online run, whatever the policy: checked from the records."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from edgesim.engine.policy import Policy
from edgesim.engine.records import (
    DROPPED,
    IN_TIME,
    LATE,
    NEVER_FITS,
    NO_LINK,
    TOO_LATE,
    UPLOAD_NEVER_ENDED,
    Run,
)
from edgesim.engine.request import ActiveRequest, Arrival
from edgesim.engine.server import Server
from edgesim.engine.settings import Settings
from solvers import Problem
from solvers.core import residency
from solvers.core.tables import PlannedRound, Tables

TOLERANCE_S = 1e-8


def for_online(problem: Problem, **rules: Any) -> Problem:
    """Set rules of memory that can be kept online, and others on demand.

    Nobody knows what is used next, and a batch that loses a request still has to fit.
    """
    models = {
        name: model.model_copy(
            update={"activation_bytes": tuple(sorted(model.activation_bytes))}
        )
        if model.activation_bytes
        else model
        for name, model in problem.models.items()
    }
    return problem.model_copy(update={"eviction": "lru", "models": models, **rules})


class RandomPolicy(Policy):
    """Chooses, waits, lets requests join, turns away and drops, all at random.

    Parameters
    ----------
    seed
        Of its choices.
    wait, drop, refuse
        How likely each is whenever it is asked.
    """

    def __init__(
        self,
        seed: int,
        *,
        wait: float = 0.2,
        drop: float = 0.05,
        refuse: float = 0.05,
    ) -> None:
        self._rng = random.Random(seed)
        self._wait = wait
        self._drop = drop
        self._refuse = refuse

    def admit(self, server: Server, request: ActiveRequest) -> str | None:
        """Turn some away."""
        return "not today" if self._rng.random() < self._refuse else None

    def ready(self, server: Server, request: ActiveRequest) -> None:
        """Give up some at once."""
        if self._rng.random() < self._drop:
            server.drop(request, "unlucky")

    def choose(self, server: Server) -> Sequence[ActiveRequest] | None:
        """Choose any that wait or are on their way, now and then nobody."""
        rng = self._rng
        coming = [request for _, request in server.uploads()]
        everybody = [*(r for queue in server.waiting for r in queue), *coming]
        if everybody and rng.random() < self._drop:
            gone = rng.choice(everybody)
            server.drop(gone, "unlucky")
            everybody.remove(gone)
        if not everybody or rng.random() < self._wait:
            return None
        model = rng.choice(everybody).model
        mates = [r for r in everybody if r.model == model]
        size = rng.randint(1, min(len(mates), server.most[model]))
        return rng.sample(mates, size)

    def join(
        self, server: Server, batch: Sequence[ActiveRequest], room: int
    ) -> Sequence[ActiveRequest]:
        """Let any number join."""
        queue = server.waiting[batch[0].model]
        return self._rng.sample(queue, self._rng.randint(0, min(room, len(queue))))


def check_run(
    tables: Tables, arrivals: Sequence[Arrival], settings: Settings, run: Run
) -> None:
    """Check all that holds of a run with nominal times but for its faults."""
    check_requests(tables, arrivals, settings, run)
    check_rounds(tables, settings, run)
    check_memory(tables, run)
    check_band(arrivals, run)


def reason_of(run: Run, number: int) -> str | None:
    """Say why a request was dropped; None if it was computed."""
    code = int(run.requests.outcome[number])
    return None if code < DROPPED else run.reasons[code - DROPPED]


def check_requests(
    tables: Tables, arrivals: Sequence[Arrival], settings: Settings, run: Run
) -> None:
    """Check for one outcome each, the right one, and causes before effects."""
    requests, rounds = run.requests, run.rounds
    assert len(requests.outcome) == len(arrivals)
    tables_s = [table.tolist() for table in tables.latency_s]
    members = Counter(requests.round[requests.round >= 0].tolist())
    assert [members[r] for r in range(len(rounds.batch))] == rounds.batch.tolist()
    for k, arrival in enumerate(arrivals):
        assert requests.arrival_s[k] == arrival.arrival_s
        assert (requests.user[k], requests.model[k]) == (arrival.user, arrival.model)
        deadline_s = arrival.arrival_s + arrival.slo_s
        assert requests.deadline_s[k] == deadline_s
        start_s, there_s = requests.upload_start_s[k], requests.upload_end_s[k]
        end_s, reason = requests.end_s[k], reason_of(run, k)
        latest_s = deadline_s - min(tables_s[arrival.model][1:])
        assert end_s >= arrival.arrival_s - TOLERANCE_S
        if not math.isnan(start_s):
            assert arrival.arrival_s <= start_s + TOLERANCE_S
        if not math.isnan(there_s):
            assert start_s + arrival.demand_s <= there_s + TOLERANCE_S
            assert there_s <= end_s + TOLERANCE_S
        assert (reason == NO_LINK) == (arrival.demand_s == math.inf)
        if reason is None:
            r = requests.round[k]
            assert rounds.model[r] == arrival.model
            assert there_s <= rounds.compute_start_s[r] + TOLERANCE_S
            assert end_s == rounds.end_s[r]
            in_time = end_s <= deadline_s + 1e-9
            assert requests.outcome[k] == (IN_TIME if in_time else LATE)
            if settings.late == "drop":
                assert rounds.compute_start_s[r] <= latest_s + TOLERANCE_S
        else:
            assert requests.round[k] == -1
        if reason == NEVER_FITS:
            assert math.isinf(tables_s[arrival.model][1])
        if reason == UPLOAD_NEVER_ENDED:
            assert math.isnan(there_s)
        if reason == TOO_LATE:
            assert settings.late == "drop"
            left_s = arrival.demand_s if math.isnan(there_s) else 0.0
            assert end_s + left_s >= latest_s - TOLERANCE_S


def check_rounds(tables: Tables, settings: Settings, run: Run) -> None:
    """Check that loads and batches follow one another, two rounds in hand at most."""
    rounds, faults = run.rounds, settings.faults
    load_end_s = rounds.load_start_s + rounds.load_s
    assert np.all(rounds.compute_start_s >= load_end_s - TOLERANCE_S)
    np.testing.assert_allclose(rounds.end_s, rounds.compute_start_s + rounds.compute_s)
    assert np.all(rounds.compute_start_s[1:] >= rounds.end_s[:-1] - TOLERANCE_S)
    assert np.all(rounds.load_start_s[1:] >= load_end_s[:-1] - TOLERANCE_S)
    apart = 2 if tables.problem.overlap else 1
    assert np.all(rounds.load_start_s[apart:] >= rounds.end_s[:-apart] - TOLERANCE_S)
    for model, batch, start_s, compute_s in zip(
        rounds.model,
        rounds.batch,
        rounds.compute_start_s,
        rounds.compute_s,
        strict=True,
    ):
        nominal_s = tables.latency_s[model][batch]
        assert math.isfinite(nominal_s)
        stalled_s = sum(
            max(
                0.0, min(stall.end_s, start_s + compute_s) - max(stall.start_s, start_s)
            )
            for stall in faults.stalls
        )
        wanted_s = nominal_s + stalled_s if batch else 0.0
        assert abs(compute_s - wanted_s) <= TOLERANCE_S


def check_memory(tables: Tables, run: Run) -> None:
    """Check that what was loaded follows from the rounds, and always fitted."""
    rounds, size = run.rounds, tables.atom_bytes
    room = np.maximum(rounds.chosen, rounds.batch).tolist()
    planned = [
        PlannedRound(model, tuple(range(batch)))
        for model, batch in zip(rounds.model.tolist(), room, strict=True)
    ]
    steps = residency.steps(tables, planned)
    assert rounds.loaded_bytes.tolist() == [
        sum(size[atom] for atom in step.loaded) for step in steps
    ]
    held = [sum(size[a] for a in tables.atoms_of[m]) for m in rounds.model.tolist()]
    assert (rounds.loaded_bytes + rounds.reused_bytes).tolist() == held
    for r, step in enumerate(steps[1:], start=1):
        if rounds.load_start_s[r] < rounds.end_s[r - 1] - TOLERANCE_S:
            assert step.ahead
    capacity = tables.problem.gpu_memory_bytes
    if capacity is None:
        return
    for step, (model, users) in zip(steps, planned, strict=True):
        weights = sum(size[atom] for atom in step.memory.atoms)
        assert weights + tables.activation_bytes(model, len(users)) <= capacity
    for step, (before, after) in zip(steps[1:], pairwise(planned), strict=False):
        if step.ahead:
            atoms = tables.atoms_of[before.model] | tables.atoms_of[after.model]
            weights = sum(size[atom] for atom in atoms)
            used = tables.activation_bytes(before.model, len(before.users))
            assert weights + used <= capacity


def check_band(arrivals: Sequence[Arrival], run: Run) -> None:
    """Check that the band carried all inputs that came, and nothing not sent."""
    requests, busy_s = run.requests, run.busy_s
    assert np.all(busy_s[:, 0] <= busy_s[:, 1])
    for (_, end_s), (start_s, _) in pairwise(busy_s.tolist()):
        assert end_s < start_s
    demand_s = np.array([arrival.demand_s for arrival in arrivals])
    came = ~np.isnan(requests.upload_end_s)
    begun = ~np.isnan(requests.upload_start_s)
    carried_s = float(np.diff(busy_s).sum())
    assert demand_s[came].sum() - TOLERANCE_S <= carried_s
    assert carried_s <= demand_s[begun].sum() + TOLERANCE_S
