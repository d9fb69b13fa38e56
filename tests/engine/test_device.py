"""The GPU is a part: work ends when the device says so, and servers share a clock."""

from __future__ import annotations

from collections.abc import Sequence

from simpy import Environment, Event

from edgesim.engine.policies.in_order import Fcfs
from edgesim.engine.policy import Policy, View
from edgesim.engine.records import IN_TIME
from edgesim.engine.request import ActiveRequest, Arrival
from edgesim.engine.server import Parts, Server, simulate
from edgesim.engine.settings import Settings
from solvers.core.tables import Tables
from tests.engine.handmade import make_problem


class ToldDevice:
    """A GPU that ends its work when it is told to, not after a time it knows."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.began: list[tuple[str, float, float]] = []
        self.working: list[tuple[Event, float]] = []

    def load(self, number: int, model: int, nominal_s: float) -> Event:
        """Begin to load."""
        return self._begin(f"load {number} {model}", nominal_s)

    def compute(self, number: int, model: int, batch: int, nominal_s: float) -> Event:
        """Begin to compute."""
        return self._begin(f"compute {number} {model} x{batch}", nominal_s)

    def _begin(self, what: str, nominal_s: float) -> Event:
        self.began.append((what, self.env.now, nominal_s))
        event = self.env.event()
        self.working.append((event, self.env.now))
        return event

    def tell(self) -> None:
        """End what was begun first, with the time it really took."""
        event, since_s = self.working.pop(0)
        event.succeed(self.env.now - since_s)


def test_work_ends_when_the_device_says_so() -> None:
    """The load takes 3.25 s, the batch 2 s, whatever their nominal times are."""
    env = Environment()
    tables = Tables(make_problem())
    made: list[ToldDevice] = []

    def device(env: Environment) -> ToldDevice:
        made.append(ToldDevice(env))
        return made[-1]

    server = Server(env, tables, Fcfs(), Settings(), Parts(device=device))
    server.serve([Arrival(0.0, 0, 0, 0.25, 10.0), Arrival(1.0, 1, 0, 0.25, 10.0)])
    env.run(until=3.25)
    made[0].tell()  # the load that began at 0 s, ahead of the first input
    env.run(until=5.25)
    made[0].tell()  # the batch of both
    env.run()
    run = server.close()
    assert made[0].began == [("load 0 0", 0.0, 0.5), ("compute 0 0 x2", 3.25, 0.75)]
    assert run.rounds.load_s.tolist() == [3.25]
    assert run.rounds.compute_start_s.tolist() == [3.25]
    assert run.rounds.compute_s.tolist() == [2.0]
    assert run.rounds.end_s.tolist() == [5.25]
    assert run.requests.outcome.tolist() == [IN_TIME, IN_TIME]


class Forecasts(Fcfs):
    """Notes when the batch in hand should end, whenever an input arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float]] = []

    def ready(self, server: View, request: ActiveRequest) -> None:
        """Note the forecast."""
        super().ready(server, request)
        self.seen.append((server.now_s, server.free_s))


def test_free_s_is_a_forecast_from_nominal_times() -> None:
    """The batch takes 2 s, but a policy sees its nominal end."""
    policy = Forecasts()
    arrivals = [Arrival(0.0, 0, 0, 0.25, 10.0), Arrival(1.0, 1, 1, 0.25, 10.0)]
    settings = Settings(compute_factor=iter([4.0, 1.0]))
    run = simulate(Tables(make_problem()), arrivals, policy, settings)
    assert policy.seen == [(1.25, 1.0)]
    assert run.rounds.end_s.tolist()[0] == 2.5


def test_dispatch_is_beyond_loads_and_batches() -> None:
    """Each begins and ends later by it; what they take themselves stays the same."""
    arrivals = [Arrival(0.0, 0, 0, 0.25, 10.0), Arrival(0.0, 1, 0, 3.0, 10.0)]
    run = simulate(Tables(make_problem()), arrivals, Fcfs(), Settings(dispatch_s=0.125))
    assert run.rounds.load_s.tolist() == [0.5, 0.0]
    assert run.rounds.compute_start_s.tolist() == [0.625, 3.25]
    assert run.rounds.compute_s.tolist() == [0.5, 0.5]
    assert run.rounds.end_s.tolist() == [1.25, 3.875]


def test_decisions_take_time_before_loads() -> None:
    """Each choice of a round; what arrives meanwhile is not in it."""
    arrivals = [
        Arrival(0.0, 0, 0, 0.25, 10.0),
        Arrival(0.0, 1, 1, 0.25, 10.0),
        Arrival(0.0, 2, 0, 3.0, 10.0),
    ]
    tables = Tables(make_problem())
    plain = simulate(tables, arrivals, Fcfs(), Settings()).rounds
    run = simulate(tables, arrivals, Fcfs(), Settings(decision_s=0.125)).rounds
    assert run.load_start_s[0] == plain.load_start_s[0] + 0.125
    assert run.load_s.tolist() == plain.load_s.tolist()
    assert run.end_s[0] == plain.end_s[0] + 0.125
    assert run.end_s[1] == plain.end_s[1] + 2 * 0.125


def test_servers_share_an_environment() -> None:
    """Two servers in one simulation: each does what it does alone."""
    tables = Tables(make_problem())
    streams: Sequence[list[Arrival]] = (
        [Arrival(0.0, 0, 0, 0.25, 10.0), Arrival(1.0, 1, 1, 0.25, 10.0)],
        [Arrival(0.5, 0, 1, 0.5, 10.0), Arrival(0.5, 1, 1, 0.5, 10.0)],
    )
    env = Environment()
    servers = [Server(env, tables, Fcfs(), Settings()) for _ in streams]
    for server, arrivals in zip(servers, streams, strict=True):
        server.serve(arrivals)
    env.run()
    for server, arrivals in zip(servers, streams, strict=True):
        together = server.close()
        alone = simulate(tables, arrivals, _policy(), Settings())
        assert together.rounds.end_s.tolist() == alone.rounds.end_s.tolist()
        assert together.requests.end_s.tolist() == alone.requests.end_s.tolist()


def _policy() -> Policy:
    return Fcfs()
