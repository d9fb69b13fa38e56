"""Key figures of a device profile, one model at a time."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from edgesim.profile.fit import block_load, copy_rate
from edgesim.profile.values import ModelProfile, Profile, Tier, Timing

HOST_BOUND = 1.2
"""Batches launched operator by operator that take more than this factor longer than
the same batches in a CUDA graph are host-bound, not GPU-bound."""

SMALL_COPY_BYTES = 2**20
"""Up to this size, the cost of a copy is mostly overhead."""


@dataclass(frozen=True)
class ModelFacts:
    """Key figures of one model of a profile; None where the profile lacks them.

    Parameters
    ----------
    name, blocks, bytes
        The model, its number of blocks, and their total bytes.
    load_s
        Sum of its blocks' median load times, by tier.
    batches
        The smallest and the largest measured batch.
    latency_s, activation_bytes
        Values at these two batches.
    """

    name: str
    blocks: int
    bytes: int
    load_s: Mapping[Tier, float]
    batches: tuple[int, int] | None
    latency_s: tuple[float, float] | None
    activation_bytes: tuple[int, int] | None

    def load_per_compute(self, tier: Tier) -> float | None:
        """Load time from a tier over the compute time of a batch of 1."""
        if self.latency_s is None or tier not in self.load_s:
            return None
        return self.load_s[tier] / self.latency_s[0]


@dataclass(frozen=True)
class AddedUp:
    """How well block loads add up, from one tier; None where not measured.

    Parameters
    ----------
    added_s
        Sum of the blocks' medians, which edgesim takes as the model's load time.
    by_block_s, whole_s, by_tensor_s
        Medians of the model loaded block by block, as one copy, and tensor by tensor.
    of_copy_rate
        Bytes over ``added_s``, as a fraction of the rate of a plain large copy.
    """

    added_s: float | None
    by_block_s: float | None
    whole_s: float | None
    by_tensor_s: float | None
    of_copy_rate: float | None

    @property
    def by_block_error(self) -> float | None:
        """Relative error of ``added_s`` against the model loaded block by block."""
        return _relative_error(self.added_s, self.by_block_s)

    @property
    def whole_error(self) -> float | None:
        """Relative error of ``added_s`` against the model loaded as one copy."""
        return _relative_error(self.added_s, self.whole_s)


def tiers_of(profile: Profile) -> tuple[Tier, ...]:
    """List the tiers for which a profile has any load time, fastest kind first."""
    held = {tier for model in profile.models.values() for tier in model.tiers}
    held |= {tier for copy in profile.copies or () for tier in copy.load_s}
    return tuple(tier for tier in get_args(Tier) if tier in held)


def model_facts(profile: Profile, name: str) -> ModelFacts:
    """Collect the key figures of one of a profile's models."""
    model = profile.models[name]
    latency, activation = profile.latency_table(name), profile.activation_table(name)
    batches = sorted(map(int, model.latency_s))
    return ModelFacts(
        name=name,
        blocks=len(model.blocks),
        bytes=sum(block.bytes for block in model.blocks),
        load_s={
            tier: sum(block_load(profile, b, tier).median_s for b in model.blocks)
            for tier in model.tiers
        },
        batches=(batches[0], batches[-1]) if batches else None,
        latency_s=(latency[0], latency[-1]) if latency else None,
        activation_bytes=(activation[0], activation[-1]) if activation else None,
    )


def added_up(profile: Profile, name: str, tier: Tier) -> AddedUp:
    """Compare a model's block loads with the profile's other load measurements."""
    model = profile.models[name]
    added_s = model_facts(profile, name).load_s.get(tier)
    rate = copy_rate(profile, tier)
    size = sum(block.bytes for block in model.blocks)
    return AddedUp(
        added_s=added_s,
        by_block_s=_median_s(model.by_block_load_s, tier),
        whole_s=_median_s(model.whole_load_s, tier),
        by_tensor_s=_median_s(model.by_tensor_load_s, tier),
        of_copy_rate=size / added_s / rate if added_s and rate else None,
    )


def _median_s(loads: Mapping[Tier, Timing] | None, tier: Tier) -> float | None:
    time = (loads or {}).get(tier)
    return None if time is None else time.median_s


