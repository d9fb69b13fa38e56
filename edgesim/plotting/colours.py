"""Colours: one a solver or policy in every figure, one hue a cluster of models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from matplotlib.colors import to_rgb

from edgesim.library.sharing import clusters
from solvers.problem import Problem
from solvers.registry import NO_SHARING

Colour: TypeAlias = tuple[float, float, float]

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
_OTHER_COLOUR = "#333333"
_OTHER_MARKER = "h"
_HUES = tuple(COLOURS.values())[:8]
# What no shipped policy has, for policies of the user's own.
_SPARE = ("dp", "local-search", "exhaustive", "ilp", "random")


class Look(NamedTuple):
    """Colour and marker of a policy and of its twin without sharing."""

    colour: str
    marker: str


def colour(solver: str) -> str:
    """Colour of a solver; that of its sharing twin for a name with ``-noshare``."""
    return COLOURS.get(solver.removesuffix(NO_SHARING), _OTHER_COLOUR)


def marker(solver: str) -> str:
    """Marker of a solver; that of its sharing twin for a name with ``-noshare``."""
    return MARKERS.get(solver.removesuffix(NO_SHARING), _OTHER_MARKER)


def policy_looks(policies: Iterable[str]) -> dict[str, Look]:
    """Give each policy of a run its colour and marker.

    Shipped ones have their own in every run. Those of the user's own take, in their
    order, what shipped policies leave; after five of them all look alike.

    Parameters
    ----------
    policies
        Names, with or without ``-noshare``.
    """
    looks: dict[str, Look] = {}
    spare = iter(_SPARE)
    for name in policies:
        base = name.removesuffix(NO_SHARING)
        if base not in looks:
            like = base if base in COLOURS else next(spare, base)
            looks[base] = Look(colour(like), marker(like))
        looks[name] = looks[base]
    return looks


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
