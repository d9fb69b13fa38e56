"""Models to build: their names, and the blocks of a profile that they consist of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

from edgesim.errors import InputError
from edgesim.profile.values import BlockProfile, Profile
from solvers.spelling import did_you_mean


class Recipe(NamedTuple):
    """A model to build: its name, its base, and its blocks under their final names."""

    name: str
    base: str
    parts: list[tuple[str, BlockProfile]]


class Based(Protocol):
    """A table of a library that makes models of one base, or of each of several."""

    @property
    def base(self) -> str | tuple[str, ...]:
        """The bases, by their names in the profile."""
        ...


Table = TypeVar("Table", bound=Based)


def base_recipe(base: str, blocks: Sequence[BlockProfile]) -> Recipe:
    """Make a base a model of the library, under its own name."""
    return Recipe(base, base, [(f"{base}/{block.name}", block) for block in blocks])


def numbered(
    letter: str, tables: Iterable[tuple[str | tuple[str, ...], int]]
) -> dict[str, Iterator[str]]:
    """Generate names per base, with as many digits as the last one needs."""
    totals: Counter[str] = Counter()
    for bases, count in tables:
        for base in listed(bases):
            totals[base] += count
    return {
        base: iter(
            [f"{base}-{letter}{n + 1:0{max(2, len(str(total)))}}" for n in range(total)]
        )
        for base, total in totals.items()
    }


def each_base(
    tables: Sequence[Table], section: str, profile: Profile
) -> Iterator[tuple[Table, str, str, tuple[BlockProfile, ...]]]:
    """Iterate over tables and their bases: table, key path, base, the base's blocks."""
    for position, table in enumerate(tables):
        key = f"library.{section}[{position}]"
        for base in listed(table.base):
            yield table, key, base, find_base(profile, base, f"{key}.base")


def find_base(profile: Profile, base: str, key: str) -> tuple[BlockProfile, ...]:
    """Return the blocks of a model of the profile that can be scheduled.

    Raises
    ------
    InputError
        Naming the key: there is no such model, or no latency of it.
    """
    if base not in profile.models:
        raise InputError(
            key,
            f"must be a model of profile {profile.name!r} "
            f"({', '.join(profile.models)}), found {base!r}"
            f"{did_you_mean(base, profile.models)}",
        )
    if not profile.models[base].latency_s:
        raise InputError(
            key,
            f"profile {profile.name!r} holds no latency of {base!r}; edgesim "
            f"profile measure takes it from an architecture or from another profile",
        )
    return profile.models[base].blocks


def listed(names: str | tuple[str, ...]) -> tuple[str, ...]:
    """List names that may be one."""
    return (names,) if isinstance(names, str) else names
