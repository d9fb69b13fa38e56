"""Measure plans on a device: the only place where time is spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgesim.errors import InputError
from edgesim.profile.values import (
    BatchMode,
    BlockProfile,
    CopyTime,
    Latency,
    ModelProfile,
    Overlap,
    Tier,
    Timing,
)
from edgesim.profiling import disk, zoo
from edgesim.profiling.architecture import shown_architecture
from edgesim.profiling.device import Device, is_out_of_memory
from edgesim.profiling.empty_round import measure_empty_round
from edgesim.profiling.estimate import measured_networks, network_key
from edgesim.profiling.hardware import Facts
from edgesim.profiling.latency import BatchTable, batch_step, measure_batches
from edgesim.profiling.memory import free_host_bytes, locked_bytes
from edgesim.profiling.model_loads import (
    LADDER_BYTES,
    LoadTimes,
    measure_copies,
    measure_loads,
    measure_overlap,
)
from edgesim.profiling.networks import Networks, computes_in
from edgesim.profiling.plan import NetworkPlan
from edgesim.profiling.sampling import Sampling
from solvers.temporary import temporary_folder

Number = TypeVar("Number", int, Timing)

MEMORY_SHARE = 4
"""A ladder of copies takes at most this fraction (1/n) of the free memory."""


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Parameters
    ----------
    tiers
        Tiers that models are loaded from.
    batches
        Batch sizes, ascending.
    sampling
        How often each quantity is measured.
    disk_folder
        Folder in which the tier ``disk`` writes; nothing remains there.
    """

    tiers: tuple[Tier, ...]
    batches: tuple[int, ...]
    sampling: Sampling
    disk_folder: Path


@dataclass(frozen=True)
class Findings:
    """The results of a measurement, in the form of a profile.

    Parameters
    ----------
    models
        Models by name.
    copies
        Plain copies, ascending in size.
    round_s
        The time of a round beyond its load and its batch.
    facts
        The device, queried right after it was busy.
    notes
        Caveats for readers of these numbers, one phrase each.
    """

    models: Mapping[str, ModelProfile]
    copies: tuple[CopyTime, ...]
    round_s: Timing
    facts: Facts
    notes: tuple[str, ...]


def ladder(device: Device) -> tuple[int, ...]:
    """Choose the sizes of plain copies that fit in the device's memory."""
    free = device.free_bytes()
    if free is None:
        return LADDER_BYTES
    return tuple(
        size
        for number, size in enumerate(LADDER_BYTES)
        if sum(LADDER_BYTES[: number + 1]) <= free // MEMORY_SHARE
    )


def check_room(
    device: Device, plans: Sequence[NetworkPlan], tiers: Sequence[Tier]
) -> None:
    """Reject models for which the device or the host lacks memory.

    Raises
    ------
    InputError
        Naming the first such model.
    """
    free = {"the device's memory": device.free_bytes(), "host memory": None}
    on_gpu = device.device.type != "cpu"
    if on_gpu:
        free["host memory"] = free_host_bytes()
    locked = any(tier != "pageable" for tier in tiers)
    for plan in plans:
        size = plan.room_bytes
        needed = {
            # On the CPU the same memory holds both ends of a copy.
            "the device's memory": size if on_gpu else 2 * size,
            "host memory": locked_bytes(size) if locked else size,
        }
        for what, found in free.items():
            if found is not None and needed[what] > found:
                raise InputError(
                    plan.name,
                    f"measuring its loads needs {needed[what]:,} bytes of {what}, "
                    f"found {found:,} free",
                )


def disk_bytes(plans: Sequence[NetworkPlan], sizes: Sequence[int]) -> int:
    """Return the maximum bytes that the tier ``disk`` holds at once."""
    return max(sum(sizes), *(plan.bytes for plan in plans))


def steps(plans: Sequence[NetworkPlan], settings: Settings) -> int:
    """Count the calls of ``done`` that :func:`measure` makes."""
    return (
        1
        + len(plans) * len(settings.tiers)
        + len(measured_networks(plans)) * len(settings.batches)
    )


def measure(
    device: Device,
    plans: Sequence[NetworkPlan],
    settings: Settings,
    done: Callable[[int], None] = lambda _: None,
    *,
    networks: Networks | None = None,
    keep: Callable[[Findings], None] = lambda _: None,
) -> Findings:
    """Measure plain copies, then each model: its loads from every tier, its batches.

    Parameters
    ----------
    device
        The device on which models are loaded and run.
    plans
        Plans with unique names.
    settings
        How to measure.
    done
        Called with the number of steps done, out of :func:`steps`.
    networks
        Builds networks, and holds those built by planning.
    keep
        Called after each model but the last with the findings so far.

    Raises
    ------
    InputError
        If a model's loads do not fit in memory after all.
    OSError
        If files cannot be written to or read from the disk.
    """
    finished = 0

    def advance(count: int = 1) -> None:
        nonlocal finished
        finished += count
        done(finished)

    networks = Networks(device) if networks is None else networks
    notes: list[str] = []
    known: dict[str, dict[Tier, Timing]] = {}
    tables: dict[tuple[str | None, ...], _NetworkTable] = {}
    models: dict[str, ModelProfile] = {}
    facts: Facts | None = None
    with temporary_folder("measure", settings.disk_folder) as folder:
        copies = measure_copies(
            device, settings.tiers, settings.sampling, folder, ladder(device)
        )
        round_s = measure_empty_round(device, settings.sampling)
        advance()
        for plan in plans:
            loads: dict[Tier, LoadTimes] = {}
            for tier in settings.tiers:
                loads[tier] = _loads(device, tier, plan, settings.sampling, folder)
                advance()
            key = network_key(plan)
            if plan.architecture is not None and key not in tables:
                tables[key] = _network_table(
                    device, plan, settings, networks, notes, advance
                )
            device.release()
            models[plan.name] = _model_profile(plan, loads, tables.get(key), known)
            if facts is None:
                facts = device.facts()
            if len(models) < len(plans):
                keep(Findings(dict(models), copies, round_s, facts, tuple(notes)))
    if facts is None:
        facts = device.facts()
    return Findings(models, copies, round_s, facts, tuple(notes))


