"""What each policy chooses, on cases worked out by hand, and on random streams."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesim.engine.policies.greedy import Greedy, best_batch, least_total_s
from edgesim.engine.policies.helpers import UNMEETABLE
from edgesim.engine.policies.in_order import Clockwork, Edf, Fcfs
from edgesim.engine.policies.rolling import Rolling
from edgesim.engine.policy import Policy, PolicyError
from edgesim.engine.records import DROPPED, IN_TIME, LATE, TOO_LATE
from edgesim.engine.request import ActiveRequest, Arrival
from edgesim.engine.server import simulate
from edgesim.engine.settings import Settings
from solvers.core.tables import Tables
from tests.engine.policy_cases import library, outcomes, rounds_of, run
from tests.solvers.strategies import problems

TWO = library({"a": ({"a": 1.0}, [1.0, 1.5]), "b": ({"b": 1.0}, [1.0, 1.5])})


def test_fcfs_takes_the_oldest_and_the_oldest_of_its_model() -> None:
    """Deadlines do not matter; a batch fills up with the oldest of its model."""
    asked = [(0.0, "a", 100.0), (0.0, "b", 99.0), (0.0, "a", 50.0), (0.0, "a", 9.0)]
    assert rounds_of(run(TWO, Fcfs(), asked)) == [[0, 2], [1], [3]]


def test_fcfs_keeps_its_order_when_the_queue_is_longer_than_a_batch() -> None:
    """With deadlines the other way round, batches still follow the arrivals."""
    asked = [(0.0, "a", 100.0 - k) for k in range(7)]
    assert rounds_of(run(TWO, Fcfs(), asked)) == [[0, 1], [2, 3], [4, 5], [6]]


def test_edf_takes_the_most_urgent_and_the_most_urgent_of_its_model() -> None:
    """The first input is loaded for; from then on deadlines decide."""
    asked = [(0.0, "a", 99.0), (0.0, "b", 60.0), (0.0, "a", 50.0), (0.0, "a", 9.0)]
    assert rounds_of(run(TWO, Edf(), asked)) == [[0, 3], [2], [1]]


@pytest.mark.parametrize("policy", [Fcfs, Edf, Clockwork, Greedy, Rolling])
def test_the_model_of_the_next_input_is_loaded_while_it_uploads(
    policy: type[Policy],
) -> None:
    """Upload of 2 s, load of 1 s: both start at 0, so the batch starts at 2."""
    found = run(TWO, policy(), [(0.0, "a", 10.0)], demand_s=2.0)
    assert found.rounds.load_start_s.tolist() == [0.0]
    assert found.rounds.compute_start_s.tolist() == [2.0]


@pytest.mark.parametrize("policy", [Fcfs, Edf, Clockwork, Greedy, Rolling])
def test_nothing_is_chosen_for_an_input_whose_model_is_there(
    policy: type[Policy],
) -> None:
    """With nothing to load, a request is chosen when its input has come."""
    tables = library({"a": ({"a": 1.0}, [1.0, 1.5])}, resident_model="a")
    found = run(tables, policy(), [(0.0, "a", 10.0)], demand_s=2.0)
    assert found.rounds.load_start_s.tolist() == [2.0]


@pytest.mark.parametrize("policy", [Fcfs, Edf, Clockwork, Greedy, Rolling])
def test_with_overlap_only_a_load_that_takes_time_runs_ahead(
    policy: type[Policy],
) -> None:
    """Model b is loaded while a's batch computes; a again waits for its end."""
    tables = library(
        {"a": ({"a": 1.0}, [1.0, 1.5]), "b": ({"b": 1.0}, [1.0])}, overlap=True
    )
    other = run(tables, policy(), [(0.0, "a", 90.0), (1.5, "b", 91.0)])
    assert other.rounds.load_start_s.tolist() == [0.0, 1.5]
    assert other.rounds.compute_start_s.tolist() == [1.0, 2.5]
    same = run(tables, policy(), [(0.0, "a", 90.0), (1.5, "a", 91.0)])
    assert same.rounds.load_start_s.tolist() == [0.0, 2.0]


SLOW_A = library(
    {"a": ({"a": 5.0}, [1.0]), "b": ({"b": 1.0}, [1.0, 3.0]), "c": ({"c": 1.0}, [1.0])}
)


