"""Numbers, names and tables as people read them."""

from __future__ import annotations

import pytest

from edgesim.text import (
    counted,
    duration_texts,
    facts,
    markdown_table,
    memory_text,
    number,
    percent,
    plain,
    seconds,
    shortened,
    size_text,
    table,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (8.3149, "8.31"),
        (0.012345, "0.0123"),
        (1234.6, "1,235"),
        (26031.7, "26,032"),
        (99.96, "100"),
        (0.99999, "1.00"),
        (-2.5, "-2.50"),
        (3e-7, "0.000000300"),
    ],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    """Three significant digits, none of a whole number cut; what is absent is no 0."""
    assert number(value) == text


def test_shares_and_times_have_units() -> None:
    """Signs only where asked for, no minus before 0, the unit that suits."""
    assert percent(None) == "–"
    assert percent(0.1234) == "12.3 %"
    assert percent(0.004, signed=True) == "+0.4 %"
    assert percent(-0.00001, signed=True) == "+0.0 %"
    assert percent(-0.05, signed=True) == "-5.0 %"
    assert [seconds(s) for s in (2.0, 8.31e-3, 2.5e-4, 3e-8)] == [
        *("2.00 s", "8.31 ms", "250 µs", "30.0 ns"),
    ]


def test_names_stay_on_a_line_and_in_a_width() -> None:
    """Names are cut in the middle, and cannot move the cursor or break a line."""
    assert shortened("short") == "short"
    cut = shortened("organisation/a-long-model-name-00", 15)
    assert cut == "organis…name-00"
    assert len(cut) == 15
    assert plain("a\x1b[31m\nb\tc") == "a [31m b c"


def test_tables_are_aligned() -> None:
    """First column to the left, the others to the right, nothing behind the last."""
    assert table(["m", "ms"], [["long", "1"], ["x", "200"]]) == [
        *("m      ms", "long    1", "x     200"),
    ]


def test_tables_in_markdown_are_aligned_too() -> None:
    """The rule below the head says which columns are to the right."""
    assert markdown_table(["m", "ms"], [["long", "1"], ["x", "200"]]).split("\n") == [
        *("| m    |  ms |", "| ---- | --: |", "| long |   1 |", "| x    | 200 |"),
    ]


def test_facts_are_wrapped_below_their_label() -> None:
    """Long texts go on under the first word; a command is not broken inside a word."""
    lines = facts([("a", "word " * 30), ("label", "x" * 200)])
    assert lines[0].startswith("a      word word")
    assert lines[1].startswith("       word")
    assert len(lines[0]) <= 100
    assert any("x" * 200 in line for line in lines)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (44_700_000, "44.7 MB"),
        (999_499_999, "999 MB"),
        (999_500_000, "1.00 GB"),
        (1_199_999_999, "1.20 GB"),
        (7_000_000_000_000_000, "7.00 PB"),
    ],
)
def test_sizes_in_words(size: int, text: str) -> None:
    """Three digits and a unit, rounded before the unit is chosen."""
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (1, "1 B"),
        (10**9, "1 GB"),
        (1_500_000_000, "1.5 GB"),
        (25_750_000_000, "25.75 GB"),
        (80 * 10**9, "80 GB"),
        (24 * 2**30, "24 GiB"),
        (1536 * 2**20, "1.5 GiB"),
        (512 * 2**20, "512 MiB"),
        (1_234_567_891, "1.23 GB"),
    ],
)
def test_sizes_of_memory(size: int, text: str) -> None:
    """Round in the unit in which they were given, if there is one."""
    assert memory_text(size) == text


@pytest.mark.parametrize(
    ("durations_s", "texts"),
    [
        ((0.1457, 0.0974), ("0.146 s", "0.097 s")),
        ((12.34, 0.5), ("12.3 s", "0.50 s")),
        ((12.34, 8.9), ("12.3 s", "8.9 s")),
        ((1234.5, 1000.0), ("1,234 s", "1,000 s")),
        ((0.05, 0.0204), ("50.0 ms", "20.4 ms")),
        ((3.5e-6, 3.4e-6), ("3.50 µs", "3.40 µs")),
        ((0.0, 0.0), ("0 µs", "0 µs")),
    ],
)
def test_durations_side_by_side(
    durations_s: tuple[float, ...], texts: tuple[str, ...]
) -> None:
    """One unit, and as many decimals as the longest needs for three digits."""
    assert duration_texts(*durations_s) == texts


def test_counts_in_words() -> None:
    """One has no plural; thousands are set apart."""
    assert counted(1, "model") == "1 model"
    assert counted(0, "model") == "0 models"
    assert counted(1235, "batch", "batches") == "1,235 batches"
