"""The judge under a cache, overlap and full memory: what was loaded, and what fits."""

from __future__ import annotations

import pytest

from solvers import UPLINKS, Problem, Schedule, VerificationError, solve, verify
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import make_schedule
from solvers.verify import violations
from tests.solvers.changed_schedules import (
    CACHED,
    CACHED_ROUNDS,
    PROBLEM,
    cached,
    changed,
    complaints,
    listed,
    loading,
    plus,
    to,
)

EXTENSION_MUTATIONS = {
    "evicted block not loaded": (
        {},
        loading(4),
        "round 4: blocks ['c'] are not there",
    ),
    "cached block lost": (
        {"residency": to("previous")},
        {},
        "round 3: blocks ['a'] are not there",
    ),
    "overlap without the flag": (
        {"overlap": to(False)},
        {},
        "round 1: its load starts before the round before it ends",
    ),
    "no memory for both": (
        {"gpu_memory_bytes": to(99)},
        {},
        "round 2: memory does not hold it beside the round before it",
    ),
    "two loads at once": (
        {},
        {"rounds.2.load_start_s": to(0.72)},
        "round 2: its load starts before the load before it ends",
    ),
    "three models at once": (
        {},
        {"rounds.3.load_start_s": to(1.0)},
        "round 3: its load starts before the round two before it ends",
    ),
    "two batches at once": (
        {},
        {"rounds.2.compute_start_s": plus(-0.1), "rounds.2.end_s": plus(-0.1)},
        "round 2: it computes before the round before it ends",
    ),
}


def test_accepts_a_cache_and_overlap():
    """The mutations below start from something valid, as worked out by hand."""
    schedule = cached()
    verify(Problem.model_validate(CACHED), Schedule.model_validate(schedule))
    found = [(r["loaded_blocks"], r["load_start_s"]) for r in schedule["rounds"]]
    assert found == [
        ([], 0.0),
        (["stem", "a"], 0.0),
        (["b"], pytest.approx(0.75)),
        ([], pytest.approx(1.8)),
        (["c"], pytest.approx(2.5)),
    ]


@pytest.mark.parametrize("mutation", EXTENSION_MUTATIONS)
def test_catches_what_memory_forbids(mutation):
    """The rules of a cache and of overlap, one broken at a time and named alone."""
    problem, schedule, sentence = EXTENSION_MUTATIONS[mutation]
    said = complaints(changed(CACHED, problem), changed(cached(), schedule))
    assert sentence in said
    assert said == sentence or problem


def test_loading_what_is_cached_is_allowed():
    """A round may load a block again, as long as it is loaded in time."""
    schedule = changed(cached(), loading(3, "a"))
    verify(Problem.model_validate(CACHED), Schedule.model_validate(schedule))


def test_without_sharing_models_have_blocks_to_themselves():
    """Without sharing b needs a stem of its own, and then finds no room beside a."""
    problem = Problem.model_validate(CACHED)
    alone = Schedule.model_validate(cached(sharing=False))
    verify(problem, alone)
    assert alone.rounds[2].loaded_blocks == ("stem", "b")
    assert alone.rounds[2].load_start_s == alone.rounds[1].end_s
    with pytest.raises(VerificationError) as caught:
        verify(problem, Schedule.model_validate(cached()), sharing=False)
    assert "round 2: blocks ['stem'] are not there" in str(caught.value)
    assert "round 2: memory does not hold it beside" in str(caught.value)


def test_slack_with_loads_beside_batches():
    """By hand: batches end by 17, 18, 18.7, 19.7 and 20 s; no load is in the way."""
    tables = Tables(Problem.model_validate(CACHED))
    made = make_schedule(tables, CACHED_ROUNDS, "static", solver="test", bound=None)
    schedule = listed(made.model_dump())
    starts_s = [round_["compute_start_s"] for round_ in schedule["rounds"]]
    latest_s = [16.7, 17.0, 18.0, 18.7, 19.7]
    slack_s = schedule["slack_s"]
    assert starts_s == pytest.approx([time_s - slack_s for time_s in latest_s])
    ahead = changed(schedule, {"rounds.0.compute_start_s": plus(-0.5)})
    for said_s, wrong in ((slack_s, True), (slack_s + 0.5, False)):
        said = Schedule.model_validate(changed(ahead, {"slack_s": to(said_s)}))
        found = list(violations(Problem.model_validate(CACHED), said))
        assert any(line.startswith("slack_s") for line in found) is wrong


def test_a_full_batch_evicts_what_is_cached():
    """Two users of a take the room of c, which then has to be loaded again."""
    problem = changed(CACHED, {"overlap": to(False)})
    rounds = [PlannedRound(2, (3,)), PlannedRound(0, (0, 1)), PlannedRound(2, (4,))]
    tables = Tables(Problem.model_validate(problem))
    made = make_schedule(tables, rounds, "dynamic", solver="test", bound=None)
    schedule = listed(made.model_dump())
    assert schedule["rounds"][2]["loaded_blocks"] == ["c"]
    verify(Problem.model_validate(problem), Schedule.model_validate(schedule))
    said = complaints(problem, changed(schedule, loading(2)))
    assert said == "round 2: blocks ['c'] are not there"


@pytest.mark.parametrize("uplink", UPLINKS)
def test_loading_more_than_needed_is_allowed(uplink):
    """Schedules of the baselines without sharing are valid for the same problem."""
    problem = Problem.model_validate(PROBLEM)
    result = solve(problem, "greedy-noshare", uplink=uplink)
    loaded = [block for r in result.schedule.rounds for block in r.loaded_blocks]
    assert loaded.count("stem") == 2
    verify(problem, result.schedule, sharing=True)
