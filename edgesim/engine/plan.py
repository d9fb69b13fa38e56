"""Execute a plan: a run of the engine in which everything is planned.

The plan fixes the order of the rounds and their users, which loads overlap the
preceding round, and the bands; the engine starts everything as early as the plan's
rules allow. So with nominal times a run lands on the plan, and with noise its starts
slip.
"""

from __future__ import annotations

import math

from simpy import Environment

from edgesim.engine.device import SimulatedDevice
from edgesim.engine.memory import PlannedMemory
from edgesim.engine.noise import Realisation, nominal
from edgesim.engine.policies.follow import Follow
from edgesim.engine.records import Run
from edgesim.engine.request import Arrival
from edgesim.engine.request_queue import UplinkMaker
from edgesim.engine.server import Parts, simulate
from edgesim.engine.settings import Settings
from edgesim.engine.uplinks.links import Act
from edgesim.engine.uplinks.planned import FixedBandUplink, FullBandUplink, Uploads
from edgesim.engine.uplinks.rules import Uplink
from solvers.core.tables import Tables
from solvers.problem import Problem
from solvers.schedule import Schedule


def simulate_plan(
    problem: Problem,
    schedule: Schedule,
    noise: Realisation | None = None,
    tables: Tables | None = None,
) -> Run:
    """Execute a schedule: its rounds in its order, each as early as it can start.

    An upload that has not ended at the realisation's horizon is abandoned and its
    request dropped; its round proceeds with the inputs that have arrived, or computes
    nothing if there are none. So nothing waits forever, whatever the channel does.

    Parameters
    ----------
    problem
        The problem that was scheduled.
    schedule
        A schedule of that problem that passes ``verify``.
    noise
        Deviations from the plan; None for nominal times, with which every event lands
        on the plan's time to 1e-9 s.
    tables
        The problem's tables, if already built.

    Returns
    -------
    Run
        Requests, rounds and bands; requests are numbered like the problem's users.
    """
    actual = nominal(problem) if noise is None else noise
    tables = Tables(problem) if tables is None else tables
    model = {name: number for number, name in enumerate(tables.model_names)}
    arrivals = [
        Arrival(
            user.release_s,
            number,
            model[user.model],
            math.inf
            if user.spectral_efficiency == 0
            else user.input_bits / (user.spectral_efficiency * problem.bandwidth_hz),
            user.deadline_s - user.release_s,
        )
        for number, user in enumerate(problem.users)
    ]
    parts = Parts(
        uplink=_uplink(problem, schedule, actual),
        memory=PlannedMemory(tables, schedule),
        device=lambda env: SimulatedDevice(
            env,
            lambda number: float(actual.load_factor[number]),
            lambda number: float(actual.compute_factor[number]),
        ),
    )
    settings = Settings(late="serve", known_ahead=True)
    return simulate(tables, arrivals, Follow(problem, schedule), settings, parts)


def _uplink(problem: Problem, schedule: Schedule, actual: Realisation) -> UplinkMaker:
    """Set up the schedule's uplink discipline."""
    number = {user.id: k for k, user in enumerate(problem.users)}
    bits = [user.input_bits for user in problem.users]
    uploads = Uploads(bits, actual.channels, actual.horizon_s)
    if schedule.uplink != "dynamic":
        band_hz = {number[b.user]: b.segments[0].hz for b in schedule.bandwidth}
        return lambda env, deliver, lose: FixedBandUplink(
            env, deliver, lose, uploads, band_hz
        )
    rank = {
        number[user]: (
            float(index),
            problem.users[number[user]].release_s,
            float(place),
        )
        for index, planned in enumerate(schedule.rounds)
        for place, user in enumerate(planned.users)
    }

    def make(env: Environment, deliver: Act, lose: Act) -> Uplink:
        return FullBandUplink(env, deliver, lose, uploads, problem.bandwidth_hz, rank)

    return make