def versions_of(plans: Sequence[NetworkPlan]) -> dict[str, str]:
    """Return the versions of the packages that built networks."""
    sources = {(plan.architecture or "").partition(":")[0] for plan in plans}
    return {
        library: zoo.library_version(library)
        for source, library in zoo.LIBRARIES.items()
        if source in sources
    }


def device_notes(device: Device, settings: Settings) -> list[str]:
    """List what affects the numbers because of the device and its disk."""
    on_disk = "disk" in settings.tiers
    return [device.note, *(disk.disk_notes(settings.disk_folder) if on_disk else ())]


def _loads(
    device: Device, tier: Tier, plan: NetworkPlan, sampling: Sampling, folder: Path
) -> LoadTimes:
    try:
        times = measure_loads(device, tier, plan.blocks, sampling, folder)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            plan.name,
            f"memory does not suffice for its loads from {tier}: buffers of "
            f"{plan.room_bytes:,} bytes are needed on the host and on the device",
        ) from error
    return times


@dataclass(frozen=True)
class _NetworkTable:
    """Measurements of one network: its batches, and a copy concurrent with them."""

    batches: BatchTable
    overlap: Overlap | None


def _network_table(
    device: Device,
    plan: NetworkPlan,
    settings: Settings,
    networks: Networks,
    notes: list[str],
    advance: Callable[[int], None],
) -> _NetworkTable:
    """Measure the plan's network."""
    if plan.architecture is None or plan.input is None:
        raise ValueError(f"{plan.name} has no network to run")
    tried = 0

    def one() -> None:
        nonlocal tried
        tried += 1
        advance(1)

    network = networks.built(plan.architecture, plan.dtype).network
    dtype = computes_in(network, plan.name)
    if dtype != plan.dtype:
        notes.append(
            f"{plan.name}: its weights are {plan.dtype}, and its latency is that of "
            f"the network in {dtype}"
        )
    table = measure_batches(
        device,
        network,
        plan.name,
        plan.input,
        settings.batches,
        settings.sampling,
        one,
    )
    if table.no_graph is not None:
        notes.append(
            f"{plan.name}: batches are launched operator by operator, for "
            f"{table.no_graph}"
        )
    if table.no_memory_from is not None:
        notes.append(
            f"{plan.name}: batches of {table.no_memory_from} and more are left out, "
            f"for memory did not suffice"
        )
        advance(len(settings.batches) - tried)
    overlap = None
    if table.latency_s and "pinned" in settings.tiers:
        try:
            largest = max(table.latency_s)
            compute = batch_step(device, network, plan.input, largest, table.mode)
            overlap = measure_overlap(device, plan.blocks, largest, compute.run)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            notes.append(
                f"{plan.name}: a copy beside batches was not measured, for memory did "
                f"not suffice"
            )
    return _NetworkTable(table, overlap)


def _model_profile(
    plan: NetworkPlan,
    loads: Mapping[Tier, LoadTimes],
    table: _NetworkTable | None,
    known: dict[str, dict[Tier, Timing]],
) -> ModelProfile:
    """Assemble a model's profile; blocks already known keep their first timings."""
    blocks = []
    for position, block in enumerate(plan.blocks):
        load_s = {tier: times.blocks[position] for tier, times in loads.items()}
        if block.content is not None:
            load_s = known.setdefault(block.content, load_s)
        blocks.append(
            BlockProfile(
                name=block.name,
                bytes=block.bytes,
                load_s=load_s,
                content=block.content,
                tensors=len(block.tensor_bytes),
            )
        )
    latency_s: Mapping[str, Latency] = {}
    activation_bytes: Mapping[str, int] | None = None
    eager_s: Mapping[str, Timing] | None = None
    mode: BatchMode | None = None
    if plan.copied is not None:
        latency_s = plan.copied.latency_s
        activation_bytes = plan.copied.activation_bytes
        mode = plan.copied.latency_mode
    elif table is not None and table.batches.latency_s:
        latency_s = _by_text(table.batches.latency_s)
        activation_bytes = _by_text(table.batches.activation_bytes)
        mode = table.batches.mode
        if table.batches.eager_s is not None:
            eager_s = _by_text(table.batches.eager_s)
    return ModelProfile(
        blocks=tuple(blocks),
        latency_s=latency_s,
        latency_from=None if plan.copied is None else plan.copied.source,
        latency_mode=mode,
        eager_latency_s=eager_s,
        activation_bytes=activation_bytes,
        whole_load_s={tier: times.whole for tier, times in loads.items()},
        by_block_load_s={tier: times.by_block for tier, times in loads.items()},
        by_tensor_load_s={tier: times.by_tensor for tier, times in loads.items()},
        overlap=None if table is None else table.overlap,
        lora=plan.lora,
        architecture=(
            None if plan.architecture is None else shown_architecture(plan.architecture)
        ),
        input=plan.input,
        dtype=plan.dtype,
    )


def _by_text(table: Mapping[int, Number]) -> dict[str, Number]:
    return {str(batch): value for batch, value in table.items()}
