"""Read the inputs of a replay, and reject those that cannot be replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgesim.errors import InputError, Parameter, short
from edgesim.instances import read_instance, read_schedule
from edgesim.plugins import ConsentError
from edgesim.profile.model_match import common_tier
from edgesim.profile.values import Profile, Tier
from edgesim.replay.plan import ReplayPlan
from edgesim.storage.files import sha256
from solvers.problem import Problem
from solvers.schedule import Schedule
from solvers.verify import violations


def read_plan(schedule_file: Path, instance_file: Path) -> tuple[Problem, Schedule]:
    """Read a schedule and the instance that it is for.

    Raises
    ------
    InputError
        If a file is missing or malformed, the two do not match, the schedule is
        infeasible, or it lets loads overlap batches.
    """
    schedule = read_schedule(schedule_file)
    problem = read_instance(instance_file)
    if schedule.instance != problem.name:
        raise InputError(
            f"{schedule_file}: instance",
            f"must be the name of the instance in {instance_file}, {problem.name!r}, "
            f"found {schedule.instance!r}; give the right one with ",
            Parameter("instance_file"),
        )
    if problem.overlap:
        raise InputError(
            f"{instance_file}: overlap",
            "must be false: a replay executes loads and batches one after the other",
        )
    broken = list(violations(problem, schedule))
    if broken:
        more = f" (and {len(broken) - 1} more)" if broken[1:] else ""
        raise InputError(
            schedule_file, f"is not feasible for {instance_file}: {broken[0]}{more}"
        )
    return problem, schedule


class ChosenTier(NamedTuple):
    """The tier that blocks are loaded from, and whether the profile holds it."""

    tier: Tier
    of_profile: bool


def choose_tier(
    plan: ReplayPlan, profile: Profile, tiers: Sequence[Tier], load_from: str | None
) -> ChosenTier:
    """Choose a tier of a device.

    Parameters
    ----------
    plan, profile
        The plan to replay, and its profile.
    tiers
        The device's tiers, fastest first.
    load_from
        The tier to use. If None, the fastest of the device's tiers that the profile
        holds for the plan's models, or its fastest if the profile holds none of them.

    Raises
    ------
    InputError
        If the device has no such tier.
    """
    bases = {found.base for found in plan.matches.values() if found.base is not None}
    held = [tier for tier in tiers if common_tier([tier], profile, bases) is not None]
    if load_from is None:
        return ChosenTier((held or list(tiers))[0], bool(held))
    for tier in tiers:
        if tier == load_from:
            return ChosenTier(tier, tier in held)
    raise InputError(
        Parameter("load_from"),
        f"must be one of {', '.join(tiers)} on this device, found {short(load_from)}",
    )


def check_factories(
    plan: ReplayPlan, profile_file: Path, factories: str | None
) -> None:
    """Refuse to call functions named in a profile unless the caller allows it.

    Raises
    ------
    ConsentError
        Naming the first such function.
    """
    named = [network for network in plan.networks if network.is_factory]
    if named and factories is None:
        raise ConsentError(
            profile_file,
            f"names {named[0].architecture} as an architecture, which is code to run; ",
            Parameter("factories", "skip"),
            " leaves its compute out",
        )


def hashes(paths: Mapping[str, Path]) -> dict[str, tuple[str, str | None]]:
    """Return the name and SHA-256 of each input by role; no hash of a pipe."""
    return {
        role: (path.name, sha256(path) if path.is_file() else None)
        for role, path in paths.items()
    }
