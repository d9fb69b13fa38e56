"""Tables of online runs read back as what the run did."""

from __future__ import annotations

import csv
import io

import pytest

from edgesim.engine.records import DROPPED
from edgesim.measures.account import Account
from edgesim.results import csv_columns as cells
from edgesim.results.tables import (
    REQUEST_COLUMNS,
    ROUND_COLUMNS,
    Labels,
    dump_header,
    dump_requests,
    dump_rounds,
)
from solvers.core.tables import Tables
from tests.engine.handmade import (
    USERS,
    hand_run,
    make_problem,
    seeded_run,
    seeded_tables,
)

Rows = list[dict[str, str]]


def hand_account() -> Account:
    """Make the account of the run worked out by hand."""
    return Account(hand_run(), Tables(make_problem()))


def request_rows(
    account: Account,
    users: tuple[str, ...] = USERS,
    policy: str = "fcfs",
    window_s: tuple[float, float] | None = None,
) -> Rows:
    """Write and read back ``requests.csv``."""
    file = io.StringIO()
    dump_header(file, "policy", REQUEST_COLUMNS)
    dump_requests(file, account, Labels(users), 2, policy, window_s)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def round_rows(account: Account, window_s: tuple[float, float] | None = None) -> Rows:
    """Write and read back ``rounds.csv``."""
    file = io.StringIO()
    dump_header(file, "policy", ROUND_COLUMNS)
    dump_rounds(file, account, 2, "fcfs", window_s)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def test_a_request_says_what_became_of_it() -> None:
    """One that was late and one that was dropped, cell by cell."""
    rows = request_rows(hand_account())
    assert [row["id"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert rows[1] == {
        "repeat": "2",
        "policy": "fcfs",
        "id": "1",
        "user": "ben",
        "model": "A",
        "outcome": "late",
        "reason": "",
        "round": "0",
        "arrival_s": "0.5",
        "deadline_s": "1.5",
        "upload_start_s": "0.5",
        "upload_end_s": "1.25",
        "compute_start_s": "1.25",
        "end_s": "2.0",
        "latency_s": "1.5",
    }
    assert rows[4] == {
        "repeat": "2",
        "policy": "fcfs",
        "id": "4",
        "user": "ann",
        "model": "B",
        "outcome": "dropped",
        "reason": "too late",
        "round": "",
        "arrival_s": "3.0",
        "deadline_s": "4.5",
        "upload_start_s": "4.0",
        "upload_end_s": "",
        "compute_start_s": "",
        "end_s": "4.25",
        "latency_s": "",
    }


def test_a_round_says_what_it_did() -> None:
    """The last round, of which one request never came, cell by cell."""
    rows = round_rows(hand_account())
    assert [row["wait_s"] for row in rows] == ["0.25", "0.0", "0.5"]
    assert rows[2] == {
        "repeat": "2",
        "policy": "fcfs",
        "round": "2",
        "model": "B",
        "chosen": "2",
        "batch": "1",
        "loaded_bytes": "30",
        "reused_bytes": "80",
        "load_start_s": "3.25",
        "load_s": "0.25",
        "wait_s": "0.5",
        "compute_start_s": "4.0",
        "compute_s": "1.0",
        "end_s": "5.0",
    }


def test_a_window_holds_whatever_is_there_in_it() -> None:
    """Between 1.5 and 3 s: requests 0 to 3, the first two rounds; ids stay."""
    window_s = (1.5, 3.0)
    rows = request_rows(hand_account(), window_s=window_s)
    assert [row["id"] for row in rows] == ["0", "1", "2", "3"]
    rows = round_rows(hand_account(), window_s)
    assert [row["round"] for row in rows] == ["0", "1"]
    assert round_rows(hand_account(), (9.0, 10.0)) == []


@pytest.mark.parametrize("chunk", [1, 7, 65_536])
def test_every_number_reads_back(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, in chunks of any size."""
    monkeypatch.setattr(cells, "CHUNK_ROWS", chunk)
    tables = seeded_tables(5)
    run = seeded_run(5, tables)
    rows = request_rows(Account(run, tables))
    assert len(rows) == len(run.requests.end_s)
    for number, row in enumerate(rows):
        assert int(row["id"]) == number
        assert float(row["arrival_s"]) == run.requests.arrival_s[number]
        assert float(row["end_s"]) == run.requests.end_s[number]
        dropped = run.requests.outcome[number] >= DROPPED
        assert (row["outcome"] == "dropped") == dropped
        assert (row["latency_s"] == row["round"] == "") == dropped
        assert (row["reason"] != "") == dropped
    rounds = round_rows(Account(run, tables))
    assert [float(row["end_s"]) for row in rounds] == run.rounds.end_s.tolist()
    assert [float(row["load_s"]) for row in rounds] == run.rounds.load_s.tolist()


def test_odd_names_are_quoted() -> None:
    """Commas, quotes and line feeds in names come back as they were."""
    odd = ('a,"b"', "two\r\nlines")
    rows = request_rows(hand_account(), odd, policy='x,"y":Z')
    assert {row["user"] for row in rows} == set(odd)
    assert {row["policy"] for row in rows} == {'x,"y":Z'}


def test_cells_are_those_of_the_csv_module() -> None:
    """A cell is quoted just where Python's own writer would quote it."""
    for text in ("plain", "a b", "a,b", 'a"b', "a\nb", "é", "", "'"):
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerow(["x", text])
        assert f"x,{cells.cell(text)}\n" == file.getvalue()
