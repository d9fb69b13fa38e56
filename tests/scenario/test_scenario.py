"""A scenario's values: what they mean beside their types."""

from __future__ import annotations

import math

import pytest

from edgesim.errors import InputError
from edgesim.scenario.file import locate_scenario, read_scenario


def test_an_infinite_time_limit_is_none() -> None:
    """A figure can take away the limit of its scenario; TOML has no other word."""
    campus = read_scenario(locate_scenario("campus"))
    assert campus.run.time_limit_s == 1.5
    assert campus.replace(**{"run.time_limit_s": math.inf}).run.time_limit_s is None
    with pytest.raises(InputError, match=r"run\.time_limit_s"):
        campus.replace(**{"run.time_limit_s": -math.inf})
