"""A schedule prepared for execution: what is copied where, and what is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from edgesim.profile.model_match import (
    Match,
    NetworkSpec,
    latency_agreement,
    match_model,
    padded_batch,
)
from edgesim.profile.values import Profile
from edgesim.replay.placement import BEFORE, most_resident_bytes, owners, place, stays
from solvers.problem import Problem
from solvers.schedule import Schedule


class Slot(NamedTuple):
    """The position of a block in the device's buffer."""

    block: str
    offset: int
    bytes: int


class Batch(NamedTuple):
    """A network and the number of inputs it computes at once."""

    network: NetworkSpec
    size: int


@dataclass(frozen=True)
class RoundPlan:
    """One round.

    Parameters
    ----------
    loads
        Blocks to copy, in order.
    batch
        The batch to compute; None if no network is known.
    load_after_s
        Earliest start of the load: under ``upfront`` the end of all uploads.
    inputs_at_s
        When the last input has arrived.
    resident
        Contents of memory after the round.
    """

    loads: tuple[Slot, ...]
    batch: Batch | None
    load_after_s: float
    inputs_at_s: float
    resident: tuple[Slot, ...]


@dataclass(frozen=True)
class ReplayPlan:
    """Everything that an execution needs.

    Parameters
    ----------
    problem, schedule
        The schedule to execute and its problem; its rounds are those of ``rounds``.
    matches
        Models of the rounds, in order of first use.
    blocks
        Distinct blocks and their bytes, in order of first use.
    initial
        Contents of memory before the first round.
    buffer_bytes
        Size of the device's buffer for all blocks.
    resident_bytes
        Peak bytes of resident blocks.
    overhead_s
        Time that the plan grants each round beyond its load and its batch, as part of
        its compute time; 0 if its latencies are not the profile's.
    """

    problem: Problem
    schedule: Schedule
    matches: Mapping[str, Match]
    blocks: Mapping[str, int]
    initial: tuple[Slot, ...]
    rounds: tuple[RoundPlan, ...]
    buffer_bytes: int
    resident_bytes: int
    overhead_s: float = 0.0

    @property
    def batches(self) -> tuple[Batch, ...]:
        """Distinct batches, in order of first use."""
        return tuple(dict.fromkeys(r.batch for r in self.rounds if r.batch is not None))

    @property
    def networks(self) -> tuple[NetworkSpec, ...]:
        """Distinct networks, in order of first use."""
        return tuple(dict.fromkeys(batch.network for batch in self.batches))

    @property
    def computes(self) -> bool:
        """Whether every round is computed."""
        return all(round_.batch is not None for round_ in self.rounds)


def make_plan(
    problem: Problem, schedule: Schedule, profile: Profile, *, factories: bool = True
) -> ReplayPlan:
    """Lay out memory, find networks and pad batches.

    Parameters
    ----------
    problem, schedule
        A schedule that ``verify`` accepts, without overlap.
    profile
        The profile that names the networks.
    factories
        If false, networks that are built by calling a function are left out.

    Raises
    ------
    InputError
        If the blocks exceed any memory.
    """
    names = dict.fromkeys(round_.model for round_ in schedule.rounds)
    matches = {
        name: match_model(problem, name, profile, factories=factories) for name in names
    }
    found = stays(problem, schedule)
    offsets, buffer_bytes = place(found)
    slots = [
        Slot(stay.block, offset, stay.bytes)
        for stay, offset in zip(found, offsets, strict=True)
    ]
    resident: list[dict[tuple[str, int], Slot]] = [
        {} for _ in range(len(schedule.rounds) + 1)
    ]
    for stay, slot in zip(found, slots, strict=True):
        for r in range(stay.first, stay.last + 1):
            resident[r - BEFORE][stay.block, stay.owner] = slot
    arrivals = {a.user: a.segments[-1].end_s for a in schedule.bandwidth}
    uploads_end_s = max(arrivals.values(), default=0.0)
    upfront = schedule.uplink == "upfront"
    rounds = tuple(
        RoundPlan(
            loads=tuple(there[block, owner[block]] for block in round_.loaded_blocks),
            batch=_batch(matches[round_.model], profile, len(round_.users)),
            load_after_s=uploads_end_s if upfront else 0.0,
            inputs_at_s=max(arrivals[user] for user in round_.users),
            resident=tuple(there.values()),
        )
        for round_, owner, there in zip(
            schedule.rounds, owners(problem, schedule), resident[1:], strict=True
        )
    )
    return ReplayPlan(
        problem=problem,
        schedule=schedule,
        matches=matches,
        blocks={slot.block: slot.bytes for slot in slots},
        initial=tuple(resident[0].values()),
        rounds=rounds,
        buffer_bytes=buffer_bytes,
        resident_bytes=most_resident_bytes(found),
        overhead_s=_overhead_s(problem, matches, profile),
    )


def _overhead_s(
    problem: Problem, matches: Mapping[str, Match], profile: Profile
) -> float:
    same, compared = latency_agreement(problem, matches, profile)
    return profile.round_overhead_s if same == compared > 0 else 0.0


def _batch(match: Match, profile: Profile, size: int) -> Batch | None:
    if match.base is None or match.network is None:
        return None
    sizes = profile.models[match.base].latency_s
    return Batch(match.network, padded_batch(sizes, size))
