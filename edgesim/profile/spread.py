"""Samples that spread too widely to be believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from edgesim.profile.values import ModelProfile, Timing

WIDE = 2.0
"""Samples whose p90 is at least this many times their p10 are not to be believed."""


class Wide(NamedTuple):
    """Samples of one quantity that spread widely.

    Attributes
    ----------
    model, what
        The model, and what was timed: ``loads from pinned``, ``batch 8``.
    ratio
        p90 / p10.
    """

    model: str
    what: str
    ratio: float


def wide_samples(models: Mapping[str, ModelProfile]) -> list[Wide]:
    """List loads of whole models and batches whose samples spread by :data:`WIDE`.

    Blocks of a few microseconds are left out: only their sum counts. Of loads from a
    tier, and of batches, the widest of a model stands for all.
    """
    found: list[Wide] = []
    for name, model in models.items():
        widest: dict[str, Wide] = {}
        for kind, what, timing in _timings(model):
            ratio = _ratio(timing)
            if ratio >= WIDE and ratio > getattr(widest.get(kind), "ratio", 0.0):
                widest[kind] = Wide(name, what, ratio)
        found += widest.values()
    return found


def spread_notes(models: Mapping[str, ModelProfile]) -> list[str]:
    """Say in a phrase which samples spread too widely; nothing if none do."""
    found = wide_samples(models)
    if not found:
        return []
    listed = "; ".join(f"{one.model}, {one.what}: {one.ratio:.1f} x" for one in found)
    return [
        f"samples that spread too widely to be believed, p90 at least {WIDE:g} x p10: "
        f"{listed}"
    ]


def _timings(model: ModelProfile) -> Iterator[tuple[str, str, Timing]]:
    """Go through what was timed of a model: its kind, what it is, and the timing."""
    for times in (model.by_block_load_s, model.whole_load_s):
        for tier, timing in (times or {}).items():
            yield tier, f"loads from {tier}", timing
    for size, latency in model.latency_s.items():
        if isinstance(latency, Timing):
            yield "batches", f"batch {size}", latency


def _ratio(timing: Timing) -> float:
    if not timing.p10_s or timing.p90_s is None:
        return 1.0
    return timing.p90_s / timing.p10_s
