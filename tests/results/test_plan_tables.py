"""The CSV tables: every number reads back exactly, the same run is the same bytes."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgesim.engine.channel import Channel
from edgesim.engine.noise import nominal
from edgesim.errors import InputError
from edgesim.measures.account import Account
from edgesim.results.rows import write_csv
from edgesim.results.tables import (
    PLAN_REQUEST_COLUMNS,
    PLAN_ROUND_COLUMNS,
    Labels,
    dump_header,
    dump_requests,
    dump_rounds,
)
from solvers import Problem, solve
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import make_schedule
from tests.engine.plan_records import account_of, records_of

ODD_ID = 'the "first", user'
RECORDED = (
    "planned_load_start_s",
    "load_start_s",
    "load_s",
    "planned_compute_start_s",
    "compute_start_s",
    "wait_s",
    "compute_s",
    "planned_end_s",
    "end_s",
)


@pytest.fixture(scope="module")
def run() -> Account:
    """Run a plan of two rounds; one user has no link."""
    problem = Problem.model_validate(
        {
            "name": "csv",
            "bandwidth_hz": 3e6,
            "blocks": {
                "s": {"bytes": 7, "load_s": 0.1},
                "a": {"bytes": 1, "load_s": 0.01},
                "b": {"bytes": 2, "load_s": 0.02},
            },
            "models": {
                "A": {"blocks": ["s", "a"], "latency_s": [0.1]},
                "B": {"blocks": ["s", "b"], "latency_s": [0.1]},
            },
            "users": [
                {
                    "id": user,
                    "model": model,
                    "input_bits": 1e5,
                    "spectral_efficiency": efficiency,
                    "deadline_s": 9.0,
                }
                for user, model, efficiency in (
                    (ODD_ID, "A", 0.7),
                    ("u1", "B", 1.3),
                    ("u2", "B", 0.0),
                )
            ],
        }
    )
    return account_of(problem, solve(problem, "greedy").schedule)


def write_requests(path: Path, run: Account, repeat: int, solver: str) -> None:
    """Write the table of requests with its header."""
    ids = [user.id for user in run.tables.problem.users]
    with path.open("w", encoding="utf-8", newline="") as file:
        dump_header(file, "solver", PLAN_REQUEST_COLUMNS)
        dump_requests(file, run, Labels(ids, ids), repeat, solver)


def write_rounds(path: Path, run: Account, repeat: int, solver: str) -> None:
    """Write the table of rounds with its header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        dump_header(file, "solver", PLAN_ROUND_COLUMNS)
        dump_rounds(file, run, repeat, solver)


def read(path: Path) -> list[dict[str, str]]:
    """Read a CSV file back."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_request_is_one_row_in_the_problems_order(
    run: Account, tmp_path: Path
) -> None:
    """Ids survive quoting, floats read back exactly, what never happened is empty."""
    path = tmp_path / "requests.csv"
    write_requests(path, run, 3, "greedy")
    rows = read(path)
    assert tuple(rows[0]) == ("repeat", "solver", *PLAN_REQUEST_COLUMNS)
    assert [row["id"] for row in rows] == [ODD_ID, "u1", "u2"]
    assert {(row["repeat"], row["solver"]) for row in rows} == {("3", "greedy")}
    for row, record in zip(rows, records_of(run).requests, strict=True):
        assert row["outcome"] == record.outcome
        for column in ("upload_start_s", "upload_end_s", "end_s", "latency_s"):
            value = getattr(record, column)
            assert row[column] == ("" if value is None else repr(value))
    assert rows[2]["reason"] == "no link"
    assert rows[2]["round"] == rows[2]["planned_end_s"] == ""
    assert rows[0]["reason"] == ""


def test_a_round_is_one_row_planned_beside_actual(run: Account, tmp_path: Path) -> None:
    """The second round loads one block and reuses 7 bytes; times are the record's."""
    path = tmp_path / "rounds.csv"
    write_rounds(path, run, 0, "greedy")
    rows = read(path)
    assert tuple(rows[0]) == ("repeat", "solver", *PLAN_ROUND_COLUMNS)
    assert [row["round"] for row in rows] == ["0", "1"]
    assert [row["loaded_blocks"] for row in rows] == ["2", "1"]
    assert [row["reused_bytes"] for row in rows] == ["0", "7"]
    assert [row["batch"] for row in rows] == ["1", "1"]
    for row, record in zip(rows, records_of(run).rounds, strict=True):
        for column in RECORDED:
            assert float(row[column]) == getattr(record, column)


