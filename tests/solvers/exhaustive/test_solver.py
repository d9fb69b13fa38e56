"""The oracle under a cache and overlap, against all sequences of rounds."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, RefusalError, Uplink, solve
from solvers.core.tables import Tables
from solvers.core.timing import rank
from solvers.exhaustive import histories, sequences, sets
from tests.solvers.brute import best_served
from tests.solvers.strategies import problems

FEW = settings(
    max_examples=150,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@st.composite
def extended(draw, *, users: int, releases: bool = False) -> Problem:
    """Draw a problem with a cache, overlap, or both."""
    problem = draw(
        problems(
            deadlines="any", releases=releases, max_users=users, extensions=True
        ).filter(lambda found: found.residency == "cache" or found.overlap)
    )
    assert isinstance(problem, Problem)
    return problem


def check(problem: Problem, uplink: Uplink) -> None:
    """Compare with every sequence of rounds, each timed and verified."""
    result = solve(problem, "exhaustive", uplink=uplink)
    most = best_served(problem, uplink)
    assert (result.served, result.status, result.bound) == (most, "optimal", most)


@pytest.mark.parametrize("uplink", UPLINKS)
@FEW
@given(extended(users=5))
def test_equals_all_sequences(uplink: Uplink, problem: Problem) -> None:
    """Least recently used, furthest next use, overlap, and these together."""
    check(problem, uplink)


@FEW
@given(extended(users=5, releases=True))
def test_equals_all_sequences_with_releases(problem: Problem) -> None:
    """The same under ``dynamic`` when users arrive over time."""
    check(problem, "dynamic")


@pytest.mark.parametrize("uplink", UPLINKS)
@FEW
@given(problems(deadlines="any", max_users=5))
def test_the_searches_agree(uplink: Uplink, problem: Problem) -> None:
    """On problems that each of the three takes, with the same last end."""
    tables = Tables(problem)
    found = [search.solve(tables, uplink) for search in (sets, histories, sequences)]
    assert len({sum(len(u) for _, u in each.rounds) for each in found}) == 1
    assert {each.proven for each in found} == {True}
    ends = [rank(tables, each.rounds, uplink)[1] for each in found]
    if uplink != "static":
        assert ends == pytest.approx([ends[-1]] * 3)


def equal_users(count: int, **change: object) -> Problem:
    """Make a problem of users that cannot all be served, in a cache."""
    return Problem.model_validate(
        {
            "name": "cached",
            "residency": "cache",
            "gpu_memory_bytes": 3,
            "bandwidth_hz": 1.0,
            "blocks": {f"b{m}": {"bytes": 1, "load_s": 0.1} for m in range(5)},
            "models": {
                f"m{m}": {"blocks": [f"b{m}"], "latency_s": [0.1, 0.15]}
                for m in range(5)
            },
            "users": [
                {
                    "id": f"u{k}",
                    "model": f"m{k % 5}",
                    "input_bits": 0.01 + 0.003 * k,
                    "spectral_efficiency": 1.0,
                    "deadline_s": 0.6 + 0.1 * k,
                }
                for k in range(count)
            ],
            **change,
        }
    )


def test_seven_users_with_furthest_next_use_are_refused() -> None:
    """Not with the least recently used."""
    problem = equal_users(7, eviction="furthest-next-use")
    with pytest.raises(RefusalError, match=r"7 users, at most 6 are taken with evict"):
        solve(problem, "exhaustive")
    assert solve(equal_users(7), "exhaustive").status == "optimal"


@pytest.mark.parametrize("uplink", UPLINKS)
def test_too_many_labels_are_refused(
    uplink: Uplink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before memory is full; the message says what to use instead."""
    monkeypatch.setattr(histories, "MOST_LABELS", 100)
    with pytest.raises(RefusalError, match=r"more than 100 labels.*use branch"):
        solve(equal_users(8), "exhaustive", uplink=uplink)
