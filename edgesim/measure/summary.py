"""What a measurement found, in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgesim.profile import Latency, Measured, ModelProfile, Profile, Tier, Timing

HEADER = (
    f"{'model':<20}{'MB':>9}{'blocks':>8}  {'tier':<10}{'load ms':>9}{'by block':>10}"
    f"{'by tensor':>11}{'at once':>9}{'additive error':>16}{'to whole':>10}"
    f"{'of copy rate':>14}"
)
EXPLANATION = (
    "load: sum of the blocks' medians; additive error: that against block by block "
    "timed as one, and to the whole as one copy"
)


def table(profile: Profile) -> str:
    """Write a line per model and tier, then one per model of its latencies.

    The additive error is the sum of the blocks' medians over the median of loading
    block by block timed as one, less 1; beside it the same against one copy of the
    whole. The share of the copy rate is bytes over that by-block time, against the
    rate of the largest plain copy.
    """
    lines = [HEADER]
    for name, model in profile.models.items():
        lines += _load_lines(profile, name, model)
    lines += ["", f"{'model':<20}{'batch':>7}{'latency ms':>12}{'activations MB':>16}"]
    for name, model in profile.models.items():
        lines += _latency_lines(name, model)
    return "\n".join([*lines, EXPLANATION])


def additive_s(model: ModelProfile, tier: Tier) -> float:
    """Add up the blocks' median load times from a tier, in seconds."""
    return sum(block.load_s[tier].median_s for block in model.blocks)


def _load_lines(profile: Profile, name: str, model: ModelProfile) -> Iterator[str]:
    size = sum(block.bytes for block in model.blocks)
    source = profile.provenance
    rates = (source.copy_bytes_per_s if isinstance(source, Measured) else None) or {}
    for tier in model.tiers:
        load_s = additive_s(model, tier)
        by_block_s = _median(model.by_block_load_s, tier)
        by_tensor_s = _median(model.by_tensor_load_s, tier)
        whole_s = _median(model.whole_load_s, tier)
        rate = rates.get(tier)
        share = None if not by_block_s or not rate else size / by_block_s / rate
        yield (
            f"{name:<20}{size / 1e6:>9.1f}{len(model.blocks):>8}  {tier:<10}"
            f"{load_s * 1e3:>9.3f}{_ms(by_block_s, 10)}{_ms(by_tensor_s, 11)}"
            f"{_ms(whole_s, 9)}{_error(load_s, by_block_s, 16)}"
            f"{_error(load_s, whole_s, 10)}"
            f"{'-' if share is None else format(share, '.0%'):>14}"
        )


def _latency_lines(name: str, model: ModelProfile) -> Iterator[str]:
    batches = sorted(model.latency_s, key=int)
    if not batches:
        yield f"{name:<20}  not measured"
    for batch in dict.fromkeys((*batches[:1], *batches[-1:])):
        held = (model.activation_bytes or {}).get(batch)
        yield (
            f"{name:<20}{batch:>7}{_seconds(model.latency_s[batch]) * 1e3:>12.3f}"
            f"{'-' if held is None else format(held / 1e6, '.3f'):>16}"
            + ("" if model.latency_from is None else f"  from {model.latency_from}")
        )


def _median(loads: Mapping[Tier, Timing] | None, tier: Tier) -> float | None:
    found = (loads or {}).get(tier)
    return None if found is None else found.median_s


def _seconds(latency: Latency) -> float:
    return latency.median_s if isinstance(latency, Timing) else latency


def _ms(seconds: float | None, width: int) -> str:
    return f"{'-' if seconds is None else format(seconds * 1e3, '.3f'):>{width}}"


def _error(load_s: float, reference_s: float | None, width: int) -> str:
    if not reference_s:
        return f"{'-':>{width}}"
    return f"{load_s / reference_s - 1:>+{width}.1%}"