def test_clockwork_goes_by_the_latest_start_of_the_load() -> None:
    """The load that has to start first is first, even with a later deadline.

    At 2 s, a must start loading by 20 − 5 − 1 = 14 s, b, resident, by 16 − 1 = 15 s;
    edf has it the other way round.
    """
    asked = [(0.0, "b", 90.0), (1.5, "a", 20.0), (1.6, "b", 16.0)]
    assert rounds_of(run(SLOW_A, Clockwork(), asked)) == [[0], [1], [2]]
    assert rounds_of(run(SLOW_A, Edf(), asked)) == [[0], [2], [1]]


def test_clockwork_shrinks_a_batch_to_its_earliest_deadline() -> None:
    """At 2 s a batch of two would end at 5 s, after the deadline of 4 s; of one not."""
    asked = [(0.0, "b", 90.0), (1.5, "b", 4.0), (1.6, "b", 90.0)]
    found = run(SLOW_A, Clockwork(), asked)
    assert rounds_of(found) == [[0], [1], [2]]
    assert outcomes(found) == ["in time"] * 3


def test_clockwork_drops_what_the_load_makes_impossible() -> None:
    """At 2 s, a would end at 2 + 5 + 1 = 8 s: too late for 7.9 s, in time for 8 s."""
    asked = [(0.0, "b", 90.0), (1.5, "a", 7.9)]
    found = run(SLOW_A, Clockwork(), asked)
    assert outcomes(found) == ["in time", UNMEETABLE]
    assert found.requests.end_s.tolist() == [2.0, 2.0]
    asked = [(0.0, "b", 90.0), (1.5, "a", 8.0)]
    assert outcomes(run(SLOW_A, Clockwork(), asked)) == ["in time", "in time"]


def test_greedy_prefers_the_relative_of_what_is_resident() -> None:
    """A relative costs less, and without sharing the older of two equals comes first.

    After a, the relative needs 0.5 s, the stranger 1.5 s; without sharing both 1.5 s.
    """
    models = {
        "a": ({"s": 1.0, "a": 0.5}, [1.0]),
        "stranger": ({"t": 1.5}, [1.0]),
        "relative": ({"s": 1.0, "r": 0.5}, [1.0]),
    }
    asked = [(0.0, "a", 90.0), (1.6, "stranger", 90.0), (1.7, "relative", 90.0)]
    shared = run(library(models), Greedy(), asked)
    assert rounds_of(shared) == [[0], [2], [1]]
    assert shared.rounds.load_s.tolist() == [1.5, 0.5, 1.5]
    whole = run(library(models, sharing=False), Greedy(), asked)
    assert rounds_of(whole) == [[0], [1], [2]]
    assert whole.rounds.load_s.tolist() == [1.5, 1.5, 1.5]


def test_greedy_prefers_the_larger_batch_and_leaves_out_who_would_be_late() -> None:
    """The best rate decides, even if somebody is too late for it.

    At 2 s, two of c take 1 + 2 = 3 s: 2/3 a second, against 1/2 a second for one of a.
    The one of c whose deadline is 4.5 s would need a batch of its own: 1/2.4 a second.
    """
    tables = library(
        {
            "a": ({"a": 1.0}, [1.0]),
            "b": ({"b": 1.0}, [1.0]),
            "c": ({"c": 1.0}, [1.4, 2.0]),
        }
    )
    asked = [
        (0.0, "b", 90.0),
        (1.5, "a", 90.0),
        (1.6, "c", 4.5),
        (1.7, "c", 80.0),
        (1.8, "c", 80.0),
    ]
    found = run(tables, Greedy(), asked, late="drop")
    assert rounds_of(found) == [[0], [3, 4], [1]]
    assert outcomes(found)[2] == TOO_LATE


def test_greedy_gives_up_or_serves_who_cannot_be_met() -> None:
    """At 2 s, a would end at 8 s and is wanted by 7.9 s: dropped, or served late."""
    asked = [(0.0, "b", 90.0), (1.5, "a", 7.9)]
    dropped = run(SLOW_A, Greedy(), asked, late="drop")
    assert outcomes(dropped) == ["in time", UNMEETABLE]
    assert outcomes(run(SLOW_A, Greedy(), asked)) == ["in time", "late"]


