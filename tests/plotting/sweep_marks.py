"""Rows of a sweep by hand, and the marks that they condense to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgesim.measures.student import mean_interval
from edgesim.plotting.marks import Frame, Mark
from edgesim.plotting.sweep import plot_panels, plot_sweep


class SweepPoint(NamedTuple):
    """One solver at one value of the parameter in one repeat."""

    value: float | str
    solver: str
    served: float


def marks(rows: Sequence[SweepPoint]) -> list[Mark]:
    """Condense rows to a mark for each solver and value."""
    groups: dict[tuple[float | str, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row.value, row.solver), []).append(row.served)
    return [
        Mark(value, solver, *mean_interval(served), len(served))
        for (value, solver), served in groups.items()
    ]


def sweep(
    rows: Sequence[SweepPoint],
    x_label: str = "x",
    ax: Axes | None = None,
    *,
    y_label: str = "y",
    title: str | None = None,
    **frame: Any,
) -> Axes:
    """Plot rows on one axes."""
    return plot_sweep(marks(rows), Frame(x_label, y_label, **frame), ax, title=title)


def panels(
    rows: Mapping[str, Sequence[SweepPoint]],
    x_label: str = "x",
    *,
    y_label: str = "y",
    title: str | None = None,
    **frame: Any,
) -> Figure:
    """Plot rows on axes side by side."""
    condensed = {name: marks(of) for name, of in rows.items()}
    return plot_panels(condensed, Frame(x_label, y_label, **frame), title=title)
