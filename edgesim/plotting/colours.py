"""Colours: one a solver or policy in every figure, one hue a cluster of models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias
from zlib import crc32

from matplotlib.colors import to_rgb

from edgesim.library.sharing import clusters
from solvers.problem import Problem
from solvers.registry import NO_SHARING

Colour: TypeAlias = tuple[float, float, float]
Marker: TypeAlias = str | tuple[int, int, int]

COLOURS: Mapping[str, str] = {
    "dp": "#0072b2",
    "greedy": "#d55e00",
    "local-search": "#009e73",
    "ilp": "#7a1f5c",
    "exhaustive": "#56b4e9",
    "fcfs": "#e69f00",
    "edf": "#5a2d0c",
    "random": "#adadad",
    "clockwork": "#9a4dff",
    "rolling": "#1b2a78",
}
"""Colour by solver or policy; told apart with the common kinds of colour blindness."""

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
}
"""Marker by solver or policy."""

INK = "#222222"
_HUES = tuple(COLOURS.values())[:8]

# Of solvers and policies of the user's own: none of the above.
_OWN_COLOURS = ("#ee0055", "#2222ee", "#ccaa55", "#7700bb", "#997799")
_OWN_MARKERS: tuple[Marker, ...] = ("<", ">", "h", (4, 1, 0), (6, 1, 0))


class Look(NamedTuple):
    """Colour and marker of a solver or policy and of its twin without sharing."""

    colour: str
    marker: Marker


def colour(solver: str) -> str:
    """Colour of a solver alone; that of its sharing twin for a ``-noshare`` name."""
    return looks([solver])[solver].colour


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Give each solver or policy of a figure its colour and marker.

    Those that edgesim ships have their own. The user's have looks that none of these
    has: a name the same one in every figure, but where two names of a figure would look
    alike. Twenty-five of them can be told apart.

    Parameters
    ----------
    names
        Names, with or without ``-noshare``.
    """
    found = {name: Look(COLOURS[name], MARKERS[name]) for name in COLOURS}
    names = list(names)
    own = {name.removesuffix(NO_SHARING) for name in names}.difference(found)
    liked = {base: _liked(base) for base in sorted(own)}
    # Of several that like one look best the first gets it; the others come last.
    first = {best: base for base, (best, *_) in reversed(liked.items())}
    for base in sorted(own, key=lambda base: (first[liked[base][0]] != base, base)):
        left = [look for look in liked[base] if look not in found.values()]
        found[base] = (left or liked[base])[0]
    return {name: found[name.removesuffix(NO_SHARING)] for name in names}


def _liked(name: str) -> list[Look]:
    """List all looks for one of the user's own, best first, by its name alone."""
    count, first = len(_OWN_COLOURS), crc32(name.encode())
    return [
        Look(_OWN_COLOURS[at % count], _OWN_MARKERS[(at + turn) % count])
        for turn in range(count)
        for at in range(first, first + count)
    ]


def lighter(shade: str | Colour, share: float) -> Colour:
    """Mix a colour with a share of white, between 0 and 1."""
    red, green, blue = (part + (1 - part) * share for part in to_rgb(shade))
    return red, green, blue


def model_colours(problem: Problem, models: Iterable[str]) -> dict[str, Colour]:
    """Give each sharing cluster a hue and each of its models a shade.

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