@pytest.mark.parametrize("policy", [Clockwork, Greedy, Rolling])
def test_whoever_would_make_a_batch_late_may_not_join(policy: type[Policy]) -> None:
    """A batch that is about to start grows only while all of it are in time.

    ActiveRequest 0 is wanted by 2.5 s: alone it ends at 2 s, with the other at 4 s.
    """
    asked = [(0.0, "b", 2.5), (0.5, "b", 90.0)]
    assert rounds_of(run(SLOW_A, policy(), asked)) == [[0], [1]]
    asked = [(0.0, "b", 4.0), (0.5, "b", 90.0)]
    assert rounds_of(run(SLOW_A, policy(), asked)) == [[0, 1]]


@st.composite
def queues(draw: Any) -> Any:
    """Draw a server's tables, loads and waiting requests, with many ties."""
    models = draw(st.integers(1, 5))
    tenths = st.integers(1, 12).map(lambda n: n / 10)
    tables = [
        [0.0, *draw(st.lists(tenths, min_size=1, max_size=4))] for _ in range(models)
    ]
    loads_s = [draw(st.integers(0, 8)) / 10 for _ in range(models)]
    waiting: list[list[ActiveRequest]] = []
    number = 0
    for model in range(models):
        deadlines = sorted(draw(st.lists(st.integers(1, 30), max_size=6)))
        queue = []
        for tenth in deadlines:
            deadline_s = tenth / 10 if tenth < 30 else math.inf
            queue.append(
                ActiveRequest(number, 0, model, 0.0, deadline_s, math.inf, 0.0)
            )
            number += 1
        waiting.append(queue)
    return tables, loads_s, waiting


@given(queues())
def test_greedy_finds_the_best_of_all_batches(case: Any) -> None:
    """Looking only where the bound allows finds the rate that looking everywhere does.

    All of the batch found are in time, if anybody can be.
    """
    tables, loads_s, waiting = case
    rates = [0.0]
    for table, load_s, queue in zip(tables, loads_s, waiting, strict=True):
        for size in range(1, min(len(queue), len(table) - 1) + 1):
            end_s = load_s + table[size] - 1e-9
            if sum(r.deadline_s >= end_s for r in queue) >= size:
                rates.append(size / (load_s + table[size]))
    server: Any = SimpleNamespace(
        batch_s=tables,
        most=[len(table) - 1 for table in tables],
        least_s=[min(table[1:]) for table in tables],
        waiting=waiting,
        waiting_count=sum(map(len, waiting)),
        now_s=0.0,
        ahead=False,
        load_s=lambda: loads_s,
        next_upload=lambda: None,
    )
    policy = Greedy()
    policy.start(server)
    for request in (r for queue in waiting for r in queue):
        policy.ready(server, request)
    batch = policy.choose(server)
    if not batch:
        assert max(rates) == 0.0
        return
    model, size = batch[0].model, len(batch)
    busy_s = loads_s[model] + tables[model][size]
    assert set(batch) <= set(waiting[model])
    if max(rates) > 0:
        assert math.isclose(size / busy_s, max(rates), rel_tol=1e-9)
        assert all(r.deadline_s >= busy_s - 1e-9 for r in batch)


@given(queues())
def test_no_batch_beats_the_bound_of_its_size(case: Any) -> None:
    """The bound is never above the rate of any batch of at most so many requests."""
    tables, loads_s, _ = case
    for table, load_s in zip(tables, loads_s, strict=True):
        bound_s = least_total_s(table)
        for most in range(1, len(table)):
            best = max(b / (load_s + table[b]) for b in range(1, most + 1))
            assert most / (load_s + bound_s[most]) >= best * (1 - 1e-15)


def test_best_batch_weighs_load_against_compute() -> None:
    """Without load one by one is best, 1/1 > 2/3; with 2 s of load two, 2/5 > 1/3."""
    queue = [ActiveRequest(k, 0, 0, 0.0, 50.0, math.inf, 0.0) for k in range(2)]
    table = [0.0, 1.0, 3.0]
    bound_s = least_total_s(table)
    assert best_batch(queue, table, bound_s, 0.0, 0.0).size == 1
    assert best_batch(queue, table, bound_s, 0.0, 2.0).size == 2


