"""The seeded family: its sizes, what its groups promise, and the best known values."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgesim.instances import read_instance
from solvers import UPLINKS, Problem, RefusalError, solve
from solvers.core.forest import Crossing, Forest, build_forest
from solvers.core.tables import Tables
from tests.instances import (
    CASES,
    GROUPS,
    LARGE,
    SIZES,
    Case,
    best_known,
    digest,
    make,
    merged,
    write_best_known,
)
from tests.instances.__main__ import main
from tests.instances.libraries import measured

SMALL = tuple(case for case in CASES if case.group != LARGE)
SMALLEST = tuple(case for case in SMALL if case.users <= 12)

# Users served by a solver to best known ones, in all, over the smallest cases.
LEAST_SHARE = {"dp": 0.98, "greedy": 0.93}


@pytest.fixture(scope="module")
def problems() -> dict[str, Problem]:
    """Every problem but the large ones, by case."""
    return {case.name: make(case) for case in SMALL}


def _crosses(case: Case) -> bool:
    sharing = GROUPS[case.group].sharing
    return sharing == "crossing" or (sharing == "both" and case.number % 2 == 1)


def test_family_has_the_promised_cases() -> None:
    """Twelve cases a group and seven large ones, each name once, all disciplines."""
    assert len(SMALL) >= 120
    assert len({case.name for case in CASES}) == len(CASES)
    assert Counter(case.group for case in CASES) == dict.fromkeys(GROUPS, 12) | {
        LARGE: 7
    }
    for group, entry in GROUPS.items():
        cases = [case for case in SMALL if case.group == group]
        found = Counter(case.uplink for case in cases)
        assert group == LARGE or set(found) == set(entry.uplinks)
        assert max(found.values(), default=0) == min(found.values(), default=0)
        for case, (models, users) in zip(cases, SIZES, strict=False):
            assert (case.models, case.users) in {(models, users), (3, users)}


def test_problems_are_as_large_as_their_cases(problems: dict[str, Problem]) -> None:
    """A problem has its case's name, models and users, and every model is wanted."""
    for case in SMALL:
        problem = problems[case.name]
        assert problem.name == case.name
        assert (len(problem.models), len(problem.users)) == (case.models, case.users)
        assert {user.model for user in problem.users} == set(problem.models)
        used = {block for model in problem.models.values() for block in model.blocks}
        assert used == set(problem.blocks)


def test_sharing_is_what_the_group_says(problems: dict[str, Problem]) -> None:
    """Laminar groups are forests, crossing ones are not, and something is shared."""
    for case in SMALL:
        problem = problems[case.name]
        kind = Crossing if _crosses(case) else Forest
        assert isinstance(build_forest(Tables(problem)), kind), case.name
        held = Counter(b for model in problem.models.values() for b in model.blocks)
        assert max(held.values()) > 1, case.name


def test_rules_are_what_the_group_says(problems: dict[str, Problem]) -> None:
    """Deadlines, releases, residency and overlap differ where they should."""
    for case in SMALL:
        problem, group = problems[case.name], GROUPS[case.group]
        released = group.deadlines == "released"
        assert any(user.release_s for user in problem.users) == released
        assert released <= (case.uplink == "dynamic")
        own = len({user.deadline_s for user in problem.users}) > 1
        some = group.deadlines == "some" and case.number % 3 == 2
        assert own == (group.deadlines in ("own", "released") or some)
        assert (problem.residency == "cache") >= (case.group == "cache")
        assert problem.overlap == (case.group == "overlap")
        if case.group not in ("cache", "overlap"):
            assert problem.residency == "previous"
        assert (problem.resident_model is not None) <= (case.group == "tight")
    for name in ("cache", "overlap"):
        mine = [problems[case.name] for case in SMALL if case.group == name]
        cached = [problem for problem in mine if problem.residency == "cache"]
        assert {p.eviction for p in cached} == {"lru", "furthest-next-use"}
    tight = [problems[case.name] for case in SMALL if case.group == "tight"]
    assert any(problem.resident_model for problem in tight)
    assert any(not u.spectral_efficiency for p in tight for u in p.users)


