"""Change values of a scenario that is still a table, as TOML has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgesim.scenario.key_path import overlap, set_value

_ALTERNATIVES = (("gpu.load_from", "gpu.load_rate_bytes_per_s"),)
"""Keys of which one alone may be given: whoever sets one gives up the other."""


def change(content: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Replace values by key path; what a value cannot stand beside gives way to it.

    Parameters
    ----------
    content
        The tables of a scenario.
    changes
        Values by key path. Where both of two keys are among them that exclude each
        other, both stay: the scenario is then refused.

    Raises
    ------
    InputError
        When there is no such place.
    """
    for key, value in changes.items():
        set_value(content, key, value)
    for pair in _ALTERNATIVES:
        for key, other in (pair, pair[::-1]):
            section, _, last = other.rpartition(".")
            if key in changes and not any(overlap(other, one) for one in changes):
                content[section].pop(last, None)
