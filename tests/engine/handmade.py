"""Online runs to measure: one worked out by hand, and simulated ones of all kinds."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from edgesim.engine.faults import Faults, Outage, Span
from edgesim.engine.policy import Policy
from edgesim.engine.records import (
    DROPPED,
    IN_TIME,
    LATE,
    REASONS,
    RequestLog,
    RoundLog,
    Run,
)
from edgesim.engine.request import ActiveRequest, Arrival
from edgesim.engine.server import Server, simulate
from edgesim.engine.settings import Settings
from solvers import Problem
from solvers.core.tables import Tables

NAN = float("nan")
USERS = ("ann", "ben")


def make_problem(**settings: object) -> Problem:
    """Make models A (100 bytes) and B (110 bytes) that share a stem of 80 bytes."""
    return Problem.model_validate(
        {
            "name": "online",
            "bandwidth_hz": 1.0,
            "blocks": {
                "stem": {"bytes": 80, "load_s": 0.4},
                "a": {"bytes": 20, "load_s": 0.1},
                "b": {"bytes": 30, "load_s": 0.15},
            },
            "models": {
                "A": {"blocks": ["stem", "a"], "latency_s": [0.5, 0.75]},
                "B": {"blocks": ["stem", "b"], "latency_s": [1.0, 1.25]},
                "unused": {"blocks": ["a"], "latency_s": [0.5]},
            },
            "users": [],
        }
        | settings
    )


def make_rounds(rows: Sequence[tuple[float, ...]]) -> RoundLog:
    """Make a log from model, chosen, batch, bytes loaded and reused, and times.

    Times are load start, load end, compute start and end.
    """
    columns = np.array(rows, dtype=np.float64).reshape(-1, 9).T
    model, chosen, batch, loaded, reused = columns[:5].astype(np.int64)
    load_start_s, load_end_s, start_s, end_s = columns[5:]
    return RoundLog(
        model=model,
        chosen=chosen,
        batch=batch,
        loaded_bytes=loaded,
        reused_bytes=reused,
        load_start_s=load_start_s,
        load_s=load_end_s - load_start_s,
        compute_start_s=start_s,
        compute_s=end_s - start_s,
        end_s=end_s,
    )


def make_requests(rows: Sequence[tuple[float, ...]]) -> RequestLog:
    """Make a log from rows in the order of the columns."""
    columns = np.array(rows, dtype=np.float64).reshape(-1, 9).T
    user, model, round_, outcome = columns[[0, 1, 6, 8]].astype(np.int64)
    arrival_s, deadline_s, upload_start_s, upload_end_s = columns[2:6]
    return RequestLog(
        user=user,
        model=model,
        arrival_s=arrival_s,
        deadline_s=deadline_s,
        upload_start_s=upload_start_s,
        upload_end_s=upload_end_s,
        round=round_,
        end_s=columns[7],
        outcome=outcome,
    )


def hand_run() -> Run:
    """Make a run of six requests and three rounds, A, A and B, that ends at 5 s."""
    no_link = DROPPED + REASONS.index("no link")
    too_late = DROPPED + REASONS.index("too late")
    return Run(
        requests=make_requests(
            [
                (0, 0, 0.0, 4.0, 0.0, 0.5, 0, 2.0, IN_TIME),
                (1, 0, 0.5, 1.5, 0.5, 1.25, 0, 2.0, LATE),
                (0, 0, 1.0, 4.0, 1.25, 1.5, 1, 3.0, IN_TIME),
                (1, 1, 2.0, 6.0, 3.0, 4.0, 2, 5.0, IN_TIME),
                (0, 1, 3.0, 4.5, 4.0, NAN, -1, 4.25, too_late),
                (1, 1, 4.0, 9.0, NAN, NAN, -1, 4.0, no_link),
            ]
        ),
        rounds=make_rounds(
            [
                (0, 1, 2, 100, 0, 0.5, 1.0, 1.25, 2.0),
                (0, 1, 1, 0, 100, 2.0, 2.0, 2.0, 3.0),
                (1, 2, 1, 30, 80, 3.25, 3.5, 4.0, 5.0),
            ]
        ),
        reasons=REASONS,
        busy_s=np.array([[0.0, 1.5], [3.0, 4.25]]),
    )


class AnyPolicy(Policy):
    """Chooses at random, some of it still on its way, and lets others join."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def choose(self, server: Server) -> Sequence[ActiveRequest] | None:
        """Choose requests of a random model, waiting or uploading."""
        groups = [list(queue) for queue in server.waiting]
        for _, request in server.uploads():
            groups[request.model].append(request)
        asked = [group for group in groups if group]
        if not asked:
            return None
        group = self._rng.choice(asked)
        most = min(len(group), server.most[group[0].model])
        return self._rng.sample(group, self._rng.randint(1, most))

    def join(
        self, server: Server, batch: Sequence[ActiveRequest], room: int
    ) -> Sequence[ActiveRequest]:
        """Let some join, now and then."""
        queue = server.waiting[batch[0].model]
        return queue[: self._rng.randint(0, room)]


def seeded_tables(seed: int, *, sharing: bool = True, **settings: object) -> Tables:
    """Make a random library with crossing blocks and a memory that is often short."""
    rng = random.Random(seed)
    blocks = {
        f"b{i}": {"bytes": rng.randint(1, 30), "load_s": rng.randint(0, 20) / 100}
        for i in range(6)
    }
    models = {}
    for m in range(5):
        latency_s = [0.02 + 0.01 * b for b in range(rng.randint(1, 4))]
        models[f"m{m}"] = {
            "blocks": rng.sample(sorted(blocks), rng.randint(1, 4)),
            "latency_s": latency_s,
            "activation_bytes": [5 * (b + 1) for b in range(len(latency_s))],
        }
    problem = {
        "name": "seeded",
        "bandwidth_hz": 1.0,
        "blocks": blocks,
        "models": models,
        "users": [],
        "gpu_memory_bytes": rng.choice([130, 160, 240, None]),
        "resident_model": rng.choice([None, "m0"]),
        "residency": rng.choice(["previous", "cache"]),
        "overlap": rng.random() < 0.5,
    }
    return Tables(Problem.model_validate(problem | settings), sharing=sharing)


def seeded_run(seed: int, tables: Tables, requests: int = 60) -> Run:
    """Simulate a random stream under a random policy and rules."""
    rng = random.Random(seed)
    arrival_s = 0.0
    arrivals = []
    for _ in range(requests):
        arrival_s += rng.choice([0.0, rng.expovariate(8.0)])
        demand_s = rng.choice([0.0, 0.02, rng.expovariate(12.0), float("inf")])
        slo_s = rng.uniform(0.1, 2.0)
        arrivals.append(
            Arrival(arrival_s, rng.randrange(2), rng.randrange(5), demand_s, slo_s)
        )
    faults = Faults(
        stalls=(Span(1.0, 1.4),),
        slow_loads=(Span(2.0, 3.0, 10.0),),
        outages=(Outage(1, 0.5, 1.5),),
    )
    settings = Settings(
        uplink=rng.choice(["fifo", "edf", "equal-share"]),  # type: ignore[arg-type]
        late=rng.choice(["drop", "serve"]),  # type: ignore[arg-type]
        queue_limit=rng.choice([None, 8]),
        faults=rng.choice([Faults(), faults]),
    )
    return simulate(tables, arrivals, AnyPolicy(seed), settings)
