"""Greedy: whatever it follows, what it builds is feasible; on average it is good."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, solve
from solvers.core.search import Search
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import time_rounds
from solvers.greedy import solver as greedy
from solvers.greedy.fill import fill
from solvers.greedy.pick import Selector
from solvers.greedy.solver import (
    ANY_DEADLINES,
    ONE_DEADLINE,
    OWN_DEADLINES,
    _Builder,
    _feasible,
    _schedules,
)
from solvers.greedy.waiting import Loads, Waiting
from tests.instances import CASES, best_known, make
from tests.solvers.brute import MOST_USERS, best_served
from tests.solvers.strategies import problems, seeded_problem

FEW = settings(
    max_examples=40,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
MANY = settings(FEW, max_examples=100)

STEMS = {"a0": "a", "b0": "b", "a1": "a", "b1": "b"}


def clusters(*, deadline_s: float, stem_s: float = 1.0, **changes: object) -> Problem:
    """Four users want four models in two clusters; heads load in 0.1 s."""
    return Problem.model_validate(
        {
            "name": "clusters",
            "bandwidth_hz": 1e3,
            "blocks": {
                name: {"bytes": 1, "load_s": stem_s if name in "ab" else 0.1}
                for name in ("a", "b", *STEMS)
            },
            "models": {
                name: {"blocks": [stem, name], "latency_s": [0.1]}
                for name, stem in STEMS.items()
            },
            "users": [
                {
                    "id": name,
                    "model": name,
                    "input_bits": 1.0,
                    "spectral_efficiency": 1.0,
                    "deadline_s": deadline_s,
                }
                for name in STEMS
            ],
            **changes,
        }
    )


def check_attempts(problem: Problem, uplink: str, seen: Counter) -> None:
    """Build a schedule by each attempt; a user left over fits no further round."""
    tables = Tables(problem)
    if not tables.active:
        return
    builder = _Builder(tables, uplink)
    one = tables.common_deadline_s is not None and tables.releases_zero
    own = (*OWN_DEADLINES[uplink], *ANY_DEADLINES[:8])
    for attempt in ONE_DEADLINE[uplink] if one else own:
        rounds = builder.build(attempt)
        placed = {k for _, users in rounds for k in users}
        assert len(placed) == sum(len(users) for _, users in rounds)
        seen["rounds"] += len(rounds)
        if problem.eviction != "lru" and problem.residency == "cache":
            continue
        assert time_rounds(tables, rounds, uplink) is not None, attempt
        if uplink == "static" or not tables.releases_zero:
            continue
        for k in set(tables.users.tolist()) - placed:
            alone = PlannedRound(int(tables.user_model[k]), (k,))
            assert time_rounds(tables, [*rounds, alone], uplink) is None, attempt


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("deadlines", ["common", "own"])
def test_every_attempt_builds_a_maximal_feasible_schedule(deadlines, uplink):
    """Each attempt's own schedule is feasible, and no user could be appended to it."""
    seen = Counter()

    @FEW
    @given(problems(deadlines=deadlines, min_users=4))
    def check(problem):
        check_attempts(problem, uplink, seen)

    check()
    assert seen["rounds"] >= 100


@pytest.mark.parametrize("uplink", UPLINKS)
def test_every_attempt_follows_memory_and_overlap(uplink):
    """The same with a cache and with overlap, without mending afterwards."""

    @FEW
    @given(problems(deadlines="any", extensions=True, min_users=4))
    def check(problem):
        check_attempts(problem, uplink, Counter())

    check()


@FEW
@given(problems(deadlines="any", releases=True, min_users=4, extensions=True))
def test_every_attempt_respects_releases(problem):
    """The same under ``dynamic`` when users arrive over time."""
    check_attempts(problem, "dynamic", Counter())


