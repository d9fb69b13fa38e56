"""Claim 1: for given rounds, no allocation of spectrum does better.

Each discipline's rule is compared with a linear program that is free to move every
start and every hertz, on random rounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from zlib import crc32

import highspy
import numpy as np
import pulp
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, Schedule, verify
from solvers.core.residency import steps
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import (
    make_schedule,
    rank,
    time_rounds,
    upload_end_s,
    upload_order,
)
from tests.solvers.arithmetic import (
    NamedRound,
    band_share,
    costs,
    latest_starts_s,
    loads_s,
    starts_s,
    upload_s,
)
from tests.solvers.strategies import planned

FEW = settings(
    max_examples=90,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
ROUNDS = planned(deadlines="any", min_users=3, horizon=(8, 50))
RELEASED = planned(deadlines="any", releases=True, min_users=3, horizon=(8, 50))
# With a cache or without, loads overlapping batches or not.
EXTENDED = planned(deadlines="any", min_users=6, horizon=(8, 70), extensions=True)
BOTH = pytest.mark.parametrize("drawn", [ROUNDS, EXTENDED], ids=["plain", "extended"])

# What the programs may be off by: engines work to 1e-7.
ABOUT_S = 1e-6

Check = Callable[[Tables, list[PlannedRound], Counter], None]


def over(drawn: st.SearchStrategy, check: Check) -> Counter:
    """Run a check on random rounds of its own, and return what it counted.

    Each with the time drawn, with three times as much and with a third of it, so that
    some are feasible and some are not, whatever is drawn.
    """
    seen: Counter = Counter()

    @seed(crc32(check.__qualname__.encode()))
    @FEW
    @given(drawn)
    def run(case):
        if case[1]:
            for share in (3.0, 1.0, 0.3):
                check(with_time(case[0], share), case[1], seen)

    run()
    return seen


def with_time(tables: Tables, share: float) -> Tables:
    """Give every user a share of its time between release and deadline."""
    users = tuple(
        user.model_copy(
            update={
                "deadline_s": user.release_s
                + share * (user.deadline_s - user.release_s)
            }
        )
        for user in tables.problem.users
    )
    return Tables(tables.problem.model_copy(update={"users": users}))


def named(tables: Tables, rounds: list[PlannedRound]) -> list[NamedRound]:
    """Name the models and users of planned rounds."""
    users = tables.problem.users
    return [
        (tables.model_names[model], tuple(users[k] for k in chosen))
        for model, chosen in rounds
    ]


def optimum_exists(lp: pulp.LpProblem) -> bool:
    """Solve a bounded linear program; False if nothing is feasible.

    HiGHS is asked, since PuLP 3 and 4 tell its status each in their own way.
    """
    lp.solve(pulp.HiGHS(msg=False))
    status = lp.solverModel.getModelStatus()
    ends = highspy.HighsModelStatus
    assert status in (ends.kOptimal, ends.kInfeasible, ends.kUnboundedOrInfeasible)
    return status == ends.kOptimal


class Program:
    """A linear program over the load and compute starts of given rounds."""

    def __init__(self, tables: Tables, rounds: list[PlannedRound]) -> None:
        self.lp = pulp.LpProblem("claim", pulp.LpMinimize)
        self.rounds = named(tables, rounds)
        _, self.compute, deadline = costs(tables.problem, self.rounds)
        found = steps(tables, rounds)
        self.load = [tables.loads_s(step.loaded) for step in found]
        self.ahead = [step.ahead for step in found]
        numbers = range(len(rounds))
        self.start = [self.lp.add_variable(f"s{r}", 0) for r in numbers]
        self.load_start = [self.lp.add_variable(f"l{r}", 0) for r in numbers]
        for start, compute_s, deadline_s in zip(
            self.start, self.compute, deadline, strict=True
        ):
            self.lp += start + compute_s <= deadline_s

    def gpu(self, ready: object = 0.0) -> None:
        """Let loads follow loads and batches batches, the first load ``ready``.

        A load waits for the batch before, or for the one before that if it runs ahead.
        """
        self.lp += self.load_start[0] >= ready
        for r, start in enumerate(self.start):
            self.lp += start >= self.load_start[r] + self.load[r]
            if r:
                self.lp += start >= self.start[r - 1] + self.compute[r - 1]
                loaded = self.load_start[r - 1] + self.load[r - 1]
                self.lp += self.load_start[r] >= loaded
            last = r - 2 if self.ahead[r] else r - 1
            if last >= 0:
                ended = self.start[last] + self.compute[last]
                self.lp += self.load_start[r] >= ended

    def least(self, objective: object) -> float | None:
        """Return the least value of an objective, None if nothing is feasible."""
        self.lp.setObjective(pulp.lpSum([objective]))
        if not optimum_exists(self.lp):
            return None
        return float(pulp.value(self.lp.objective))

    def starts_s(self) -> np.ndarray:
        """Return the compute starts found last."""
        return np.array([start.value() for start in self.start])


def dynamic_program(tables: Tables, rounds: list[PlannedRound]) -> Program:
    """Free starts, and free spectrum-time per user and interval between starts."""
    program = Program(tables, rounds)
    program.gpu()
    carried: list[list] = [[] for _ in rounds]
    for r, (_, users) in enumerate(program.rounds):
        for user in users:
            parts = [
                program.lp.add_variable(f"x_{user.id}_{i}", 0) for i in range(r + 1)
            ]
            program.lp += pulp.lpSum(parts) >= upload_s(tables.problem, user)
            for i, part in enumerate(parts):
                carried[i].append(part)
    for i, parts in enumerate(carried):
        before = program.start[i - 1] if i else 0.0
        program.lp += pulp.lpSum(parts) <= program.start[i] - before
    return program


def upfront_program(tables: Tables, rounds: list[PlannedRound]) -> Program:
    """In spectrum-time: all uploads fit before their common end, then the GPU runs."""
    program = Program(tables, rounds)
    end = program.lp.add_variable("end", 0)
    carried = []
    for _, users in program.rounds:
        for user in users:
            carried.append(program.lp.add_variable(f"x_{user.id}", 0))
            program.lp += carried[-1] >= upload_s(tables.problem, user)
    program.lp += pulp.lpSum(carried) <= end
    program.gpu(ready=end)
    return program


@BOTH
@pytest.mark.parametrize(
    ("uplink", "make"), [("dynamic", dynamic_program), ("upfront", upfront_program)]
)
def test_earliest_is_the_optimum_of_the_joint_program(uplink, make, drawn):
    """No starts and no division of the spectrum end earlier or serve more rounds."""

    def compare(tables, rounds, seen):
        program = make(tables, rounds)
        timing = time_rounds(tables, rounds, uplink)
        last_end = program.least(program.start[-1] + program.compute[-1])
        assert (timing is None) == (last_end is None)
        seen[timing is not None] += 1
        if timing is None:
            return
        assert timing.end_s[-1] == pytest.approx(last_end, abs=ABOUT_S)
        # Ours start no earlier than any feasible ones, so the least sum is all of them.
        program.least(pulp.lpSum(program.start))
        assert timing.compute_start_s == pytest.approx(program.starts_s(), abs=ABOUT_S)
        seen["ahead"] += (timing.load_start_s[1:] < timing.end_s[:-1] - ABOUT_S).any()

    seen = over(drawn, compare)
    assert seen[True] >= 20
    assert seen[False] >= 5
    assert seen["ahead"] >= 5 or drawn is ROUNDS


def fits_at(tables: Tables, rounds: list, starts: list[float]) -> bool:
    """Whether all uploads fit between releases and given starts (linear program)."""
    problem = tables.problem
    lp = pulp.LpProblem("fixed", pulp.LpMinimize)
    users = [
        (user, due)
        for (_, batch), due in zip(named(tables, rounds), starts, strict=True)
        for user in batch
    ]
    events = sorted({0.0, *starts, *(user.release_s for user, _ in users)})
    parts: dict[int, list] = {i: [] for i in range(len(events) - 1)}
    for user, due in users:
        mine = []
        for i, (begin, end) in enumerate(pairwise(events)):
            if user.release_s <= begin and end <= due:
                mine.append(lp.add_variable(f"x_{user.id}_{i}", 0, end - begin))
                parts[i].append(mine[-1])
        lp += pulp.lpSum([*mine, lp.add_variable(f"gap_{user.id}", 0)]) >= upload_s(
            problem, user
        )
    for i, (begin, end) in enumerate(pairwise(events)):
        lp += pulp.lpSum(parts[i]) <= end - begin
    # What cannot be carried, in all: 0 if and only if everything fits.
    lp.setObjective(pulp.lpSum(v for v in lp.variables() if v.name.startswith("gap_")))
    assert optimum_exists(lp)
    return float(pulp.value(lp.objective)) <= ABOUT_S


def relaxed(tables: Tables) -> Tables:
    """Give every user all the time in the world."""
    return with_time(tables, 1e3)


def test_dynamic_with_releases_starts_as_early_as_uploads_allow():
    """Uploads fit our starts, and no longer once one that waits for them is earlier."""

    def compare(tables, rounds, seen):
        free = time_rounds(relaxed(tables), rounds, "dynamic")
        assert free is not None
        starts = free.compute_start_s.tolist()
        assert fits_at(tables, rounds, starts)
        deadlines = costs(tables.problem, named(tables, rounds))[2]
        in_time = bool((free.end_s <= np.array(deadlines) + 1e-9).all())
        assert (time_rounds(tables, rounds, "dynamic") is not None) == in_time
        for r, start in enumerate(starts):
            if start > free.load_start_s[r] + free.load_s[r] + 1e-9:
                seen["waits"] += 1
                earlier = [*starts[:r], start - 1e-3, *starts[r + 1 :]]
                assert not fits_at(tables, rounds, earlier)
        seen[in_time] += 1
        seen["released"] += not tables.releases_zero

    seen = over(RELEASED, compare)
    assert seen["waits"] >= 20
    assert seen["released"] >= 20
    assert seen[True] >= 20
    assert seen[False] >= 5


def static_program(tables: Tables, rounds: list[PlannedRound]) -> Program:
    """Free starts alone: what bands they take is for the objective."""
    program = Program(tables, rounds)
    program.gpu()
    return program


@BOTH
def test_static_starts_as_late_as_its_program_and_needs_no_more_band(drawn):
    """Latest starts are the program's; tangents to w/s show that none need less.

    A tangent bounds w/s from below, so the program with tangents bounds the band that
    any starts need. With tangents a factor ρ apart it is off by at most (ρ − 1)².
    """

    def compare(tables, rounds, seen):
        problem, names = tables.problem, named(tables, rounds)
        program = static_program(tables, rounds)
        timing = time_rounds(tables, rounds, "static")
        late = program.least(-pulp.lpSum(program.start))
        if late is None or program.starts_s().min() <= ABOUT_S:
            assert timing is None
            seen["no time"] += 1
            return
        latest = program.starts_s()
        if drawn is ROUNDS:
            by_hand = latest_starts_s(problem, names)
            assert latest == pytest.approx(np.array(by_hand), abs=ABOUT_S)
        band = band_share(problem, names, latest.tolist())
        if abs(band - 1) > ABOUT_S:
            assert (timing is not None) == (band <= 1)
        seen["enough" if band <= 1 else "too narrow"] += 1
        seen["ahead"] += any(program.ahead)
        low, high = latest.min(), latest.max() * 1.001
        shares = [program.lp.add_variable(f"band{r}", 0) for r in range(len(rounds))]
        below = 0.0
        for count in (5, 40):
            touches = np.geomspace(low, high, count).tolist()
            for (_, users), start, share in zip(
                names, program.start, shares, strict=True
            ):
                demand_s = sum(upload_s(problem, user) for user in users)
                for touch in touches:
                    program.lp += share >= demand_s * (
                        2 / touch - start * (1 / touch**2)
                    )
            needed = program.least(pulp.lpSum(shares))
            assert below - ABOUT_S <= needed <= band + ABOUT_S
            apart = (high / low) ** (1 / (count - 1)) - 1
            assert needed >= band * (1 - apart**2) - ABOUT_S
            below = needed

    seen = over(drawn, compare)
    assert min(seen["no time"], seen["enough"], seen["too narrow"]) >= 5
    assert seen["ahead"] >= 5 or drawn is ROUNDS


@BOTH
def test_static_moves_all_starts_earlier_as_the_band_allows(drawn):
    """No start is later than its latest; the shift is the largest that fits."""

    def compare(tables, rounds, seen):
        timing = time_rounds(tables, rounds, "static")
        if timing is None:
            return
        program = static_program(tables, rounds)
        program.least(-pulp.lpSum(program.start))
        latest = program.starts_s()
        program.least(pulp.lpSum(program.start))
        earliest = program.starts_s()
        start = timing.compute_start_s
        shifted = np.maximum(latest - timing.slack_s, earliest)
        assert start == pytest.approx(shifted, abs=ABOUT_S)
        band = band_share(tables.problem, program.rounds, start.tolist())
        assert band <= 1 + 1e-9
        at_earliest = start == pytest.approx(earliest, abs=ABOUT_S)
        assert at_earliest or band == pytest.approx(1, abs=1e-9)
        seen["shifted"] += timing.slack_s > 0
        seen["stopped"] += not at_earliest

    seen = over(drawn, compare)
    assert min(seen["shifted"], seen["stopped"]) >= 5


def tiny(
    *users: dict[str, Any], latency_s: float = 0.1, load_s: float = 0.0, **each: object
) -> Tables:
    """Build one model, and one user of 0.1 s upload time unless users are given."""
    user = {
        "model": "m",
        "input_bits": 0.1,
        "spectral_efficiency": 1.0,
        "deadline_s": 1.0,
        **each,
    }
    return Tables(
        Problem.model_validate(
            {
                "name": "tiny",
                "bandwidth_hz": 1.0,
                "blocks": {"b": {"bytes": 1, "load_s": load_s}},
                "models": {"m": {"latency_s": [latency_s] * 2, "blocks": ["b"]}},
                "users": [
                    {"id": f"u{k}", **user, **u} for k, u in enumerate(users or [{}])
                ],
            }
        )
    )


ONE = [PlannedRound(0, (0,))]


def test_static_has_slack_when_spectrum_is_ample():
    """The one round moves from 0.9 to 0.1 s, where it holds all the band."""
    timing = time_rounds(tiny(), ONE, "static")
    assert timing.compute_start_s == pytest.approx([0.1])
    assert timing.slack_s == pytest.approx(0.8)


def test_static_moves_no_further_than_the_load():
    """With a load of 0.5 s it moves to 0.5 s and holds a fifth of the band."""
    timing = time_rounds(tiny(load_s=0.5), ONE, "static")
    assert timing.compute_start_s == pytest.approx([0.5])
    assert timing.slack_s == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("deadline_s", "fits"), [(0.2, True), (0.2 - 2e-9, False), (0.1, False)]
)
@pytest.mark.parametrize("uplink", UPLINKS)
def test_deadline_exactly_met(uplink, deadline_s, fits):
    """Upload 0.1 s and compute 0.1 s just fit 0.2 s, under every discipline."""
    timing = time_rounds(tiny(deadline_s=deadline_s), ONE, uplink)
    assert (timing is not None) == fits


def test_static_with_no_time_to_spare():
    """A load and a batch that fill the time until the deadline, exactly."""
    tables = tiny(load_s=0.5, latency_s=0.5)
    assert time_rounds(tables, ONE, "static").compute_start_s.tolist() == [0.5]


@pytest.mark.parametrize("uplink", ["dynamic", "upfront"])
def test_deadline_met_by_the_tolerance_exactly(uplink):
    """What ends at the deadline plus the tolerance, by floats too, is in time."""
    deadline_s = 0.2 - 1e-9
    assert deadline_s + 1e-9 == 0.2
    assert time_rounds(tiny(deadline_s=deadline_s), ONE, uplink) is not None
    tables = tiny(deadline_s=deadline_s - 1e-15)
    assert time_rounds(tables, ONE, uplink) is None


def test_static_takes_the_tolerance_on_the_band():
    """A band exceeded by all of the tolerance is held until the latest start."""
    wide = tiny(latency_s=1.0, deadline_s=2.0, input_bits=1 + 1e-9)
    assert time_rounds(wide, ONE, "static").compute_start_s.tolist() == [1.0]
    # A hair more, and the tolerance on times is used too.
    wide = tiny(latency_s=1.0, deadline_s=2.0, input_bits=1 + 1.5e-9)
    assert time_rounds(wide, ONE, "static").compute_start_s[0] > 1.0
    wide = tiny(latency_s=1.0, deadline_s=2.0, input_bits=1 + 3e-9)
    assert time_rounds(wide, ONE, "static") is None


def test_static_moves_until_the_band_is_full():
    """From 2 s to 1 s, the end of the load, where the band is full exactly."""
    tables = tiny(latency_s=1.0, load_s=1.0, deadline_s=3.0, input_bits=1.0)
    assert time_rounds(tables, ONE, "static").slack_s == 1.0


def test_static_cannot_start_at_time_zero():
    """No load and a deadline equal to the latency: nothing can be sent before 0."""
    assert time_rounds(tiny(latency_s=1.0), ONE, "static") is None


@pytest.mark.parametrize("uplink", UPLINKS)
def test_no_rounds_are_feasible(uplink):
    """The empty plan has a schedule that serves nobody and verifies."""
    tables = tiny()
    schedule = make_schedule(tables, [], uplink, solver="test", bound=None)
    assert schedule.served == 0
    assert schedule.gap == 0
    verify(tables.problem, schedule)


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize(
    ("change", "rounds"),
    [
        ({}, [PlannedRound(0, (0, 0, 0))]),
        ({"spectral_efficiency": 0.0}, ONE),
        ({"deadline_s": 0.15}, ONE),
    ],
    ids=["batch beyond the table", "no link", "late"],
)
def test_infeasible_rounds_have_no_timing(change, rounds, uplink):
    """There is neither a timing nor a schedule, and such rounds rank last."""
    tables = tiny(**change)
    assert time_rounds(tables, rounds, uplink) is None
    assert make_schedule(tables, rounds, uplink, solver="test", bound=None) is None
    assert rank(tables, rounds, uplink) > rank(tables, [], uplink)


def test_batches_beyond_memory_have_no_timing():
    """A batch whose activations do not fit is as infeasible as a late one."""
    tables = tiny()
    problem = tables.problem.model_copy(update={"gpu_memory_bytes": 1})
    assert time_rounds(Tables(problem), ONE, "dynamic") is not None
    model = problem.models["m"].model_copy(update={"activation_bytes": (1, 1)})
    problem = problem.model_copy(update={"models": {"m": model}})
    assert time_rounds(Tables(problem), ONE, "dynamic") is None


def peak_share(problem: Problem, schedule: Schedule) -> float:
    """Largest share of the band held at once, looked up between all events."""
    segments = [s for a in schedule.bandwidth for s in a.segments]
    events = sorted({t for s in segments for t in (s.start_s, s.end_s)})
    held = [
        sum(s.hz for s in segments if s.start_s <= begin and end <= s.end_s)
        for begin, end in pairwise(events)
        if end - begin > 1e-9
    ]
    return max(held, default=0.0) / problem.bandwidth_hz


@BOTH
@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("sharing", [True, False])
def test_schedules_verify_and_stay_within_the_band(uplink, sharing, drawn):
    """Every feasible timing becomes a schedule that the judge accepts."""

    def check(tables, rounds, seen):
        tables = Tables(tables.problem, sharing=sharing)
        schedule = make_schedule(tables, rounds, uplink, solver="test", bound=None)
        seen[schedule is not None] += 1
        if schedule is None:
            return
        verify(tables.problem, schedule, sharing=sharing)
        assert peak_share(tables.problem, schedule) <= 1 + 1e-9
        if sharing and drawn is ROUNDS:
            names = named(tables, rounds)
            loads = [r.load_s for r in schedule.rounds]
            assert loads == pytest.approx(loads_s(tables.problem, names), abs=1e-12)
            if uplink != "static":
                starts = [r.compute_start_s for r in schedule.rounds]
                expected = starts_s(tables.problem, names, uplink)
                assert starts == pytest.approx(expected, abs=1e-9)

    seen = over(drawn, check)
    assert min(seen[True], seen[False]) >= 5


@FEW
@given(RELEASED)
def test_preemptive_uploads(case):
    """One upload at a time, the whole band, always the first in order that is there."""
    tables, rounds = case
    schedule = make_schedule(
        relaxed(tables), rounds, "dynamic", solver="test", bound=None
    )
    verify(relaxed(tables).problem, schedule)
    band_hz = tables.problem.bandwidth_hz
    segments = {a.user: a.segments for a in schedule.bandwidth}
    for k, user in enumerate(tables.problem.users):
        if user.id not in segments:
            continue
        lengths = [s.end_s - s.start_s for s in segments[user.id]]
        assert sum(lengths) == pytest.approx(tables.demand_s[k])
        assert all(s.hz == band_hz for s in segments[user.id])
        assert segments[user.id][0].start_s >= user.release_s
    users = tables.problem.users
    order = [users[k] for k in upload_order(tables, rounds)]
    for rank_, user in enumerate(order):
        for segment in segments[user.id]:
            middle = (segment.start_s + segment.end_s) / 2
            for other in order[:rank_]:
                waiting = other.release_s < middle < segments[other.id][-1].end_s
                assert not waiting
            for other in order[rank_ + 1 :]:
                for s in segments[other.id]:
                    assert not s.start_s < middle < s.end_s


def test_an_upload_is_interrupted_for_an_earlier_round():
    """A later round's upload gives way when a user of the first round arrives."""
    later = {"input_bits": 1.0}
    first = {"input_bits": 0.2, "release_s": 0.4}
    tables = tiny(later, first, deadline_s=9.0)
    rounds = [PlannedRound(0, (1,)), PlannedRound(0, (0,))]
    schedule = make_schedule(tables, rounds, "dynamic", solver="test", bound=None)
    spans = [[(s.start_s, s.end_s) for s in a.segments] for a in schedule.bandwidth]
    assert spans[0] == [pytest.approx((0.4, 0.6))]
    assert spans[1] == [pytest.approx((0.0, 0.4)), pytest.approx((0.6, 1.2))]
    assert [r.compute_start_s for r in schedule.rounds] == pytest.approx([0.6, 1.2])


