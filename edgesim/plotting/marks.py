"""What figures of a sweep are drawn from: marks, and the axes that they stand on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from matplotlib.figure import Figure

from edgesim.plotting.colours import COLOURS
from edgesim.plotting.style import title_lines
from solvers.registry import NO_SHARING

Place: TypeAlias = float | str


class Mark(NamedTuple):
    """One solver or policy at one value of the parameter.

    Parameters
    ----------
    value
        The value, in the unit of the scenario.
    name
        The solver or policy.
    mean, half_width
        Mean of what is shown, and half-width of its 95 % interval, None without one.
    repeats
        Number of repeats behind the mean.
    """

    value: Place
    name: str
    mean: float
    half_width: float | None
    repeats: int


class Vertical(NamedTuple):
    """A labelled line at a place of the x axis, in its unit."""

    x: float
    label: str


@dataclass(frozen=True)
class Frame:
    """What the axes say, and where they end.

    Parameters
    ----------
    x_label, y_label, second_label
        Labels with their units; ``second_label`` is that of the second parameter, on
        top of panels and beside the rows of a map.
    x_unit, second_unit
        What values are divided by if they are numbers.
    x_values
        The values of the parameter in their order; those that marks have besides come
        after them.
    x_at, second_at
        The place on the axis of each value, if it is another one than the value.
    log_x, log_y
        Whether axes are logarithmic.
    x_limits, y_limits
        Ends of the axes, in their units; by default those of the data.
    top
        Upper limit of the y axes if no interval exceeds it; by default that of the
        data.
    from_zero
        Whether the y axis begins at 0, or ends there for negative values.
    compared
        Whether differences are shown, around a line at 0.
    verticals
        Places on the x axis that lines with labels mark.
    """

    x_label: str = ""
    y_label: str = ""
    second_label: str = ""
    x_unit: float = 1.0
    second_unit: float = 1.0
    x_values: Sequence[Place] = ()
    x_at: Mapping[Any, Place] = field(default_factory=dict)
    second_at: Mapping[Any, Place] = field(default_factory=dict)
    log_x: bool = False
    log_y: bool = False
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    top: float | None = None
    from_zero: bool = True
    compared: bool = False
    verticals: tuple[Vertical, ...] = ()

    def x(self, value: Place) -> Place:
        """Return where a value stands on the x axis."""
        return _placed(value, self.x_at, self.x_unit)

    def second(self, value: Place) -> Place:
        """Return where a value of the second parameter stands."""
        return _placed(value, self.second_at, self.second_unit)

    def panel_titles(self, values: Iterable[Place]) -> list[str]:
        """Return the titles of the panels of values of the second parameter."""
        texts = tick_texts([self.second(value) for value in values])
        label = f"{self.second_label}: " if self.second_label else ""
        return [f"{label}{text}" for text in texts]


def _placed(value: Place, at: Mapping[Any, Place], unit: float) -> Place:
    place = at.get(value, value)
    return place if isinstance(place, str) else float(place) / unit


def places_of(marks: Iterable[Mark], frame: Frame) -> list[Place]:
    """List the places on the x axis where there are marks, in the order of values."""
    present = dict.fromkeys(mark.value for mark in marks)
    known = [value for value in frame.x_values if value in present]
    return list(dict.fromkeys(map(frame.x, (*known, *present))))


def tick_texts(places: Sequence[Place]) -> list[str]:
    """Write places, numbers with as few digits as tell them apart."""
    for form in ("g", ".12g"):
        texts = [p if isinstance(p, str) else f"{p:{form}}" for p in places]
        if len(set(texts)) == len(places):
            return texts
    return [p if isinstance(p, str) else repr(p) for p in places]


def rank(name: str) -> tuple[tuple[int, str], bool]:
    """Order solvers as in ``COLOURS``, others after them by name, twins last."""
    base = name.removesuffix(NO_SHARING)
    known = list(COLOURS)
    place = (known.index(base), "") if base in known else (len(known), base)
    return place, name != base


def put_title(figure: Figure, title: str | None) -> None:
    """Put a title above all axes, on as many lines as it needs."""
    if title is None:
        return
    text = title_lines(title, figure.get_figwidth())
    figure.suptitle(text, x=0.01, ha="left", fontsize=11)