@pytest.mark.parametrize("uplink", UPLINKS)
def test_never_above_the_optimum(uplink):
    """With a cache, overlap and releases: verified, and no more than brute force."""
    seen = Counter()

    @MANY
    @given(
        problems(
            deadlines="any",
            releases=uplink == "dynamic",
            extensions=True,
            max_users=MOST_USERS,
        )
    )
    def check(problem):
        for name in ("greedy", "greedy-noshare"):
            served = solve(problem, name, uplink=uplink).served
            best = best_served(problem, uplink, sharing=name == "greedy")
            assert served <= best, name
            seen[name, "served"] += served
            seen[name, "best"] += best

    check()
    for name in ("greedy", "greedy-noshare"):
        assert seen[name, "best"] >= 50
        assert seen[name, "served"] >= 0.95 * seen[name, "best"], name


@pytest.mark.parametrize("uplink", UPLINKS)
def test_larger_problems_verify(uplink):
    """With more users than brute force takes, every schedule passes ``verify``."""

    @MANY
    @given(
        problems(
            deadlines="any",
            releases=uplink == "dynamic",
            extensions=True,
            min_users=6,
            max_users=14,
        )
    )
    def check(problem):
        result = solve(problem, "greedy", uplink=uplink)
        assert result.served <= result.bound

    check()


def seeded(kind: str, *, users: int, models: int, count: int) -> list[Problem]:
    """Draw problems of one kind, as "crossing own"."""
    sharing, deadlines = kind.split()
    rng = np.random.default_rng(7)
    return [
        seeded_problem(
            rng, sharing=sharing, users=users, models=models, deadlines=deadlines
        )
        for _ in range(count)
    ]


KINDS = ["laminar common", "laminar own", "crossing common", "crossing own"]


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("kind", KINDS)
def test_quality_on_tiny_problems(kind, uplink):
    """At least 97 % of the optimum on average, 95 % with own deadlines."""
    shares = []
    for problem in seeded(kind, users=8, models=5, count=20):
        best = solve(problem, "exhaustive", uplink=uplink).served
        served = solve(problem, "greedy", uplink=uplink).served
        shares.append(served / best if best else 1.0)
    print(f"{kind}, {uplink}: {np.mean(shares):.4f} of the optimum")
    assert np.mean(shares) >= (0.97 if "common" in kind else 0.95)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_quality_on_larger_problems(uplink):
    """Beside dp, which takes what shares in a forest: at least 95 % on average."""
    shares = []
    for problem in seeded("laminar common", users=60, models=14, count=6):
        best = solve(problem, "dp", uplink=uplink).served
        shares.append(solve(problem, "greedy", uplink=uplink).served / best)
    print(f"{uplink}: {np.mean(shares):.4f} of dp")
    assert np.mean(shares) >= 0.95


@pytest.mark.parametrize("group", ["own-crossing", "releases", "cache", "overlap"])
def test_quality_where_deadlines_differ_or_memory_is_kept(group):
    """At least 96.5 % of the best known on average, up to 80 users; twice the same."""
    best = best_known()
    shares = []
    for case in CASES:
        if case.group == group and case.users <= 80:
            problem = make(case)
            served = solve(problem, "greedy", uplink=case.uplink).served
            assert served == solve(problem, "greedy", uplink=case.uplink).served
            shares.append(served / best[case.name].best)
    print(f"{group}: {np.mean(shares):.4f} of the best known")
    assert len(shares) == 8
    assert np.mean(shares) >= 0.965


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("kind", KINDS)
def test_above_the_floors(kind, uplink):
    """More than first come first served, earliest deadline and random, on average."""
    total = Counter()
    for problem in seeded(kind, users=30, models=8, count=6):
        for name in ("greedy", "fcfs", "edf", "random"):
            total[name] += solve(problem, name, uplink=uplink).served
    assert total["greedy"] > max(total[name] for name in ("fcfs", "edf", "random"))


def test_freer_rules_serve_more():
    """Freer disciplines, a cache and overlap gain, each on average."""
    total = Counter()
    for kind in KINDS:
        for problem in seeded(kind, users=30, models=8, count=3):
            memory = 3 * max(problem.weight_bytes(name) for name in problem.models)
            rules = {
                "previous": {},
                "lru": {"residency": "cache"},
                "next use": {"residency": "cache", "eviction": "furthest-next-use"},
                "overlap": {"overlap": True},
                "both": {"residency": "cache", "overlap": True},
            }
            for name, changes in rules.items():
                other = problem.model_copy(
                    update={"gpu_memory_bytes": memory, **changes}
                )
                for uplink in UPLINKS:
                    found = solve(other, "greedy", uplink=uplink, quick=True)
                    served = found.served
                    total[uplink] += served
                    total[uplink, name] += served
    assert total["upfront"] < total["static"] < total["dynamic"]
    for uplink in UPLINKS:
        plain = total[uplink, "previous"]
        assert total[uplink, "lru"] > plain
        assert total[uplink, "next use"] >= plain
        assert total[uplink, "overlap"] > plain
        assert total[uplink, "both"] >= total[uplink, "overlap"]