def test_an_upload_that_ends_as_another_arrives_is_one_segment():
    """It is done, and holds nothing once the user of the first round has been sent."""
    tables = tiny({"input_bits": 0.5}, {"input_bits": 0.5, "release_s": 0.5})
    rounds = [PlannedRound(0, (1,)), PlannedRound(0, (0,))]
    schedule = make_schedule(
        relaxed(tables), rounds, "dynamic", solver="test", bound=None
    )
    spans = [[(s.start_s, s.end_s) for s in a.segments] for a in schedule.bandwidth]
    assert spans == [[(0.5, 1.0)], [(0.0, 0.5)]]


@FEW
@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.001, 2)), min_size=1, max_size=8)
)
def test_upload_end_equals_a_direct_simulation(uploads):
    """The formula is when a band served in order of release has carried everything."""
    now = 0.0
    for release_s, demand_s in sorted(uploads):
        now = max(now, release_s) + demand_s
    release, demand = np.array(uploads).T
    assert upload_end_s(release, demand) == pytest.approx(now)


@FEW
@given(RELEASED)
def test_allocation_ends_each_upload_when_its_round_is_ready(case):
    """The last upload of the first r rounds ends exactly as the formula says."""
    tables, rounds = case
    schedule = make_schedule(
        relaxed(tables), rounds, "dynamic", solver="test", bound=None
    )
    ends = {a.user: a.segments[-1].end_s for a in schedule.bandwidth}
    so_far: list[int] = []
    for _, users in rounds:
        so_far += users
        expected = upload_end_s(tables.release_s[so_far], tables.demand_s[so_far])
        found = max(ends[tables.user_ids[k]] for k in so_far)
        assert found == pytest.approx(expected, abs=1e-9)


