"""The integer programs: proven optima, honest bounds, and both engines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import highspy
import numpy as np
import pulp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesim.instances import write_instance
from solvers import UPLINKS, Problem, RefusalError, solve
from solvers.bounds.upper_bound import upper_bound
from solvers.core.algorithm import Options
from solvers.core.tables import Tables
from solvers.core.timing import time_rounds
from solvers.greedy import solver as greedy
from solvers.ilp import solver as ilp
from solvers.ilp.buckets import BucketModel
from solvers.ilp.engine import Answer, Clock, OutOfTimeError, cbc, run
from solvers.ilp.grid import bucket_edges, cost_lines, count_costs, latest_start_s
from solvers.ilp.slots import RoundModel, max_rounds
from solvers.ilp.visits import VisitModel
from solvers.local_search import solver as local_search
from tests.shared_data import REQUIRE
from tests.solvers.strategies import planned, problems, seeded_problem

FEW = settings(
    max_examples=40,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
NEEDS_CBC = pytest.mark.skipif(
    not cbc().available() and not os.environ.get(REQUIRE),
    reason="CBC's binary cannot be run here",
)
NO_CLOCK = Clock.of(None)


def family(count: int, users: int, **kwargs: object) -> list[Problem]:
    """List the first problems of the seeded family."""
    rng = np.random.default_rng(5)
    kwargs = {"sharing": "crossing", "models": 4, **kwargs}
    return [seeded_problem(rng, users=users, **kwargs) for _ in range(count)]


@pytest.mark.parametrize("uplink", UPLINKS)
def test_finds_the_optimum_from_nothing(uplink, monkeypatch):
    """No start is needed: the programs find the optimum and prove it."""
    monkeypatch.setattr(ilp, "_incumbent", lambda *_: [])
    for problem in family(3, 7) + family(3, 7, deadlines="own"):
        optimum = solve(problem, "exhaustive", uplink=uplink).served
        result = solve(problem, "ilp", uplink=uplink)
        assert (result.served, result.status) == (optimum, "optimal")


@FEW
@given(problems(deadlines="own", releases=True, max_users=5))
def test_own_deadlines_and_releases(problem):
    """The same optimum as the oracle, proven."""
    result = solve(problem, "ilp", uplink="dynamic")
    optimum = solve(problem, "exhaustive", uplink="dynamic").served
    assert (result.served, result.bound, result.status) == (optimum, optimum, "optimal")


@pytest.mark.parametrize("uplink", UPLINKS)
def test_a_time_limit_is_kept_and_the_bound_stays_proven(uplink):
    """A problem that would take minutes: feasible, with an honest gap."""
    problem = family(1, 40, models=8, deadlines="own")[0]
    result = solve(problem, "ilp", uplink=uplink, time_limit_s=1.0)
    # Only a limit that is not looked at takes so much longer.
    assert result.runtime_s < 10.0
    assert result.status == "feasible"
    assert 0 < result.served < result.bound <= upper_bound(Tables(problem), uplink)
    assert result.gap == (result.bound - result.served) / result.bound


def slots(tables: Tables, *, wanted: int = 0) -> RoundModel:
    """Build a program of eight slots that asks for so many users."""
    bound = len(tables.users)
    return RoundModel(tables, "dynamic", wanted, bound, NO_CLOCK, 8)


def test_an_answer_at_the_time_limit_is_not_taken_for_the_best():
    """PuLP 3.3.2 says "Optimal" of it; HiGHS itself tells the difference."""
    tables = Tables(family(1, 30, models=8, deadlines="own")[0])
    # On a busy machine the first answer takes longer; the proof takes several times so.
    for limit_s in (0.25 * 1.4**step for step in range(12)):
        program = slots(tables)
        answer = run(program, "highs", Clock.of(limit_s))
        if answer.chosen:
            break
    assert answer.chosen
    assert not answer.finished
    served = sum(len(users) for _, users in program.rounds())
    assert served < answer.bound <= 30


def test_a_limit_on_nodes_leaves_a_bound():
    """PuLP 3.3.2 cannot read such an end; the bound is still proven."""
    problem = family(1, 30, models=8)[0]
    tables = Tables(problem)
    edges_s = bucket_edges(tables, "static", 6)
    served = solve(problem, "greedy", uplink="static").served
    program = BucketModel(tables, "static", served, 30, NO_CLOCK, edges_s, True)
    answer = run(program, "highs", NO_CLOCK, nodes=1)
    assert not answer.finished
    assert served <= answer.bound <= 30


@pytest.mark.parametrize("status", ["kSolveError", "kNotset", "kModelEmpty"])
def test_an_engine_that_fails_bounds_nothing(status, monkeypatch):
    """HiGHS then gives 0 as its bound, as if nobody could be served."""
    tables = Tables(family(1, 6)[0])
    edges_s = bucket_edges(tables, "dynamic", 4)
    program = BucketModel(tables, "dynamic", 0, 6, NO_CLOCK, edges_s, True)
    failed = getattr(highspy.HighsModelStatus, status)
    monkeypatch.setattr(highspy.Highs, "getModelStatus", lambda _: failed)
    answer = run(program, "highs", NO_CLOCK)
    assert answer.bound is None
    assert not answer.finished


def test_an_engine_that_is_stopped_at_once_bounds_no_more_than_was_known(monkeypatch):
    """HiGHS then adds up the objective, as if no row stood beside it."""
    tables = Tables(family(1, 6)[0])
    program = RoundModel(tables, "dynamic", 0, 5, NO_CLOCK, 8)
    stopped = SimpleNamespace(
        mip_dual_bound=-48.0,
        primal_solution_status=highspy.SolutionStatus.kSolutionStatusNone,
    )
    limit = highspy.HighsModelStatus.kTimeLimit
    monkeypatch.setattr(highspy.Highs, "getInfo", lambda _: stopped)
    monkeypatch.setattr(highspy.Highs, "getModelStatus", lambda _: limit)
    answer = run(program, "highs", NO_CLOCK)
    assert (answer.bound, answer.finished) == (5, False)


def test_an_unfinished_linear_program_bounds_nothing():
    """The objective of a simplex method cut short is not a bound."""
    tables = Tables(family(1, 40, models=8)[0])
    edges_s = bucket_edges(tables, "static", 40)
    program = BucketModel(tables, "static", 0, 40, NO_CLOCK, edges_s, False)
    assert run(program, "highs", Clock.of(0.01), relaxed=True).bound is None
    assert run(program, "highs", NO_CLOCK, relaxed=True).bound <= 40


@pytest.mark.parametrize(
    "mip", ["highs", pytest.param("cbc", marks=NEEDS_CBC)], ids=["highs", "cbc"]
)
def test_a_program_without_an_answer_is_finished(mip):
    """Of CBC's, PuLP says so in the status alone; no bound is made up."""
    tables = Tables(family(1, 5, deadlines="own")[0])
    program = slots(tables, wanted=6)
    none = Answer(chosen=False, finished=True, bound=None)
    assert run(program, mip, NO_CLOCK) == none
    assert run(program, mip, NO_CLOCK, relaxed=True) == none


