"""Colours: one a solver in every figure, one hue a cluster of models that share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from matplotlib.colors import to_rgb

from edgesim.sharing import clusters
from solvers.problem import Problem

Colour: TypeAlias = tuple[float, float, float]

NO_SHARING = "-noshare"

COLOURS: Mapping[str, str] = {
    "dp": "#0072b2",
    "greedy": "#d55e00",
    "local-search": "#009e73",
    "ilp": "#7a1f5c",
    "exhaustive": "#56b4e9",
    "fcfs": "#e69f00",
    "edf": "#5a2d0c",
    "random": "#adadad",
}
"""Colour by solver; told apart with the common kinds of colour blindness."""

INK = "#222222"
_OTHER_COLOUR = "#333333"
_HUES = tuple(COLOURS.values())


def colour(solver: str) -> str:
    """Colour of a solver; that of its sharing twin for a name with ``-noshare``."""
    return COLOURS.get(solver.removesuffix(NO_SHARING), _OTHER_COLOUR)


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
