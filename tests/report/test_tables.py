"""Tables of a page, and how much of a long one is shown."""

from __future__ import annotations

import numpy as np
import pytest

from edgesim.report import tables
from edgesim.report.tables import (
    decimal,
    fair_limit,
    first_of_each,
    shown,
    table,
    table_of_columns,
)
from tests.report.parsed import Parsed


@pytest.mark.parametrize(
    ("sizes", "total", "limit"),
    [
        ([5, 5], 10, 5),
        ([5, 5], 9, 4),
        ([1, 100, 100], 41, 20),
        ([3, 3, 3], 2, 1),
        ([], 10, 1),
        ([10**6], 10, 10),
    ],
)
def test_small_groups_leave_room_to_others(
    sizes: list[int], total: int, limit: int
) -> None:
    """Taken together they are at most the total, unless there are more groups."""
    assert fair_limit(sizes, total) == limit
    taken = sum(min(size, limit) for size in sizes)
    assert taken <= max(total, len(sizes))


def test_the_first_rows_of_each_group_are_taken_in_order() -> None:
    """The file's order is kept."""
    assert first_of_each(list("aabbbc"), 4) == [0, 2, 5]
    assert first_of_each(list("aabbbc"), 6) == [0, 1, 2, 3, 4, 5]


def test_a_cut_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many rows of how many, and which file has the rest."""
    monkeypatch.setattr(tables, "TABLE_ROWS", 4)
    names = np.array(["a"] * 5 + ["b"] * 2, dtype=object)
    columns = {"solver": names, "end_s": np.arange(7.0), "round": np.arange(7) - 1}
    parsed = Parsed(table_of_columns(columns, ["solver"], "rounds.csv"))
    assert parsed.tags.count("tr") == 1 + 4
    said = parsed.text_of[""]
    assert "Shown are 4 of 7 rows, the first of each run; rounds.csv has all" in said
    assert "All 7 rows of x.csv." in shown(7, 7, "rows", "x.csv")


def test_cells() -> None:
    """Numbers to a millionth, empty where there is none, texts escaped."""
    assert decimal(0.1234567) == "0.123457"
    assert decimal(-1e-9) == "0"
    assert decimal(2.0) == "2"
    assert decimal(float("nan")) == ""
    html = table(["a", "b"], [["<i>", "1"]], [False, True])
    assert "<td>&lt;i&gt;</td>" in html
    assert '<td class="number">1</td>' in html