@NEEDS_CBC
def test_cbc_says_nothing_of_a_bound_when_it_is_cut_short():
    """What CBC has proven cannot be read, so the λ-bound stands."""
    problem = family(1, 30, models=8, deadlines="own")[0]
    answer = run(slots(Tables(problem)), "cbc", Clock.of(0.2))
    assert not answer.finished
    assert answer.bound is None


@pytest.mark.parametrize("uplink", UPLINKS)
def test_no_time_at_all_leaves_greedy_and_the_bound(uplink):
    """What is at hand is returned, and nothing is claimed beyond it."""
    for problem in family(3, 20, deadlines="own"):
        result = solve(problem, "ilp", uplink=uplink, time_limit_s=1e-9)
        assert result.served >= solve(problem, "greedy", uplink=uplink).served
        assert result.bound == upper_bound(Tables(problem), uplink)


def test_building_stops_with_the_clock():
    """No program is built beyond the time limit."""
    tables = Tables(family(1, 20)[0])
    over = Clock.of(0.0)
    edges_s = bucket_edges(tables, "static", 4)
    with pytest.raises(OutOfTimeError):
        BucketModel(tables, "static", 0, 20, over, edges_s, False)
    with pytest.raises(OutOfTimeError):
        RoundModel(tables, "static", 0, 20, over, 4)
    with pytest.raises(OutOfTimeError):
        VisitModel(tables, "upfront", 0, 20, over, None)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_same_problem_same_schedule(uplink):
    """Without a time limit nothing depends on how fast the machine is."""
    for problem in family(2, 6, deadlines="own"):
        first, second = (
            solve(problem, "ilp", uplink=uplink).schedule for _ in range(2)
        )
        assert first == second


@FEW
@given(
    problems(deadlines="any", max_users=6),
    st.sampled_from(UPLINKS),
    st.sampled_from([1, 3, 8]),
    st.booleans(),
)
def test_buckets_bound_every_schedule(problem, uplink, buckets, reloads):
    """The relaxation and its linear program are never below the oracle."""
    check_buckets(problem, uplink, buckets, reloads=reloads)


