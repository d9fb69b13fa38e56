"""The ``[noise]`` section is strict, and takes what the profile states."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgesim.errors import InputError
from edgesim.scenario.noise import NoiseSpec


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fading", 1),
        ("coherence_s", 0.0),
        ("coherence_s", float("inf")),
        ("load_sigma", -0.1),
        ("load_sigma", 3.5),
        ("load_sigma", float("nan")),
        ("compute_sigma", "measured"),
        ("compute_sigma", True),
        ("load_factor", 0.0),
        ("load_factor", float("inf")),
        ("jitter", 0.1),
    ],
)
def test_a_bad_section_names_its_key(key: str, value: object) -> None:
    """Wrong types, values out of range and unknown keys are errors at that key."""
    with pytest.raises(ValidationError) as caught:
        NoiseSpec.model_validate({key: value})
    assert [error["loc"] for error in caught.value.errors()] == [(key,)]


@pytest.mark.parametrize(
    ("key", "what"),
    [("load_sigma", "load times"), ("compute_sigma", "batch latencies")],
)
def test_a_spread_the_profile_does_not_state_is_refused(key: str, what: str) -> None:
    """The error names the key, so that a reader finds it in the file."""
    spec = NoiseSpec.model_validate({key: "profile"})
    stated = {"load_sigma": 0.1, "compute_sigma": 0.1} | {key: None}
    with pytest.raises(InputError, match=f"no spread of {what}") as caught:
        spec.sigmas(stated["load_sigma"], stated["compute_sigma"])
    assert caught.value.where == f"noise.{key}"


def test_the_spreads_of_the_profile_are_used() -> None:
    """``"profile"`` takes the spread that is measured, a number stays what it is."""
    assert NoiseSpec(load_sigma="profile").sigmas(0.2, 0.7) == (0.2, 0.0)
    assert NoiseSpec(compute_sigma="profile").sigmas(0.7, 0.2) == (0.0, 0.2)
    assert NoiseSpec(load_sigma=0.3).sigmas(None, None) == (0.3, 0.0)