def test_memory_runs_every_model_but_does_not_hold_all(
    problems: dict[str, Problem],
) -> None:
    """Every model runs at least alone; a cache never holds the whole library."""
    for case in SMALL:
        problem = problems[case.name]
        assert all(problem.fits(model, 1) for model in problem.models), case.name
        if problem.residency == "cache":
            assert problem.gpu_memory_bytes is not None
            whole = sum(block.bytes for block in problem.blocks.values())
            assert problem.gpu_memory_bytes < whole, case.name


def test_numbers_are_short(problems: dict[str, Problem]) -> None:
    """No drawn number has more than 6 significant digits, so no last bit can differ."""
    for problem in problems.values():
        values = [block.load_s for block in problem.blocks.values()]
        values += [s for model in problem.models.values() for s in model.latency_s]
        for user in problem.users:
            values += [user.input_bits, user.deadline_s, user.release_s]
        assert all(value == float(f"{value:.6g}") for value in values)


def test_measured_tables_are_not_affine() -> None:
    """Tables that look measured have plateaus, steps, and none is a straight line."""
    rng = np.random.default_rng(0)
    tables = [measured(rng, 0.003, 16) for _ in range(50)]
    assert all(np.ptp(np.diff(table)) > 1e-5 for table in tables)
    assert any(table[2] == table[3] for table in tables)
    assert all(table[15] > 2 * table[0] for table in tables)


def test_problems_do_not_change(problems: dict[str, Problem]) -> None:
    """Made again, a problem has the same digest; no two cases have the same."""
    codes = {name: digest(problem) for name, problem in problems.items()}
    assert len(set(codes.values())) == len(codes)
    for case in SMALLEST:
        assert digest(make(case)) == codes[case.name]


def test_digest_tells_problems_apart(problems: dict[str, Problem]) -> None:
    """The digest changes with any number and not with defaults that are spelled out."""
    problem = problems[SMALL[0].name]
    first = problem.users[0].model_copy(update={"deadline_s": 7.0})
    changed = problem.model_copy(update={"users": (first, *problem.users[1:])})
    assert digest(changed) != digest(problem)
    again = Problem.model_validate(problem.model_dump())
    assert digest(again) == digest(problem)


def test_files_load_back_equal(
    tmp_path: Path, problems: dict[str, Problem], capsys: pytest.CaptureFixture[str]
) -> None:
    """``python -m tests.instances`` writes files that load back equal."""
    main([str(tmp_path / "new"), "--group", "cache", "--group", "bottom-gpu"])
    files = sorted((tmp_path / "new").iterdir())
    assert len(files) == 24
    for file in files:
        assert read_instance(file) == problems[file.stem]
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--group", "none"])
    assert "none" in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 1


def test_large_cases() -> None:
    """Large problems have their size, sharing, deadlines and known digests."""
    known = best_known()
    for case in CASES:
        if case.group != LARGE:
            continue
        problem = make(case)
        last = case.number == 2 * len(UPLINKS)
        assert (len(problem.models), len(problem.users)) == (300, case.users)
        assert case.users in (2000, 10000)
        assert (len({user.deadline_s for user in problem.users}) > 1) == last
        kind = Crossing if last else Forest
        assert isinstance(build_forest(Tables(problem)), kind)
        if case.name in known:
            assert known[case.name].digest == digest(problem)


def test_best_known_values_are_of_these_problems(problems: dict[str, Problem]) -> None:
    """Every case but a large one has a row; rows name cases and match the generator."""
    known = best_known()
    cases = {case.name: case for case in CASES}
    assert set(problems) <= set(known) <= set(cases)
    for name, best in known.items():
        case = cases[name]
        assert best.case == name
        assert (best.group, best.uplink) == (case.group, case.uplink)
        assert (best.models, best.users) == (case.models, case.users)
        assert name not in problems or best.digest == digest(problems[name])
        assert best.best <= best.bound <= best.users
        assert best.proven == (best.best == best.bound)
        assert best.seconds > 0


def test_choice_matters() -> None:
    """In no case can all be served or hardly anybody; tight and loose cases differ."""
    shares = [best.best / best.users for best in best_known().values()]
    assert 0.2 < min(shares) < 0.4
    assert 0.75 < max(shares) < 0.95


