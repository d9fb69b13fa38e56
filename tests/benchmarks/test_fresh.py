"""Cases drawn again: other problems of the same kind, and a table of what is proven."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import fresh
from tests.benchmarks.campaign import read_records
from tests.instances import CASES, drawn_again, make

CASE = next(case for case in CASES if case.name == "own-crossing-01-upfront")


def test_other_draws_are_other_problems_of_the_same_kind() -> None:
    """Each seed gives one problem, the same every time, and never the family's."""
    again = [drawn_again(CASE, draw) for draw in (1, 2)]
    problems = [make(CASE), *map(make, again)]
    assert [make(case) for case in again] == problems[1:]
    assert len({problem.model_dump_json() for problem in problems}) == 3
    for problem in problems:
        assert (len(problem.models), len(problem.users)) == (CASE.models, CASE.users)
        assert len({user.deadline_s for user in problem.users}) > 1
    assert make(replace(again[0], draw=0)).users == problems[0].users


def test_runs_are_kept_and_told_by_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second call runs nothing anew; small cases are proven."""
    words = ["--draws", "2", "--number", "0", "--groups", "mixed,own-crossing"]
    words += ["--time-limit", "5", "--jobs", "1", "--out", str(tmp_path)]
    assert fresh.main(words) == 0
    records = read_records(tmp_path / fresh.RUNS)
    assert len(records) == 2 * 2 * 3
    told = capsys.readouterr().out
    assert told == (tmp_path / fresh.TABLE).read_text()
    row = next(line for line in told.splitlines() if line.startswith("| all groups"))
    assert row.startswith("| all groups | 4 | 4 | 0.0 % (0.0 %) |")
    assert fresh.main(words) == 0
    assert read_records(tmp_path / fresh.RUNS) == records
    assert capsys.readouterr().out == told


def test_wrong_answers_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that fails is no case of the table, and the command says so."""
    words = ["--draws", "1", "--number", "0", "--groups", "mixed"]
    words += ["--time-limit", "5", "--jobs", "1", "--out", str(tmp_path)]
    assert fresh.main(words) == 0
    records = read_records(tmp_path / fresh.RUNS)
    bad = replace(records[0], served=None, status="failed", refused="why not")
    monkeypatch.setattr(fresh, "read_records", lambda _: [bad, *records[1:]])
    capsys.readouterr()
    assert fresh.main(words) == 1
    out, err = capsys.readouterr()
    assert "| all groups | 0 | 0 | – |" in out
    assert "why not" in err


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    """A number that no group has."""
    with pytest.raises(SystemExit, match="2"):
        fresh.main(["--number", "99", "--out", str(tmp_path)])


def test_the_committed_table_is_that_of_the_committed_runs() -> None:
    """And the manual's sentence is the table's last row."""
    folder = Path(__file__).parents[1] / "instances" / "tables"
    records = read_records(folder / "fresh.csv")
    group_of = {record.case: record.case.split("-0")[0] for record in records}
    text = (folder / "fresh.md").read_text(encoding="utf-8")
    assert fresh.fresh_table(records, group_of) == text
    page = (folder.parents[2] / "docs" / "mathematics.md").read_text(encoding="utf-8")
    cells = [cell.strip() for cell in text.splitlines()[-1].strip("|").split("|")]
    proven, cases = cells[2], cells[1]
    distance, greedy, search = (cell.split(" (")[0] for cell in cells[3:])
    assert (
        f"{proven} of {cases} proven, the bound {distance} above the best on average, "
        f"`greedy` {greedy} below it and `local-search` {search}"
    ) in " ".join(page.split())
