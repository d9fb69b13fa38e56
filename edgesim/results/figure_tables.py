"""Tables of a figure: its points, their run times, and what the picture shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgesim.experiment.figure import Figure
from edgesim.experiment.point import Point
from edgesim.experiment.store import Outcome
from edgesim.experiment.sweep import Points
from edgesim.measures.point import BY_KEY, LABELS, RUNTIME, value_of
from edgesim.plotting.marks import Mark
from edgesim.results.figure_source import FigureSource
from edgesim.results.rows import write_csv
from edgesim.results.shown import Outer, Row, measure_of

PLAN_COLUMNS = ("uplink", "served", "bound", "gap", "status", *LABELS, "time_limit_s")
ONLINE_COLUMNS = ("uplink", *LABELS, "time_limit_s")
SHOWN_COLUMNS = ("measure", "mean", "half_width_95", "repeats")


def rows_of(points: Sequence[Point], outcomes: Mapping[str, Outcome]) -> list[Row]:
    """List the points in order: whose run each is, and all that was measured of it.

    Parameters
    ----------
    points
        The points.
    outcomes
        What was computed, by the key of the point.
    """
    rows: list[Row] = []
    for point in points:
        outcome = outcomes[point.key]
        rows.append(
            {
                **outcome.columns,
                **point.place,
                "repeat": point.repeat,
                "name": point.name,
                "uplink": point.uplink,
                "time_limit_s": point.time_limit_s,
                RUNTIME: outcome.runtime_s,
            }
        )
    return rows


def write_tables(
    source: FigureSource,
    points: Points,
    rows: Sequence[Row],
    marks: Mapping[Outer, Sequence[Mark]],
) -> None:
    """Write the tables of a figure.

    Parameters
    ----------
    source
        The figure, and where they go.
    points, rows
        Its points, and their rows in the same order.
    marks
        What the picture shows.
    """
    figure, online = source.figure, points.online
    kind = "policy" if online else "solver"
    leading = list(points.points[0].place) if points.points else ["value"]
    measure = measure_of(figure, online=online)
    columns = list(ONLINE_COLUMNS if online else PLAN_COLUMNS)
    if measure.partition(".")[0] in BY_KEY:
        columns.append(measure)
    front = (*leading, "repeat", kind)
    named = [{**row, kind: row["name"]} for row in rows]
    for file, those in ((source.data, columns), (source.times, [RUNTIME])):
        wanted = (*front, *those)
        write_csv(
            file,
            ({column: value_of(row, column) for column in wanted} for row in named),
            wanted,
        )
    write_csv(
        source.shown,
        _shown_rows(figure, marks, measure, leading, kind),
        (*leading, kind, *SHOWN_COLUMNS),
    )


def _shown_rows(
    figure: Figure,
    marks: Mapping[Outer, Sequence[Mark]],
    measure: str,
    leading: Sequence[str],
    kind: str,
) -> Iterable[dict[str, Any]]:
    """List what the picture shows, as it is drawn."""
    compare = figure.plot.compare
    what = measure if compare is None else f"{measure} - {compare}"
    if figure.plot.relative:
        what = f"{what}, %"
    for outer, of in marks.items():
        for mark in of:
            places = (outer, mark.value) if len(leading) == 2 else (mark.value,)
            yield {
                **dict(zip(leading, places, strict=True)),
                kind: mark.name,
                "measure": what,
                "mean": mark.mean,
                "half_width_95": mark.half_width,
                "repeats": mark.repeats,
            }