def test_requests_and_rounds_join(run: Account, tmp_path: Path) -> None:
    """The round of a request is the number of a row of the rounds, with its model."""
    write_rounds(tmp_path / "rounds.csv", run, 0, "x")
    write_requests(tmp_path / "requests.csv", run, 0, "x")
    rounds = {row["round"]: row for row in read(tmp_path / "rounds.csv")}
    for row in read(tmp_path / "requests.csv"):
        if row["round"]:
            assert rounds[row["round"]]["model"] == row["model"]
            assert rounds[row["round"]]["end_s"] == row["end_s"]


def test_the_same_run_is_the_same_bytes(run: Account, tmp_path: Path) -> None:
    """Two writings agree, and lines end in a bare newline on every system."""
    for name in ("one", "two"):
        write_requests(tmp_path / name, run, 0, "dp")
    one = (tmp_path / "one").read_bytes()
    assert one == (tmp_path / "two").read_bytes()
    assert b"\r" not in one
    assert one.endswith(b"\n")


def test_cells_are_written_one_way(tmp_path: Path) -> None:
    """A numpy float is a plain number, None is empty, an integer has no point."""
    path = tmp_path / "t.csv"
    row = {"a": np.float64(0.1), "b": None, "c": 12, "d": 1e-300}
    write_csv(path, [row], ["d", "c", "b", "a"])
    assert path.read_text() == "d,c,b,a\n1e-300,12,,0.1\n"


def test_no_rows_leave_a_header(tmp_path: Path) -> None:
    """An empty run is a table with a header, not an empty file."""
    problem = Problem.model_validate(
        {
            "name": "nobody",
            "bandwidth_hz": 1.0,
            "blocks": {"a": {"bytes": 1, "load_s": 0.1}},
            "models": {"A": {"blocks": ["a"], "latency_s": [0.1]}},
            "users": [],
        }
    )
    run = account_of(problem, solve(problem, "greedy").schedule)
    write_rounds(tmp_path / "rounds.csv", run, 0, "greedy")
    header = ",".join(("repeat", "solver", *PLAN_ROUND_COLUMNS))
    assert (tmp_path / "rounds.csv").read_text() == f"{header}\n"


@pytest.mark.parametrize("row", [{"a": 1}, {"a": 1, "b": 2, "c": 3}])
def test_a_row_of_another_table_is_refused(row: dict[str, int], tmp_path: Path) -> None:
    """A missing or extra column is an error, and no file appears."""
    with pytest.raises(ValueError, match=r"differs in \['[bc]'\]"):
        write_csv(tmp_path / "t.csv", [{"a": 1, "b": 2}, row], ["a", "b"])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_the_readers_error(tmp_path: Path) -> None:
    """It is reported with its path, as bad input is."""
    with pytest.raises(InputError, match="none"):
        write_csv(tmp_path / "none" / "t.csv", [], ["a"])


def test_a_lost_upload_leaves_its_round_as_planned(tmp_path: Path) -> None:
    """Two users of one batch, one on a dead channel: planned 2, computed 1.

    Worked out by hand: the plan's round 0 stays the round of both.
    """
    problem = Problem.model_validate(
        {
            "name": "lost",
            "bandwidth_hz": 1e6,
            "blocks": {"a": {"bytes": 4, "load_s": 0.1}},
            "models": {"A": {"blocks": ["a"], "latency_s": [0.1, 0.15]}},
            "users": [
                {
                    "id": f"u{k}",
                    "model": "A",
                    "input_bits": 1e5,
                    "spectral_efficiency": 1.0,
                    "deadline_s": 2.0,
                }
                for k in range(2)
            ],
        }
    )
    schedule = make_schedule(
        Tables(problem),
        [PlannedRound(0, (0, 1))],
        "dynamic",
        solver="by hand",
        bound=None,
    )
    assert schedule is not None
    noise = nominal(problem)
    channels = [noise.channels[0], Channel.constant(0.0)]
    run = account_of(problem, schedule, replace(noise, channels=channels))
    write_rounds(tmp_path / "rounds.csv", run, 0, "greedy")
    write_requests(tmp_path / "requests.csv", run, 0, "greedy")
    (round_row,) = read(tmp_path / "rounds.csv")
    assert (round_row["planned_batch"], round_row["batch"]) == ("2", "1")
    assert round_row["planned_compute_s"] == "0.15"
    assert round_row["compute_s"] == "0.1"
    first, lost = read(tmp_path / "requests.csv")
    assert (first["round"], first["outcome"]) == ("0", "late")
    assert (lost["round"], lost["reason"]) == ("0", "upload never ended")
    assert lost["planned_end_s"] == first["planned_end_s"] != ""
    assert lost["end_s"] == lost["latency_s"] == lost["upload_end_s"] == ""
