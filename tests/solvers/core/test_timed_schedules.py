"""Timed rounds as schedules: the uploads in them, their bound and gap."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, Schedule, verify
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import (
    make_schedule,
    upload_end_s,
    upload_order,
)
from tests.solvers.arithmetic import loads_s, starts_s
from tests.solvers.core.rounds import (
    BOTH,
    FEW,
    ONE,
    RELEASED,
    ROUNDS,
    named,
    over,
    relaxed,
    tiny,
)


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
