"""Match the models of a library to those of a profile, for replays."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edgesim.profile.fit import block_load
from edgesim.profile.values import BatchMode, BlockProfile, Profile, Tier
from solvers.problem import Problem

LIBRARIES = ("torchvision", "timm", "hf")
"""First words of architectures built by libraries; any other means code to call."""

_VARIANT = re.compile(r"(.+)-[vam][0-9]+")
_VERSION = re.compile(r"#[0-9]+$")


class NetworkSpec(NamedTuple):
    """A network's architecture, input and batch mode, as stated in a profile."""

    architecture: str
    input: str
    dtype: str | None
    mode: BatchMode = "eager"

    @property
    def is_factory(self) -> bool:
        """Whether building it calls a function that the profile names."""
        return self.architecture.partition(":")[0] not in LIBRARIES


@dataclass(frozen=True)
class Match:
    """The counterpart in a profile of a library's model.

    Parameters
    ----------
    base
        The profile's model; None if there is none.
    network
        The network that computes it; None if the profile does not state it.
    reason
        Why there is no network, for people to read; None if there is one.
    """

    base: str | None
    network: NetworkSpec | None
    reason: str | None = None


def match_model(
    problem: Problem, model: str, profile: Profile, *, factories: bool = True
) -> Match:
    """Find the profile's model that a library's model is or was derived from.

    Parameters
    ----------
    problem, model
        The library, and the name of one of its models.
    profile
        The profile to search.
    factories
        If false, networks that are built by calling a function are left out.
    """
    base = base_of(model, profile.models)
    if base is None:
        return Match(None, None, "the profile has no such model")
    held = {_VERSION.sub("", block) for block in problem.models[model].blocks}
    names = block_names(profile, base, model)
    missing = [block.name for block, of in names if held.isdisjoint(of)]
    if missing:
        return Match(
            None,
            None,
            f"the profile's {base!r} has a block {missing[0]!r}, which it has not",
        )
    entry = profile.models[base]
    if entry.architecture is None or entry.input is None:
        what = "architecture" if entry.architecture is None else "input"
        return Match(base, None, f"the profile states no {what} of {base!r}")
    network = NetworkSpec(
        entry.architecture, entry.input, entry.dtype, entry.latency_mode or "eager"
    )
    if network.is_factory and not factories:
        return Match(base, None, f"{entry.architecture} was not to be called")
    return Match(base, network)


def base_of(model: str, known: Collection[str]) -> str | None:
    """Return the profile's model: the same name, or the name without ``-v01`` etc.

    Variants end in ``-v``, ``-a`` or ``-m`` and a number. None if there is no such
    model.
    """
    if model in known:
        return model
    found = _VARIANT.fullmatch(model)
    return found[1] if found is not None and found[1] in known else None


def block_names(
    profile: Profile, base: str, model: str
) -> list[tuple[BlockProfile, frozenset[str]]]:
    """List the names that each block of a profile's model can have in a library.

    ``BASE/BLOCK`` if it is shared, ``MODEL/BLOCK`` if it is private to the model, and
    the name of any block with the same content.
    """
    twins: dict[str, set[str]] = {}
    for owner, entry in profile.models.items():
        for block in entry.blocks:
            if block.content is not None:
                twins.setdefault(block.content, set()).add(f"{owner}/{block.name}")
    return [
        (
            block,
            frozenset({f"{base}/{block.name}", f"{model}/{block.name}"}).union(
                twins.get(block.content or "", ())
            ),
        )
        for block in profile.models[base].blocks
    ]


def padded_batch(sizes: Collection[str], batch: int) -> int:
    """Return the measured batch size that a batch is padded to.

    Parameters
    ----------
    sizes
        Measured batch sizes, as a profile's keys.
    batch
        The planned batch size. It is not padded if no size as large was measured.
    """
    return min((int(size) for size in sizes if int(size) >= batch), default=batch)


def common_tier(
    tiers: Sequence[Tier], profile: Profile, bases: Collection[str]
) -> Tier | None:
    """Choose the device's fastest tier that the profile holds for some models.

    Parameters
    ----------
    tiers
        The device's tiers, fastest first.
    profile, bases
        The profile and its models to consider; all models if there are none.
    """
    names = [name for name in profile.models if not bases or name in bases]
    held = [set(profile.models[name].tiers) for name in names]
    return next((tier for tier in tiers if all(tier in of for of in held)), None)


class Agreement(NamedTuple):
    """How many of the plan's values known to a profile equal the profile's values."""

    same: int
    compared: int


def load_agreement(
    problem: Problem, matches: Mapping[str, Match], profile: Profile, tier: Tier
) -> Agreement:
    """Compare load times of the plan's blocks with a tier of the profile.

    They differ if the plan was made for another tier, at a stated rate, or with another
    profile. Blocks that the profile does not name, such as adapters, are left out.
    """
    seen: dict[str, bool] = {}
    for model, match in matches.items():
        if match.base is None:
            continue
        held = {_VERSION.sub("", name): name for name in problem.models[model].blocks}
        for block, names in block_names(profile, match.base, model):
            if tier in block.load_s:
                seen |= {
                    held[name]: problem.blocks[held[name]].load_s
                    == block_load(profile, block, tier).median_s
                    for name in names & held.keys()
                }
    return Agreement(sum(seen.values()), len(seen))


def latency_agreement(
    problem: Problem, matches: Mapping[str, Match], profile: Profile
) -> Agreement:
    """Compare batch tables of the plan's models with those of the profile."""
    same = [
        problem.models[model].latency_s == profile.round_table(match.base)
        for model, match in matches.items()
        if match.base is not None
    ]
    return Agreement(sum(same), len(same))