@FEW
@given(
    problems(deadlines="any", releases=True, max_users=5),
    st.sampled_from([1, 3, 8]),
    st.booleans(),
)
def test_buckets_bound_every_schedule_with_releases(problem, buckets, reloads):
    """The same when users arrive over time."""
    check_buckets(problem, "dynamic", buckets, reloads=reloads)


def check_buckets(
    problem: Problem, uplink: str, buckets: int, *, reloads: bool
) -> None:
    """Compare a relaxation with the oracle."""
    tables = Tables(problem)
    if not tables.active or latest_start_s(tables) <= 0:
        return
    optimum = solve(problem, "exhaustive", uplink=uplink).served
    edges_s = bucket_edges(tables, uplink, buckets)
    users = len(tables.users)
    program = BucketModel(tables, uplink, 0, users, NO_CLOCK, edges_s, reloads)
    linear = run(program, "highs", NO_CLOCK, relaxed=True)
    whole = run(program, "highs", NO_CLOCK)
    assert optimum <= whole.bound <= linear.bound <= users


@FEW
@given(problems(deadlines="any", max_users=5), st.sampled_from(UPLINKS))
def test_relaxations_agree_with_the_oracle(problem, uplink):
    """The same optimum when relaxations come before the exact program."""
    optimum = solve(problem, "exhaustive", uplink=uplink).served
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ilp, "SMALL", 0)
        result = solve(problem, "ilp", uplink=uplink)
    assert (result.served, result.status) == (optimum, "optimal")


def test_relaxations_prove_what_the_other_bound_does_not():
    """Own deadlines under ``static``: the linear program alone is often tight."""
    proven = 0
    for problem in family(5, 8, sharing="laminar", deadlines="own"):
        tables = Tables(problem)
        served = solve(problem, "exhaustive", uplink="static").served
        edges_s = bucket_edges(tables, "static", 16)
        program = BucketModel(tables, "static", 0, 8, NO_CLOCK, edges_s, False)
        bound = run(program, "highs", NO_CLOCK, relaxed=True).bound
        assert bound >= served
        proven += bound == served < upper_bound(tables, "static")
    assert proven >= 2


@settings(FEW, max_examples=100)
@given(problems(max_users=6), st.sampled_from(UPLINKS), st.integers(1, 9))
def test_edges_rise_from_0_to_the_latest_start(problem, uplink, buckets):
    """No batch can start outside, and no bucket is empty."""
    tables = Tables(problem)
    if tables.active and latest_start_s(tables) > 0:
        edges_s = bucket_edges(tables, uplink, buckets)
        assert edges_s[0] == 0
        assert edges_s[-1] == pytest.approx(latest_start_s(tables))
        assert (np.diff(edges_s) > 0).all()


@settings(FEW, max_examples=100)
@given(problems(max_users=6))
def test_lines_lie_below_the_costs(problem):
    """Straight lines bound what batches for n users take, and touch at both ends."""
    tables = Tables(problem)
    for m in tables.active:
        cost_s = count_costs(tables, m)
        finite = [n for n in range(1, len(cost_s)) if np.isfinite(cost_s[n])]
        if not finite:
            continue
        lines = cost_lines(cost_s)
        below = [max(a * n + b for a, b in lines) for n in finite]
        assert all(
            low <= cost_s[n] + 1e-9 for low, n in zip(below, finite, strict=True)
        )
        assert below[0] == pytest.approx(cost_s[finite[0]])
        assert below[-1] == pytest.approx(cost_s[finite[-1]])


@FEW
@given(problems(sharing="crossing", min_users=4, max_users=7))
def test_paths_of_visits_agree_with_the_oracle(problem):
    """Where sharing crosses, the order of the visits decides what is loaded."""
    result = solve(problem, "ilp", uplink="upfront")
    optimum = solve(problem, "exhaustive", uplink="upfront").served
    assert (result.served, result.status) == (optimum, "optimal")


@NEEDS_CBC
@pytest.mark.parametrize("uplink", UPLINKS)
def test_cbc_proves_the_same_optimum(uplink):
    """Both engines end with the same number of users, and both have proven it.

    When greedy is best already, CBC has to find that nothing better exists.
    """
    for problem in family(3, 5, deadlines="own"):
        highs = solve(problem, "ilp", uplink=uplink)
        cbc = solve(problem, "ilp", uplink=uplink, mip="cbc")
        assert (cbc.served, cbc.status) == (highs.served, "optimal")


