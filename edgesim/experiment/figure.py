"""A figure file: a scenario, what is varied in it, and what is shown of the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from edgesim.errors import short
from edgesim.scenario.parameters import axis_of
from edgesim.scenario.scenario import FileName
from edgesim.storage.files import check_file, read_toml
from solvers.problem import Name, Positive, Value
from solvers.registry import NO_SHARING

FIGURE = "edgesim.figure/1"
NOSHARE, BEST = NO_SHARING.removeprefix("-"), "best"

Number = float | int
Swept = bool | float | int | str
Scale = Literal["linear", "log"]

MOST = 1e18
"""Numbers on an axis are no larger: sums and squares of them stay finite."""


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] < pair[1]:
        return pair
    raise ValueError(
        f"must be a pair [low, high], the low one below the high one, "
        f"found {pair[0]:g} and {pair[1]:g}"
    )


Limits = Annotated[
    tuple[
        Annotated[float, Field(allow_inf_nan=False)],
        Annotated[float, Field(allow_inf_nan=False)],
    ],
    Field(strict=False),
    AfterValidator(_ordered),
]


def _distinct(values: tuple[Swept, ...]) -> tuple[Swept, ...]:
    for value in values:
        if isinstance(value, int) and abs(value) >= 2**63:
            raise ValueError(f"must hold numbers below 2^63, found {short(value)}")
    if len({*map(place_of, values)}) < len(values) or len({*values}) < len(values):
        raise ValueError(f"must be distinct, found {short(list(values))}")
    return values


Values = Annotated[
    tuple[Swept, ...], Field(min_length=1, strict=False), AfterValidator(_distinct)
]


def _drawable(places: tuple[Number, ...]) -> tuple[Number, ...]:
    for place in places:
        if not abs(place) <= MOST:
            raise ValueError(f"must hold numbers up to {MOST:g}, found {place!r}")
    return places


Places = Annotated[
    tuple[Number, ...],
    Field(min_length=1, strict=False),
    AfterValidator(_distinct),
    AfterValidator(_drawable),
]


class Case(Value):
    """``[[sweep.cases]]``: a place on the x axis, with the values that differ there."""

    title: Name
    set: Mapping[str, Any] = Field(default_factory=dict)


class Varied(Value):
    """A parameter and its values.

    ``parameter`` is a key path of the scenario, or the name of a parameter
    (``edgesim list parameters``). ``at`` says where on a number axis each value stands,
    for values that are names, of traces for instance.
    """

    parameter: Name
    values: Values
    at: Places | None = None

    @model_validator(mode="after")
    def _check(self) -> Varied:
        _check_at(self.at, len(self.values))
        return self


class Sweep(Value):
    """``[sweep]``: a parameter and its values, or cases."""

    parameter: Name | None = None
    values: Values | None = None
    at: Places | None = None
    cases: Annotated[tuple[Case, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _check(self) -> Sweep:
        if bool(self.cases) == (self.parameter is not None):
            found = "both" if self.cases else "neither"
            raise ValueError(f"give a parameter with values, or cases; found {found}")
        if (self.parameter is None) != (self.values is None):
            missing = "values" if self.parameter is not None else "parameter"
            raise ValueError(f"parameter and values go together, {missing} is missing")
        _check_distinct("titles of cases", [case.title for case in self.cases])
        _check_at(self.at, len(self.places))
        return self

    @property
    def places(self) -> tuple[str | int | float, ...]:
        """The values as tables have them, or the titles of the cases."""
        titles = tuple(case.title for case in self.cases)
        return titles or tuple(map(place_of, self.values or ()))


class VerticalMark(Value):
    """``[[plot.marks]]``: a place on the x axis that is known from elsewhere.

    ``x`` is in the unit of the axis, ``label`` what stands there.
    """

    x: Annotated[float, Field(allow_inf_nan=False)]
    label: Name


class PlotSpec(Value):
    """``[plot]``: what is shown, and the axes.

    ``measure`` is on the y axis: by default the requests in time of plans, online the
    share of requests in time. ``compare`` shows differences instead, in the same
    repeat: ``"noshare"`` of each solver and its twin without sharing, ``"best"`` of
    each and the best one at a value, or those to a solver by name; ``relative`` as a
    share of what is compared with. ``kind = "map"`` colours a grid of two parameters.

    Values of the swept axis are divided by ``unit``, those of the second parameter by
    ``second_unit``, those of the measure by ``y_unit``; labels say of what. Labels and
    units that are not given are those of the parameter and the measure. ``marks`` are
    labelled vertical lines, in the unit of the x axis.
    """

    kind: Literal["lines", "map"] = "lines"
    measure: Name | None = None
    compare: Name | None = None
    relative: bool = False
    x_label: str | None = None
    unit: Positive | None = None
    x_scale: Scale = "linear"
    x_limits: Limits | None = None
    second_label: str | None = None
    second_unit: Positive | None = None
    y_label: str | None = None
    y_unit: Positive | None = None
    y_scale: Scale = "linear"
    y_limits: Limits | None = None
    marks: Annotated[tuple[VerticalMark, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _check(self) -> PlotSpec:
        if self.relative and self.compare is None:
            raise ValueError("relative needs compare, which says what to compare with")
        for axis, scale, limits in (
            ("x", self.x_scale, self.x_limits),
            ("y", self.y_scale, self.y_limits),
        ):
            if scale == "log" and limits is not None and limits[0] <= 0:
                raise ValueError(
                    f"{axis}_limits must be above 0 on a log axis, found {limits[0]:g}"
                )
        if self.y_scale == "log" and self.compare is not None:
            raise ValueError(
                "y_scale must be 'linear' with compare: differences may be 0 or less"
            )
        axes = (self.x_scale, self.y_scale, self.x_limits, self.y_limits)
        if self.kind == "map" and axes != ("linear", "linear", None, None):
            raise ValueError(
                "scales and limits of axes are for lines, and kind is 'map'"
            )
        if self.kind == "map" and self.marks:
            raise ValueError("marks are for lines, and kind is 'map'")
        below = [mark.x for mark in self.marks if mark.x <= 0]
        if self.x_scale == "log" and below:
            raise ValueError(
                f"marks must have an x above 0 on a log axis, found {below[0]:g}"
            )
        return self


class Panel(Value):
    """``[[panel]]``: separate axes, with the values that differ there by key path."""

    title: Name
    set: Mapping[str, Any] = Field(default_factory=dict)


class Figure(Value):
    """A figure file: a scenario, what is varied in it, and what is shown of the runs.

    ``set`` replaces values of the scenario for the whole figure, by key path; those of
    a panel or a case apply there only. ``second`` is a second parameter: each of its
    values gets axes of its own, or a row of a map.
    """

    title: str
    scenario: FileName
    sweep: Sweep
    second: Varied | None = None
    set: Mapping[str, Any] = Field(default_factory=dict)
    panel: Annotated[tuple[Panel, ...], Field(strict=False)] = ()
    plot: PlotSpec = PlotSpec()

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that it varies."""
        second = None if self.second is None else self.second.parameter
        return tuple(p for p in (self.sweep.parameter, second) if p is not None)

    @model_validator(mode="after")
    def _check(self) -> Figure:
        sets = [self.set, *(panel.set for panel in self.panel)]
        sets += [case.set for case in self.sweep.cases]
        for parameter in self.parameters:
            if any(parameter in one for one in sets):
                raise ValueError(f"set must not fix the swept parameter {parameter!r}")
        if self.second is not None and self.second.parameter == self.sweep.parameter:
            raise ValueError(
                f"second.parameter must be another one than sweep.parameter, "
                f"found {self.second.parameter!r} twice"
            )
        _check_distinct("panel titles", [panel.title for panel in self.panel])
        if self.panel and self.second is not None:
            raise ValueError("give panels or a second parameter, found both")
        if self.plot.kind == "map" and self.second is None:
            raise ValueError("plot.kind 'map' needs a second parameter ([second])")
        self._check_axes()
        self._check_units()
        return self

    def _check_units(self) -> None:
        """Refuse a unit under the parameter's own label, which names another one."""
        plot, second = self.plot, self.second
        other = None if second is None else second.parameter
        for key, unit, label_key, label, parameter in (
            ("unit", plot.unit, "x_label", plot.x_label, self.sweep.parameter),
            ("second_unit", plot.second_unit, "second_label", plot.second_label, other),
        ):
            known = 1.0 if parameter is None else axis_of(parameter).unit
            if label is None and unit not in (None, known):
                raise ValueError(
                    f"plot.{key} needs {label_key}, which says what it is, "
                    f"unless it is {known:g}"
                )

    def _check_axes(self) -> None:
        numbers = self.sweep.at or self.sweep.places
        words = [place for place in numbers if isinstance(place, str)]
        plot = self.plot
        if plot.unit not in (None, 1.0) and words:
            raise ValueError("plot.unit needs sweep.values to be numbers")
        if plot.marks and words:
            raise ValueError("plot.marks needs sweep.values to be numbers")
        if plot.x_limits is not None and words:
            raise ValueError("plot.x_limits needs sweep.values to be numbers")
        if plot.x_scale == "log" and (words or any(float(n) <= 0 for n in numbers)):
            raise ValueError("plot.x_scale 'log' needs sweep.values above 0")
        second = self.second
        if plot.second_unit is not None and (
            second is None
            or any(isinstance(v, str) for v in second.at or second.values)
        ):
            raise ValueError("plot.second_unit needs second.values that are numbers")


def place_of(value: Swept) -> str | int | float:
    """Return a value as tables and axes have it: true and false are words there."""
    return str(value).lower() if isinstance(value, bool) else value


def _check_distinct(what: str, values: Sequence[Swept]) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"{what} must be distinct, found {short(list(values))}")


def _check_at(at: Sequence[Number] | None, count: int) -> None:
    if at is None:
        return
    if len(at) != count:
        raise ValueError(
            f"at must have a number for each of the {count} values, found {len(at)}"
        )


def read_figure(path: Path) -> Figure:
    """Read and check a figure file.

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    return check_file(path, read_toml(path), Figure, FIGURE)