def test_relatives_follow_each_other():
    """Four models in two clusters: each cluster's stem is loaded once."""
    # Two stems, four heads and four batches take 2.8 s.
    problem = clusters(deadline_s=2.85)
    result = solve(problem, "greedy")
    assert result.served == 4
    visited = [STEMS[r.model] for r in result.schedule.rounds]
    assert visited in (["a", "a", "b", "b"], ["b", "b", "a", "a"])
    assert solve(problem, "greedy-noshare").served == 2


@pytest.mark.parametrize("uplink", UPLINKS)
def test_loads_are_hidden_behind_batches(uplink):
    """With overlap four loads of 0.6 s and batches of 0.5 s end by 3 s, not 4.4 s."""
    models = {name: {"blocks": [name], "latency_s": [0.5]} for name in STEMS}
    blocks = {name: {"bytes": 1, "load_s": 0.6} for name in STEMS}
    changes = {"models": models, "blocks": blocks}
    plain = clusters(deadline_s=3.0, **changes)
    assert solve(plain, "greedy", uplink=uplink).served == 2
    ahead = clusters(deadline_s=3.0, overlap=True, **changes)
    assert solve(ahead, "greedy", uplink=uplink).served == 4


def test_a_cache_spares_what_comes_back():
    """Early and late users of two models: the second visits load nothing."""
    users = [
        {
            "id": f"{model}-{release_s}",
            "model": model,
            "input_bits": 1.0,
            "spectral_efficiency": 1.0,
            "release_s": release_s,
            "deadline_s": release_s + 2.5,
        }
        for release_s in (0.0, 2.6)
        for model in ("a0", "b0")
    ]
    changes = {"users": users, "gpu_memory_bytes": 4}
    cached = clusters(deadline_s=1.0, residency="cache", **changes)
    result = solve(cached, "greedy")
    assert result.served == 4
    assert sum(bool(r.loaded_blocks) for r in result.schedule.rounds) == 2


@pytest.mark.parametrize("uplink", UPLINKS)
def test_a_backbone_pays_when_its_models_share_it(uplink):
    """Users are picked so that the stem is paid for by all or by nobody."""
    # One stem, two heads and two batches take 1.4 s and 2 ms of upload.
    tables = Tables(clusters(deadline_s=1.45))
    menu = Selector(Loads(tables), tables.users_of, 1.45)
    # Spending 1.402 s, half on either side, is 0.4834 of the deadline.
    few, many = menu.select(0.5, 0.4834)
    assert [len(users) for users in few] in ([0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1])
    assert sum(len(users) for users in many) <= 2
    everyone, _ = menu.select(0.5, 1.0)
    assert [len(users) for users in everyone] == [1, 1, 1, 1]
    assert solve(tables.problem, "greedy", uplink=uplink).served == 2


def test_filling_uses_slack_inside():
    """Users join rounds, and rounds are put between others, when all stay in time."""
    problem = clusters(deadline_s=10.0)
    tables = Tables(problem)
    # a0, then b0: a1 and b1 go next to their relatives or elsewhere, all fit.
    rounds = [PlannedRound(0, (0,)), PlannedRound(1, (1,))]
    for uplink in UPLINKS:
        found = fill(tables, rounds, uplink)
        assert time_rounds(tables, found, uplink) is not None
        assert sorted(k for _, users in found for k in users) == [0, 1, 2, 3]
        assert [model for model, _ in found if model in (0, 1)] == [0, 1]


