"""A figure file: a scenario, the swept parameter, and other values it replaces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from edgesim.files import check_file, read_toml
from edgesim.scenario.scenario import FileName
from solvers.problem import Name, Positive, Value

FIGURE = "edgesim.figure/1"


class Sweep(Value):
    """``[sweep]``: the parameter, by its key path in the scenario, and its values."""

    parameter: Name
    values: Annotated[tuple[float | int | str, ...], Field(min_length=1, strict=False)]


class PlotSpec(Value):
    """``[plot]``: the label of the swept axis; values are divided by ``unit``."""

    x_label: Name
    unit: Positive = 1.0
    x_scale: Literal["linear", "log"] = "linear"


class Panel(Value):
    """``[[panel]]``: separate axes, with the values that differ there by key path."""

    title: Name
    set: Mapping[str, Any] = Field(default_factory=dict)


class Figure(Value):
    """A figure file: a scenario, the swept parameter, and other values it replaces.

    ``set`` replaces values of the scenario for the whole figure, by key path; those of
    a panel apply to that panel only. Plans show the number of requests in time, online
    runs the share of them.
    """

    title: str
    scenario: FileName
    sweep: Sweep
    set: Mapping[str, Any] = Field(default_factory=dict)
    panel: Annotated[tuple[Panel, ...], Field(strict=False)] = ()
    plot: PlotSpec

    @model_validator(mode="after")
    def _check(self) -> Figure:
        values = self.sweep.values
        if len(set(values)) < len(values):
            raise ValueError(f"sweep.values must be distinct, found {list(values)}")
        for replaced in (self.set, *(panel.set for panel in self.panel)):
            if self.sweep.parameter in replaced:
                raise ValueError(
                    f"set must not fix the swept parameter {self.sweep.parameter!r}"
                )
        titles = [panel.title for panel in self.panel]
        if len(set(titles)) < len(titles):
            raise ValueError(f"panel titles must be distinct, found {titles}")
        has_text = any(isinstance(v, str) for v in values)
        if self.plot.unit != 1.0 and has_text:
            raise ValueError("plot.unit needs sweep.values to be numbers")
        if self.plot.x_scale == "log" and (
            has_text or any(not isinstance(v, str) and v <= 0 for v in values)
        ):
            raise ValueError("plot.x_scale 'log' needs sweep.values above 0")
        return self


def read_figure(path: Path) -> Figure:
    """Read and check a figure file.

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    return check_file(path, read_toml(path), Figure, FIGURE)
