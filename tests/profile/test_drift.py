"""What a device has drifted between two profiles."""

from __future__ import annotations

import pytest

from edgesim.profile.drift import Drift, drifts
from edgesim.profile.values import Profile


def _profile(load_s: float, batch_s: float, model: str = "net") -> Profile:
    entry = {
        "blocks": [
            {"name": name, "bytes": 10, "load_s": {"pageable": {"median_s": load_s}}}
            for name in ("a", "b")
        ],
        "latency_s": {"1": batch_s, "4": 3 * batch_s},
    }
    return Profile.model_validate(
        {
            "name": "p",
            "provenance": {
                "kind": "measured",
                "device": "a board",
                "driver": "none",
                "versions": {"torch": "2"},
                "date": "2026-11-27",
                "command": "edgesim profile measure",
            },
            "models": {model: entry, "other": entry},
        }
    )


def test_changes_are_those_of_the_sums() -> None:
    """Loads 20 % longer, batches 10 % shorter; models of both profiles alone."""
    before, after = _profile(0.01, 0.1), _profile(0.012, 0.09)
    found = {one.model: one for one in drifts(before, after, "pageable")}
    assert found["net"].load == pytest.approx(0.2)
    assert found["net"].compute == pytest.approx(-0.1)
    renamed = drifts(before, _profile(0.01, 0.1, "renamed"), "pageable")
    assert [one.model for one in renamed] == ["other"]


def test_what_neither_has_does_not_change() -> None:
    """Another tier was not measured."""
    before = _profile(0.01, 0.1)
    (found, _) = drifts(before, before, "disk")
    assert found == Drift("net", None, 0.0)
