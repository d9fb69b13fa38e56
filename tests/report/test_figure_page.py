"""The page of a figure: its picture, means and data, whatever columns there are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import edgesim as es
from edgesim.report.figure_page import figure_page
from edgesim.shipped import shipped_file, shipped_names
from tests.report.parsed import check_page

DATA = """\
value,repeat,solver,in_time,status,gap
1.0,0,dp,5,optimal,0.0
1.0,1,dp,7,optimal,
2.0,0,dp,9,feasible,
2.0,0,greedy,8,feasible,
"""


@pytest.mark.parametrize("name", shipped_names("figure"))
def test_shipped_figures(name: str) -> None:
    """Each with its title, picture and rows."""
    file = shipped_file("figure", name)
    assert file is not None
    html = figure_page(file.with_suffix(""))
    parsed = check_page(html)
    assert parsed.tags.count("img") == 1
    rows = file.with_suffix(".csv").read_text().count("\n") - 1
    assert f" {rows:,} rows" in parsed.text_of["data"]
    assert "title = " in parsed.text_of["data"]
    drawn = file.with_suffix(".shown.csv")
    count = drawn.read_text().count("\n") - 1
    assert f"All {count:,} rows of {drawn.name}." in parsed.text_of["shown"]
    assert html == figure_page(file.with_suffix(""))


def test_means_over_repeats(tmp_path: Path) -> None:
    """Of numeric columns, by value and solver; what has no number has no mean."""
    (tmp_path / "mine.csv").write_text(DATA)
    parsed = check_page(figure_page(tmp_path / "mine"))
    means = parsed.text_of["means"]
    assert "6.000 ± 12.7" in means
    assert "9.000" in means
    assert "status" not in means
    assert "repeat" not in means.replace("Means over repeats", "")
    assert "–" in means
    assert "optimal" in parsed.text_of["data"]
    assert parsed.tags.count("img") == 0


def test_other_columns_are_taken_as_they_are(tmp_path: Path) -> None:
    """A figure of another kind, names that are HTML, and no rows at all."""
    rows = 'value,policy,new_measure\n<b>,"a,b",1e308\n<b>,"a,b",nan\n'
    (tmp_path / "new.csv").write_text(rows)
    parsed = check_page(figure_page(tmp_path / "new"))
    assert "<b>" in parsed.text_of["data"]
    assert "b" not in parsed.tags
    (tmp_path / "new.csv").write_text("value,solver,in_time\n1,dp,1e308\n")
    assert "1e308" in check_page(figure_page(tmp_path / "new")).text_of["data"]
    (tmp_path / "new.csv").write_text("value,solver,in_time\n")
    assert "no rows" in check_page(figure_page(tmp_path / "new")).text_of["means"]
    (tmp_path / "new.csv").write_text("x,y\n1,2\n")
    assert "All 1 row" in check_page(figure_page(tmp_path / "new")).text_of["data"]


def test_damaged_figures(tmp_path: Path) -> None:
    """The file is named."""
    file = shipped_file("figure", "gpu-tiers")
    assert file is not None
    for suffix in (".toml", ".csv", ".png"):
        shutil.copy(file.with_suffix(suffix), tmp_path)
    (tmp_path / "gpu-tiers.png").write_bytes(b"no picture")
    with pytest.raises(es.InputError, match=r"gpu-tiers\.png: must be a picture"):
        figure_page(tmp_path / "gpu-tiers")
    (tmp_path / "gpu-tiers.csv").write_text("value,solver\n1\n")
    with pytest.raises(es.InputError, match=r"gpu-tiers\.csv:2: must have 2 cells"):
        figure_page(tmp_path / "gpu-tiers")
    (tmp_path / "gpu-tiers.toml").write_text("title")
    with pytest.raises(es.InputError, match=r"gpu-tiers\.toml: not TOML"):
        figure_page(tmp_path / "gpu-tiers")


def test_a_long_figure_is_cut_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both its rows and its means."""
    monkeypatch.setattr("edgesim.report.figure_page.TABLE_ROWS", 2)
    (tmp_path / "mine.csv").write_text(DATA)
    parsed = check_page(figure_page(tmp_path / "mine"))
    assert (
        "Shown are 2 of 4 rows, the first ones; mine.csv has" in parsed.text_of["data"]
    )
    assert "Shown are 2 of 3 values by solver" in parsed.text_of["means"]
    assert parsed.tags.count("tr") == 2 * (1 + 2)
