"""How a device has changed between two measurements of one profile."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgesim.profile.fit import block_load
from edgesim.profile.values import Profile, Tier


@dataclass(frozen=True)
class Drift:
    """Relative changes of one model's times; None where either has no such time.

    Parameters
    ----------
    model
        The model; both profiles hold it.
    load
        Change of the sum of its blocks' loads.
    compute
        Change of the sum of its batches of the sizes that both measured.
    """

    model: str
    load: float | None
    compute: float | None


def drifts(before: Profile, after: Profile, tier: Tier) -> list[Drift]:
    """Compare the medians of two profiles, for each model that both hold.

    Parameters
    ----------
    before, after
        Two measurements of the same networks on one device.
    tier
        The tier that blocks are loaded from.
    """
    return [
        Drift(
            name,
            _change(*(_loads_s(profile, name, tier) for profile in (before, after))),
            _change(*(_batches_s(profile, name) for profile in (before, after))),
        )
        for name in before.models
        if name in after.models
    ]


def _change(before_s: dict[str, float], after_s: dict[str, float]) -> float | None:
    """Return the change of the sum of the times that both hold."""
    both = before_s.keys() & after_s.keys()
    total_s = math.fsum(before_s[key] for key in both)
    if not total_s:
        return None
    return math.fsum(after_s[key] for key in both) / total_s - 1


def _loads_s(profile: Profile, model: str, tier: Tier) -> dict[str, float]:
    return {
        block.name: block_load(profile, block, tier).median_s
        for block in profile.models[model].blocks
        if tier in block.load_s
    }


def _batches_s(profile: Profile, model: str) -> dict[str, float]:
    table = profile.latency_table(model)
    return {size: table[int(size) - 1] for size in profile.models[model].latency_s}