@pytest.mark.parametrize("uplink", UPLINKS)
def test_filling_keeps_whom_it_finds(uplink):
    """Whatever rounds it is given, the same users stay in time."""
    seen = Counter()

    @FEW
    @given(problems(deadlines="any", extensions=True, min_users=5), st.data())
    def check(problem, data):
        tables = Tables(problem)
        if not tables.active:
            return
        built, _ = next(iter(_schedules(tables, uplink)))
        kept = [r for r in built if data.draw(st.booleans())]
        kept = _feasible(tables, kept, uplink)
        found = fill(tables, kept, uplink)
        assert time_rounds(tables, found, uplink) is not None
        before = {k for _, users in kept for k in users}
        after = [k for _, users in found for k in users]
        assert len(after) == len(set(after))
        assert before <= set(after)
        seen["added"] += len(after) - len(before)

    check()
    assert seen["added"] > 0


def test_last_rounds_go_until_the_others_are_in_time():
    """What another eviction makes late is cut from the end."""
    tables = Tables(clusters(deadline_s=2.85))
    rounds = [PlannedRound(m, (m,)) for m in range(4)]
    assert time_rounds(tables, rounds, "dynamic") is None
    assert _feasible(tables, rounds, "dynamic") == rounds[:2]


@FEW
@given(problems(deadlines="any", releases=True, min_users=5, max_users=12), st.data())
def test_tables_of_waiting_users_stay_true(problem, data):
    """After any users were taken or dropped, tables are as if made anew."""
    tables = Tables(problem)
    waiting = Waiting(tables, tables.users_of, tables.deadline_s)
    for _ in range(data.draw(st.integers(0, 4))):
        some = [m for m, queue in enumerate(waiting.queue) if len(queue)]
        if not some:
            break
        if data.draw(st.booleans()):
            m = data.draw(st.sampled_from(some))
            queue = waiting.queue[m].tolist()
            size = data.draw(st.integers(1, len(queue)))
            assert waiting.take(m, size) == tuple(queue[:size])
        else:
            drawn = [data.draw(st.booleans()) for _ in range(len(waiting.size))]
            marked = np.array(drawn, dtype=bool)
            gone = set(waiting.last[marked].tolist()) - {-1}
            assert waiting.drop(marked) == bool(gone)
            assert not gone & {k for queue in waiting.queue for k in queue.tolist()}
    fresh = Waiting(tables, waiting.queue)
    for m, queue in enumerate(waiting.queue):
        assert waiting.count[m] == len(queue)
        now = waiting.entries(m)
        sizes = min(len(queue), len(tables.latency_s[m]) - 1)
        now, new = slice(now.start, now.start + sizes), fresh.entries(m)
        for name in ("size", "latency_s", "upload_s", "deadline_s", "release_s"):
            ours, theirs = getattr(waiting, name)[now], getattr(fresh, name)[new]
            assert np.array_equal(ours, theirs), name
    used = np.isfinite(waiting.upload_s).sum()
    assert used == len(fresh.size)


def test_the_budget_limits_attempts(monkeypatch):
    """A large problem gets few attempts, a small one all; fewer never serve more."""
    (problem,) = seeded("laminar common", users=60, models=10, count=1)
    tables = Tables(problem)
    for uplink in UPLINKS:
        everything = list(_schedules(tables, uplink))
        assert len(everything) == len(ONE_DEADLINE[uplink])
        with monkeypatch.context() as patched:
            patched.setattr(greedy, "MAX_EVALUATIONS", 0)
            few = list(_schedules(tables, uplink))
        assert few == everything[: greedy.MIN_ATTEMPTS]


def test_a_quick_plan_is_searched_briefly(monkeypatch):
    """A sixth of the evaluations and of the iterations, and no fewer than built."""
    (problem,) = seeded("crossing own", users=30, models=6, count=1)
    asked = []
    searched = Search.run

    def run(search, plan, iterations):
        asked.append((search.effort, iterations))
        return searched(search, plan, iterations)

    monkeypatch.setattr(Search, "run", run)
    quick = solve(problem, "greedy", quick=True).served
    solve(problem, "greedy")
    assert np.divide(*asked) == pytest.approx(1 / 6)
    monkeypatch.setattr(Search, "run", lambda _, plan, __: plan)
    assert quick >= solve(problem, "greedy").served