@pytest.mark.parametrize("solver", sorted(LEAST_SHARE))
def test_solvers_reach_most_of_the_best_known(
    solver: str, problems: dict[str, Problem]
) -> None:
    """On the smallest cases nobody beats a bound, and little is lost to the best."""
    known = best_known()
    served = best = 0
    for case in SMALLEST:
        try:
            found = solve(problems[case.name], solver, uplink=case.uplink)
        except RefusalError:
            continue
        assert found.served <= known[case.name].best, case.name
        assert found.bound >= known[case.name].best, case.name
        served += found.served
        best += known[case.name].best
    assert served >= LEAST_SHARE[solver] * best > 50 * LEAST_SHARE[solver]


def test_best_never_falls_and_bound_never_rises(tmp_path: Path) -> None:
    """Merging keeps the better value and the lower bound, and who was first."""
    case = SMALL[0]
    first = merged(None, case, "a", served=4, bound=9, by="greedy", seconds=0.5)
    assert (first.best, first.bound, first.proven) == (4, 9, False)
    worse = merged(first, case, "a", served=3, bound=10, by="edf", seconds=0.1)
    assert worse == first
    same = merged(first, case, "a", served=4, bound=7, by="dp", seconds=0.1)
    assert same == replace(first, bound=7)
    better = merged(same, case, "a", served=6, bound=6, by="ilp", seconds=2.0)
    assert better == replace(first, best=6, bound=6, proven=True, by="ilp", seconds=2.0)
    write_best_known([better], tmp_path / "best.csv")
    assert best_known(tmp_path / "best.csv") == {case.name: better}


def test_contradictions_are_refused(tmp_path: Path) -> None:
    """Values above bounds, other problems, false proofs and twins are errors."""
    case = SMALL[0]
    first = merged(None, case, "a", served=4, bound=6, by="greedy", seconds=0.5)
    with pytest.raises(ValueError, match="best <= bound"):
        merged(first, case, "a", served=7, bound=8, by="dp", seconds=0.1)
    with pytest.raises(ValueError, match="another problem"):
        merged(first, case, "b", served=4, bound=6, by="dp", seconds=0.1)
    with pytest.raises(ValueError, match="proven"):
        replace(first, proven=True)
    path = tmp_path / "best.csv"
    write_best_known([first], path)
    text = path.read_text()
    path.write_text(text + text.splitlines()[1] + "\n")
    with pytest.raises(ValueError, match="stands twice"):
        best_known(path)


def distances() -> str:
    """Table of how far the least bound known is above the best known value."""
    rows = list(best_known().values())
    lines = [
        "| group | cases | proven | bound above best, mean (worst) % |",
        "|---|---:|---:|---:|",
    ]
    for group in (*GROUPS, "all"):
        those = [row for row in rows if group in ("all", row.group)]
        above = [100 * (row.bound / row.best - 1) for row in those]
        proven = sum(not distance for distance in above)
        mean = sum(above) / len(above)
        lines.append(
            f"| {group} | {len(those)} | {proven} | {mean:.1f} ({max(above):.1f}) |"
        )
    return "\n".join(lines)


def test_the_mathematics_says_how_far_the_bounds_are() -> None:
    """Its table and its sentence are those of the best known values."""
    page = (Path(__file__).parents[1] / "docs" / "mathematics.md").read_text("utf-8")
    assert distances() in page
    laminar = [
        row
        for row in best_known().values()
        if row.group in {"adapters", "measured", "tight"} or "bottom" in row.group
    ]
    said = []
    for uplink in UPLINKS:
        those = [row for row in laminar if row.uplink == uplink]
        met = sum(row.bound == row.best for row in those)
        said.append("all 24" if met == len(those) == 24 else f"{met} of 24")
    assert len(laminar) == 72
    above = sorted(row.bound / row.best - 1 for row in laminar if row.bound > row.best)
    text = " ".join(page.split())
    assert (
        f"known value in {said[0]} under `upfront`, {said[2]} under `dynamic` and "
        f"{said[1]} under `static`, else at most {100 * above[-1]:.1f} % above"
    ) in text
