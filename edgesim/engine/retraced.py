"""An earlier run's rounds, simulated again: only the times are the simulation's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgesim.engine.policies.retrace import PastRound, Retrace
from edgesim.engine.records import Ints, Run
from edgesim.engine.request import Arrival
from edgesim.engine.server import Parts, simulate
from edgesim.engine.settings import Settings
from edgesim.engine.uplinks.recorded import RecordedUplink
from solvers.core.tables import Tables


def retraced(tables: Tables, run: Run) -> tuple[Run, Ints]:
    """Simulate the rounds of a run with nominal times.

    Requests that were computed arrive and upload when they did and are served in the
    same rounds, in the same order; all others are left out. With overlap no round is
    chosen earlier than it was, so that errors of times do not add up.

    Parameters
    ----------
    tables
        The library and the GPU of the run.
    run
        The run.

    Returns
    -------
    Run
        The simulation; its rounds are those of the run, one by one.
    ndarray of int64
        The number in the run of each of its requests.
    """
    run = run.at_hand()
    records, rounds = run.requests, run.rounds
    number = np.flatnonzero(records.round >= 0)
    of_round: list[set[int]] = [set() for _ in range(len(rounds.model))]
    for new, index in enumerate(records.round[number].tolist()):
        of_round[index].add(new)
    freed_s = set() if tables.problem.overlap else set(rounds.end_s.tolist())
    past = [
        PastRound(int(model), frozenset(of), start_s, start_s in freed_s)
        for model, of, start_s in zip(
            rounds.model.tolist(), of_round, rounds.load_start_s.tolist(), strict=True
        )
    ]
    arrival_s = records.arrival_s[number].tolist()
    start_s = records.upload_start_s[number].tolist()
    end_s = records.upload_end_s[number].tolist()

    def arrivals() -> Iterator[Arrival]:
        for new, old in enumerate(number.tolist()):
            slo_s = float(records.deadline_s[old]) - arrival_s[new]
            model, user = int(records.model[old]), int(records.user[old])
            yield Arrival(arrival_s[new], user, model, 0.0, slo_s)

    parts = Parts(
        uplink=lambda env, deliver, _: RecordedUplink(env, deliver, start_s, end_s)
    )
    policy = Retrace(past, arrival_s)
    simulated = simulate(tables, arrivals(), policy, Settings(late="serve"), parts)
    return simulated, number
