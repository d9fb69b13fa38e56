"""Greedy: whatever rule it follows, what it builds is feasible."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from solvers import UPLINKS, Problem, solve
from solvers.greedy import _build, _rules
from solvers.tables import PlannedRound, Tables
from solvers.timing import time_rounds
from tests.solvers.strategies import problems

FEW = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def check_rules(problem: Problem, uplink: str, seen: Counter) -> None:
    """Build a schedule by each rule; a user left over fits no further round."""
    tables = Tables(problem)
    for rule in _rules(tables):
        rounds = _build(tables, uplink, rule)
        assert time_rounds(tables, rounds, uplink) is not None, rule
        placed = {k for _, users in rounds for k in users}
        assert len(placed) == sum(len(users) for _, users in rounds)
        seen["rounds"] += len(rounds)
        if uplink == "static" or not tables.releases_zero:
            continue
        for k in set(tables.users.tolist()) - placed:
            alone = PlannedRound(int(tables.user_model[k]), (k,))
            assert time_rounds(tables, [*rounds, alone], uplink) is None, rule


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("deadlines", ["common", "own"])
def test_every_rule_builds_a_maximal_feasible_schedule(deadlines, uplink):
    """Each rule's own schedule is feasible, and no user could be appended to it."""
    seen = Counter()

    @FEW
    @given(problems(deadlines=deadlines, min_users=4))
    def check(problem):
        check_rules(problem, uplink, seen)

    check()
    assert seen["rounds"] >= 100


@FEW
@given(problems(deadlines="any", releases=True, min_users=4))
def test_every_rule_respects_releases(problem):
    """The same under ``dynamic`` when users arrive over time."""
    check_rules(problem, "dynamic", Counter())


@FEW
@given(problems(deadlines="any"))
def test_a_freer_discipline_serves_no_fewer(problem):
    """What greedy finds for a stricter discipline it keeps for a freer one."""
    served = [solve(problem, "greedy", uplink=uplink).served for uplink in UPLINKS]
    assert served == sorted(served)


def test_relatives_follow_each_other():
    """Four models in two clusters: each cluster's stem is loaded once."""
    stems = {"a0": "a", "b0": "b", "a1": "a", "b1": "b"}
    problem = Problem.model_validate(
        {
            "name": "clusters",
            "bandwidth_hz": 1e3,
            "blocks": {
                name: {"bytes": 1, "load_s": 1.0 if name in "ab" else 0.1}
                for name in ("a", "b", *stems)
            },
            "models": {
                name: {"blocks": [stem, name], "latency_s": [0.1]}
                for name, stem in stems.items()
            },
            "users": [
                {
                    "id": name,
                    "model": name,
                    "input_bits": 1.0,
                    "spectral_efficiency": 1.0,
                    # Two stems, four heads and four batches take 2.8 s.
                    "deadline_s": 2.85,
                }
                for name in stems
            ],
        }
    )
    result = solve(problem, "greedy")
    assert result.served == 4
    clusters = [stems[r.model] for r in result.schedule.rounds]
    assert clusters in (["a", "a", "b", "b"], ["b", "b", "a", "a"])
    assert solve(problem, "greedy-noshare").served == 2
