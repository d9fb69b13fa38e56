"""Suggestions for names that are misspelt."""

from __future__ import annotations

import pytest

from solvers import SOLVERS, Problem, solve
from solvers.spelling import closest, did_you_mean
from tests.examples import instance

KEYS = ("bandwidth_hz", "radius_m", "memory_bytes", "trace", "rate_scale")


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("bandwith_hz", KEYS, "bandwidth_hz"),
        ("bandwidth", KEYS, "bandwidth_hz"),
        ("radius_km", KEYS, "radius_m"),
        ("memory", KEYS, "memory_bytes"),
        ("trace_file", KEYS, "trace"),
        ("gredy", SOLVERS, "greedy"),
        ("local_search", SOLVERS, "local-search"),
        ("DP", SOLVERS, "dp"),
        ("magic", SOLVERS, None),
        ("x", KEYS, None),
        ("dp", SOLVERS, None),
    ],
)
def test_closest(name: str, known: tuple[str, ...], meant: str | None) -> None:
    """A slip, a unit too many or too few; nothing for what is unlike, or right."""
    assert closest(name, known) == meant
    assert did_you_mean(name, known) == (
        "" if meant is None else f"; did you mean {meant!r}?"
    )


def test_what_is_no_text_is_like_nothing() -> None:
    """A number where a name belongs."""
    assert did_you_mean(3, KEYS) == ""


def test_solve_suggests_a_solver() -> None:
    """After those there are."""
    keys = {key: value for key, value in instance().items() if key != "schema"}
    problem = Problem.model_validate(keys)
    with pytest.raises(ValueError, match=r"found 'gredy'; did you mean 'greedy'\?$"):
        solve(problem, "gredy")
