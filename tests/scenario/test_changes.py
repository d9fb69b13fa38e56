"""Changes of a scenario by key path, and keys that replace each other."""

from __future__ import annotations

import pytest

from edgesim.errors import InputError
from edgesim.scenario import read_scenario
from edgesim.shipped import locate

CAMPUS = locate("scenario", "campus")
LOADS = {"gpu.load_from": "disk", "gpu.load_rate_bytes_per_s": 2e9}


def test_a_tier_replaces_a_rate_and_a_rate_a_tier() -> None:
    """Or what was asked for last would have no effect, and nobody would be told."""
    campus = read_scenario(CAMPUS)
    assert campus.gpu.load_rate_bytes_per_s == 1e9
    for disk in (
        campus.replace(**{"gpu.load_from": "disk"}),
        read_scenario(CAMPUS, {"gpu.load_from": "disk"}),
    ):
        assert (disk.gpu.load_from, disk.gpu.load_rate_bytes_per_s) == ("disk", None)
    back = disk.replace(**{"gpu.load_rate_bytes_per_s": 2e9})
    assert back.gpu.load_rate_bytes_per_s == 2e9
    assert "load_from" not in back.gpu.model_fields_set


@pytest.mark.parametrize(
    "changes",
    [LOADS, {"gpu": {"load_from": "disk", "load_rate_bytes_per_s": 2e9}}],
)
def test_both_at_once_are_refused(changes: dict[str, object]) -> None:
    """Nobody can tell which of them was meant."""
    with pytest.raises(InputError) as caught:
        read_scenario(CAMPUS, changes)
    assert str(caught.value) == (
        f"{CAMPUS}: gpu: give load_from or load_rate_bytes_per_s, which replaces the "
        f"load times of any tier; found both (disk, 2e+09)"
    )
