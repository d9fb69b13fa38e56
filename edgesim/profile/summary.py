"""The numbers of a device profile that people ask for, one model at a time."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from edgesim.profile.fit import copy_rate
from edgesim.profile.values import ModelProfile, Profile, Tier, Timing

HOST_BOUND = 1.2
"""Batches launched one operator at a time that take more than this many times as long
as the same in a CUDA graph wait for the host, not for the GPU."""

SMALL_COPY_BYTES = 2**20
"""Up to this size the cost of a copy is mostly not its bytes."""


@dataclass(frozen=True)
class ModelFacts:
    """One model of a profile; None where the profile does not say.

    Parameters
    ----------
    name, blocks, bytes
        The model, how many blocks it has, and their bytes.
    load_s
        Its blocks' median load times added up, by tier.
    batches
        The smallest and the largest batch that was measured.
    latency_s, activation_bytes
        At these two.
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
    """How well block loads add up, from one tier; None where that was not measured.

    Parameters
    ----------
    added_s
        The blocks' medians added up: what edgesim takes for the model's load.
    by_block_s, whole_s, by_tensor_s
        Medians of the model loaded block by block, as one copy, tensor by tensor.
    of_copy_rate
        Bytes over ``added_s``, as a share of the rate of a plain large copy.
    """

    added_s: float | None
    by_block_s: float | None
    whole_s: float | None
    by_tensor_s: float | None
    of_copy_rate: float | None

    @property
    def by_block_error(self) -> float | None:
        """Share by which ``added_s`` is above what block by block took."""
        return _above(self.added_s, self.by_block_s)

    @property
    def whole_error(self) -> float | None:
        """Share by which ``added_s`` is above what the model as one copy took."""
        return _above(self.added_s, self.whole_s)


def tiers_of(profile: Profile) -> tuple[Tier, ...]:
    """List the tiers that a profile has any load time from, the fastest kind first."""
    held = {tier for model in profile.models.values() for tier in model.tiers}
    held |= {tier for copy in profile.copies or () for tier in copy.load_s}
    return tuple(tier for tier in get_args(Tier) if tier in held)


def model_facts(profile: Profile, name: str) -> ModelFacts:
    """Gather what a profile says of one of its models."""
    model = profile.models[name]
    latency, activation = profile.latency_table(name), profile.activation_table(name)
    batches = sorted(map(int, model.latency_s))
    return ModelFacts(
        name=name,
        blocks=len(model.blocks),
        bytes=sum(block.bytes for block in model.blocks),
        load_s={
            tier: sum(block.load_s[tier].median_s for block in model.blocks)
            for tier in model.tiers
        },
        batches=(batches[0], batches[-1]) if batches else None,
        latency_s=(latency[0], latency[-1]) if latency else None,
        activation_bytes=(activation[0], activation[-1]) if activation else None,
    )


def added_up(profile: Profile, name: str, tier: Tier) -> AddedUp:
    """Compare a model's block loads with what else a profile says of its loading."""
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


def _above(value: float | None, measured: float | None) -> float | None:
    return None if value is None or not measured else value / measured - 1


@dataclass(frozen=True)
class Runs:
    """One quantity in several runs.

    Parameters
    ----------
    median
        Of the runs.
    spread
        Highest minus lowest, over the median; None when the median is 0.
    """

    median: float
    spread: float | None


def runs_of(values: Sequence[float | None]) -> Runs | None:
    """Sum up a quantity over runs; None unless every run knows it."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    median = statistics.median(known)
    return Runs(median, (max(known) - min(known)) / median if median else None)


@dataclass(frozen=True)
class HostBound:
    """Whether the host or the GPU bounds batches launched operator by operator.

    Parameters
    ----------
    eager_s, graph_s
        A batch of 1 launched so, and replayed as a CUDA graph; None where not known.
    up_to
        The largest batch that the host bounds as it does all smaller ones; None where
        it does not bound the smallest one.
    largest
        The largest batch that was run both ways.
    """

    eager_s: float | None
    graph_s: float | None
    up_to: int | None
    largest: int


def host_bound(profile: Profile, name: str) -> HostBound | None:
    """Compare a model's batches launched one by one with the same in a CUDA graph.

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
    """A small copy from one tier: by itself, and as one of many in a load.

    Parameters
    ----------
    alone_s, chained_s
        Its cost by itself and in a chain.
    beyond_bytes_s
        What ``chained_s`` is above the bytes at the rate of a plain large copy; None
        where that is not known.
    """

    alone_s: float
    chained_s: float
    beyond_bytes_s: float | None


def chained_copies(profile: Profile, tier: Tier) -> dict[int, ChainedCopy]:
    """List the small copies that were timed in a chain from a tier, by size."""
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
    """Count the separate runs that a model's load times come from: 1 unless merged."""
    return min(
        max(len(time.runs_s or (time.median_s,)) for time in block.load_s.values())
        for block in model.blocks
    )


def merged_load(model: ModelProfile, tier: Tier) -> Runs | None:
    """Find how a model's load from a tier varied between runs that were merged.

    Of the model loaded block by block where that was timed, else of its blocks added
    up run by run; None unless separate runs of it are known.
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
    """Find how a timing varied between runs that were merged; None if none were."""
    return runs_of(time.runs_s or ()) if isinstance(time, Timing) else None