def test_says_so_when_cbc_cannot_be_run(monkeypatch):
    """The message names the alternative."""
    monkeypatch.setattr(pulp.COIN_CMD, "available", lambda _: False)
    problem = family(1, 7, deadlines="own")[0]
    with pytest.raises(
        RefusalError, match=r"CBC engine cannot be run; use mip 'highs'"
    ):
        solve(problem, "ilp", mip="cbc")


def test_refuses_an_unknown_engine():
    """The message says what was found and what is allowed."""
    with pytest.raises(
        ValueError, match=r"mip must be one of highs, cbc, found 'scip'"
    ):
        solve(family(1, 3)[0], "dp", mip="scip")


@settings(FEW, max_examples=100)
@given(planned(deadlines="any", releases=True, horizon=(5, 40)))
def test_there_are_slots_enough(case):
    """No feasible rounds are more than the program has slots for."""
    tables, rounds = case
    if rounds and time_rounds(tables, rounds, "dynamic") is not None:
        assert len(rounds) <= max_rounds(tables)


@pytest.mark.parametrize(("deadline_s", "slots"), [(0.9, 3), (0.89, 2), (0.1, 0)])
def test_slots_are_as_many_as_shortest_batches_fit(deadline_s, slots):
    """Three users of 0.3 s each, loads and uploads not counted."""
    user = {"model": "a", "input_bits": 1.0, "spectral_efficiency": 1.0}
    problem = Problem.model_validate(
        {
            "name": "slots",
            "bandwidth_hz": 1.0,
            "blocks": {"x": {"bytes": 1, "load_s": 0.5}},
            "models": {"a": {"blocks": ["x"], "latency_s": [0.4, 0.3]}},
            "users": [
                {"id": f"u{k}", "deadline_s": deadline_s, **user} for k in range(3)
            ],
        }
    )
    assert max_rounds(Tables(problem)) == slots


@settings(FEW, max_examples=200)
@given(
    demand_s=st.floats(0.01, 5),
    start_s=st.floats(0.01, 10),
    touch_s=st.floats(0.01, 10),
)
def test_tangents_bound_the_band_from_below(demand_s, start_s, touch_s):
    """w·(2x/τ − s/τ²) is at most w·x²/s for x 0 and 1, and touches at s = τ."""
    for x in (0, 1):
        tangent = demand_s * (2 * x / touch_s - start_s / touch_s**2)
        assert tangent <= demand_s * x / start_s * (1 + 1e-9) + 1e-9
    touching = demand_s * (2 / touch_s - touch_s / touch_s**2)
    assert touching == pytest.approx(demand_s / touch_s)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_engines_tolerance_does_not_decide(uplink):
    """A deadline missed by far less than an engine's 1e-6 is missed all the same."""
    problem = Problem.model_validate(
        {
            "name": "close",
            "bandwidth_hz": 1.0,
            "blocks": {"x": {"bytes": 1, "load_s": 0.0}},
            "models": {"a": {"blocks": ["x"], "latency_s": [0.25]}},
            "users": [
                {
                    "id": f"u{k}",
                    "model": "a",
                    "input_bits": 0.25,
                    "spectral_efficiency": 1.0,
                    # Together they need 1 s upfront and 0.75 s at least else.
                    "deadline_s": (1.0 if uplink == "upfront" else 0.75) - 1e-8,
                }
                for k in range(2)
            ],
        }
    )
    result = solve(problem, "ilp", uplink=uplink)
    assert (result.served, result.status) == (1, "optimal")
    assert solve(problem, "exhaustive", uplink=uplink).served == 1


def test_a_model_may_recur():
    """Going a, b, a is in the program: a user of a arrives after b had to run."""
    problem = Problem.model_validate(
        {
            "name": "again",
            "bandwidth_hz": 1e3,
            "blocks": {n: {"bytes": 1, "load_s": 0.1} for n in "ab"},
            "models": {n: {"blocks": [n], "latency_s": [0.1]} for n in "ab"},
            "users": [
                {
                    "id": f"u{k}",
                    "model": model,
                    "input_bits": 1e-6,
                    "spectral_efficiency": 1.0,
                    "release_s": release_s,
                    "deadline_s": deadline_s,
                }
                for k, (model, release_s, deadline_s) in enumerate(
                    [("a", 0.0, 0.25), ("b", 0.0, 0.45), ("a", 0.5, 0.7)]
                )
            ],
        }
    )
    assert solve(problem, "ilp", uplink="dynamic").served == 3


