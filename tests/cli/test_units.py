"""Quantities that are typed with a unit."""

from __future__ import annotations

import pytest

from edgesim.cli.settings import read_settings
from edgesim.cli.units import without_units
from edgesim.errors import InputError


@pytest.mark.parametrize(
    ("key", "text", "plain"),
    [
        ("gpu.memory_bytes", "2GB", "2000000000"),
        ("gpu.memory_bytes", "1.5 GiB", "1610612736"),
        ("gpu.load_rate_bytes_per_s", "0.5gb/s", "500000000"),
        ("cell.bandwidth_hz", "20MHz", "20000000"),
        ("workload.window_s", "250ms", "0.250"),
        ("workload.window_s", "2min", "120"),
        ("noise.coherence_s", "7us", "0.000007"),
        ("workload.window_s", "2GB", "2GB"),
        ("gpu.load_from", "disk", "disk"),
        ("workload.trace", "./8s.csv", "./8s.csv"),
        ("workload.window_s", "./8s.csv", "./8s.csv"),
        ("gpu.memory_bytes", "2e9", "2e9"),
    ],
)
def test_each_key_by_what_its_name_ends_with(key: str, text: str, plain: str) -> None:
    """The number of the key's own unit, exactly; anything else is left."""
    assert without_units(key, text) == plain


def test_settings_take_units() -> None:
    """As options of their own do; a unit of another quantity is refused."""
    found = read_settings(["gpu.memory_bytes=2GB", "workload.window_s=500ms"], {})
    assert found == {"gpu.memory_bytes": 2 * 10**9, "workload.window_s": 0.5}
    with pytest.raises(InputError, match="must be a TOML value"):
        read_settings(["workload.window_s=2 GB"], {})
