"""Key paths: their parts, and values set by them."""

from __future__ import annotations

from typing import Any

import pytest

from edgesim.errors import InputError
from edgesim.scenario.key_path import overlap, parts_of, read_value, set_value


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("name", ("name",)),
        ("cell.bandwidth_hz", ("cell", "bandwidth_hz")),
        ("library.clusters[0].base[1]", ("library", "clusters", "0", "base", "1")),
        ("library.clusters.0.base", ("library", "clusters", "0", "base")),
        ('online."a.b:C".pause_s', ("online", "a.b:C", "pause_s")),
    ],
)
def test_parts(key: str, parts: tuple[str, ...]) -> None:
    """As messages print them, or with dots alone; quotes keep dots."""
    assert parts_of(key) == parts


@pytest.mark.parametrize("key", ["", ".", "a.", "a..b", "a[b]", "[0]", "a b", 'a."b'])
def test_what_is_no_key_path(key: str) -> None:
    """The message gives an example."""
    with pytest.raises(InputError, match="must be a key path, such as"):
        parts_of(key)


def test_overlap() -> None:
    """The same place, or a part of the other; not one that begins likewise."""
    assert overlap("run", "run.seed")
    assert overlap("a[0].b", "a.0")
    assert not overlap("run.seed", "run.seeds")


def test_values_are_set_in_tables_and_lists() -> None:
    """Sections are made, also for none; items of lists and of tuples replaced."""
    content: dict[str, Any] = {"rows": ({"names": ("a", "b")},), "noise": None}
    set_value(content, "rows[0].names[1]", "c")
    set_value(content, "new.key", 1)
    set_value(content, "noise.fading", True)
    assert content == {
        "rows": [{"names": ["a", "c"]}],
        "new": {"key": 1},
        "noise": {"fading": True},
    }


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("rows[2].a", "'2' is no position in a list of 1"),
        ("rows.first", "'first' is no position in a list of 1"),
        ("name.first", "'first' is in no table, but in 'x'"),
    ],
)
def test_places_that_are_not_there(key: str, told: str) -> None:
    """The message says what stands there."""
    with pytest.raises(InputError, match=f"no such key to replace: {told}"):
        set_value({"rows": [{}], "name": "x"}, key, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e9", 2e9),
        ("1_000", 1000),
        ("false", False),
        ('"a b"', "a b"),
        ("[1, 2]", [1, 2]),
        ("{a = 1}", {"a": 1}),
        ("round-robin", "round-robin"),
        ("mine:solve", "mine:solve"),
        ("../mine.csv", "../mine.csv"),
        ("/tmp/mine.csv", "/tmp/mine.csv"),
    ],
)
def test_values(text: str, value: object) -> None:
    """TOML, or a plain word."""
    assert read_value(text) == value


@pytest.mark.parametrize("text", ["", "a b", "dp,greedy", "20MHz", "[1", "1\nb = 2"])
def test_what_is_no_value(text: str) -> None:
    """Nor two values, which a line break would let in."""
    with pytest.raises(ValueError, match="must be a TOML value"):
        read_value(text)
