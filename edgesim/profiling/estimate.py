"""Estimate the duration of a measurement from a quick trial."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgesim.profile.values import Tier
from edgesim.profiling.copies import HostBlock, fill, make_cold, write_through
from edgesim.profiling.device import Device
from edgesim.profiling.plan import NetworkPlan
from edgesim.profiling.sampling import Sampling
from solvers.temporary import temporary_folder

PROBE_BYTES = 32 * 2**20
WAYS = 4
"""Block by block twice (each timed, and timed as one), by tensors, and as one copy."""

_COPY_S = 1e-5  # minimum of any copy


class TierRates(NamedTuple):
    """Rates of a tier from one quick trial, in bytes per second.

    ``copy`` is the rate of a copy, ``make`` that at which host buffers are allocated
    and filled: page-locking memory can take longer than everything measured on it.
    """

    copy: float
    make: float


def tier_rates(
    device: Device, tiers: Sequence[Tier], folder: Path
) -> dict[Tier, TierRates]:
    """Time one copy from each tier and the allocation of its buffer."""
    rates: dict[Tier, TierRates] = {}
    for tier in tiers:
        start_s = time.perf_counter()
        block = HostBlock(device.host_buffer(PROBE_BYTES, tier))
        fill(block.host)
        made_s = time.perf_counter() - start_s
        target = device.device_buffer(PROBE_BYTES)
        with temporary_folder("estimate", folder) as place:
            if tier == "disk":
                path = place / "0.bin"
                write_through(path, block.host)
                block = HostBlock(block.host, path)
            for _ in range(2):
                make_cold([block])
                (seconds,) = device.timed([lambda b=block, t=target: b.load(t)])  # type: ignore[misc]
        rates[tier] = TierRates(
            PROBE_BYTES / max(seconds, 1e-9), PROBE_BYTES / max(made_s, 1e-9)
        )
    return rates


def expected_s(
    plans: Sequence[NetworkPlan],
    rates: Mapping[Tier, TierRates],
    ladder: Sequence[int],
    batches: Sequence[int],
    sampling: Sampling,
    modes: int = 1,
) -> float:
    """Estimate the seconds of a whole measurement.

    Parameters
    ----------
    plans, ladder, batches, sampling
        What is measured, and how often.
    rates
        Rates of each tier.
    modes
        Number of modes in which batches are run.
    """
    total_s = 0.0
    for tier, rate in rates.items():
        for size in ladder:
            total_s += _sampled_s(size / rate.copy + _COPY_S, sampling)
        for plan in plans:
            copies = sum(len(block.tensor_bytes) for block in plan.blocks)
            once_s = plan.bytes / rate.copy + copies * _COPY_S
            total_s += WAYS * _sampled_s(once_s, sampling)
            total_s += plan.bytes / rate.make
        if tier == "disk":
            total_s += 2 * sum(plan.bytes for plan in plans) / rate.copy
    for plan in measured_networks(plans):
        effort = plan.effort
        if effort is not None and effort.pass_s is not None:
            total_s += modes * sum(
                _sampled_s(effort.batch_s(batch), sampling) for batch in batches
            )
    return total_s


def measured_networks(plans: Sequence[NetworkPlan]) -> list[NetworkPlan]:
    """Select one plan for each network whose latency is measured."""
    chosen: dict[tuple[str | None, ...], NetworkPlan] = {}
    for plan in plans:
        if plan.architecture is not None:
            chosen.setdefault(network_key(plan), plan)
    return list(chosen.values())


def network_key(plan: NetworkPlan) -> tuple[str | None, ...]:
    """Return the key of a network: plans with equal keys run the same one."""
    return (plan.architecture, plan.dtype, plan.input)


def duration(seconds: float) -> str:
    """Format a duration for people: ``40 s``, ``3 min 20 s``, ``1 h 5 min``."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _sampled_s(pass_s: float, sampling: Sampling) -> float:
    return sampling.passes(pass_s) * pass_s