def _relative_error(value: float | None, measured: float | None) -> float | None:
    return None if value is None or not measured else value / measured - 1


@dataclass(frozen=True)
class Runs:
    """One quantity in several runs.

    Parameters
    ----------
    median
        Median over the runs.
    spread
        Maximum minus minimum, over the median; None if the median is 0.
    """

    median: float
    spread: float | None


def runs_of(values: Sequence[float | None]) -> Runs | None:
    """Summarise a quantity over runs; None unless every run has it."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    median = statistics.median(known)
    return Runs(median, (max(known) - min(known)) / median if median else None)


@dataclass(frozen=True)
class HostBound:
    """Whether batches launched operator by operator are host-bound or GPU-bound.

    Parameters
    ----------
    eager_s, graph_s
        A batch of 1 launched so, and replayed as a CUDA graph; None if unknown.
    up_to
        The largest batch such that it and all smaller ones are host-bound; None if the
        smallest is not.
    largest
        The largest batch that was run both ways.
    """

    eager_s: float | None
    graph_s: float | None
    up_to: int | None
    largest: int


def host_bound(profile: Profile, name: str) -> HostBound | None:
    """Compare a model's batches launched by operator with the same in a CUDA graph.

    Returns
    -------
    HostBound or None
        None where the profile does not hold both.
    """
    model = profile.models[name]
    eager = model.eager_latency_s
    if model.latency_mode != "graph" or not eager:
        return None
    graph = profile.latency_table(name)
    sizes = sorted(map(int, eager))
    up_to = None
    for size in sizes:
        if eager[str(size)].median_s <= HOST_BOUND * graph[size - 1]:
            break
        up_to = size
    return HostBound(
        eager_s=eager["1"].median_s if "1" in eager else None,
        graph_s=graph[0],
        up_to=up_to,
        largest=sizes[-1],
    )


@dataclass(frozen=True)
class ChainedCopy:
    """A small copy from one tier: on its own, and as one of many in a load.

    Parameters
    ----------
    alone_s, chained_s
        Its cost on its own and in a chain.
    beyond_bytes_s
        The part of ``chained_s`` beyond the bytes at the rate of a plain large copy;
        None if that rate is unknown.
    """

    alone_s: float
    chained_s: float
    beyond_bytes_s: float | None


def chained_copies(profile: Profile, tier: Tier) -> dict[int, ChainedCopy]:
    """Return the small copies that were timed in a chain from a tier, by size."""
    rate = copy_rate(profile, tier)
    found = {}
    for copy in profile.copies or ():
        chained = (copy.chained_s or {}).get(tier)
        if chained is not None and copy.bytes <= SMALL_COPY_BYTES:
            cost_s = chained.median_s
            found[copy.bytes] = ChainedCopy(
                alone_s=copy.load_s[tier].median_s,
                chained_s=cost_s,
                beyond_bytes_s=None if rate is None else cost_s - copy.bytes / rate,
            )
    return found


def run_count(model: ModelProfile) -> int:
    """Count the separate runs behind a model's load times: 1 unless merged."""
    return min(
        max(len(time.runs_s or (time.median_s,)) for time in block.load_s.values())
        for block in model.blocks
    )


def merged_load(model: ModelProfile, tier: Tier) -> Runs | None:
    """Return how a model's load from a tier varied between merged runs.

    For the model loaded block by block if that was timed, otherwise for the sum of its
    blocks run by run; None unless separate runs of it are known.
    """
    timed = (model.by_block_load_s or {}).get(tier)
    if timed is not None:
        return merged_runs(timed)
    if tier not in model.tiers:
        return None
    runs = [block.load_s[tier].runs_s or () for block in model.blocks]
    if len({len(of) for of in runs}) > 1 or not runs[0]:
        return None
    return runs_of([sum(of) for of in zip(*runs, strict=True)])


def merged_runs(time: Timing | float | None) -> Runs | None:
    """Return how a timing varied between merged runs; None if it was not merged."""
    return runs_of(time.runs_s or ()) if isinstance(time, Timing) else None