@settings(max_examples=60)
@given(
    problem=problems(min_users=1, extensions=True),
    sharing=st.booleans(),
    seed=st.integers(0, 2**32),
    late=st.sampled_from(["drop", "serve"]),
    uplink=st.sampled_from(["fifo", "edf", "equal-share"]),
    policy=st.sampled_from(
        [
            Fcfs,
            Edf,
            Clockwork,
            Greedy,
            lambda: Rolling(most=6, follow=2),
            lambda: Rolling(solver="edf", follow=1),
            lambda: Rolling(most=5, horizon_s=2.0),
        ]
    ),
)
def test_random_streams_are_served_by_every_policy(
    problem: Any, sharing: bool, seed: int, late: Any, uplink: Any, policy: Any
) -> None:
    """With any residency and overlap, everybody has one outcome, and it holds.

    Whoever is computed is in a batch of its model; the others were dropped for a reason
    that the rules allow; the same run again ends the same.
    """
    problem = problem.model_copy(update={"users": (), "eviction": "lru"})
    tables = Tables(problem, sharing=sharing)
    rng = np.random.default_rng(seed)
    count = 25
    arrival_s = np.cumsum(rng.exponential(rng.uniform(0.05, 1.0), count))
    arrivals = [
        Arrival(
            float(arrival_s[k]),
            int(rng.integers(4)),
            int(rng.integers(len(tables.model_names))),
            float(rng.choice([0.0, 0.1, 0.3])),
            float(rng.choice([0.5, 2.0, 10.0, math.inf])),
        )
        for k in range(count)
    ]
    found = simulate(tables, arrivals, policy(), Settings(uplink=uplink, late=late))
    requests, rounds = found.requests, found.rounds
    assert len(requests.outcome) == count
    computed = requests.round >= 0
    assert computed.tolist() == (requests.outcome < DROPPED).tolist()
    of = requests.round[computed]
    assert rounds.model[of].tolist() == requests.model[computed].tolist()
    assert (
        np.bincount(of, minlength=len(rounds.batch)).tolist() == rounds.batch.tolist()
    )
    in_time = requests.end_s <= requests.deadline_s + 1e-9
    assert (requests.outcome == IN_TIME).tolist() == (computed & in_time).tolist()
    assert (requests.outcome == LATE).tolist() == (computed & ~in_time).tolist()
    reasons = {word for word in outcomes(found) if word not in ("in time", "late")}
    expected = {"never fits in GPU memory", UNMEETABLE}
    if late == "drop":
        expected.add(TOO_LATE)
    assert reasons <= expected
    again = simulate(tables, arrivals, policy(), Settings(uplink=uplink, late=late))
    assert again.requests.end_s.tolist() == requests.end_s.tolist()


class GivesUp(Fcfs):
    """Drops the second request as soon as it is asked after 1 s."""

    def choose(self, server: Any) -> Any:
        """Drop, then choose as ever."""
        for _, request in server.uploads():
            if server.now_s >= 1.0 and request.number == 1:
                server.drop(request, "not wanted")
        return super().choose(server)


@pytest.mark.parametrize(
    ("uplink", "wanted"), [("fifo", [2.0, 4.0]), ("equal-share", [4.0, 4.5])]
)
def test_a_policy_that_drops_an_upload_frees_its_spectrum(
    uplink: Any, wanted: list[float]
) -> None:
    """Three uploads of 2 s each, from 0, 0 and 1 s; the second is given up at 1 s.

    One after the other, the third begins when the first ends. In equal shares each of
    two has carried 0.5 s by then: from 1 s on the first has 1.5 s left, beside the
    third until 4 s; the third has 0.5 s left then, and ends at 4.5 s.
    """
    tables = library({"a": ({"a": 0.0}, [0.1])})
    arrivals = [Arrival(s, k, 0, 2.0, 90.0) for k, s in enumerate([0.0, 0.0, 1.0])]
    found = simulate(tables, arrivals, GivesUp(), Settings(uplink=uplink))
    assert outcomes(found) == ["in time", "not wanted", "in time"]
    assert found.requests.upload_end_s[[0, 2]].tolist() == pytest.approx(wanted)
    assert found.requests.end_s[1] == 1.0


def test_a_waiting_request_that_a_policy_drops_is_gone() -> None:
    """It leaves the queue, and cannot be dropped again, nor once it is chosen."""

    class Drops(Fcfs):
        def choose(self, server: Any) -> Any:
            for request in list(server.waiting[0]):
                if request.number == 1:
                    server.drop(request, "not wanted")
                    assert request not in server.waiting[0]
                    with pytest.raises(PolicyError, match="chosen or done"):
                        server.drop(request, "again")
            return super().choose(server)

    found = run(TWO, Drops(), [(0.0, "a", 90.0), (1.2, "a", 90.0), (1.3, "a", 90.0)])
    assert outcomes(found) == ["in time", "not wanted", "in time"]
    assert rounds_of(found) == [[0], [2]]
