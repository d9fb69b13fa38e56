"""Claim 1: for given rounds, no allocation of spectrum does better.

Each discipline's rule is compared with a linear program that is free to move every
start and every hertz, on random rounds.
"""

from __future__ import annotations

from itertools import pairwise

import highspy
import numpy as np
import pulp
import pytest

from solvers.core.residency import steps
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import (
    time_rounds,
)
from tests.solvers.arithmetic import band_share, costs, latest_starts_s, upload_s
from tests.solvers.core.rounds import BOTH, RELEASED, ROUNDS, named, over, relaxed

# What the programs may be off by: engines work to 1e-7.
ABOUT_S = 1e-6


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