def test_highs_may_have_been_used_before_with_other_threads():
    """HiGHS then refuses another number of them, and would have no answer."""
    program = pulp.LpProblem("before", pulp.LpMinimize)
    x = program.add_variable("x", 0, 3)
    program.setObjective(x)
    program.addConstraint(2 * x >= 1)
    program.solve(pulp.HiGHS(msg=False))
    integers = pulp.LpProblem("after", pulp.LpMinimize)
    y = integers.add_variable("y", 0, 3, cat="Integer")
    integers.setObjective(-1 * y)
    integers.addConstraint(2 * y <= 5)
    answer = run(SimpleNamespace(problem=integers, bound=3), "highs", NO_CLOCK)
    assert answer == Answer(chosen=True, finished=True, bound=2)


SILENT = """\
import sys
import numpy as np
from solvers import solve
from solvers.ilp import solver
from tests.solvers.strategies import seeded_problem

ended = []
run = solver.run
solver._incumbent = lambda *given: []
solver.run = lambda *given, **named: ended.append(run(*given, **named)) or ended[-1]
for seed in range(4):
    rng = np.random.default_rng(seed)
    problem = seeded_problem(rng, sharing="laminar", users=8, models=4)
    solve(problem, "ilp", uplink="dynamic", time_limit_s=2)
sys.exit(not any(answer.finished for answer in ended))
"""


def test_nothing_is_written_to_standard_output():
    """Not even HiGHS's version, which it prints itself: schedules may go there."""
    finished = subprocess.run(
        [sys.executable, "-c", SILENT],
        capture_output=True,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == b""


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("users", [1, 200, 1031])
def test_a_time_limit_holds_with_all_that_is_built(uplink, users):
    """In the time of this process, whatever else the machine does."""
    problem = family(1, users, models=min(users, 30), deadlines="own")[0]
    solve(family(1, 2)[0], "ilp", uplink=uplink)  # imports
    before_s = time.process_time()
    solve(problem, "ilp", uplink=uplink, time_limit_s=2.0)
    assert time.process_time() - before_s < 2.0 + 0.5


@pytest.mark.parametrize("uplink", ["static", "upfront"])
def test_above_a_stated_size_the_program_is_not_built(uplink, monkeypatch):
    """It is said; the plan is local search's in half the time, the bound is sound."""
    problem = family(1, 150, models=20, deadlines="own")[0]
    plan = solve(problem, "greedy", uplink=uplink).schedule
    limits_s = []

    def searched(tables, uplink, options):
        limits_s.append(options.time_limit_s)
        return greedy.solve(tables, uplink, Options())

    monkeypatch.setattr(local_search, "solve", searched)
    result = solve(problem, "ilp", uplink=uplink, time_limit_s=1.0)
    monkeypatch.undo()
    assert limits_s == [0.5]
    assert result.schedule.rounds == plan.rounds
    assert result.note.startswith("ilp: the program was not built: 150 users make ")
    assert result.note.endswith("this is local-search's plan, with the bound")
    assert result.served < result.bound <= upper_bound(Tables(problem), uplink)
    small = solve(family(1, 20, models=8)[0], "ilp", uplink=uplink, time_limit_s=1.0)
    assert small.note is None


@pytest.mark.skipif(os.name == "nt", reason="interrupts are sent in another way")
@pytest.mark.parametrize(
    "mip", ["highs", pytest.param("cbc", marks=NEEDS_CBC)], ids=["highs", "cbc"]
)
def test_an_interrupt_within_an_engine_ends_without_litter(mip, tmp_path):
    """Exit code 130 at once; neither files of the engine nor its process stay."""
    write_instance(tmp_path / "i.json", family(1, 40, models=8, deadlines="own")[0])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    places = dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(scratch))
    marked = tmp_path / "began"
    begin = ENGINE_BEGINS.format(marked=str(marked))
    options = ["solve", str(tmp_path / "i.json"), "--solver", "ilp", "--mip", mip]
    process = subprocess.Popen(
        [sys.executable, "-c", begin, *options, "--out", str(tmp_path / "o.json")],
        env={**os.environ, **places},
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not marked.exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert list(scratch.iterdir()) == []
    # CBC is given a file in there.
    commands = [place.read_bytes() for place in Path("/proc").glob("[0-9]*/cmdline")]
    assert not any(os.fsencode(scratch) in command for command in commands)
    assert not (tmp_path / "o.json").exists()


ENGINE_BEGINS = """\
import signal
import sys
from pathlib import Path
from solvers.ilp import solver

signal.signal(signal.SIGINT, signal.default_int_handler)
solver._incumbent = lambda *given: []
run = solver.run
def begun(*given, **named):
    if not named.get("relaxed"):
        Path({marked!r}).touch()
    return run(*given, **named)
solver.run = begun
from edgesim.cli import main
sys.argv[0] = "edgesim"
main()
"""
