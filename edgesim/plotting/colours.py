"""Colours: one per solver or policy in every figure, one hue per cluster of models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias
from zlib import crc32

from matplotlib.colors import to_rgb

from edgesim.library.sharing import clusters
from solvers.problem import Problem
from solvers.registry import NO_SHARING

Colour: TypeAlias = tuple[float, float, float]
Marker: TypeAlias = str | tuple[int, int, int]

COLOURS: Mapping[str, str] = {
    "dp": "#1055a3",
    "greedy": "#ec7220",
    "local-search": "#19794e",
    "ilp": "#7d164f",
    "exhaustive": "#75b2d6",
    "fcfs": "#ffb222",
    "edf": "#512302",
    "random": "#7f7f7f",
    "clockwork": "#a43aef",
    "rolling": "#4c477c",
    "branch": "#27d086",
}
"""Colour by solver or policy.

Distinct for the common kinds of colour blindness; those that share a figure differ in
lightness as well, from dark to light: edf, ilp, dp, local-search, random, greedy,
exhaustive, fcfs; edf, rolling, clockwork, greedy, fcfs.
"""

MARKERS: Mapping[str, str] = {
    "dp": "o",
    "greedy": "s",
    "local-search": "^",
    "ilp": "D",
    "exhaustive": "v",
    "fcfs": "P",
    "edf": "X",
    "random": "p",
    "clockwork": "d",
    "rolling": "*",
    "branch": "H",
}
"""Marker by solver or policy."""

INK = "#222222"
LOAD = "#dc9346"
COMPUTE = "#2f5f8f"
"""Loads and batches of the GPU; loads are the paler ones in grey as well."""

_HUES = tuple(COLOURS.values())[:8]

# For the user's own solvers and policies, before any of the above.
_OWN_COLOURS = ("#ec0e50", "#0800b2", "#cdb059", "#422bf5", "#b678dd")
_OWN_MARKERS: tuple[Marker, ...] = ("<", ">", "h", (4, 1, 0), (6, 1, 0))


class Look(NamedTuple):
    """Colour and marker of a solver or policy and of its no-sharing variant."""

    colour: str
    marker: Marker


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Assign each solver or policy of a run its colour and marker.

    Shipped ones have fixed looks. The user's own have others: a name has the same look
    in every run, unless two names of a run would look alike. Up to sixteen names have
    colours of their own: from the sixth of the user's own on, these are of shipped ones
    that the run has not. Twenty-five are distinguishable by their markers too.

    Parameters
    ----------
    names
        All names of the run or figure, with or without ``-noshare``: of a part of them,
        one might look otherwise than among all.
    """
    assigned = {name: Look(COLOURS[name], MARKERS[name]) for name in COLOURS}
    names = list(names)
    bases = {name.removesuffix(NO_SHARING) for name in names}
    own = bases.difference(assigned)
    spare = [COLOURS[name] for name in COLOURS if name not in bases]
    preferred = {base: _preferred_looks(base, spare) for base in sorted(own)}
    # Of several names that prefer the same look the first gets it; the others are last.
    first = {best: base for base, (best, *_) in reversed(preferred.items())}
    for base in sorted(own, key=lambda base: (first[preferred[base][0]] != base, base)):
        unused = [look for look in preferred[base] if look not in assigned.values()]
        assigned[base] = (unused or preferred[base])[0]
    return {name: assigned[name.removesuffix(NO_SHARING)] for name in names}


def _preferred_looks(name: str, spare: Sequence[str]) -> list[Look]:
    """List all looks for a user's own name in order of preference.

    The first ones depend on the name only; ``spare`` are colours that no other has.
    """
    count, first = len(_OWN_COLOURS), crc32(name.encode())
    own = [
        Look(_OWN_COLOURS[index % count], _OWN_MARKERS[(index + turn) % count])
        for turn in range(count)
        for index in range(first, first + count)
    ]
    others = [
        Look(shade, _OWN_MARKERS[place % count]) for place, shade in enumerate(spare)
    ]
    return [*own[:count], *others, *own[count:]]


def lighter(shade: str | Colour, share: float) -> Colour:
    """Mix a colour with a share of white, between 0 and 1."""
    red, green, blue = (part + (1 - part) * share for part in to_rgb(shade))
    return red, green, blue


def model_colours(problem: Problem, models: Iterable[str]) -> dict[str, Colour]:
    """Assign each sharing cluster a hue and each of its models a shade.

    Parameters
    ----------
    problem
        The library.
    models
        Models that need a colour; the same ones always get the same.
    """
    palette = {}
    for number, cluster in enumerate(clusters(problem, models)):
        turn, hue = divmod(number, len(_HUES))
        base = lighter(_HUES[hue], 0.45 * (turn % 2))
        for place, name in enumerate(cluster):
            share = 0.65 * place / (len(cluster) - 1) if cluster[1:] else 0.0
            palette[name] = lighter(base, share)
    return palette


def ink_on(face: Colour) -> str:
    """Choose white on dark, dark on light."""
    red, green, blue = face
    return "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.55 else INK