def test_gap_and_status_follow_the_bound():
    """A bound above what is served gives a gap; meeting it means optimal."""
    tables = tiny()
    proven = make_schedule(tables, ONE, "dynamic", solver="test", bound=None)
    open_ = make_schedule(tables, ONE, "dynamic", solver="test", bound=4)
    assert (proven.status, proven.bound, proven.gap) == ("optimal", 1, 0.0)
    assert (open_.status, open_.bound, open_.gap) == ("feasible", 4, 0.75)
    assert (
        make_schedule(tables, ONE, "dynamic", solver="test", bound=1).status
        == "optimal"
    )


def test_rank_prefers_served_then_end_then_demand_then_ids():
    """The tie rule, one step after the other."""
    bits = [{"input_bits": bits} for bits in (0.1, 0.1, 0.2, 0.2)]
    tables = tiny(*bits, load_s=1.0, deadline_s=9.0)
    best_first = [
        [PlannedRound(0, (0, 1))],
        [PlannedRound(0, (0, 2))],
        [PlannedRound(0, (0, 3))],
        # Served at the same end, but with a longer way there.
        [PlannedRound(0, (0,)), PlannedRound(0, (1,))],
        [PlannedRound(0, (0,))],
        [PlannedRound(0, (1,))],
        [],
    ]
    ranks = [rank(tables, rounds, "dynamic") for rounds in best_first]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)
    assert ranks[-1] == (0.0, 0.0, 0.0, ())
